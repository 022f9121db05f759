"""The design ``generate``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...generation import GenerateDecodeSettings
from ...recipe import Recipe
from ..features import EventFeatures
from ..records import EventRecord
from ..schema import EventSchema
from .generate import EventGenerateSettings, EventGenerator
from .generate_decode import engine_decoder, gold_decoder


class Generate:
    """The design ``generate``."""

    settings = EventGenerateSettings
    decode_settings = GenerateDecodeSettings

    def build(self, backbone: Any, schema: EventSchema, recipe: Recipe) -> EventGenerator:
        return EventGenerator(backbone, schema=schema, recipe=recipe, settings=model_settings(self, recipe))

    def decoder(
        self,
        engine: Engine,
        features: EventFeatures,
        rows: Sequence[EventRecord],
        schema: EventSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        return engine_decoder(engine, features, schema, vocabulary, decode_settings(self, recipe), floor=floor)

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        settings: GenerateDecodeSettings = decode_settings(self, recipe)
        return gold_decoder(features, schema, settings, longest=settings.max_target or model_settings(self, recipe).max_target)
