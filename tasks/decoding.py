"""What runs a decoder over all units of a file's features. Needs numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.features.batches import token_budget_batches

Decoder = Callable[[np.ndarray], list[Any]]
"""Takes the units [b] of a batch and gives what was found in them, in the form that the track's predictions are made of."""


CALL = 64
"""Tokens that cost as much as one more call of an engine: worth less padding than that, a batch stays whole."""


def decode_all(decoder: Decoder, features: Any, *, tokens: int, progress: Callable[[int, int], None] | None = None) -> list[Any]:
    """What ``decoder`` finds in all units of ``features``, ``tokens`` padded tokens a batch."""
    found, done = [], 0
    for batch in token_budget_batches(features.lengths, tokens, padding=CALL):
        found += decoder(batch)
        done += len(batch)
        if progress is not None:
            progress(done, len(features))
    return found
