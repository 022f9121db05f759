"""The best next tokens of every row: log-probabilities and the k best, in NumPy, without sorting a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .constraints import Combined, TokenSet

BLOCK = 128
"""Tokens of a row that are looked at together."""


class Candidates(NamedTuple):
    """``ids`` [r, k] and their ``log_probabilities`` [r, k] float64, best first, lower id first where equal; -inf: none."""

    ids: np.ndarray
    log_probabilities: np.ndarray


class Scored:
    """Logits [r, v] with what every decoder needs of them. Raises ValueError for NaN and +inf."""

    def __init__(self, logits: np.ndarray):
        self.logits = logits  # [r, v]
        self.vocabulary = logits.shape[1]
        self.top = logits.max(axis=1).astype(np.float64)  # [r]
        for row in np.flatnonzero(np.isnan(self.top) | (self.top == np.inf)):
            bad = np.flatnonzero(np.isnan(logits[row]) | (logits[row] == np.inf))
            raise ValueError(
                f"row {row} of the logits has {len(bad)} NaN or inf of {self.vocabulary} numbers, the first at token {bad[0]}: "
                "mend the model's output (-inf is fine, it bars a token)"
            )
        self.log_z = np.where(self.top == -np.inf, 0.0, self.top) + np.log(self._masses(1.0).sum(axis=1, dtype=np.float64))  # [r]

    def log_probabilities(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """log p [n] of the tokens ``ids`` [n] in the rows ``rows`` [n]."""
        found: np.ndarray = np.minimum(self.values(rows, ids) - self.log_z[rows], 0.0)  # [n]
        return found

    def values(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The logits [n] of the tokens ``ids`` [n] in the rows ``rows`` [n]."""
        found: np.ndarray = self.logits[rows, ids].astype(np.float64)  # [n]
        return found

    def tempered(self, temperature: float) -> np.ndarray:
        """softmax(logits / temperature) [r, v]."""
        masses = self._masses(temperature)  # [r, v]
        masses /= masses.sum(axis=1, keepdims=True)
        return masses

    def _masses(self, temperature: float) -> np.ndarray:
        """e^((logits - their greatest) / temperature) [r, v]; of a row without any token ones."""
        dead = self.top == -np.inf  # [r]
        lowered: np.ndarray = self.logits - np.where(dead, 0.0, self.top).astype(self.logits.dtype)[:, None]  # [r, v]
        lowered[dead] = 0.0
        if temperature != 1.0:
            lowered /= temperature
        np.exp(lowered, out=lowered)
        return lowered


def candidates(scored: Scored, k: int, allowed: Sequence[TokenSet] | None = None) -> Candidates:
    """The ``k`` most probable tokens of every row among ``allowed`` (one set per row, None: all).

    Raises ValueError for an allowed id that is outside the vocabulary.
    """
    rows = len(scored.top)
    ids = np.zeros([rows, k], dtype=np.int64)  # [r, k]
    values = np.full([rows, k], -np.inf)  # [r, k]
    closed = [] if allowed is None else [row for row in range(rows) if not allowed[row].complement]
    if closed:
        assert allowed is not None
        _fill_closed(scored, allowed, closed, ids, values)
    if len(closed) < rows:
        _fill_open(scored, allowed, np.setdiff1d(np.arange(rows), closed), ids, values)
    return Candidates(ids, np.minimum(values - scored.log_z[:, None], 0.0))


def allowed_candidates(
    scored: Scored, k: int, constraints: Combined, states: Sequence[Any], budget: int
) -> tuple[Candidates, list[TokenSet] | None]:
    """:func:`candidates` under constraints in ``states`` (one per row), and the sets that held. Where the soft ones leave nothing
    that the model gives a probability, the hard ones alone hold."""
    if not constraints:
        return candidates(scored, k), None
    sets = [constraints.allowed(state, budget, scored.vocabulary) for state in states]
    chosen = [narrow for narrow, _ in sets]
    found = candidates(scored, k, chosen)
    eased = [row for row, (narrow, hard) in enumerate(sets) if found.log_probabilities[row, 0] == -np.inf and narrow is not hard]
    if eased:
        for row in eased:
            chosen[row] = sets[row][1]
        found = candidates(scored, k, chosen)
    return found, chosen


def row_logits(scored: Scored, row: int, allowed: TokenSet | None) -> np.ndarray:
    """The logits [v] of one row, float64, -inf where barred."""
    values: np.ndarray = scored.logits[row].astype(np.float64)  # [v]
    if allowed is not None:
        if allowed.complement:
            values[allowed.array[allowed.array < scored.vocabulary]] = -np.inf
        else:
            values[np.setdiff1d(np.arange(scored.vocabulary), allowed.array)] = -np.inf
    return values  # [v]


def best_of(values: np.ndarray, k: int) -> np.ndarray:
    """Places [r, k] of the ``k`` greatest of every row of ``values`` [r, v], the greatest first, the lower place first where equal."""
    r, v = values.shape
    if v <= 4 * BLOCK:
        return np.argsort(-values, axis=1, kind="stable")[:, :k]  # [r, k]
    if k * BLOCK > v // 2:
        return np.stack([_best_of_row(row, k) for row in values])  # [r, k]
    # they lie in those k blocks whose greatest numbers are the greatest: one pass over the row, and a sort of k blocks
    starts = np.arange(0, v, BLOCK)  # [m]
    tops = np.maximum.reduceat(values, starts, axis=1)  # [r, m]
    blocks = np.sort(np.argsort(-tops, axis=1, kind="stable")[:, :k], axis=1)  # [r, k]
    places = (starts[blocks][:, :, None] + np.arange(BLOCK)).reshape([r, -1])  # [r, k * BLOCK], ascending
    own = np.where(places < v, np.take_along_axis(values, np.minimum(places, v - 1), axis=1), -np.inf)  # [r, k * BLOCK]
    return np.take_along_axis(places, np.argsort(-own, axis=1, kind="stable")[:, :k], axis=1)  # [r, k]


def _best_of_row(row: np.ndarray, k: int) -> np.ndarray:
    least = np.partition(row, len(row) - k)[len(row) - k]
    places = np.flatnonzero(row >= least)  # [m], with all that equal the last one
    found: np.ndarray = places[np.argsort(-row[places], kind="stable")[:k]]  # [k]
    return found


def _fill_closed(scored: Scored, allowed: Sequence[TokenSet], closed: list[int], ids: np.ndarray, values: np.ndarray) -> None:
    for row in closed:
        listed = allowed[row].array  # [m]
        if len(listed) and not (listed[0] >= 0 and listed[-1] < scored.vocabulary):
            outside = listed[-1] if listed[0] >= 0 else listed[0]
            raise ValueError(f"row {row}: a constraint allows token {outside}, outside the vocabulary of {scored.vocabulary}: give ids of this model")
        own = scored.logits[row, listed]  # [m]
        order = np.argsort(-own, kind="stable")[: ids.shape[1]]  # ids ascend, so the lower one comes first
        ids[row, : len(order)] = listed[order]
        values[row, : len(order)] = own[order]


def _fill_open(scored: Scored, allowed: Sequence[TokenSet] | None, rows: np.ndarray, ids: np.ndarray, values: np.ndarray) -> None:
    logits = scored.logits if len(rows) == len(ids) else scored.logits[rows]  # [o, v]
    barred = [] if allowed is None else [(at, allowed[row].array) for at, row in enumerate(rows) if allowed[row].ids]
    if barred:
        logits = logits.copy()  # [o, v]
        for at, listed in barred:
            logits[at, listed[listed < scored.vocabulary]] = -np.inf
    found = best_of(logits, min(ids.shape[1], scored.vocabulary))  # [o, k]
    ids[rows, : found.shape[1]] = found
    values[rows, : found.shape[1]] = np.take_along_axis(logits, found, axis=1)
