"""Texts of the relation track to what is found in them, without Paddle: what an exported model runs. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.text import Tokenizer, Vocabulary

from ..decoding import Decoder
from .features import RelationFeatures, make_features
from .models import casrel_decode, generate_decode, gplinker_decode
from .predictions import Prediction, to_predictions
from .records import RelationRecord
from .schema import RelationSchema

if TYPE_CHECKING:
    from shared.inference import Engine

DESIGNS = ("casrel", "gplinker", "generate")
"""Models that can be exported."""
EXAMPLE = {"text": "电影《远山》由李明导演，王芳主演，2003年在美国上映。"}
_SPAN = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0},
    "minItems": 2,
    "maxItems": 2,
    "description": "[start, end): text[start:end], counted in Unicode characters",
}
FINDING: dict[str, Any] = {
    "title": "Triple",
    "description": "subject, predicate, object; the object has @value and, where the schema says so, other slots",
    "type": "object",
    "properties": {
        "subject": {"type": "string", "description": "verbatim"},
        "predicate": {"type": "string"},
        "object": {"type": "object", "additionalProperties": {"type": "string"}, "description": "verbatim text by slot"},
        "subject_span": _SPAN,
        "object_spans": {"type": "object", "additionalProperties": _SPAN},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["subject", "predicate", "object", "subject_span", "object_spans", "probability"],
    "additionalProperties": False,
}
"""What :func:`as_rows` makes of one prediction, as JSON Schema."""


def read_schema(path: Path) -> RelationSchema:
    return RelationSchema.read(path)


def record_of(text: str, question: str | None, number: int) -> RelationRecord:
    return RelationRecord(text=text, line=number + 1)


def features_of(
    records: Sequence[RelationRecord], schema: RelationSchema, tokenizer: Tokenizer, *, window: int, overlap: int
) -> RelationFeatures:
    return make_features(records, schema, tokenizer, window=window, overlap=overlap)


def decoder(
    design: str,
    engine: Engine,
    features: RelationFeatures,
    records: Sequence[RelationRecord],
    schema: RelationSchema,
    vocabulary: Vocabulary,
    settings: Any,
    *,
    padded_tokens: int,
) -> Decoder:
    """``settings``: the values of the design's ``[decode]`` table as attributes; ``padded_tokens``: those of a batch."""
    if design == "generate":
        return generate_decode.engine_decoder(engine, features, schema, vocabulary, settings)
    make = casrel_decode.engine_decoder if design == "casrel" else gplinker_decode.engine_decoder
    return make(engine, features, schema, vocabulary, settings)


def predictions_of(
    found: list[Any], features: RelationFeatures, records: Sequence[RelationRecord], schema: RelationSchema
) -> list[list[Prediction]]:
    return to_predictions(found, features, records, schema)


def as_rows(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """One text's predictions as plain JSON values."""
    return [made.as_row() for made in predictions]
