"""The design ``casrel``: its settings, its layer and its decode under one name."""

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
from .casrel import CasrelSettings, RelationCasrel
from .casrel_decode import engine_decoder, gold_decoder


class DecodeSettings(Settings):
    """The ``[decode]`` table: probabilities above which a subject, an object and a link between slots count. Spans are in tokens."""

    subject_threshold: float = Field(0.4, gt=0, lt=1)
    object_threshold: float = Field(0.4, gt=0, lt=1)
    link_threshold: float = Field(0.5, gt=0, lt=1)
    max_span: int = Field(64, ge=1, description="longest subject or object")


class Casrel:
    """The design ``casrel``."""

    settings = CasrelSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: RelationSchema, recipe: Recipe) -> RelationCasrel:
        return RelationCasrel(backbone, pairs=schema.pairs, settings=model_settings(self, recipe), seed=recipe.training.seed)

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
            settings = settings.model_copy(update={"subject_threshold": floor, "object_threshold": floor, "link_threshold": floor})
        return engine_decoder(engine, features, schema, vocabulary, settings)

    def gold_decoder(
        self, features: RelationFeatures, rows: Sequence[RelationRecord], schema: RelationSchema, recipe: Recipe
    ) -> Decoder:
        return gold_decoder(features, schema, decode_settings(self, recipe))
