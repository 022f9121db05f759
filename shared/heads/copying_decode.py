"""What a head says and what a pointer says as one softmax, for decoding. Needs numpy only."""

from __future__ import annotations

import numpy as np

LOWEST = -1e4
"""A pointer's greatest score is taken to be no lower, as in training."""


def with_copies(logits: np.ndarray, pointed: np.ndarray, copied: np.ndarray) -> np.ndarray:
    """A head's ``logits`` [r, u] with the copies, ``log(e^logit + sum of e^score of the places where the word stands)``, [r, u] float32.

    ``pointed`` [r, s]: the pointer's scores; ``copied`` [r, s] int64: the word that a place is, -1 where it may not be copied.
    See :meth:`CopyHead.with_copies`.
    """
    r, u = logits.shape
    c = int(copied.max(initial=0)) + 1  # no row copies a word from here on
    free = copied >= 0  # [r, s]
    scores = np.where(free, pointed, -np.inf)  # [r, s]
    top = scores.max(axis=1, keepdims=True, initial=LOWEST)  # [r, 1]
    words = np.where(free, copied, c) + np.arange(r)[:, None] * (c + 1)  # [r, s]
    mass = np.bincount(words.ravel(), np.exp(scores - top).ravel(), minlength=r * (c + 1)).reshape([r, c + 1])[:, :c]  # [r, c]
    with np.errstate(divide="ignore"):
        copies = np.log(mass) + top  # [r, c]
    joined = np.logaddexp(logits[:, :c], copies).astype(np.float32)  # [r, c]
    return joined if c == u else np.concatenate([joined, logits[:, c:].astype(np.float32)], axis=1)  # [r, u]
