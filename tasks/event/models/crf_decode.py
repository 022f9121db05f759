"""Conditional random fields: from emission scores on the window grid to spans of the texts, for predict, extract, evaluate and roundtrip alike.

Notation: b windows, l tokens, r chains, k tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.heads.crf import FORBIDDEN, bio_constraints
from shared.heads.crf_decode import Forward, bio_spans, forward_backward, segment_log_probability, viterbi
from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ...designs import Decoder, decode_settings, model_settings
from ...recipe import Recipe, Settings
from ..features import EventFeatures
from ..records import EventRecord
from ..schema import EventSchema
from .crf import CrfSettings, EventCrf, gold_tags

CANDIDATE_SHIFTS = (0.0, 1.0, 2.0, 3.0, 4.0)
"""Taken from the score of tag O to find candidates: the best path alone names one tagging."""


class DecodeSettings(Settings):
    """The ``[decode]`` table. ``outside_shift`` is taken from the score of tag O: above 0 it trades precision for recall."""

    outside_shift: float = 0.0


def decode_batch(
    emissions: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    features: EventFeatures,
    transitions: np.ndarray,
    *,
    allowed_start: np.ndarray,
    outside_shift: float = 0.0,
    shifted_probability: bool = True,
) -> list[tuple[int, WindowSpan]]:
    """Spans of a batch of windows as (record, span); labels are (type, role) pairs.

    ``emissions`` [b, l, r, k], ``rows`` [b] window numbers, ``transitions`` [r, k, k]. ``outside_shift`` is taken from the score of tag O:
    above 0 it trades precision for recall. A span's probability is that under the shifted scores, or under those given.
    """
    given = emissions  # [b, l, r, k]
    lengths = features.ids.lengths[np.asarray(rows)]  # [b]
    if outside_shift:
        emissions = emissions.copy()  # [b, l, r, k]
        emissions[..., 0] -= outside_shift
    tags, _ = viterbi(emissions, transitions, lengths, starts=allowed_start)  # [b, l, r]
    batch_rows, chains = np.nonzero(tags.any(axis=1))  # [n], [n]
    if len(batch_rows) == 0:
        return []
    if not shifted_probability:
        emissions = given  # [b, l, r, k]
    fired = np.ascontiguousarray(emissions[batch_rows, :, chains].transpose(1, 0, 2))[None]  # [1, l, n, k]
    moves = transitions[chains]  # [n, k, k]
    messages = forward_backward(fired, moves, lengths[batch_rows][None], starts=allowed_start)
    single_chain = transitions.shape[0] == 1
    found: list[tuple[int, WindowSpan]] = []
    for index, (batch_row, chain) in enumerate(zip(batch_rows.tolist(), chains.tolist(), strict=True)):
        record, begin, total = features.windows[rows[batch_row]].tolist()
        path = tags[batch_row, :, chain]  # [l]
        length = int(lengths[batch_row])
        for label, first, last in bio_spans(path, length):
            probability = _span_probability(messages, fired, moves, index, path, first, last, length)
            span = in_text(label if single_chain else chain, first, last, probability, (begin, begin + length), total)
            found.append((record, span))
    return found


def _span_probability(
    messages: Forward, fired: np.ndarray, moves: np.ndarray, index: int, path: np.ndarray, first: int, last: int, length: int
) -> float:
    segment = path[first : min(last + 2, length)]  # [n]: with the tag that ends the span, so that a longer span does not count
    return float(np.exp(min(0.0, segment_log_probability(messages, fired, moves, 0, index, first, segment))))


def gold_emissions(tags: np.ndarray, num_tags: int, *, score: float = 30.0) -> np.ndarray:
    """Gold tags [..., r] as emission scores [..., r, k]: ``score`` at the gold tag, 0 elsewhere."""
    return np.where(np.arange(num_tags) == tags[..., None], np.float32(score), np.float32(0))  # [..., r, k]


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
        model: EventCrf,
        features: EventFeatures,
        rows: Sequence[EventRecord],
        schema: EventSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        shift = decode_settings(self, recipe).outside_shift
        transitions = model.transitions()  # [r, k, k]

        def decode(batch: np.ndarray) -> list[tuple[int, WindowSpan]]:
            emissions = model.outputs(model.collate(features, batch, vocabulary, labelled=False))  # [b, l, r, k]
            if floor is None:
                return decode_batch(emissions, batch, features, transitions, allowed_start=model.allowed_start, outside_shift=shift)
            found: dict[tuple, tuple[int, WindowSpan]] = {}
            for more in CANDIDATE_SHIFTS:
                made = decode_batch(
                    emissions, batch, features, transitions, allowed_start=model.allowed_start, outside_shift=more, shifted_probability=False
                )
                for record, span in made:
                    if span.score >= floor:
                        found.setdefault((record, span._replace(score=0.0)), (record, span))
            return list(found.values())

        return decode

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        tagging, pairs = model_settings(self, recipe).tagging, len(schema.pairs)
        chains, labels = (pairs, 1) if tagging == "per_role" else (1, pairs)
        allowed, starts = bio_constraints(labels)  # [k, k], [k]
        transitions = np.repeat(np.where(allowed, 0.0, FORBIDDEN).astype(np.float32)[None], chains, axis=0)  # [r, k, k]
        at_once = 32 if tagging == "per_role" else 4

        def decode(batch: np.ndarray) -> list[tuple[int, WindowSpan]]:
            found = []
            for begin in range(0, len(batch), at_once):
                part = batch[begin : begin + at_once]
                longest = int(features.ids.lengths[part].max())
                tags = np.stack([gold_tags(features.spans[row], longest, pairs, tagging) for row in part])  # [b, l, r]
                found += decode_batch(gold_emissions(tags, 2 * labels + 1), part, features, transitions, allowed_start=starts)
            return found

        return decode
