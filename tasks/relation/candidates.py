"""Candidates of the relation track: triples, with a threshold for each predicate."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..candidates import Label, Tally, best_shares, merged
from . import metric
from .evidence import RelationEvidence
from .records import RelationRecord, as_triples

if TYPE_CHECKING:
    from ..candidates import Candidates
    from .predictions import Prediction


class RelationCandidates:
    """Triples as the metric compares them; an object that lacks a slot of another one's is another candidate until it is chosen."""

    ranked = False
    with_plain = True
    evidence = RelationEvidence

    def key(self, prediction: Prediction) -> metric.Normalised:
        return metric.normalise(_triple(prediction))

    def label(self, prediction: Prediction) -> Label:
        return (prediction.predicate,)

    def as_row(self, prediction: Prediction) -> list[Any]:
        slots = [[slot, *mention] for slot, mention in prediction.object]
        return [prediction.predicate, list(prediction.subject), slots, prediction.probability]

    def from_row(self, row: Any) -> Prediction:
        from .predictions import Mention, Prediction

        predicate, subject, slots, probability = row
        return Prediction(predicate, Mention(*subject), tuple((slot, Mention(*mention)) for slot, *mention in slots), float(probability))

    def shares(self, candidates: Sequence[Prediction]) -> dict[Hashable, float]:
        return best_shares(candidates, self)

    def merge(self, members: Sequence[Sequence[Prediction]], weights: Sequence[float]) -> list[Prediction]:
        return merged(members, weights, self)

    def choose(self, candidates: Sequence[Prediction], threshold: Callable[[Label], float]) -> list[Prediction]:
        from .predictions import largest

        return largest({one.key(): one for one in candidates if one.probability >= threshold(self.label(one))})

    def tally(self, record: RelationRecord, label: Label, predictions: Sequence[Prediction]) -> Tally:
        right = self._gold_keys(record)
        made = {key for one in predictions if (key := self.key(one))[0] == label[0]}
        correct = len(made & right)
        return Tally(correct, correct, len(made))

    def gold(self, record: RelationRecord) -> Mapping[Label, int]:
        counts: dict[Label, int] = {}
        for predicate, *_ in self._gold_keys(record):
            counts[predicate,] = counts.get((predicate,), 0) + 1
        return counts

    def credit(self, record: RelationRecord, candidates: Sequence[Prediction]) -> list[float]:
        right = self._gold_keys(record)
        return [float(self.key(one) in right) for one in candidates]

    def _gold_keys(self, record: RelationRecord) -> set[metric.Normalised]:
        return set(map(metric.normalise, as_triples(record)))


def _triple(prediction: Prediction) -> tuple[str, str, dict[str, str]]:
    return prediction.predicate, prediction.subject.text, {slot: mention.text for slot, mention in prediction.object}


if TYPE_CHECKING:
    _fulfils: Candidates = RelationCandidates()
