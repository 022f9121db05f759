"""The design ``simbert``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from shared.errors import input_error
from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...recipe import Recipe, Settings
from ..features import ParaphraseFeatures
from ..records import ParaphraseRecord
from .simbert import ParaphraseSimbert, SimbertSettings
from .simbert_decode import engine_decoder, gold_decoder

USUAL = 0.9
"""The article's own threshold, where a run has none of its own."""


class DecodeSettings(Settings):
    """The ``[decode]`` table."""

    threshold: float | None = Field(
        None, description="two texts count as alike above this cosine; left out: what was best on dev for the weights that a run keeps"
    )

    @property
    def cosine(self) -> float:
        return USUAL if self.threshold is None else self.threshold


class Simbert:
    """The design ``simbert``."""

    settings = SimbertSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: None, recipe: Recipe) -> ParaphraseSimbert:
        """Raises InputError for an encoder that cannot read and write, or has too few positions."""
        try:
            return ParaphraseSimbert(
                backbone, settings=model_settings(self, recipe), window=recipe.features.window, fresh=recipe.encoder.source == "scratch"
            )
        except ValueError as error:
            remedy = "Lower features.window, or take another encoder."
            raise input_error("LIC-E003", found=str(error), expected="an encoder that can read a text and write behind it", remedy=remedy) from error

    def decoder(
        self,
        engine: Engine,
        features: ParaphraseFeatures,
        rows: Sequence[ParaphraseRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        return engine_decoder(engine, features, vocabulary, threshold=decode_settings(self, recipe).cosine)

    def gold_decoder(self, features: ParaphraseFeatures, rows: Sequence[ParaphraseRecord], schema: None, recipe: Recipe) -> Decoder:
        return gold_decoder(features, threshold=decode_settings(self, recipe).cosine)
