"""What runs a decoder over all units of a file's features. Needs numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.features.batches import token_budget_batches
from shared.workers import map_in_threads

if TYPE_CHECKING:
    from shared.inference import Engine

Decoder = Callable[[np.ndarray], list[Any]]
"""Takes the units [b] of a batch and gives what was found in them, in the form that the track's predictions are made of."""


CALL = 64
"""Tokens that cost as much as one more call of an engine on a CPU: worth less padding than that, a batch stays whole."""


def decode_all(
    decoder: Decoder, features: Any, *, tokens: int, engine: Engine | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Any]:
    """What ``decoder`` finds in all units of ``features``, at most ``tokens`` padded tokens a batch.

    The ``engine`` behind the decoder may ask for fewer; where it allows it, one batch is decoded while the next one is in the network. Neither for
    a network that writes step by step: its steps are small, and what its grammar remembers is for one thread.
    """
    found, done = [], 0
    if engine is not None and "by_source" in engine.facts:
        engine = None
    most = None if engine is None else engine.batch_tokens
    batches = token_budget_batches(features.lengths, min(tokens, most or tokens), padding=CALL if most else None)
    results = map_in_threads(decoder, batches, threads=1 if engine is None else engine.together)
    for batch, result in zip(batches, results, strict=True):
        found += result
        done += len(batch)
        if progress is not None:
            progress(done, len(features))
    return found
