"""Candidates of the event track: arguments, with a threshold for each role of a type."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..candidates import Label, Tally, active_members, best_shares, merged
from . import metric
from .evidence import EventEvidence
from .records import EventRecord, as_triples

if TYPE_CHECKING:
    from ..candidates import Candidates
    from .predictions import Prediction


class EventCandidates:
    """Arguments as the metric compares them: without case, wherever in the text they stand."""

    ranked = False
    with_plain = False
    evidence = EventEvidence

    def key(self, prediction: Prediction) -> tuple[str, str, str]:
        return prediction.type, prediction.role, prediction.text.lower()

    def label(self, prediction: Prediction) -> Label:
        return prediction.type, prediction.role

    def as_row(self, prediction: Prediction) -> list[Any]:
        return [*prediction[:6], list(prediction.events)]

    def from_row(self, row: Any) -> Prediction:
        from .predictions import Prediction

        kind, role, text, start, end, probability, events = row
        return Prediction(kind, role, text, start, end, float(probability), tuple(events))

    def shares(self, candidates: Sequence[Prediction]) -> dict[Hashable, float]:
        return best_shares(candidates, self)

    def merge(self, members: Sequence[Sequence[Prediction]], weights: Sequence[float]) -> list[Prediction]:
        """Where several members count, events of one type are not told apart: each member numbers its own."""
        found = merged(members, weights, self)
        if len(active_members(weights)) == 1:
            return found
        return sorted((one._replace(events=()) for one in found), key=lambda one: (one.start, one.end, one.type, one.role))

    def choose(self, candidates: Sequence[Prediction], threshold: Callable[[Label], float]) -> list[Prediction]:
        """Of two overlapping arguments of one role of a type the surer stays, of equal ones the longer."""
        above = [one for one in candidates if one.probability >= threshold(self.label(one))]
        taken: dict[Label, list[Prediction]] = {}
        for one in sorted(above, key=lambda one: (-one.probability, one.start - one.end, one.start)):
            beside = taken.setdefault(self.label(one), [])
            if all(one.end <= other.start or other.end <= one.start for other in beside):
                beside.append(one)
        kept = {id(one) for beside in taken.values() for one in beside}
        return [one for one in above if id(one) in kept]

    def tally(self, record: EventRecord, label: Label, predictions: Sequence[Prediction]) -> Tally:
        gold = [triple for triple in as_triples(record) if triple[:2] == label]
        found = metric.score({"": gold}, {"": [(one.type, one.role, one.text) for one in predictions if self.label(one) == label]})
        return Tally(found["precision"] * found["predicted"], found["recall"] * found["gold"], found["predicted"])

    def gold(self, record: EventRecord) -> Mapping[Label, int]:
        return {(kind, role): len(mentions) for (kind, role), mentions in self._mentions(record).items()}

    def credit(self, record: EventRecord, candidates: Sequence[Prediction]) -> list[float]:
        """The character F1 of each with the gold argument of its role that it matches best."""
        gold = self._mentions(record)
        return [
            max(
                (metric.match_characters(one.text.lower(), mention)[0] for mentions in gold.get((one.type, one.role), ()) for mention in mentions),
                default=0.0,
            )
            for one in candidates
        ]

    def _mentions(self, record: EventRecord) -> dict[tuple[str, str], set[tuple[str, ...]]]:
        """(type, role) to the lower-cased mentions of its arguments."""
        found: dict[tuple[str, str], set[tuple[str, ...]]] = {}
        for kind, role, text in as_triples(record):
            found.setdefault((kind, role), set()).add(metric.fold(text))
        return found


if TYPE_CHECKING:
    _fulfils: Candidates = EventCandidates()
