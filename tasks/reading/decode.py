"""From start and end scores on the windows to the answer in the passage: the one decode that predict, extract, evaluate and roundtrip share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field

from ..recipe import Settings
from .features import ReadingFeatures
from .records import ReadingRecord


class DecodeSettings(Settings):
    """The ``[decode]`` table."""

    max_answer_tokens: int = Field(384, ge=1, description="longest answer")
    n_best: int = Field(1, ge=1, description="answers a question; the first is the one that counts")


class Prediction(NamedTuple):
    """Verbatim ``text`` without blanks at its ends, at characters ``start`` to ``end`` (half-open); ``probability``: of its first times of its
    last token."""

    text: str
    start: int
    end: int
    probability: float


def best_spans(
    windows: Sequence[tuple[np.ndarray, np.ndarray]], begins: Sequence[int], *, longest: int, count: int
) -> list[tuple[int, int, float]]:
    """The ``count`` best spans (first, last, probability) of one passage, in tokens of the whole, the surest first; equal ones short first.

    ``windows``: logits of first and last token over the tokens of each window, ([c], [c]); the softmaxes go over all windows together.
    ``begins``: each window's first token. A span is at most ``longest`` tokens long. No token, no span.
    """
    starts, ends = (np.concatenate([window[end] for window in windows]).astype(np.float64) for end in (0, 1))  # [c], [c]
    if not len(starts):
        return []
    norm = sum(scores.max() + np.log(np.exp(scores - scores.max()).sum()) for scores in (starts, ends))
    best: dict[tuple[int, int], float] = {}
    for (start, end), begin in zip(windows, begins, strict=True):
        if not len(start):
            continue
        width = min(longest, len(start))
        padded = np.concatenate([end, np.full(width - 1, -np.inf)])  # [c + width - 1]
        scores = start.astype(np.float64) + np.lib.stride_tricks.sliding_window_view(padded, len(start))  # [width, c]: short spans first
        if count == 1:
            top = [int(scores.argmax())]
        else:
            top = np.argpartition(-scores, min(count, scores.size) - 1, axis=None)[:count].tolist()
        for place in top:
            extra, first = divmod(place, len(start))
            span = (begin + first, begin + first + extra)
            best[span] = max(best.get(span, -np.inf), float(scores[extra, first]))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0][1] - item[0][0], item[0]))
    return [(first, last, float(np.exp(score - norm))) for (first, last), score in ranked[:count] if score > -np.inf]


def decode_batch(
    logits: Sequence[tuple[np.ndarray, np.ndarray]],
    rows: Sequence[int],
    features: ReadingFeatures,
    records: Sequence[ReadingRecord],
    settings: DecodeSettings,
) -> list[tuple[int, list[Prediction]]]:
    """Answers of a batch of questions as (question, answers). ``logits``: of all windows of the questions ``rows``, in order.

    A passage of no token answers with itself: no question stays without an answer.
    """
    found, at = [], 0
    for row in map(int, rows):
        begins = features.windows[features.first[row] : features.first[row + 1], 1].tolist()
        spans = best_spans(logits[at : at + len(begins)], begins, longest=settings.max_answer_tokens, count=settings.n_best)
        at += len(begins)
        text, starts, ends = records[row].text, features.starts[row], features.ends[row]
        made = [_stripped(text, int(starts[first]), int(ends[last]), probability) for first, last, probability in spans]
        found.append((row, made or [_stripped(text, 0, len(text), 0.0)]))
    return found


def _stripped(text: str, start: int, end: int, probability: float) -> Prediction:
    answer = text[start:end]
    start += len(answer) - len(answer.lstrip())
    answer = answer.strip()
    return Prediction(answer, start, start + len(answer), probability)


def gold_logits(features: ReadingFeatures, row: int, *, score: float = 30.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gold as the head's logits for every window of a question: ``score`` at the two ends of the first place that a window holds whole."""
    answers = features.answers[row].tolist()
    made = []
    for number in range(features.first[row], features.first[row + 1]):
        begin, size = int(features.windows[number, 1]), int(features.ids.lengths[number])
        starts, ends = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.float32)  # [c], [c]
        inside = [(first - begin, last - begin) for _, first, last in answers if begin <= first and last < begin + size]
        for first, last in inside[:1]:
            starts[first], ends[last] = score, score
        made.append((starts, ends))
    return made
