"""Span: from start and end scores on the windows to the answer in the passage, for predict, extract, evaluate and roundtrip alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from shared.text import Vocabulary

from ...designs import Decoder, decode_settings, model_settings
from ...recipe import Recipe, Settings
from ..features import ReadingFeatures
from ..predictions import Prediction, stripped
from ..records import ReadingRecord
from .span import ReadingSpan, SpanSettings

CANDIDATES = 20
"""Answers a question that are kept as candidates."""


class DecodeSettings(Settings):
    """The ``[decode]`` table."""

    max_answer_tokens: int = Field(384, ge=1, description="longest answer")
    n_best: int = Field(1, ge=1, description="answers a question; the first is the one that counts")


def best_spans(windows: Sequence[tuple[np.ndarray, np.ndarray]], begins: Sequence[int], *, longest: int, count: int) -> list[tuple[int, int, float]]:
    """The ``count`` best spans (first, last, probability) of one passage, in tokens of the whole, the surest first; equal ones short first.

    ``windows``: logits of first and last token over the tokens of each window, ([c], [c]); the softmaxes go over all windows together, and a
    token has the probability that all windows that see it give it. ``begins``: each window's first token. A span lies whole in some window
    and is at most ``longest`` tokens long. No token, no span.
    """
    if not any(len(start) for start, _ in windows):
        return []
    length = max(begin + len(start) for (start, _), begin in zip(windows, begins, strict=True))
    totals = np.full((2, length), -np.inf)  # [2, length]
    for window, begin in zip(windows, begins, strict=True):
        seen = totals[:, begin : begin + len(window[0])]  # [2, c]
        seen[:] = np.logaddexp(seen, window)
    peaks = totals.max(axis=1)  # [2]
    norm = float((peaks + np.log(np.exp(totals - peaks[:, None]).sum(axis=1))).sum())
    best: dict[tuple[int, int], float] = {}
    for (logits, _), begin in zip(windows, begins, strict=True):
        c = len(logits)
        if not c:
            continue
        width = min(longest, c)
        start, end = totals[:, begin : begin + c]  # [c], [c]
        padded = np.concatenate([end, np.full(width - 1, -np.inf)])  # [c + width - 1]
        scores = (start + np.lib.stride_tricks.sliding_window_view(padded, c)).reshape(-1)  # [width * c]: short spans first
        for place in _highest(scores, count):
            if scores[place] > -np.inf:  # not behind the window's end
                extra, first = divmod(place, c)
                best[begin + first, begin + first + extra] = float(scores[place])
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0][1] - item[0][0], item[0]))
    return [(first, last, float(np.exp(score - norm))) for (first, last), score in ranked[:count]]


def _highest(scores: np.ndarray, count: int) -> list[int]:
    """Indices of the ``count`` highest of ``scores`` [n], of equal ones the first."""
    if count == 1:
        return [int(scores.argmax())]
    kept = min(count, len(scores))
    candidates = np.flatnonzero(scores >= np.partition(scores, -kept)[-kept])  # [kept or more]
    best: list[int] = candidates[np.argsort(-scores[candidates], kind="stable")][:kept].tolist()
    return best


def decode_batch(
    logits: Sequence[tuple[np.ndarray, np.ndarray]],
    rows: Sequence[int] | np.ndarray,
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
        made = [stripped(text, int(starts[first]), int(ends[last]), probability) for first, last, probability in spans]
        found.append((row, made or [stripped(text, 0, len(text), 0.0)]))
    return found


def gold_logits(features: ReadingFeatures, row: int, *, score: float = 30.0, longest: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gold as the head's logits for every window of a question: ``score`` at the two ends of one place, in every window that sees them.

    It is the first place that some window holds whole; with ``longest``, the first such one of at most so many tokens if there is any.
    """
    windows = features.windows_of(row)
    places = [(first, last) for _, first, last in features.answers[row].tolist() if any(begin <= first and last < end for _, begin, end in windows)]
    fitting = [(first, last) for first, last in places if longest is None or last - first < longest]
    made = []
    for _, begin, end in windows:
        logits = np.zeros((2, end - begin), dtype=np.float32)  # [2, c]
        for place in (fitting or places)[:1]:
            for side, token in enumerate(place):
                if begin <= token < end:
                    logits[side, token - begin] = score
        made.append((logits[0], logits[1]))
    return made


class Span:
    """The design ``span``."""

    settings = SpanSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: None, recipe: Recipe) -> ReadingSpan:
        return ReadingSpan(backbone, settings=model_settings(self, recipe), seed=recipe.training.seed)

    def decoder(
        self,
        model: ReadingSpan,
        features: ReadingFeatures,
        rows: Sequence[ReadingRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        settings, budget = decode_settings(self, recipe), recipe.training.evaluation_tokens
        if floor is not None:
            settings = settings.model_copy(update={"n_best": max(settings.n_best, CANDIDATES)})

        def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
            logits = model.outputs(model.collate(features, batch, vocabulary, labelled=False), padded_tokens=budget)
            return decode_batch(logits, batch, features, rows, settings)

        return decode

    def gold_decoder(self, features: ReadingFeatures, rows: Sequence[ReadingRecord], schema: None, recipe: Recipe) -> Decoder:
        settings = decode_settings(self, recipe)

        def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
            logits = [window for row in batch for window in gold_logits(features, int(row), longest=settings.max_answer_tokens)]
            return decode_batch(logits, batch, features, rows, settings)

        return decode
