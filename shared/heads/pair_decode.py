"""Which pairs of tokens score above a threshold, and what single pairs score, in NumPy: for scores in parts, in full, and for gold.

Every table answers two questions: :meth:`above` and :meth:`at`. None makes [b, k, l, l] numbers that were not there before, so time and
memory follow what is found, not tokens x tokens x labels.

Notation: b rows, k labels, l tokens, n pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

AT_ONCE = 1 << 22
"""Numbers that a search holds at once."""
SURE = 30.0
"""Score of a gold pair; others have the negative."""


class PairTable(Protocol):
    """Scores of all pairs of a batch."""

    def above(self, threshold: float, *, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs [n, 4] of (row, label, first, last) that score above ``threshold``, in order, and their scores [n].

        Only those whose last token is fewer than ``longest`` behind the first.
        """
        ...

    def at(self, row: int, labels: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        """Scores of pairs of one row; labels and tokens are broadcast against each other."""
        ...


class PartsTable:
    """``pairs`` [b, l, l] plus a label's ``first`` and ``last`` [b, k, l], as :class:`shared.heads.pair_scores.PairParts`."""

    def __init__(self, pairs: np.ndarray, first: np.ndarray, last: np.ndarray):
        self.pairs, self.first, self.last = pairs, first, last

    def above(self, threshold: float, *, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """As :class:`PairTable` says. The sum over last tokens, a product of matrices, shows where there is nothing to look for."""
        l = self.pairs.shape[1]
        found, scores = [np.zeros((0, 4), dtype=np.int64)], [np.zeros(0, dtype=self.pairs.dtype)]
        ahead = np.arange(l) - np.arange(l)[:, None]  # [l, l]
        for row, (pairs, first, last) in enumerate(zip(self.pairs, self.first, self.last, strict=True)):
            near = np.where(ahead < longest, pairs, -np.inf)  # [l, l]
            high, top = near.max(axis=1), last.max(axis=1)  # [l], [k]
            with np.errstate(divide="ignore"):
                sums = np.log(np.exp(last - top[:, None]) @ np.exp(near - high[:, None]).T)  # [k, l]
            # a sum is never below its greatest part: only rounding and underflow need the margin and the second look
            bound = np.where(np.isfinite(sums), sums + 1e-3, 0.0) + first + high + top[:, None]  # [k, l]
            for part in _parts(np.argwhere(bound > threshold), l):
                label, start = part[:, 0], part[:, 1]  # [m], [m]
                made = near[start] + first[label, start][:, None] + last[label]  # [m, l]
                which, end = np.nonzero(made > threshold)  # [n], [n]
                found.append(np.stack([np.full_like(which, row), label[which], start[which], end], axis=1))  # [n, 4]
                scores.append(made[which, end])  # [n]
        return np.concatenate(found), np.concatenate(scores)  # [n, 4], [n]

    def at(self, row: int, labels: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self.pairs[row, firsts, lasts] + self.first[row, labels, firsts] + self.last[row, labels, lasts]
        return scores


class FullTable:
    """``scores`` [b, k, l, l]."""

    def __init__(self, scores: np.ndarray):
        self.scores = scores

    def above(self, threshold: float, *, longest: int) -> tuple[np.ndarray, np.ndarray]:
        found = np.argwhere(self.scores > threshold)  # [n, 4]
        found = found[found[:, 3] - found[:, 2] < longest]  # [n, 4]
        return found, self.scores[tuple(found.T)]  # [n, 4], [n]

    def at(self, row: int, labels: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self.scores[row, labels, firsts, lasts]
        return scores


class GoldTable:
    """A pointer without fault: ``SURE`` at the right pairs, -``SURE`` elsewhere, held by place. ``places`` [n, 4]; ``shape``: (k, l)."""

    def __init__(self, places: np.ndarray, shape: tuple[int, int]):
        self.labels, self.length = shape
        self.places = np.unique(np.asarray(places, dtype=np.int64).reshape(-1, 4), axis=0)  # [n, 4]
        self._keys = self._key(*self.places.T)  # [n]

    def _key(self, row: np.ndarray | int, label: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        key: np.ndarray = ((np.asarray(row) * self.labels + label) * self.length + first) * self.length + last
        return key

    def above(self, threshold: float, *, longest: int) -> tuple[np.ndarray, np.ndarray]:
        near = self.places[self.places[:, 3] - self.places[:, 2] < longest]  # [n, 4]
        near = near if threshold < SURE else near[:0]  # [n, 4]
        return near, np.full(len(near), SURE, dtype=np.float32)  # [n, 4], [n]

    def at(self, row: int, labels: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        right = np.isin(self._key(row, np.asarray(labels), np.asarray(firsts), np.asarray(lasts)), self._keys)
        return np.where(right, np.float32(SURE), np.float32(-SURE))


def _parts(found: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """``found`` [n, ...] in parts of which each, ``width`` numbers a row, fits :data:`AT_ONCE`."""
    size = max(1, AT_ONCE // max(1, width))
    for begin in range(0, len(found), size):
        yield found[begin : begin + size]
