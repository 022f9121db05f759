"""What the training records and the other candidates of a text say of a candidate, as numbers: what a reranker (:mod:`tasks.reranking`) weighs.

A model reads one text; it does not look up that a book was said to be by someone in a training text, nor that it has named two authors of the
same book. Each track has an :class:`Evidence` of its own. All of it is counted, nothing learned: how much it is worth is the reranker's part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

RIVALS = ("count", "best", "sum", "surer")


class Evidence(Protocol):
    """Of one track."""

    names: ClassVar[tuple[str, ...]]
    """Of the f numbers that :meth:`features` gives."""

    @classmethod
    def gather(cls, records: Sequence[Any]) -> Evidence:
        """What labelled records say. They must be others than the ones that the evidence is asked about."""
        ...

    def features(self, record: Any, candidates: Sequence[Any]) -> np.ndarray:
        """[c, f] of the c candidates of a text, all of them given at once. The probabilities are taken from the candidates."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """JSON values from which :meth:`from_dict` makes the same evidence."""
        ...

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evidence:
        """Raises KeyError, TypeError or ValueError for anything but :meth:`as_dict`."""
        ...


def rivals(probability: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    """Of each of c candidates, by their ``probability`` [c], the others of its group: how many, the best, their sum, how many are surer, [c, 4]."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        places[group].append(place)
    found = np.zeros((len(groups), len(RIVALS)))  # [c, 4]
    for some in places.values():
        if len(some) > 1:
            own = probability[some]  # [m]
            found[some] = _among(own, ~np.eye(len(some), dtype=bool))
    return found


def overlapping(probability: np.ndarray, spans: np.ndarray, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """As :func:`rivals`, of those others of the group that overlap it; ``spans`` [c, 2] are half-open."""
    beside = (spans[:, None, 0] < spans[None, :, 1]) & (spans[None, :, 0] < spans[:, None, 1])  # [c, c]
    np.fill_diagonal(beside, False)
    if groups is not None:
        numbers: dict[Hashable, int] = {}
        own = np.asarray([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)  # [c]
        beside &= own[:, None] == own[None, :]
    return _among(probability, beside)


def _among(probability: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """[m, 4] of m candidates; ``beside`` [m, m] says which others count for each."""
    others = np.where(beside, probability, 0.0)  # [m, m]
    best = others.max(axis=1, initial=0.0)  # [m]
    return np.stack([beside.sum(axis=1), best, others.sum(axis=1), (others > probability[:, None]).sum(axis=1)], axis=1)  # [m, 4]


def rival_names(*groups: str) -> tuple[str, ...]:
    return tuple(f"others with the same {group}: {name}" for group in groups for name in RIVALS)


def counts_as_rows(counts: Counter[tuple[str, ...]]) -> list[list[Any]]:
    """Counts by keys of strings as JSON values, sorted."""
    return [[*key, count] for key, count in sorted(counts.items())]


def counts_from_rows(rows: Sequence[Sequence[Any]]) -> Counter[tuple[str, ...]]:
    return Counter({tuple(map(str, key)): int(count) for *key, count in rows})
