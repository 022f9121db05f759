"""The design ``crf``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...recipe import Recipe, Settings
from ..features import EventFeatures
from ..records import EventRecord
from ..schema import EventSchema
from .crf import CrfSettings, EventCrf
from .crf_decode import engine_decoder, gold_decoder


class DecodeSettings(Settings):
    """The ``[decode]`` table. ``outside_shift`` is taken from the score of tag O: above 0 it trades precision for recall."""

    outside_shift: float = 0.0


class Crf:
    """The design ``crf``."""

    settings = CrfSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: EventSchema, recipe: Recipe) -> EventCrf:
        ratio = recipe.training.head_learning_rate / recipe.training.learning_rate
        settings = model_settings(self, recipe)
        return EventCrf(backbone, num_pairs=len(schema.pairs), num_types=len(schema.types), settings=settings, head_ratio=ratio)

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
        return engine_decoder(engine, features, vocabulary, decode_settings(self, recipe), floor=floor)

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        return gold_decoder(features, len(schema.pairs), model_settings(self, recipe).tagging)
