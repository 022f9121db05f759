"""Generation: from an output of the search to arguments in the texts, for predict, extract, evaluate and roundtrip alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.decoding import Hypothesis
from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ...designs import Decoder, decode_settings, model_settings
from ...generation_groups import GroupGrammar, Tries, read, write
from ...generation_search import GenerateDecodeSettings, Reading, Stated, choose, gold_codes, gold_hypotheses, hypotheses, place_of, width
from ...generation_words import Codes, Words
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
        model: EventGenerator,
        features: EventFeatures,
        rows: Sequence[EventRecord],
        schema: EventSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        settings: GenerateDecodeSettings = decode_settings(self, recipe)
        form, codes = model.event_form, model.codes(vocabulary)
        tries = Tries(form.form, codes)

        count = width(settings, candidates=floor is not None)

        def search(batch: np.ndarray) -> list[list[Hypothesis]]:
            texts = [features.ids[int(row)] for row in batch]
            made, words = model.rows(texts, texts, vocabulary, None)
            return hypotheses(
                model.step(made),
                GroupGrammar(tries, [text.tolist() for text in words.texts]),
                words,
                settings,
                max_target=settings.max_target or model.settings.max_target,
                seed=recipe.training.seed,
                keys=[int(row) for row in batch],
                count=count,
            )

        def decode(batch: np.ndarray) -> list[tuple[int, WindowSpan]]:
            at_once = max(1, len(batch) // count)  # every text is held so many times
            found = [own for begin in range(0, len(batch), at_once) for own in search(batch[begin : begin + at_once])]
            return decode_batch(found, batch, features, form, codes, settings, floor=floor)

        return decode

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        settings, form = decode_settings(self, recipe), EventForm(schema)
        longest = settings.max_target or model_settings(self, recipe).max_target
        codes = gold_codes(form.form.names, features.ids.values)
        tries = Tries(form.form, codes)

        def decode(batch: np.ndarray) -> list[tuple[int, WindowSpan]]:
            words = Words(codes, [features.ids[int(row)] for row in batch])
            targets = [write(form.groups(features, int(row)), codes, room=longest - 1)[0] for row in batch]
            grammar = GroupGrammar(tries, [text.tolist() for text in words.texts])
            found = gold_hypotheses(grammar, words, targets, max_target=longest)
            return decode_batch(found, batch, features, form, codes, settings)

        return decode
