"""Candidates of the reading track: answers of a question, ranked by probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..candidates import RankedTexts
from . import metric
from .evidence import ReadingEvidence
from .records import ReadingRecord

if TYPE_CHECKING:
    from ..candidates import Candidates
    from .predictions import Prediction


class ReadingCandidates(RankedTexts):
    """Answers as the metric compares them, wherever in the passage they stand."""

    evidence = ReadingEvidence

    def key(self, prediction: Prediction) -> str:
        return metric.normalise(prediction.text)

    def as_row(self, prediction: Prediction) -> list[Any]:
        return list(prediction)

    def from_row(self, row: Any) -> Prediction:
        from .predictions import Prediction

        text, start, end, probability = row
        return Prediction(text, start, end, float(probability))

    def credit(self, record: ReadingRecord, candidates: Sequence[Prediction]) -> list[float]:
        references = [answer.text for answer in record.answers or ()]
        return [metric.score_answer(one.text, references)[1] for one in candidates]


if TYPE_CHECKING:
    _fulfils: Candidates = ReadingCandidates()
