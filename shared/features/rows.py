"""What a batch takes of its rows: their values out of ragged arrays, and random numbers that depend on each row alone.

Notation: b rows of a batch, n values of all of them.
"""

from __future__ import annotations

import numpy as np

from .ragged import Ragged

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def take_rows(ragged: Ragged, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of ``rows`` [b] one behind the other, [n, ...], and how many each row has, [b]."""
    values, offsets = np.asarray(ragged.values), np.asarray(ragged.offsets)  # arithmetic on memory-mapped arrays is slow
    rows = np.asarray(rows, dtype=np.int64)  # [b]
    begins = offsets[rows]  # [b]
    counts: np.ndarray = offsets[rows + 1] - begins  # [b]
    ends = np.cumsum(counts)  # [b]
    places = np.arange(counts.sum()) + np.repeat(begins - (ends - counts), counts)  # [n]
    return values[places], counts  # [n, ...], [b]


def framed_rows(ragged: Ragged, rows: np.ndarray, *, first: int, last: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of token ids between ``first`` and ``last`` ([CLS] and [SEP]), padded on the right: [b, l + 2] int64; and their own lengths, [b]."""
    values, lengths = take_rows(ragged, rows)  # [n], [b]
    framed = np.full((len(lengths), int(lengths.max(initial=0)) + 2), padding, dtype=np.int64)  # [b, l + 2]
    framed[:, 0] = first
    framed[:, 1:-1][np.arange(framed.shape[1] - 2) < lengths[:, None]] = values
    framed[np.arange(len(lengths)), lengths + 1] = last
    return framed, lengths


def framed_segments(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of framed rows with ``lengths`` [b] tokens of their own: 1 at these and at the last token, [b, l + 2]; all real tokens, [b].

    What :class:`shared.robust.RandomReplacement` takes for a row that is one text.
    """
    places = np.arange(int(lengths.max(initial=0)) + 2)  # [l + 2]
    own = (places > 0) & (places < lengths[:, None] + 2)  # [b, l + 2]
    return own.astype(np.int64), lengths + 2  # [b, l + 2], [b]


def row_draws(seed: int, epoch: int, rows: np.ndarray, count: int) -> np.ndarray:
    """``count`` uniform numbers in [0, 1) for each of ``rows`` [b], [b, count].

    A number depends on seed, epoch, row and its place alone: neither on the other rows of a batch nor on what was drawn before. So a batch
    that is cut in parts, on one device or several, is drawn as it would be whole. SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) with a
    stream for every row: a NumPy generator for every row would take longer than the rest of a batch.
    """
    if not count or not len(rows):
        return np.zeros((len(rows), count))  # [b, count]
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64
        state = np.zeros(len(rows), dtype=np.uint64)  # [b]
        for part in (seed, epoch, rows):
            state = _mix(state + _GOLDEN * (np.asarray(part, dtype=np.int64).astype(np.uint64) + np.uint64(1)))  # [b]
        bits = _mix(state[:, None] + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64))  # [b, count]
    draws: np.ndarray = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # [b, count]
    return draws


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed
