"""What is done with candidates: votes or a reranker, thresholds and calibrated probabilities, fitted on labelled records and cross-fitted there.

A decision that was fitted on records says nothing about how well it does on them. So beside the final one, of all records, a fit keeps one for
each part of them, fitted on the others: with these it scores the very records it was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .calibration import Calibration, calibrated, fit_calibration
from .candidates import Candidates
from .ensemble import pool, search_weights, spread
from .evidence import Evidence
from .reranking import CrossFitted, Reranker
from .thresholds import SHRINKS, Sweep, Thresholds, best_shrink, fit_thresholds, sweep

FOLDS = 5


@dataclass(frozen=True)
class Decision:
    """``weights``: one a member. ``thresholds`` act on the mean of the members' probabilities, or on what the ``reranker`` makes of them;
    ``calibration`` maps what people are shown."""

    weights: tuple[float, ...] = (1.0,)
    thresholds: Thresholds = field(default_factory=Thresholds)
    calibration: Calibration | None = None
    reranker: Reranker | None = None

    def __call__(self, kind: Candidates, record: Any, members: Sequence[Sequence[Any]]) -> list[Any]:
        """What counts of one text, from every member's candidates of it."""
        return calibrated([kind.choose(self.candidates(kind, record, members), self.thresholds)], self.calibration)[0]

    def candidates(self, kind: Candidates, record: Any, members: Sequence[Sequence[Any]]) -> list[Any]:
        """All candidates of one text, with the probabilities that thresholds act on."""
        if self.reranker is None:
            return kind.merge(members, self.weights)
        return self.reranker(kind, record, members, self.weights)

    def as_dict(self) -> dict[str, Any]:
        """Without the reranker, which has a file of its own."""
        return {
            "weights": list(self.weights),
            **self.thresholds.as_dict(),
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        """Raises KeyError, TypeError or ValueError for anything but :meth:`as_dict`."""
        mapping = values["calibration"]
        return cls(
            tuple(map(float, values["weights"])), Thresholds.from_dict(values), None if mapping is None else Calibration.from_dict(mapping)
        )


@dataclass(frozen=True)
class Fitted:
    """The ``decision`` of all records, and of each part the one that was fitted on the other parts."""

    decision: Decision
    parts: tuple[Decision, ...]


def fit_decision(
    kind: Candidates,
    records: Sequence[Any],
    members: Sequence[Sequence[Sequence[Any]]],
    identities: Sequence[str],
    parts: np.ndarray,
    *,
    groups: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    shrinks: Sequence[float | None] = SHRINKS,
    calibration: str | None = None,
    evidence: Evidence | None = None,
) -> Fitted:
    """Weights (searched unless given, one a group), thresholds by label or for all, and a calibration if one is asked for.

    With ``evidence`` a reranker takes the place of searched weights: it gets the mean of all groups and each one's own.

    ``members``: every member's candidates of each of n labelled records; ``groups``: of each member the number of what it shares a weight with.
    ``parts`` [n]: the part, from 0, that each record belongs to; records of one text must share it. How labels are weighed against all of them
    is chosen by cross-fitting among the records in use, so the decision of a part has seen nothing of it.
    """
    groups = list(range(len(members))) if groups is None else list(groups)
    if evidence is not None:
        flat = spread(list(weights or [1.0] * (max(groups) + 1)), groups)
        crossed = CrossFitted(kind, records, members, parts, evidence, weights=flat, groups=groups)
        return _fit_reranked(crossed, records, identities, flat, shrinks=shrinks, calibration=calibration)
    pooled = pool(kind, records, members, groups) if weights is None and max(groups) > 0 else None
    swept: dict[tuple[float, ...], Any] = {}

    def fit(inside: np.ndarray) -> Decision:
        own = search_weights(pooled, inside) if pooled is not None else np.asarray(weights or [1.0], dtype=float)  # [groups]
        flat = spread([float(weight) for weight in own / own.sum()], groups)
        if flat not in swept:
            rows = [kind.merge([member[number] for member in members], flat) for number in range(len(records))]
            swept[flat] = (rows, None if kind.ranked else sweep(kind, records, rows, identities))
        rows, table = swept[flat]
        thresholds, mapping = _settle(kind, records, rows, table, parts, inside, shrinks=shrinks, calibration=calibration)
        return Decision(flat, thresholds, mapping)

    everything = np.ones(len(records), dtype=bool)  # [n]
    return Fitted(fit(everything), tuple(fit(parts != part) for part in range(int(parts.max(initial=0)) + 1)))


def _fit_reranked(
    crossed: CrossFitted,
    records: Sequence[Any],
    identities: Sequence[str],
    weights: tuple[float, ...],
    *,
    shrinks: Sequence[float | None],
    calibration: str | None,
) -> Fitted:
    """Thresholds see only probabilities of rerankers that did not learn from the record; those of a part's decision nothing of the part."""
    kind, parts = crossed.kind, crossed.parts

    def fit(*away: int) -> Decision:
        rows = crossed.scored(*away)
        table = None if kind.ranked else sweep(kind, records, rows, identities)
        inside = ~np.isin(parts, away)  # [n]
        thresholds, mapping = _settle(kind, records, rows, table, parts, inside, shrinks=shrinks, calibration=calibration)
        return Decision(weights, thresholds, mapping, crossed.without(*away))

    return Fitted(fit(), tuple(fit(part) for part in range(int(parts.max(initial=0)) + 1)))


def _settle(
    kind: Candidates,
    records: Sequence[Any],
    rows: Sequence[Sequence[Any]],
    table: Sweep | None,
    parts: np.ndarray,
    inside: np.ndarray,
    *,
    shrinks: Sequence[float | None],
    calibration: str | None,
) -> tuple[Thresholds, Calibration | None]:
    """Thresholds (0 for a ranked track, which has no ``table``) and, if asked for, a mapping, by the records ``inside`` [n]."""
    thresholds = Thresholds(0.0)
    if table is not None:
        thresholds = fit_thresholds(table, inside, shrink=best_shrink(table, parts, inside, shrinks=shrinks))
    mapping = None
    if calibration is not None:
        probability, right, record = confidences(kind, records, rows)
        mapping = fit_calibration(probability[inside[record]], right[inside[record]], calibration)
    return thresholds, mapping


def confidences(
    kind: Candidates, records: Sequence[Any], rows: Sequence[Sequence[Any]], *, shares: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability, whether it is right (0 or 1), and record number of n candidates, [n] each; of a ranked track those of the first of each.

    ``shares``: how right it is by the metric instead, 0 to 1, which is what a reranker says.
    """
    probability: list[float] = []
    right: list[float] = []
    record: list[int] = []
    for number, row in enumerate(rows):
        some = row[:1] if kind.ranked else row
        probability += [one.probability for one in some]
        right += [credit if shares else float(credit >= 1) for credit in kind.credit(records[number], some)]
        record += [number] * len(some)
    return np.asarray(probability), np.asarray(right, dtype=float), np.asarray(record, dtype=np.int64)


def decide(
    kind: Candidates,
    records: Sequence[Any],
    members: Sequence[Sequence[Sequence[Any]]],
    decisions: Sequence[Decision],
    parts: Sequence[int] | np.ndarray,
) -> list[list[Any]]:
    """What counts of each text, by the decision ``parts`` [n] names for it."""
    return [decisions[part](kind, records[number], [member[number] for member in members]) for number, part in enumerate(parts)]
