"""The design ``generate``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...generation import GenerateDecodeSettings
from ...recipe import Recipe
from ..features import ReadingFeatures
from ..records import ReadingRecord
from .generate import ReadingGenerateSettings, ReadingGenerator
from .generate_decode import engine_decoder, gold_decoder


class ReadingDecodeSettings(GenerateDecodeSettings):
    """The ``[decode]`` table. Of ``rescore`` and ``search = "mbr"``: first comes the answer with the highest F1 to expect among all found."""

    max_answer_tokens: int = Field(128, ge=1, description="longest answer")
    n_best: int = Field(1, ge=1, description="answers a question; the first is the one that counts")
    no_answer_threshold: float | None = Field(
        None, ge=0, le=1, description="the answer is empty when none is at least so probable; left out: it never is"
    )


class Generate:
    """The design ``generate``."""

    settings = ReadingGenerateSettings
    decode_settings = ReadingDecodeSettings

    def build(self, backbone: Any, schema: None, recipe: Recipe) -> ReadingGenerator:
        return ReadingGenerator(backbone, recipe=recipe, settings=model_settings(self, recipe))

    def decoder(
        self,
        engine: Engine,
        features: ReadingFeatures,
        rows: Sequence[ReadingRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        settings: ReadingDecodeSettings = decode_settings(self, recipe)
        return engine_decoder(engine, features, rows, vocabulary, settings, padded_tokens=recipe.training.evaluation_tokens, floor=floor)

    def gold_decoder(self, features: ReadingFeatures, rows: Sequence[ReadingRecord], schema: None, recipe: Recipe) -> Decoder:
        settings: ReadingDecodeSettings = decode_settings(self, recipe)
        return gold_decoder(features, rows, settings, longest=settings.max_target or model_settings(self, recipe).max_target)
