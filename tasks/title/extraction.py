"""Abstracts to their titles, without Paddle: what an exported model runs. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.text import Tokenizer, Vocabulary

from ..decoding import Decoder
from .features import TitleFeatures, make_features
from .models.generate_decode import engine_decoder
from .predictions import Prediction
from .records import TitleRecord

if TYPE_CHECKING:
    from shared.inference import Engine

DESIGNS = ("generate",)
"""Models that can be exported."""
EXAMPLE = {"text": "为提高海螺湾灯塔的巡检效率,提出一种基于潮汐表的排班方法.试验结果表明,该方法使巡检用时缩短三成."}
FINDING: dict[str, Any] = {
    "title": "Title",
    "description": "a title of the text, perhaps in words that it does not have",
    "type": "object",
    "properties": {"text": {"type": "string"}, "probability": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["text", "probability"],
    "additionalProperties": False,
}
"""What :func:`as_rows` makes of one prediction, as JSON Schema."""


def read_schema(path: Path) -> None:
    """The task has none."""


def record_of(text: str, question: str | None, number: int) -> TitleRecord:
    return TitleRecord(text=text, line=number + 1)


def features_of(records: Sequence[TitleRecord], schema: None, tokenizer: Tokenizer, *, window: int, overlap: int) -> TitleFeatures:
    return make_features(records, tokenizer, window=window)


def decoder(
    design: str,
    engine: Engine,
    features: TitleFeatures,
    records: Sequence[TitleRecord],
    schema: None,
    vocabulary: Vocabulary,
    settings: Any,
    *,
    padded_tokens: int,
) -> Decoder:
    """``settings``: the values of the design's ``[decode]`` table as attributes."""
    return engine_decoder(engine, features, vocabulary, settings)


def predictions_of(found: list[Any], features: TitleFeatures, records: Sequence[TitleRecord], schema: None) -> list[list[Prediction]]:
    titles: dict[int, list[Prediction]] = dict(found)
    return [titles[index] for index in range(len(records))]


def as_rows(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Titles of one text as plain JSON values, the best first."""
    return [found._asdict() for found in predictions]
