"""The design ``span``: its settings, its layer and its decode under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from shared.inference import Engine
from shared.text import Vocabulary

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...recipe import Recipe, Settings
from ..features import ReadingFeatures
from ..records import ReadingRecord
from .span import ReadingSpan, SpanSettings
from .span_decode import engine_decoder, gold_decoder

CANDIDATES = 20
"""Answers a question that are kept as candidates."""


class DecodeSettings(Settings):
    """The ``[decode]`` table."""

    max_answer_tokens: int = Field(384, ge=1, description="longest answer")
    length_penalty: float = Field(0.0, ge=0, description="what a token more costs a span, in natural logarithms of probability: e.g. 0.1")
    n_best: int = Field(1, ge=1, description="answers a question; the first is the one that counts")
    choose: Literal["probability", "expected_f1"] = Field(
        "probability", description="which comes first: the likeliest span, or the one with the highest F1 to expect among decode.candidates spans"
    )
    candidates: int = Field(CANDIDATES, ge=1, description="spans that choose = expected_f1 weighs against each other")
    no_answer_threshold: float | None = Field(
        None, ge=0, le=1, description="of a model.no_answer: the answer is empty when none is at least so probable; left out: it never is"
    )


class Span:
    """The design ``span``."""

    settings = SpanSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: None, recipe: Recipe) -> ReadingSpan:
        return ReadingSpan(backbone, settings=model_settings(self, recipe), seed=recipe.training.seed, window=recipe.features.window)

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
        settings = decode_settings(self, recipe)
        if floor is not None:
            settings = settings.model_copy(update={"n_best": max(settings.n_best, CANDIDATES), "choose": "probability"})
        return engine_decoder(engine, features, rows, vocabulary, settings, padded_tokens=recipe.training.evaluation_tokens)

    def gold_decoder(self, features: ReadingFeatures, rows: Sequence[ReadingRecord], schema: None, recipe: Recipe) -> Decoder:
        return gold_decoder(features, rows, decode_settings(self, recipe), no_answer=model_settings(self, recipe).no_answer)
