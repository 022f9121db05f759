"""Generation: from an output of the search to arguments in the texts, for predict, extract, evaluate and roundtrip alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.decoding import Hypothesis
from shared.inference import Engine
from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ...decoding import Decoder
from ...designs import decode_settings, model_settings
from ...generation_decode import gold_group_decoder, group_decoder, layer_of
from ...generation_groups import read
from ...generation_search import GenerateDecodeSettings, Reading, Stated, choose, place_of
from ...generation_words import Codes
from ...recipe import Recipe
from ..features import EventFeatures
from ..records import EventRecord
from ..schema import EventSchema
from .generate import EventForm, EventGenerateSettings, EventGenerator


def reading_of(found: Hypothesis, form: EventForm, codes: Codes) -> Reading[tuple[int, tuple[int, ...]]]:
    """The arguments that an output states, (pair, tokens) each."""
    stated: dict[Any, Stated] = {}
    for group in read(found.tokens, form.form, codes):
        for item in group.items:
            key = (form.pairs[group.head, item.name], item.span)  # type: ignore[index]
            stated.setdefault(key, Stated(key, ((group.begin, group.end), (item.begin, item.end))))
    return stated


def decode_batch(
    found: Sequence[Sequence[Hypothesis]],
    rows: Sequence[int] | np.ndarray,
    features: EventFeatures,
    form: EventForm,
    codes: Codes,
    settings: GenerateDecodeSettings,
    *,
    floor: float | None = None,
) -> list[tuple[int, WindowSpan]]:
    """Spans of a batch of windows as (record, span); labels are (type, role) pairs. ``found``: hypotheses of every window.

    An argument stands where its tokens first do.
    """
    made = []
    for row, own in zip(rows, found, strict=True):
        words = features.ids[int(row)].tolist()
        record, begin, total = features.windows[int(row)].tolist()
        for _, (pair, span), probability in choose(own, [reading_of(one, form, codes) for one in own], settings, floor=floor):
            first = place_of(words, span)
            made.append((record, in_text(pair, first, first + len(span) - 1, probability, (begin, begin + len(words)), total)))
    return made


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
        model: EventGenerator = layer_of(engine)
        settings: GenerateDecodeSettings = decode_settings(self, recipe)
        form = model.event_form

        def finish(found: list[list[Hypothesis]], batch: np.ndarray, codes: Codes) -> list[tuple[int, WindowSpan]]:
            return decode_batch(found, batch, features, form, codes, settings, floor=floor)

        return group_decoder(
            model, form, features, vocabulary, settings, finish, seed=recipe.training.seed, candidates=floor is not None
        )

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        settings, form = decode_settings(self, recipe), EventForm(schema)

        def finish(found: list[list[Hypothesis]], batch: np.ndarray, codes: Codes) -> list[tuple[int, WindowSpan]]:
            return decode_batch(found, batch, features, form, codes, settings)

        return gold_group_decoder(form, features, finish, longest=settings.max_target or model_settings(self, recipe).max_target)
