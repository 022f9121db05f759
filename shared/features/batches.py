"""Batches of similar lengths under a budget of padded tokens, in a seeded order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def token_budget_batches(
    lengths: Sequence[int] | np.ndarray, budget: int, *, seed: int | None = None, epoch: int = 0, pool: int = 64, padding: int | None = None
) -> list[np.ndarray]:
    """Row indices of every batch of one epoch; each row exactly once.

    A batch of n rows costs n times its longest row; batches are filled up to ``budget`` (in tokens). A single row longer than the
    budget is a batch of its own. With a ``seed`` the rows are shuffled, sorted by length within pools of ``pool`` batches' worth of
    tokens, and the batches shuffled: the same (seed, epoch) gives the same batches. Without one they go from long to short, and a batch
    that could shed more than ``padding`` tokens of padding by being cut in two is cut where that sheds most.

    Raises ValueError for a budget below 1 or a row of no tokens.
    """
    lengths = np.asarray(lengths, dtype=np.int64)  # [n]
    if budget < 1:
        raise ValueError(f"the token budget must be at least 1, found {budget}")
    if len(lengths) and lengths.min() < 1:
        raise ValueError(f"row {int(lengths.argmin())} has length {int(lengths.min())}: rows need at least one token")
    if seed is None:
        batches = _fill(np.argsort(-lengths, kind="stable"), lengths, budget)
        return batches if padding is None else [part for batch in batches for part in _cut(batch, lengths, padding)]
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))  # [n]
    batches = []
    mass = np.cumsum(lengths[order]) // max(budget * pool, 1)  # [n]
    for group in np.split(order, np.flatnonzero(np.diff(mass)) + 1) if len(order) else []:
        batches.extend(_fill(group[np.argsort(-lengths[group], kind="stable")], lengths, budget))
    return [batches[index] for index in generator.permutation(len(batches))]


def _fill(order: np.ndarray, lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    batches: list[np.ndarray] = []
    sizes, begin = lengths[order].tolist(), 0  # a list: single numbers of an array come slowly
    while begin < len(sizes):
        rows = max(1, budget // sizes[begin])
        batches.append(order[begin : begin + rows])
        begin += rows
    return batches


def _cut(batch: np.ndarray, lengths: np.ndarray, padding: int) -> list[np.ndarray]:
    """A batch, long rows first, in parts."""
    own = lengths[batch]  # [n]
    shed = np.arange(len(own), 0, -1) * (own[0] - own)  # [n]: by a part that begins at each row
    place = int(shed.argmax())
    if shed[place] <= padding:
        return [batch]
    return [*_cut(batch[:place], lengths, padding), *_cut(batch[place:], lengths, padding)]


def pad(rows: Sequence[np.ndarray], *, value: int = 0, dtype: type = np.int64) -> np.ndarray:
    """Rows of different lengths as one array padded on the right, [len(rows), longest]."""
    longest = max((len(row) for row in rows), default=0)
    padded: np.ndarray = np.full((len(rows), longest), value, dtype=dtype)  # [b, l]
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded
