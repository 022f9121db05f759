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
from ..features import EventFeatures
from ..records import EventRecord
from ..schema import EventSchema
from .gplinker import EventGplinker, EventGplinkerSettings
from .gplinker_decode import engine_decoder, gold_decoder


class DecodeSettings(Settings):
    """The ``[decode]`` table: probabilities above which an argument and a link count. Spans are in tokens."""

    span_threshold: float = Field(0.5, gt=0, lt=1)
    link_threshold: float = Field(0.5, gt=0, lt=1, description="of two arguments of one event")
    max_span: int = Field(254, ge=1, description="longest argument")
    max_spans: int = Field(200, ge=1, description="arguments that a window may have, the surest; texts have a handful")
    overlaps: bool = Field(True, description="false: of arguments of one role that overlap only the surest stays")


class Gplinker:
    """The design ``gplinker``."""

    settings = EventGplinkerSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: EventSchema, recipe: Recipe) -> EventGplinker:
        return EventGplinker(backbone, schema=schema, settings=model_settings(self, recipe))

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
        """``floor`` is that of arguments: links, which no candidate is made of, keep their threshold."""
        settings: DecodeSettings = decode_settings(self, recipe)
        if floor is not None:
            settings = settings.model_copy(update={"span_threshold": floor})
        return engine_decoder(engine, features, schema, vocabulary, settings)

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        return gold_decoder(features, schema, decode_settings(self, recipe))
