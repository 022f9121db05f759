"""The best next tokens of every row: softmax, argmax and top-k run where the logits are, only the candidates come back.

On CPU ``log_softmax`` of a wide row costs a hundred times what ``softmax`` does (paddle 2.6.2 and 3.3.1), so the normaliser
is read off the most probable token: log Z = x_best - log softmax(x)_best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F

from .constraints import Combined, TokenSet

FEW = 256
"""Barred tokens per row that are fetched and dropped; more are masked in the logits."""


class Candidates(NamedTuple):
    """``ids`` [r, k] and their ``log_probabilities`` [r, k] float64, best first, lower id first where equal; -inf: none."""

    ids: np.ndarray
    log_probabilities: np.ndarray


class Scored:
    """Logits [r, v] with what every decoder needs of them. Raises ValueError for NaN and +inf."""

    def __init__(self, logits: paddle.Tensor):
        self.logits = logits  # [r, v]
        self.vocabulary = logits.shape[1]
        sums = logits.sum(axis=-1).numpy()  # [r]
        for row in np.flatnonzero(np.isnan(sums) | (sums == np.inf)):
            values = logits[int(row)].numpy()  # [v]
            bad = np.flatnonzero(np.isnan(values) | (values == np.inf))
            if bad.size:  # a sum of large numbers may overflow by itself
                raise ValueError(
                    f"row {row} of the logits has {len(bad)} NaN or inf of {self.vocabulary} numbers, the first at token {bad[0]}: "
                    "mend the model's output (-inf is fine, it bars a token)"
                )
        self.best = paddle.argmax(logits, axis=-1)  # [r]
        self.probabilities = F.softmax(logits, axis=-1)  # [r, v]
        picked = np.arange(len(sums)) * self.vocabulary + self.best.numpy()  # [r]
        self.top = _pick(logits, picked)  # [r]
        with np.errstate(invalid="ignore"):
            self.log_z = np.where(self.top == -np.inf, 0.0, self.top - np.log(_pick(self.probabilities, picked)))  # [r]

    def log_probabilities(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """log p [n] of the tokens ``ids`` [n] in the rows ``rows`` [n]."""
        found: np.ndarray = np.minimum(self.values(rows, ids) - self.log_z[rows], 0.0)  # [n]
        return found

    def values(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The logits [n] of the tokens ``ids`` [n] in the rows ``rows`` [n]."""
        return _pick(self.logits, rows * self.vocabulary + ids)  # [n]

    def tempered(self, temperature: float) -> np.ndarray:
        """softmax(logits / temperature) [r, v]."""
        at_one = temperature == 1.0
        found: np.ndarray = (self.probabilities if at_one else F.softmax(self.logits / temperature, axis=-1)).numpy()  # [r, v]
        return found


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
        _fill_open(scored, allowed, ids, values)
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
    values: np.ndarray = scored.logits[row].numpy().astype(np.float64)  # [v]
    if allowed is not None:
        if allowed.complement:
            values[allowed.array[allowed.array < scored.vocabulary]] = -np.inf
        else:
            values[np.setdiff1d(np.arange(scored.vocabulary), allowed.array)] = -np.inf
    return values  # [v]


def _fill_closed(scored: Scored, allowed: Sequence[TokenSet], closed: list[int], ids: np.ndarray, values: np.ndarray) -> None:
    lists = [allowed[row].array for row in closed]
    for row, listed in zip(closed, lists, strict=True):
        if len(listed) and not (listed[0] >= 0 and listed[-1] < scored.vocabulary):
            outside = listed[-1] if listed[0] >= 0 else listed[0]
            raise ValueError(f"row {row}: a constraint allows token {outside}, outside the vocabulary of {scored.vocabulary}: give ids of this model")
    flat = np.concatenate([row * scored.vocabulary + listed for row, listed in zip(closed, lists, strict=True)])  # [n]
    if not len(flat):
        return
    found = _pick(scored.logits, flat)  # [n]
    start, k = 0, ids.shape[1]
    for row, listed in zip(closed, lists, strict=True):
        own = found[start : start + len(listed)]  # [m]
        start += len(listed)
        order = np.argsort(-own, kind="stable")[:k]  # ids ascend, so the lower one comes first
        ids[row, : len(order)] = listed[order]
        values[row, : len(order)] = own[order]


def _fill_open(scored: Scored, allowed: Sequence[TokenSet] | None, ids: np.ndarray, values: np.ndarray) -> None:
    rows, k = ids.shape
    barred = {} if allowed is None else {row: allowed[row].array for row in range(rows) if allowed[row].complement and allowed[row].ids}
    skipped = set() if allowed is None else {row for row in range(rows) if not allowed[row].complement}
    if k == 1 and not barred:
        kept = [row for row in range(rows) if row not in skipped]
        ids[kept, 0], values[kept, 0] = scored.best.numpy()[kept], scored.top[kept]
        return
    logits, extra = scored.logits, max(map(len, barred.values()), default=0)
    if extra > FEW:
        mask = np.zeros(logits.shape, dtype=np.float32)  # [r, v]
        for row, listed in barred.items():
            mask[row, listed[listed < scored.vocabulary]] = -np.inf
        logits, extra, barred = logits + paddle.to_tensor(mask).astype(logits.dtype), 0, {}  # [r, v]
    fetched = min(k + extra + 1, scored.vocabulary)
    top_values, top_ids = (part.numpy() for part in paddle.topk(logits, fetched, axis=-1))  # [r, f], [r, f]
    order = np.lexsort((top_ids, -top_values))  # [r, f]
    top_ids = np.take_along_axis(top_ids, order, axis=1)  # [r, f]
    top_values = np.take_along_axis(top_values, order, axis=1).astype(np.float64)  # [r, f]
    for row, listed in barred.items():
        keep = ~np.isin(top_ids[row], listed)  # [f]
        n = int(keep.sum())
        least = top_values[row, -1]
        top_ids[row, :n], top_values[row, :n] = top_ids[row, keep], top_values[row, keep]
        top_values[row, n:] = -np.inf
        if fetched < scored.vocabulary:
            top_values[row, -1] = least  # so that a tie with what was not fetched is seen
    width = min(k, fetched)
    ids_open, values_open = top_ids[:, :width], top_values[:, :width]
    if fetched < scored.vocabulary:
        # top-k keeps any of several equal tokens: where the last one is tied with one left out, the row is ordered in full
        for row in np.flatnonzero((values_open[:, -1] == top_values[:, -1]) & (values_open[:, -1] > -np.inf)):
            if int(row) not in skipped:
                full = row_logits(scored, int(row), None if allowed is None else allowed[int(row)])  # [v]
                ids_open[row] = np.argsort(-full, kind="stable")[:width]
                values_open[row] = full[ids_open[row]]
    kept = [row for row in range(rows) if row not in skipped]
    ids[kept, :width], values[kept, :width] = ids_open[kept], values_open[kept]


def _pick(values: paddle.Tensor, flat: np.ndarray) -> np.ndarray:
    """Numbers of a tensor [r, v] at flat places [n], as float64."""
    found: np.ndarray = paddle.index_select(values.reshape([-1]), paddle.to_tensor(flat), axis=0).numpy()  # [n]
    return found.astype(np.float64)
