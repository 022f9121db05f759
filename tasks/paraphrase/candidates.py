"""Candidates of the paraphrase task: the one thing that a model says of a pair. Ensembles take the mean of cosines and of thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..candidates import Label, Tally, active_members
from .evidence import NoEvidence
from .predictions import Prediction, predicted
from .records import ParaphraseRecord

if TYPE_CHECKING:
    from ..candidates import Candidates


class ParaphraseCandidates:
    """One candidate a record, with the threshold that the run decodes by: there is nothing for ``lic tune`` to choose."""

    ranked = True
    with_plain = False
    evidence = NoEvidence

    def key(self, prediction: Prediction) -> str:
        return "alike"

    def label(self, prediction: Prediction) -> Label:
        return ()

    def as_row(self, prediction: Prediction) -> list[Any]:
        return list(prediction)

    def from_row(self, row: Any) -> Prediction:
        score, threshold, probability = row
        return Prediction(float(score), float(threshold), float(probability))

    def shares(self, candidates: Sequence[Prediction]) -> dict[Hashable, float]:
        return {self.key(one): one.probability for one in candidates}

    def merge(self, members: Sequence[Sequence[Prediction]], weights: Sequence[float]) -> list[Prediction]:
        """The weighted mean of the members' cosines, against that of their thresholds. Raises ValueError as :func:`active_members`."""
        active = active_members(weights)
        if len(active) == 1:
            return list(members[active[0]])
        whole = math.fsum(weights[number] for number in active)
        score, threshold = (math.fsum(weights[number] * members[number][0][place] for number in active) / whole for place in (0, 1))
        return [predicted(score, threshold)]

    def choose(self, candidates: Sequence[Prediction], threshold: Callable[[Label], float]) -> list[Prediction]:
        return list(candidates)

    def tally(self, record: ParaphraseRecord, label: Label, predictions: Sequence[Prediction]) -> Tally:
        right = self.credit(record, predictions[:1])[0] if predictions else 0.0
        return Tally(right, right, min(1, len(predictions)))

    def gold(self, record: ParaphraseRecord) -> Mapping[Label, int]:
        return {(): 1}

    def credit(self, record: ParaphraseRecord, candidates: Sequence[Prediction]) -> list[float]:
        return [float(one.alike == (record.label == 1)) for one in candidates]


if TYPE_CHECKING:
    _fulfils: Candidates = ParaphraseCandidates()
