"""Candidates of the reading track: answers of a question, ranked by probability."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..candidates import Label, Tally, active_members, merged
from . import metric
from .evidence import ReadingEvidence
from .records import ReadingRecord

if TYPE_CHECKING:
    from ..candidates import Candidates
    from .predictions import Prediction


class ReadingCandidates:
    """Answers as the metric compares them, wherever in the passage they stand."""

    ranked = True
    with_plain = False
    evidence = ReadingEvidence

    def key(self, prediction: Prediction) -> str:
        return metric.normalise(prediction.text)

    def label(self, prediction: Prediction) -> Label:
        return ()

    def as_row(self, prediction: Prediction) -> list[Any]:
        return list(prediction)

    def from_row(self, row: Any) -> Prediction:
        from .predictions import Prediction

        text, start, end, probability = row
        return Prediction(text, start, end, float(probability))

    def shares(self, candidates: Sequence[Prediction]) -> dict[Hashable, float]:
        """Of every text, where the probabilities of the list are made to sum to 1; equal texts count together."""
        whole = math.fsum(one.probability for one in candidates)
        by_text: dict[Hashable, list[float]] = {}
        for one in candidates:
            by_text.setdefault(self.key(one), []).append(one.probability / whole if whole > 0 else 1 / len(candidates))
        return {key: math.fsum(some) for key, some in by_text.items()}

    def merge(self, members: Sequence[Sequence[Prediction]], weights: Sequence[float]) -> list[Prediction]:
        """n-best lists by text, the most probable first."""
        found = merged(members, weights, self)
        if len(active_members(weights)) == 1:
            return found
        return sorted(found, key=lambda one: (-one.probability, len(one.text), one.start, one.text))

    def choose(self, candidates: Sequence[Prediction], threshold: Callable[[Label], float]) -> list[Prediction]:
        return list(candidates)

    def tally(self, record: ReadingRecord, label: Label, predictions: Sequence[Prediction]) -> Tally:
        f1 = self.credit(record, predictions[:1])[0] if predictions else 0.0
        return Tally(f1, f1, min(1, len(predictions)))

    def gold(self, record: ReadingRecord) -> Mapping[Label, int]:
        return {(): 1}

    def credit(self, record: ReadingRecord, candidates: Sequence[Prediction]) -> list[float]:
        references = [answer.text for answer in record.answers or ()]
        return [metric.score_answer(one.text, references)[1] for one in candidates]


if TYPE_CHECKING:
    _fulfils: Candidates = ReadingCandidates()
