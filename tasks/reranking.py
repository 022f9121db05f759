"""Rerankers: gradient-boosted trees that give candidates the probability that they are right, from the members' own and from evidence.

The trees are XGBoost's (Chen and Guestrin 2016, arXiv 1603.02754), kept as its JSON. They learn from candidates of labelled records, each by its
credit: where the metric counts characters (event, reading) that is a share, and what is learned is the share to expect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .candidates import Candidates, active_members
from .evidence import Evidence

ROUNDS = 250
SETTINGS: Mapping[str, Any] = {
    "objective": "binary:logistic",
    "max_depth": 4,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 5,
    "max_bin": 64,
    "tree_method": "hist",
    "nthread": 1,
    "seed": 1,
}
MIN_CANDIDATES = 50
"""From fewer, or from such of one kind alone, nothing is learned."""
_EDGE = 1e-3
_INSTALL = "a reranker needs xgboost, which is not installed: pip install 'lic2020[rerank]'"


@dataclass(frozen=True)
class Reranker:
    """``trees``: the JSON of a booster; it weighs the members' ``weights`` of :meth:`Candidates.merge` and their ``groups``, and ``evidence``."""

    trees: str
    groups: tuple[int, ...]
    evidence: Evidence

    @cached_property
    def _booster(self) -> Any:
        booster = _xgboost().Booster({"nthread": 1})
        booster.load_model(bytearray(self.trees, encoding="utf-8"))
        return booster

    def __call__(self, kind: Candidates, record: Any, members: Sequence[Sequence[Any]], weights: Sequence[float]) -> list[Any]:
        """The members' candidates of one text as one list, with the probabilities of the trees; of a ranked track the best first."""
        candidates = kind.merge(members, weights)
        if not candidates:
            return []
        numbers = features(kind, self.evidence, record, members, candidates, self.groups)  # [c, f]
        return with_probabilities(kind, candidates, self.score(numbers))

    def score(self, numbers: np.ndarray) -> np.ndarray:
        """[c] of features [c, f]."""
        return np.asarray(self._booster.inplace_predict(numbers), dtype=float)

    def as_dict(self) -> dict[str, Any]:
        """Without the evidence, which is that of all parts."""
        return {"groups": list(self.groups), "trees": json.loads(self.trees)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], evidence: Evidence) -> Reranker:
        """Raises KeyError, TypeError or ValueError for anything but :meth:`as_dict`."""
        made = cls(json.dumps(values["trees"], ensure_ascii=False), tuple(map(int, values["groups"])), evidence)
        try:
            asked = int(made._booster.num_features())
        except _xgboost().core.XGBoostError as error:
            raise ValueError(f"no trees that XGBoost reads: {str(error).strip().splitlines()[0]}") from error
        expected = len(feature_names(evidence, made.groups))
        if asked != expected:
            raise ValueError(f"trees over {asked} numbers, where a candidate has {expected}")
        return made

    def importance(self) -> list[tuple[str, float]]:
        """By name the share of all gain that each number brought, the most first; without those that no tree asks."""
        names = feature_names(self.evidence, self.groups)
        gains = {names[int(key[1:])]: value for key, value in self._booster.get_score(importance_type="total_gain").items()}
        whole = sum(gains.values()) or 1.0
        return sorted(((name, float(gain / whole)) for name, gain in gains.items()), key=lambda row: (-row[1], row[0]))


def feature_names(evidence: Evidence, groups: Sequence[int]) -> tuple[str, ...]:
    """Of the numbers of :func:`features`."""
    return "probability", *(f"probability of run {group + 1}" for group in range(max(groups) + 1)), *evidence.names


def features(
    kind: Candidates, evidence: Evidence, record: Any, members: Sequence[Sequence[Any]], candidates: Sequence[Any], groups: Sequence[int]
) -> np.ndarray:
    """[c, f] of the merged ``candidates`` of a text: logits of their own probability and of the mean of each group's members, then evidence."""
    shares = [kind.shares(member) for member in members]
    sizes = np.bincount(np.asarray(groups))  # [g]
    table = np.zeros((len(candidates), 1 + len(sizes)))  # [c, 1 + g]
    for place, one in enumerate(candidates):
        key = kind.key(one)
        table[place, 0] = one.probability
        for group, own in zip(groups, shares, strict=True):
            table[place, 1 + group] += own.get(key, 0.0) / sizes[group]
    inside = np.clip(table, _EDGE, 1 - _EDGE)  # [c, 1 + g]
    return np.concatenate([np.log(inside / (1 - inside)), evidence.features(record, candidates)], axis=1)  # [c, f]


def fit_reranker(numbers: np.ndarray, credit: np.ndarray, groups: Sequence[int], evidence: Evidence) -> Reranker | None:
    """Trees from features [n, f] and credits [n] of candidates; None where they are too few, or all right or all wrong."""
    if len(credit) < MIN_CANDIDATES or float(np.ptp(credit)) == 0:
        return None
    xgboost = _xgboost()
    booster = xgboost.train(dict(SETTINGS), xgboost.DMatrix(numbers, credit, nthread=1), ROUNDS)
    return Reranker(bytes(booster.save_raw("json")).decode(), tuple(groups), evidence)


def with_probabilities(kind: Candidates, candidates: Sequence[Any], probability: np.ndarray) -> list[Any]:
    """Candidates with other probabilities [c]; of a ranked track the best first, of equal ones as they came."""
    made = [one._replace(probability=float(value)) for one, value in zip(candidates, probability, strict=True)]
    return sorted(made, key=lambda one: -one.probability) if kind.ranked else made


class CrossFitted:
    """Rerankers of labelled records, each fitted without one or two of their parts, so that none scores what it has seen.

    ``members``: every member's candidates of each of n records; ``parts`` [n]. A member of weight 0 counts for nothing.
    """

    def __init__(
        self,
        kind: Candidates,
        records: Sequence[Any],
        members: Sequence[Sequence[Sequence[Any]]],
        parts: np.ndarray,
        evidence: Evidence,
        *,
        weights: Sequence[float],
        groups: Sequence[int],
    ) -> None:
        active_members(weights)
        self.kind, self.parts, self.evidence, self.groups = kind, parts, evidence, tuple(groups)
        self.rows = [kind.merge([member[number] for member in members], weights) for number in range(len(records))]
        tables = [
            features(kind, evidence, record, [member[number] for member in members], self.rows[number], groups)
            for number, record in enumerate(records)
        ]
        width = len(feature_names(evidence, groups))
        self._numbers = np.concatenate([np.zeros((0, width)), *(table for table in tables if len(table))])  # [c, f]
        credits = [value for number, record in enumerate(records) for value in kind.credit(record, self.rows[number])]
        self._credit = np.asarray(credits, dtype=float)  # [c]
        self._record = np.repeat(np.arange(len(records)), list(map(len, self.rows)))  # [c]
        self._made: dict[frozenset[int], Reranker | None] = {}

    def without(self, *parts: int) -> Reranker | None:
        """Fitted on the records of all other parts."""
        away = frozenset(parts)
        if away not in self._made:
            keep = ~np.isin(self.parts[self._record], list(away))  # [c]
            self._made[away] = fit_reranker(self._numbers[keep], self._credit[keep], self.groups, self.evidence)
        return self._made[away]

    def scored(self, *parts: int) -> list[list[Any]]:
        """The candidates of every record, by the reranker without ``parts`` and without the record's own part."""
        probability = np.asarray([one.probability for row in self.rows for one in row])  # [c]
        for part in np.unique(self.parts):
            own = self.parts[self._record] == part  # [c]
            fitted = self.without(*parts, int(part))
            if fitted is not None and own.any():
                probability[own] = fitted.score(self._numbers[own])
        begins = np.cumsum([0, *map(len, self.rows)])  # [n + 1]
        return [
            with_probabilities(self.kind, row, probability[begin : begin + len(row)])
            for row, begin in zip(self.rows, begins[:-1].tolist(), strict=True)
        ]


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    return xgboost
