"""The design ``gplinker``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...recipe import Recipe, Settings
from ..features import RelationFeatures
from ..records import RelationRecord
from ..schema import RelationSchema
from .gplinker import RelationGplinker, RelationGplinkerSettings
from .gplinker_decode import engine_decoder, gold_decoder


class DecodeSettings(Settings):
    """The ``[decode]`` table: probabilities above which a span and a link count. Spans are in tokens."""

    span_threshold: float = Field(0.5, gt=0, lt=1)
    link_threshold: float = Field(0.5, gt=0, lt=1, description="of a subject with an object")
    slot_threshold: float = Field(0.5, gt=0, lt=1, description="of two slots of one object")
    max_span: int = Field(64, ge=1, description="longest subject or object")
    max_spans: int = Field(200, ge=1, description="subjects and objects that a window is searched with, the surest; texts have a handful")


class Gplinker:
    """The design ``gplinker``."""

    settings = RelationGplinkerSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: RelationSchema, recipe: Recipe) -> RelationGplinker:
        return RelationGplinker(backbone, schema=schema, settings=model_settings(self, recipe))

    def decoder(
        self,
        engine: Engine,
        features: RelationFeatures,
        rows: Sequence[RelationRecord],
        schema: RelationSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        settings: DecodeSettings = decode_settings(self, recipe)
        if floor is not None:
            settings = settings.model_copy(update={"span_threshold": floor, "link_threshold": floor, "slot_threshold": floor})
        return engine_decoder(engine, features, schema, vocabulary, settings)

    def gold_decoder(
        self, features: RelationFeatures, rows: Sequence[RelationRecord], schema: RelationSchema, recipe: Recipe
    ) -> Decoder:
        return gold_decoder(features, schema, model_settings(self, recipe).entities, decode_settings(self, recipe))
