"""From emission scores on the window grid to arguments in the text: the one decode that predict, extract, evaluate and roundtrip share.

Notation: b windows, l tokens, r chains, k tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shared.heads.crf_decode import Forward, bio_spans, forward_backward, segment_log_probability, viterbi
from shared.text.windows import WindowSpan, in_text, merge_windows

from .features import EventFeatures
from .records import EventRecord
from .schema import EventSchema


class Prediction(NamedTuple):
    """One argument: verbatim ``text`` at characters ``start`` to ``end`` (half-open), with its probability under the CRF."""

    type: str
    role: str
    text: str
    start: int
    end: int
    probability: float


def decode_batch(
    emissions: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    features: EventFeatures,
    transitions: np.ndarray,
    *,
    allowed_start: np.ndarray,
    outside_shift: float = 0.0,
) -> list[tuple[int, WindowSpan]]:
    """Spans of a batch of windows as (record, span); labels are (type, role) pairs.

    ``emissions`` [b, l, r, k], ``rows`` [b] window numbers, ``transitions`` [r, k, k]. ``outside_shift`` is taken from the score of tag O:
    above 0 it trades precision for recall.
    """
    lengths = features.ids.lengths[np.asarray(rows)]  # [b]
    if outside_shift:
        emissions = emissions.copy()  # [b, l, r, k]
        emissions[..., 0] -= outside_shift
    tags, _ = viterbi(emissions, transitions, lengths, starts=allowed_start)  # [b, l, r]
    batch_rows, chains = np.nonzero(tags.any(axis=1))  # [n], [n]
    if len(batch_rows) == 0:
        return []
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


def to_predictions(
    found: Iterable[tuple[int, WindowSpan]], features: EventFeatures, records: Sequence[EventRecord], schema: EventSchema
) -> list[list[Prediction]]:
    """Merges the windows' spans of each record and cuts the arguments out of its text."""
    by_record: list[list[WindowSpan]] = [[] for _ in records]
    for number, span in found:
        by_record[number].append(span)
    predictions: list[list[Prediction]] = []
    for index, (record, spans) in enumerate(zip(records, by_record, strict=True)):
        starts, ends = features.starts[index], features.ends[index]
        row = []
        for span in merge_windows(spans):
            kind, role = schema.pairs[span.label]
            start, end = int(starts[span.first]), int(ends[span.last])
            row.append(Prediction(kind, role, record.text[start:end], start, end, span.score))
        predictions.append(row)
    return predictions


def gold_emissions(tags: np.ndarray, num_tags: int, *, score: float = 30.0) -> np.ndarray:
    """Gold tags [..., r] as emission scores [..., r, k]: ``score`` at the gold tag, 0 elsewhere."""
    return np.where(np.arange(num_tags) == tags[..., None], np.float32(score), np.float32(0))  # [..., r, k]
