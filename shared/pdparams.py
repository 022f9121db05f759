"""The one place that reads pickle: weights of older PaddleNLP models, through a reader that refuses everything but arrays."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from .errors import input_error

_log = logging.getLogger(__name__)

_PICKLE_NAMES = {
    ("collections", "OrderedDict"),
    ("builtins", "tuple"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads what ``paddle.save`` writes for a state dict: dictionaries, strings and numpy arrays. Refuses the rest by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PICKLE_NAMES:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}")
        if name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        return super().find_class(module, name)


def read_pdparams(file: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.pdparams`` file by name. Raises InputError for anything in it that is not an array."""
    _log.warning("%s is pickle: reading arrays from it and refusing everything else", file)
    try:
        with open(file, "rb") as opened:
            state = _ArrayUnpickler(opened).load()
    except Exception as error:  # a damaged pickle raises nearly any exception
        raise input_error(
            "LIC-W010",
            found=f"a pickle that is damaged or holds more than arrays ({error})",
            expected="the state dict of a model as paddle.save writes it",
            remedy="Do not use a file from a source you do not trust; save the model again as safetensors.",
            file=file,
        ) from error
    tensors: dict[str, np.ndarray] = {}
    strange: list[str] = []
    for name, value in state.items() if isinstance(state, dict) else [("(the whole file)", state)]:
        if isinstance(value, tuple) and len(value) == 2:
            value = value[1]
        if name == "StructuredToParameterName@@":  # paddle's own table of names, no tensor
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            tensors[name] = value
        else:
            strange.append(f"{name}: {type(value).__name__}")
    if strange:
        raise input_error(
            "LIC-W010",
            found=", ".join(strange[:5]),
            expected="numeric arrays only",
            remedy="Save the model again as safetensors (save_pretrained with safe_serialization=True).",
            file=file,
        )
    return tensors
