"""The design ``generate``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...generation import GenerateDecodeSettings
from ...recipe import Recipe
from ..features import TitleFeatures
from ..records import TitleRecord
from .generate import TitleGenerateSettings, TitleGenerator
from .generate_decode import engine_decoder, gold_decoder


class TitleDecodeSettings(GenerateDecodeSettings):
    """The ``[decode]`` table. ``mbr`` takes the sample with the highest BLEU to expect against the others."""

    max_target: int | None = Field(None, ge=2, description="tokens of the longest title, its end included; default that of [model]")
    no_repeat_ngram: int = Field(0, ge=0, description="no run of so many tokens comes twice in a title; 0: any may")
    n_best: int = Field(1, ge=1, description="titles an abstract, at most; the first is the one that counts")
    rescore: Literal["none"] = Field("none", description="nothing in a title has a probability of its own")


class Generate:
    """The design ``generate``."""

    settings = TitleGenerateSettings
    decode_settings = TitleDecodeSettings

    def build(self, backbone: Any, schema: None, recipe: Recipe) -> TitleGenerator:
        return TitleGenerator(backbone, recipe=recipe, settings=model_settings(self, recipe))

    def decoder(
        self,
        engine: Engine,
        features: TitleFeatures,
        rows: Sequence[TitleRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        return engine_decoder(engine, features, vocabulary, decode_settings(self, recipe), floor=floor)

    def gold_decoder(self, features: TitleFeatures, rows: Sequence[TitleRecord], schema: None, recipe: Recipe) -> Decoder:
        settings: TitleDecodeSettings = decode_settings(self, recipe)
        return gold_decoder(features, settings, longest=settings.max_target or model_settings(self, recipe).max_target)
