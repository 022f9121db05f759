"""Texts of the event track to what is found in them, without Paddle: what an exported model runs. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.text import Tokenizer, Vocabulary

from ..decoding import Decoder
from .features import EventFeatures, make_features
from .models import crf_decode, generate_decode, gplinker_decode
from .predictions import Prediction, to_predictions
from .records import EventRecord
from .schema import EventSchema

if TYPE_CHECKING:
    from shared.inference import Engine

DESIGNS = ("crf", "gplinker", "generate")
"""Models that can be exported."""
EXAMPLE = {"text": "昨天，星海科技宣布裁员三百人，并任命李远为总经理。"}
_CHARACTER = {"type": "integer", "minimum": 0}
FINDING: dict[str, Any] = {
    "title": "Argument",
    "description": "one argument of an event: text[start:end], counted in Unicode characters, is its text",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "of the event"},
        "role": {"type": "string"},
        "text": {"type": "string", "description": "verbatim"},
        "start": _CHARACTER,
        "end": _CHARACTER,
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "events": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "description": "numbers of the text's events that it belongs to; none where the model does not tell events of one type apart",
        },
    },
    "required": ["type", "role", "text", "start", "end", "probability", "events"],
    "additionalProperties": False,
}
"""What :func:`as_rows` makes of one prediction, as JSON Schema."""


def read_schema(path: Path) -> EventSchema:
    return EventSchema.read(path)


def record_of(text: str, question: str | None, number: int) -> EventRecord:
    return EventRecord(id=str(number), text=text, line=number + 1)


def features_of(records: Sequence[EventRecord], schema: EventSchema, tokenizer: Tokenizer, *, window: int, overlap: int) -> EventFeatures:
    return make_features(records, schema, tokenizer, window=window, overlap=overlap)


def decoder(
    design: str,
    engine: Engine,
    features: EventFeatures,
    records: Sequence[EventRecord],
    schema: EventSchema,
    vocabulary: Vocabulary,
    settings: Any,
    *,
    padded_tokens: int,
) -> Decoder:
    """``settings``: the values of the design's ``[decode]`` table as attributes; ``padded_tokens``: those of a batch."""
    if design == "crf":
        return crf_decode.engine_decoder(engine, features, vocabulary, settings)
    make = generate_decode.engine_decoder if design == "generate" else gplinker_decode.engine_decoder
    return make(engine, features, schema, vocabulary, settings)


def predictions_of(found: list[Any], features: EventFeatures, records: Sequence[EventRecord], schema: EventSchema) -> list[list[Prediction]]:
    return to_predictions(found, features, records, schema)


def as_rows(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """One text's predictions as plain JSON values."""
    return [found._asdict() for found in predictions]
