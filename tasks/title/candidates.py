"""Candidates of the title task: titles of an abstract, ranked by probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.errors import input_error
from shared.text.overlap import text_scores

from ..candidates import RankedTexts
from .predictions import Prediction
from .records import TitleRecord

if TYPE_CHECKING:
    from ..candidates import Candidates
    from ..evidence import Evidence


class TitleCandidates(RankedTexts):
    """Titles as the metric compares them: without case."""

    @property
    def evidence(self) -> type[Evidence]:
        raise input_error(
            "LIC-T002",
            found="a reranker for the title task",
            expected="a track whose training records say something of a candidate: relation, event or reading",
            remedy="Leave --rerank out.",
        )

    def key(self, prediction: Prediction) -> str:
        return prediction.text.lower()

    def as_row(self, prediction: Prediction) -> list[Any]:
        return list(prediction)

    def from_row(self, row: Any) -> Prediction:
        text, probability = row
        return Prediction(text, float(probability))

    def credit(self, record: TitleRecord, candidates: Sequence[Prediction]) -> list[float]:
        title = record.title or ""
        return [1.0 if self.key(one) == title.lower() else text_scores(one.text, title).bleu for one in candidates]


if TYPE_CHECKING:
    _fulfils: Candidates = TitleCandidates()
