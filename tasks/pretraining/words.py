"""Words of Chinese text for whole-word masking, by jieba, which is not needed for anything else."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Callable

import numpy as np

from shared.errors import input_error


def word_cutter() -> Callable[[str], np.ndarray]:
    """Gives where the words of a text begin, ascending character numbers [words]. Raises InputError when jieba is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it imports, nothing that concerns the user
            import jieba
    except ImportError as error:
        raise input_error(
            "LIC-M003",
            found="model.masking = 'word', but no jieba",
            expected="the package that cuts words",
            remedy="Install it with `pip install jieba`, or take model.masking = 'span', which needs none.",
        ) from error
    jieba.setLogLevel(logging.WARNING)

    def cut(text: str) -> np.ndarray:
        lengths = [len(word) for word in jieba.cut(text)]
        return np.asarray([0, *itertools.accumulate(lengths)][:-1], dtype=np.int64)  # [words]

    return cut
