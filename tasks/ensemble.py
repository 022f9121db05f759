"""Weights of the members of an ensemble, searched on the simplex by what a vote with them would score.

The search looks at candidates as numbers: every member's probability of each, and how right each is by itself. That leaves out what candidates
take from each other (two mentions of one gold argument, an object that is part of another), which the reported scores do not.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .candidates import Candidates
from .thresholds import f1_of

STEPS = (0.2, 0.1, 0.05)
_GAIN = 1e-6


@dataclass(frozen=True)
class Pool:
    """The n different candidates of all members. ``probability`` [n, m], ``credit`` [n], ``record`` [n] ascending, ``gold`` [records]."""

    ranked: bool
    probability: np.ndarray
    credit: np.ndarray
    record: np.ndarray
    gold: np.ndarray

    def score(self, weights: np.ndarray, inside: np.ndarray | None = None) -> float:
        """What a vote with ``weights`` [m] reaches on the records ``inside`` [records] (bool; None: all): F1 at the best single threshold, or the
        mean credit of the first answers."""
        keep = np.ones(len(self.record), dtype=bool) if inside is None else inside[self.record]  # [n]
        record, credit = self.record[keep], self.credit[keep]  # [n], [n]
        mean = self.probability[keep] @ weights  # [n]
        gold = float(self.gold.sum() if inside is None else self.gold[inside].sum())
        if not len(record) or not gold:
            return 0.0
        if self.ranked:
            order = np.lexsort((-mean, record))  # [n]
            first = np.append(True, record[order][1:] != record[order][:-1])  # [n]
            return float(credit[order][first].sum() / gold)
        order = np.argsort(-mean, kind="stable")  # [n]
        ends = np.append(mean[order][1:] != mean[order][:-1], True)  # [n]
        right = np.cumsum(credit[order])  # [n]
        sums = np.stack([right, right, np.arange(1.0, len(right) + 1)], axis=-1)[ends]  # [o, 3]
        return float(f1_of(sums, gold).max())


def pool(kind: Candidates, records: Sequence[Any], members: Sequence[Sequence[Sequence[Any]]], groups: Sequence[int]) -> Pool:
    """Of labelled records and every member's candidates of each. Members of one of the ``groups`` share a weight: their mean is one column."""
    sizes = np.bincount(np.asarray(groups))  # [groups]
    probability: list[np.ndarray] = []
    credit: list[float] = []
    where: list[int] = []
    for number, record in enumerate(records):
        shares = [kind.shares(member[number]) for member in members]
        stands: dict[Hashable, Any] = {}
        for member in members:
            for one in member[number]:
                stands.setdefault(kind.key(one), one)
        table = np.zeros((len(stands), len(sizes)))  # [c, groups]
        for place, key in enumerate(stands):
            for group, own in zip(groups, shares, strict=True):
                table[place, group] += own.get(key, 0.0) / sizes[group]
        probability.append(table)
        credit += kind.credit(record, list(stands.values()))
        where += [number] * len(stands)
    gold = np.asarray([sum(kind.gold(record).values()) for record in records], dtype=float)  # [records]
    found = np.concatenate(probability) if probability else np.zeros((0, len(sizes)))  # [n, groups]
    return Pool(kind.ranked, found, np.asarray(credit), np.asarray(where, dtype=np.int64), gold)


def search_weights(pooled: Pool, inside: np.ndarray | None = None) -> np.ndarray:
    """Weights [m] that sum to 1: from equal ones, each is raised or lowered against all others, by ever smaller steps, while the score rises."""
    count = pooled.probability.shape[1]
    best = np.full(count, 1 / count)  # [m]
    reached = pooled.score(best, inside)
    for step in STEPS:
        moved = count > 1
        while moved:
            moved = False
            for member in range(count):
                for change in (step, -step):
                    tried = best.copy()  # [m]
                    tried[member] = max(0.0, tried[member] + change)
                    tried = np.round(tried / max(tried.sum(), 1e-12), 6)  # [m]
                    score = pooled.score(tried, inside) if tried.sum() > 0 else 0.0
                    if score > reached + _GAIN:
                        best, reached, moved = tried, score, True
    return np.asarray(best / best.sum())  # [m]


def spread(weights: Sequence[float], groups: Sequence[int]) -> tuple[float, ...]:
    """Each member's share of its group's weight."""
    sizes = np.bincount(np.asarray(groups))  # [groups]
    return tuple(float(weights[group] / sizes[group]) for group in groups)
