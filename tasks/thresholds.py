"""Thresholds chosen by the official score: one for all candidates, or one for each label, cross-fitted.

Both sums of the score, for P and for R, go over labels and texts, so what a candidate adds to them is found once (:func:`sweep`), and a
threshold is then a matter of adding up. One label's best threshold depends on all others through F1 alone: :func:`fit_thresholds` goes through
the labels until none can be moved to a better F1. Where the sums for P and for R are the same (relation), that is the best there is: F1 is then
a ratio of sums, and a set of choices that no single one improves maximises it (Dinkelbach 1967; Lipton, Elkan and Naryanaswamy 2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .candidates import Candidates, Label

MIN_GOLD = 20
"""A label with fewer gold predictions takes the threshold of all."""
SHRINKS: tuple[float | None, ...] = (None, 100.0, 25.0)
"""Ways of fitting, the simplest first: one threshold for all; or one a label, pulled to that of all as if so many gold predictions asked for it."""


@dataclass(frozen=True)
class Thresholds:
    """The probability from which on a candidate counts: ``default``, and that of the labels which have one of their own."""

    default: float = 0.5
    by_label: Mapping[Label, float] = field(default_factory=dict)

    def __call__(self, label: Label) -> float:
        return self.by_label.get(label, self.default)

    def as_dict(self) -> dict[str, Any]:
        return {"threshold": self.default, "thresholds": [[*label, value] for label, value in sorted(self.by_label.items())]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Thresholds:
        """Raises KeyError, TypeError or ValueError for anything but :meth:`as_dict`."""
        by_label = {tuple(map(str, label)): float(value) for *label, value in values["thresholds"]}
        return cls(float(values["threshold"]), by_label)


@dataclass(frozen=True)
class Sweep:
    """What n candidates add to the official sums as a threshold falls below their probability.

    ``record`` and ``label`` [n] are numbers, ``probability`` [n], ``adds`` [n, 3]: to the sums for P, for R and of the predicted. A candidate
    that shares text, label and probability with others may carry what all of them add. ``gold`` [g, 3]: record, label, count.
    """

    labels: tuple[Label, ...]
    records: int
    record: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    adds: np.ndarray
    gold: np.ndarray


def sweep(kind: Candidates, records: Sequence[Any], candidates: Sequence[Sequence[Any]], identities: Sequence[str]) -> Sweep:
    """Of labelled records and their candidates. Of records with one identity the last counts, as it does for the metrics."""
    last = {identity: number for number, identity in enumerate(identities)}
    labels: dict[Label, int] = {}
    rows: list[tuple[int, int, float, float, float, float]] = []
    gold: list[tuple[int, int, int]] = []
    for number in sorted(last.values()):
        record = records[number]
        for label, count in kind.gold(record).items():
            gold.append((number, labels.setdefault(label, len(labels)), count))
        by_label: dict[Label, list[Any]] = {}
        for one in candidates[number]:
            by_label.setdefault(kind.label(one), []).append(one)
        for label, some in by_label.items():
            place = labels.setdefault(label, len(labels))
            before = np.zeros(3)  # [3]
            for probability in sorted({one.probability for one in some}, reverse=True):
                chosen = kind.choose([one for one in some if one.probability >= probability], lambda _: 0.0)
                after = np.asarray(kind.tally(record, label, chosen), dtype=float)  # [3]
                rows.append((number, place, probability, *(after - before)))
                before = after
    table = np.asarray(rows, dtype=float).reshape(-1, 6)  # [n, 6]
    where = table[:, :2].astype(np.int64)  # [n, 2]
    counts = np.asarray(gold, dtype=np.int64).reshape(-1, 3)  # [g, 3]
    return Sweep(tuple(labels), len(records), where[:, 0], where[:, 1], table[:, 2], table[:, 3:], counts)


def f1_of(sums: np.ndarray, gold: float) -> np.ndarray:
    """F1 [...] of the sums for P, for R and of the predicted [..., 3]; 0 where nothing is right."""
    for_precision, for_recall, predicted = np.moveaxis(sums, -1, 0)  # [...] each
    precision = for_precision / np.maximum(predicted, 1e-12)  # [...]
    recall = for_recall / max(gold, 1e-12)  # [...]
    return np.asarray(2 * precision * recall / np.maximum(precision + recall, 1e-12))  # [...]


def sums_of(swept: Sweep, thresholds: Thresholds, inside: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """The official sums [3] and the gold count of the records ``inside`` [records] (bool; None: all) under ``thresholds``."""
    own = np.asarray([thresholds(label) for label in swept.labels] or [0.0])  # [labels]
    chosen = swept.probability >= own[swept.label]  # [n]
    counted = np.ones(len(swept.gold), dtype=bool) if inside is None else inside[swept.gold[:, 0]]  # [g]
    if inside is not None:
        chosen &= inside[swept.record]
    return swept.adds[chosen].sum(axis=0), int(swept.gold[counted, 2].sum())


def fit_thresholds(
    swept: Sweep, inside: np.ndarray | None = None, *, shrink: float | None = None, min_gold: int = MIN_GOLD
) -> Thresholds:
    """The thresholds of the best F1 on the records ``inside`` [records] (bool; None: all).

    ``shrink`` None: one for all labels, the best there is. Else each label with at least ``min_gold`` gold predictions has its own: the mean,
    in logits, of the best for it and of that of all, weighted by its gold count and by ``shrink``.
    """
    keep = np.ones(len(swept.record), dtype=bool) if inside is None else inside[swept.record]  # [n]
    counted = np.ones(len(swept.gold), dtype=bool) if inside is None else inside[swept.gold[:, 0]]  # [g]
    probability, label, adds = swept.probability[keep], swept.label[keep], swept.adds[keep]
    support = np.bincount(swept.gold[counted, 1], swept.gold[counted, 2], minlength=len(swept.labels))  # [labels]
    gold = float(support.sum())
    options, cuts = _options(probability, adds)
    scores = f1_of(options, gold)  # [o]
    best = int(scores.argmax())
    default = float(cuts[best]) if scores[best] > 0 else 0.5
    if shrink is None or scores[best] <= 0:
        return Thresholds(default)
    parts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    taken: dict[int, int] = {}
    total = np.zeros(3)  # [3]
    for place in range(len(swept.labels)):
        own = label == place  # [n]
        parts[place] = _options(probability[own], adds[own])
        taken[place] = int((np.unique(probability[own]) >= default).sum())
        total = total + parts[place][0][taken[place]]
    begun = dict(taken)
    movable = [place for place in parts if support[place] >= min_gold and len(parts[place][1]) > 1]
    moved = True
    while moved:
        moved = False
        for place in movable:
            others = total - parts[place][0][taken[place]]  # [3]
            scores = f1_of(others + parts[place][0], gold)  # [o]
            better = int(scores.argmax())
            if scores[better] > scores[taken[place]] + 1e-12:
                taken[place], moved = better, True
                total = others + parts[place][0][better]
    by_label = {
        swept.labels[place]: _between(float(parts[place][1][taken[place]]), default, support[place], shrink)
        for place in movable
        if taken[place] != begun[place]
    }
    return Thresholds(default, by_label)


def _options(probability: np.ndarray, adds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every cut of n candidates: the sums [o, 3] of those above it and a threshold [o] half-way between its neighbours; first none of them."""
    order = np.argsort(-probability, kind="stable")  # [n]
    ranked = probability[order]  # [n]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0))  # [o - 1]
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(adds[order], axis=0)[ends]])  # [o, 3]
    values = ranked[ends]  # [o - 1]
    above = np.concatenate([[max(1.0, values[0] if len(values) else 0.0) + 1e-6], values])  # [o]
    below = np.concatenate([values, [0.0]])  # [o]
    middle = (above + below) / 2  # [o]
    return sums, np.where(middle > below, middle, above)


def _between(own: float, default: float, support: float, shrink: float) -> float:
    """``own`` pulled to ``default``, as a mean of logits."""
    if shrink == 0:
        return own
    near, far = (np.clip(value, 1e-4, 1 - 1e-4) for value in (own, default))
    logit = (support * np.log(near / (1 - near)) + shrink * np.log(far / (1 - far))) / (support + shrink)
    return float(1 / (1 + np.exp(-logit)))


def best_shrink(swept: Sweep, groups: np.ndarray, inside: np.ndarray | None = None, *, shrinks: Sequence[float | None] = SHRINKS) -> float | None:
    """The way of fitting whose cross-fitted F1 over the ``groups`` [records] among the records ``inside`` is highest; of equal ones the first."""
    among = np.ones(swept.records, dtype=bool) if inside is None else inside  # [records]
    numbers = np.unique(groups[among])  # [k]
    if len(shrinks) < 2 or len(numbers) < 2:
        return shrinks[0]
    scores = []
    for shrink in shrinks:
        total, gold = np.zeros(3), 0  # [3]
        for number in numbers:
            fitted = fit_thresholds(swept, among & (groups != number), shrink=shrink)
            sums, count = sums_of(swept, fitted, among & (groups == number))
            total, gold = total + sums, gold + count
        scores.append(round(float(f1_of(total, gold)), 9))
    return shrinks[int(np.argmax(scores))]
