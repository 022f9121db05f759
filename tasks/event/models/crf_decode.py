"""Conditional random fields: from emission scores on the window grid to spans of the texts, for predict, extract, evaluate and roundtrip alike.

Notation: b windows, l tokens, r chains, k tags. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shared.features.rows import framed_rows
from shared.heads.crf_decode import (
    FORBIDDEN,
    Forward,
    bio_constraints,
    bio_spans,
    forward_backward,
    may_leave_outside,
    segment_log_probability,
    viterbi,
)
from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ..features import EventFeatures

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...decoding import Decoder
    from .crf_design import DecodeSettings

CANDIDATE_SHIFTS = (0.0, 1.0, 2.0, 3.0, 4.0)
"""Taken from the score of tag O to find candidates: the best path alone names one tagging."""


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
    batch_rows, chains = np.nonzero(may_leave_outside(emissions, transitions, lengths))  # [n], [n]
    if len(batch_rows) == 0:
        return []
    tags, _ = viterbi(
        _of_chains(emissions, batch_rows, chains), transitions[chains], lengths[batch_rows][None], starts=allowed_start
    )  # [1, l, n]
    fires = tags[0].any(axis=0)  # [n]
    batch_rows, chains, paths = batch_rows[fires], chains[fires], tags[0].T[fires]  # [m], [m], [m, l]
    if len(batch_rows) == 0:
        return []
    # in 64 bits: the sums over a long window of two engines' scores, 1e-5 apart, would else give probabilities 2e-4 apart
    fired = _of_chains(emissions if shifted_probability else given, batch_rows, chains).astype(np.float64)  # [1, l, m, k]
    moves = transitions[chains].astype(np.float64)  # [m, k, k]
    messages = forward_backward(fired, moves, lengths[batch_rows][None], starts=allowed_start)
    single_chain = transitions.shape[0] == 1
    found: list[tuple[int, WindowSpan]] = []
    for index, (batch_row, chain) in enumerate(zip(batch_rows.tolist(), chains.tolist(), strict=True)):
        record, begin, total = features.windows[rows[batch_row]].tolist()
        path = paths[index]  # [l]
        length = int(lengths[batch_row])
        for label, first, last in bio_spans(path, length):
            probability = _span_probability(messages, fired, moves, index, path, first, last, length)
            span = in_text(label if single_chain else chain, first, last, probability, (begin, begin + length), total)
            found.append((record, span))
    return found


def _of_chains(emissions: np.ndarray, rows: np.ndarray, chains: np.ndarray) -> np.ndarray:
    """The scores [b, l, r, k] of chosen chains as those of one row, [1, l, n, k]."""
    return np.ascontiguousarray(emissions[rows, :, chains].transpose(1, 0, 2))[None]  # [1, l, n, k]


def _span_probability(
    messages: Forward, fired: np.ndarray, moves: np.ndarray, index: int, path: np.ndarray, first: int, last: int, length: int
) -> float:
    segment = path[first : min(last + 2, length)]  # [n]: with the tag that ends the span, so that a longer span does not count
    return float(np.exp(min(0.0, segment_log_probability(messages, fired, moves, 0, index, first, segment))))


def gold_emissions(tags: np.ndarray, num_tags: int, *, score: float = 30.0) -> np.ndarray:
    """Gold tags [..., r] as emission scores [..., r, k]: ``score`` at the gold tag, 0 elsewhere."""
    return np.where(np.arange(num_tags) == tags[..., None], np.float32(score), np.float32(0))  # [..., r, k]


def gold_tags(spans: np.ndarray, length: int, num_labels: int, tagging: str) -> np.ndarray:
    """Gold spans [n, 3] of (label, first, last) as tags, [length, r] int64; labels from ``num_labels`` on are left out.

    Where spans collide in one chain the longer one stays, as it holds most of the characters that the metric counts.
    """
    chains = num_labels if tagging == "per_role" else 1
    tags = np.zeros((length, chains), dtype=np.int64)  # [l, r]
    tag(tags, spans, num_labels, tagging)
    return tags


def tag(tags: np.ndarray, spans: np.ndarray, num_labels: int, tagging: str) -> None:
    """Writes ``spans`` [n, 3] into ``tags`` [length, r], as :func:`gold_tags` says."""
    for number, first, last in sorted(spans.tolist(), key=lambda span: (span[1] - span[2], span[1])):
        chain, label = (number, 0) if tagging == "per_role" else (0, number)
        if number >= num_labels or tags[first : last + 1, chain].any():
            continue
        tags[first, chain] = 2 * label + 1
        tags[first + 1 : last + 1, chain] = 2 * label + 2


def engine_decoder(
    engine: Engine, features: EventFeatures, vocabulary: Vocabulary, settings: DecodeSettings, *, floor: float | None = None
) -> Decoder:
    """Spans of the windows of ``features`` by the network of an :class:`tasks.event.models.crf.EventCrf`.

    ``floor``: see :class:`tasks.designs.Design`.
    """
    transitions = engine.constants["transitions"]  # [r, k, k]
    _, starts = bio_constraints(1 if engine.facts["tagging"] == "per_role" else (transitions.shape[1] - 1) // 2)  # [k]

    def decode(batch: np.ndarray) -> list[tuple[int, WindowSpan]]:
        ids, _ = framed_rows(features.ids, batch, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id)  # [b, l + 2]
        emissions = engine.run("emissions", {"ids": ids})["emissions"]  # [b, l, r, k]
        if floor is None:
            return decode_batch(emissions, batch, features, transitions, allowed_start=starts, outside_shift=settings.outside_shift)
        found: dict[tuple, tuple[int, WindowSpan]] = {}
        for shift in CANDIDATE_SHIFTS:
            made = decode_batch(
                emissions, batch, features, transitions, allowed_start=starts, outside_shift=shift, shifted_probability=False
            )
            for record, span in made:
                if span.score >= floor:
                    found.setdefault((record, span._replace(score=0.0)), (record, span))
        return list(found.values())

    return decode


def gold_decoder(features: EventFeatures, num_labels: int, tagging: str) -> Decoder:
    """The same with gold's own emissions, of ``num_labels`` (type, role) pairs."""
    chains, labels = (num_labels, 1) if tagging == "per_role" else (1, num_labels)
    allowed, starts = bio_constraints(labels)  # [k, k], [k]
    transitions = np.repeat(np.where(allowed, 0.0, FORBIDDEN).astype(np.float32)[None], chains, axis=0)  # [r, k, k]
    at_once = 32 if tagging == "per_role" else 4

    def decode(batch: np.ndarray) -> list[tuple[int, WindowSpan]]:
        found = []
        for begin in range(0, len(batch), at_once):
            part = batch[begin : begin + at_once]
            longest = int(features.ids.lengths[part].max())
            tags = np.stack([gold_tags(features.spans[row], longest, num_labels, tagging) for row in part])  # [b, l, r]
            found += decode_batch(gold_emissions(tags, 2 * labels + 1), part, features, transitions, allowed_start=starts)
        return found

    return decode
