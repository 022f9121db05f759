"""Generation: from an output of the search to arguments in the texts, for predict, extract, evaluate and roundtrip alike. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.decoding import Hypothesis
from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ...decoding import Decoder
from ...generation_decode import gold_group_decoder, group_decoder
from ...generation_groups import read
from ...generation_search import Reading, Stated, choose, place_of
from ...generation_words import Codes
from ..features import EventFeatures
from ..schema import EventSchema
from .generate_form import EventForm

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...generation import GenerateDecodeSettings


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


def engine_decoder(
    engine: Engine,
    features: EventFeatures,
    schema: EventSchema,
    vocabulary: Vocabulary,
    settings: GenerateDecodeSettings,
    *,
    floor: float | None = None,
) -> Decoder:
    """What the engine of a :class:`EventGenerator` writes for the windows of ``features``. ``floor``: everything of at least that probability."""
    form = EventForm(schema)

    def finish(found: list[list[Hypothesis]], batch: np.ndarray, codes: Codes) -> list[tuple[int, WindowSpan]]:
        return decode_batch(found, batch, features, form, codes, settings, floor=floor)

    return group_decoder(engine, form, features, vocabulary, settings, finish, candidates=floor is not None)


def gold_decoder(features: EventFeatures, schema: EventSchema, settings: GenerateDecodeSettings, *, longest: int) -> Decoder:
    """The same with gold in the model's place; ``longest``: tokens of an output, its end included."""
    form = EventForm(schema)

    def finish(found: list[list[Hypothesis]], batch: np.ndarray, codes: Codes) -> list[tuple[int, WindowSpan]]:
        return decode_batch(found, batch, features, form, codes, settings)

    return gold_group_decoder(form, features, finish, longest=longest)
