"""Generation: from an output of the search to triples of the windows, for predict, extract, evaluate and roundtrip alike. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.decoding import Hypothesis
from shared.text import Vocabulary

from ...decoding import Decoder
from ...generation_decode import gold_group_decoder, group_decoder
from ...generation_groups import Tokens, read
from ...generation_search import Reading, Stated, choose, place_of
from ...generation_words import Codes
from ..features import RelationFeatures
from ..predictions import Found, Span
from ..schema import RelationSchema
from .generate_form import RelationForm

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...generation import GenerateDecodeSettings

Triple = tuple[Tokens, tuple[tuple[int, Tokens], ...]]
"""(subject, ((pair, text), …)), ``@value`` first."""


def reading_of(found: Hypothesis, form: RelationForm, codes: Codes) -> Reading[Triple]:
    """The triples that an output states. An item of a predicate begins one, the slots behind it belong to it."""
    stated: dict[Any, Stated[Triple]] = {}
    for group in read(found.tokens, form.form, codes):
        objects: list[list] = []
        for item in group.items:
            if item.name < len(form.form.free):
                objects.append([item])
            else:
                objects[-1].append(item)
        for items in objects:
            slots = tuple((form.pairs[items[0].name, item.name], item.span) for item in items)
            ranges = ((group.begin, group.end), *((item.begin, item.end) for item in items))
            stated.setdefault((group.head, slots), Stated((group.head, slots), ranges))  # type: ignore[arg-type]
    return stated


def decode_batch(
    found: Sequence[Sequence[Hypothesis]],
    rows: Sequence[int] | np.ndarray,
    features: RelationFeatures,
    form: RelationForm,
    codes: Codes,
    settings: GenerateDecodeSettings,
    *,
    floor: float | None = None,
) -> list[tuple[int, Found]]:
    """Triples of a batch of windows as (window, triple). ``found``: hypotheses of every window.

    A span stands where its tokens first do.
    """
    made = []
    for row, own in zip(rows, found, strict=True):
        words = features.ids[int(row)].tolist()

        def span(tokens: Tokens, probability: float, words: list[int] = words) -> Span:
            first = place_of(words, tokens)
            return Span(first, first + len(tokens) - 1, probability)

        for _, (subject, slots), sure in choose(own, [reading_of(one, form, codes) for one in own], settings, floor=floor):
            made.append((int(row), Found(span(subject, sure), tuple((pair, span(tokens, sure)) for pair, tokens in slots), sure)))
    return made


def engine_decoder(
    engine: Engine,
    features: RelationFeatures,
    schema: RelationSchema,
    vocabulary: Vocabulary,
    settings: GenerateDecodeSettings,
    *,
    floor: float | None = None,
) -> Decoder:
    """What the engine of a :class:`RelationGenerator` writes for the windows of ``features``. ``floor``: everything of at least that probability."""
    form = RelationForm(schema)

    def finish(found: list[list[Hypothesis]], batch: np.ndarray, codes: Codes) -> list[tuple[int, Found]]:
        return decode_batch(found, batch, features, form, codes, settings, floor=floor)

    return group_decoder(engine, form, features, vocabulary, settings, finish, candidates=floor is not None)


def gold_decoder(features: RelationFeatures, schema: RelationSchema, settings: GenerateDecodeSettings, *, longest: int) -> Decoder:
    """The same with gold in the model's place; ``longest``: tokens of an output, its end included."""
    form = RelationForm(schema)

    def finish(found: list[list[Hypothesis]], batch: np.ndarray, codes: Codes) -> list[tuple[int, Found]]:
        return decode_batch(found, batch, features, form, codes, settings)

    return gold_group_decoder(form, features, finish, longest=longest)
