"""Candidates: everything that a model holds for somewhat probable of a text, before it is decided what counts.

A track says through :class:`Candidates` how they are told apart, written down, merged and chosen; thresholds (:mod:`tasks.thresholds`), the
weights of an ensemble (:mod:`tasks.ensemble`) and calibration (:mod:`tasks.calibration`) know no more of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .evidence import Evidence

FLOOR = 0.05
"""Probability from which on a prediction is kept as a candidate."""

Label = tuple[str, ...]
"""What a threshold may belong to: (predicate,), (type, role), or () where the track has no labels."""


class Tally(NamedTuple):
    """What predictions of one label of one text add to the sums of the official score: P is the sum of ``for_precision`` over that of
    ``predicted``, R that of ``for_recall`` over the gold count."""

    for_precision: float
    for_recall: float
    predicted: int


class Candidates(Protocol):
    """Of one track. A prediction is the track's own ``Prediction``, a candidate one of a low probability perhaps."""

    ranked: bool
    """Of a text the first prediction alone counts (reading, title): candidates are ranked, and no threshold is asked."""
    with_plain: bool
    """What decoding finds without a floor is not all among what it finds with one, and belongs to the candidates too."""

    @property
    def evidence(self) -> type[Evidence]:
        """What a reranker weighs beside the members' probabilities."""
        ...

    def key(self, prediction: Any) -> Hashable:
        """Equal for predictions that the metric takes for the same."""
        ...

    def label(self, prediction: Any) -> Label:
        """What its threshold may belong to."""
        ...

    def as_row(self, prediction: Any) -> list[Any]:
        """JSON values from which :meth:`from_row` makes the same prediction."""
        ...

    def from_row(self, row: Any) -> Any:
        """Raises ValueError, TypeError or IndexError for what :meth:`as_row` does not give."""
        ...

    def shares(self, candidates: Sequence[Any]) -> dict[Hashable, float]:
        """A member's probability of every key among its candidates of a text: what :meth:`merge` takes the mean of."""
        ...

    def merge(self, members: Sequence[Sequence[Any]], weights: Sequence[float]) -> list[Any]:
        """One list of candidates of a text from those of several members: the weighted mean of their probabilities, 0 for what a member lacks.

        Members of weight 0 count for nothing; where only one counts its candidates are given as they are. The order of the members does not
        matter.
        """
        ...

    def choose(self, candidates: Sequence[Any], threshold: Callable[[Label], float]) -> list[Any]:
        """What counts: the candidates of at least their label's threshold, without those that a better one excludes; of a ranked track the
        candidates, the best first."""
        ...

    def tally(self, record: Any, label: Label, predictions: Sequence[Any]) -> Tally:
        """Of what :meth:`choose` gave for a labelled text, one label's share of the official sums."""
        ...

    def gold(self, record: Any) -> Mapping[Label, int]:
        """How many predictions of each label the official score asks of a labelled text; a ranked track: 1 for each question."""
        ...

    def credit(self, record: Any, candidates: Sequence[Any]) -> list[float]:
        """How right each candidate is by itself, 0 to 1; 1 for one that the metric takes for gold."""
        ...


class RankedTexts:
    """What the candidates of tracks share whose prediction is a list of texts, the best first, of which the first one counts.

    A track gives the rest of :class:`Candidates`: ``evidence``, ``key``, ``as_row``, ``from_row`` and ``credit``. A prediction begins with its
    ``text`` and ends with its ``probability``.
    """

    ranked = True
    with_plain = False

    def label(self, prediction: Any) -> Label:
        return ()

    def shares(self: Any, candidates: Sequence[Any]) -> dict[Hashable, float]:
        """Of every text, where the probabilities of the list are made to sum to 1; equal texts count together."""
        whole = math.fsum(one.probability for one in candidates)
        by_text: dict[Hashable, list[float]] = {}
        for one in candidates:
            by_text.setdefault(self.key(one), []).append(one.probability / whole if whole > 0 else 1 / len(candidates))
        return {key: math.fsum(some) for key, some in by_text.items()}

    def merge(self: Any, members: Sequence[Sequence[Any]], weights: Sequence[float]) -> list[Any]:
        """n-best lists by text, the most probable first."""
        found = merged(members, weights, self)
        if len(active_members(weights)) == 1:
            return found
        return sorted(found, key=lambda one: (-one.probability, len(one.text), *one[1:-1], one.text))

    def choose(self, candidates: Sequence[Any], threshold: Callable[[Label], float]) -> list[Any]:
        return list(candidates)

    def tally(self: Any, record: Any, label: Label, predictions: Sequence[Any]) -> Tally:
        credit = self.credit(record, predictions[:1])[0] if predictions else 0.0
        return Tally(credit, credit, min(1, len(predictions)))

    def gold(self, record: Any) -> Mapping[Label, int]:
        return {(): 1}


def merged(members: Sequence[Sequence[Any]], weights: Sequence[float], kind: Candidates) -> list[Any]:
    """One candidate for every key: the weighted mean of the members' probabilities of that key, 0 where a member lacks it.

    The candidate that stands for the key is that of the highest share, weight times probability; of equals the first in the order of their
    values, so that members may come in any order. Where only one member counts, its candidates as they are. Raises ValueError for weights that
    are not finite, below 0, or all 0.
    """
    active = active_members(weights)
    if len(active) == 1:
        return list(members[active[0]])
    whole = math.fsum(weights[number] for number in active)
    shares: dict[Hashable, list[float]] = {}
    stands: dict[Hashable, tuple[float, str, Any]] = {}
    for number in active:
        for key, probability in kind.shares(members[number]).items():
            shares.setdefault(key, []).append(weights[number] * probability)
        for one in members[number]:
            place = (-weights[number] * one.probability, repr(one), one)
            key = kind.key(one)
            if key not in stands or place[:2] < stands[key][:2]:
                stands[key] = place
    return [one._replace(probability=min(1.0, math.fsum(shares[key]) / whole)) for key, (_, _, one) in stands.items()]


def best_shares(candidates: Sequence[Any], kind: Candidates) -> dict[Hashable, float]:
    """The probability of every key: the best of its candidates."""
    found: dict[Hashable, float] = {}
    for one in candidates:
        key = kind.key(one)
        found[key] = max(found.get(key, 0.0), one.probability)
    return found


def active_members(weights: Sequence[float]) -> list[int]:
    """Numbers of the members that count. Raises ValueError for weights that are not finite, below 0, or all 0."""
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"weights must be finite and at least 0, found {list(weights)}")
    active = [number for number, weight in enumerate(weights) if weight > 0]
    if not active:
        raise ValueError("no member has a weight above 0")
    return active


def joined(candidates: Sequence[Any], more: Sequence[Any], key: Callable[[Any], Hashable]) -> list[Any]:
    """Both without repetitions: of equal keys the more probable, of equally probable ones the first."""
    best: dict[Hashable, Any] = {}
    for one in (*candidates, *more):
        other = best.get(key(one))
        if other is None or one.probability > other.probability:
            best[key(one)] = one
    return list(best.values())
