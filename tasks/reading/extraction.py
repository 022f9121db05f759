"""Questions of the reading track to their answers, without Paddle: what an exported model runs. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.text import Tokenizer, Vocabulary

from ..decoding import Decoder
from .features import ReadingFeatures, make_features
from .features import question_tokens as question_tokens  # what Extractor asks for
from .models import generate_decode, span_decode
from .predictions import Prediction
from .records import ReadingRecord

if TYPE_CHECKING:
    from shared.inference import Engine

DESIGNS = ("span", "generate")
"""Models that can be exported."""
EXAMPLE = {"text": "星海杯创办于一九八七年，每两年在桐湾市举行一次。", "question": "星海杯是哪一年创办的？"}
_CHARACTER = {"type": "integer", "minimum": 0}
FINDING: dict[str, Any] = {
    "title": "Answer",
    "description": "text[start:end], counted in Unicode characters, is the answer; an empty text where there is none",
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "verbatim"},
        "start": _CHARACTER,
        "end": _CHARACTER,
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["text", "start", "end", "probability"],
    "additionalProperties": False,
}
"""What :func:`as_rows` makes of one prediction, as JSON Schema."""


def read_schema(path: Path) -> None:
    """The track has none."""


def record_of(text: str, question: str | None, number: int) -> ReadingRecord:
    return ReadingRecord(id=str(number), question=question or "", text=text, line=number + 1)


def features_of(records: Sequence[ReadingRecord], schema: None, tokenizer: Tokenizer, *, window: int, overlap: int) -> ReadingFeatures:
    return make_features(records, tokenizer, window=window, overlap=overlap)


def decoder(
    design: str,
    engine: Engine,
    features: ReadingFeatures,
    records: Sequence[ReadingRecord],
    schema: None,
    vocabulary: Vocabulary,
    settings: Any,
    *,
    padded_tokens: int,
) -> Decoder:
    """``settings``: the values of the design's ``[decode]`` table as attributes; ``padded_tokens``: those of a batch."""
    make = generate_decode.engine_decoder if design == "generate" else span_decode.engine_decoder
    return make(engine, features, records, vocabulary, settings, padded_tokens=padded_tokens)


def predictions_of(found: list[Any], features: ReadingFeatures, records: Sequence[ReadingRecord], schema: None) -> list[list[Prediction]]:
    answers: dict[int, list[Prediction]] = dict(found)
    return [answers[index] for index in range(len(records))]


def as_rows(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Answers to one question as plain JSON values, the best first."""
    return [found._asdict() for found in predictions]
