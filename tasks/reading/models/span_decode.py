"""Span: from start and end scores on the windows to the answer in the passage, for predict, extract, evaluate and roundtrip alike.

Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.text import Vocabulary

from ..expected import by_expected_f1
from ..features import ReadingFeatures
from ..predictions import NO_ANSWER, Prediction, stripped
from ..records import ReadingRecord
from .span_batch import Piece, inputs_of, open_places

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...decoding import Decoder
    from .span_design import DecodeSettings

Logits = tuple[np.ndarray, np.ndarray]
"""Of first and last token over the tokens of a window, ([c], [c])"""


def best_spans(
    windows: Sequence[Logits],
    begins: Sequence[int],
    *,
    longest: int,
    count: int,
    nulls: Sequence[tuple[float, float]] = (),
    penalty: float = 0.0,
) -> list[tuple[int, int, float]]:
    """The ``count`` best spans (first, last, probability) of one passage, in tokens of the whole, the best first; equal ones short first.

    Best is what is likeliest after every token but the first has cost ``penalty`` (a geometric prior of lengths); probabilities are without it.

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
    sums = peaks + np.log(np.exp(totals - peaks[:, None]).sum(axis=1))  # [2]
    norm = float((np.logaddexp(sums, _log_sum(nulls)) if len(nulls) else sums).sum())
    best: dict[tuple[int, int], float] = {}
    for (logits, _), begin in zip(windows, begins, strict=True):
        c = len(logits)
        if not c:
            continue
        width = min(longest, c)
        start, end = totals[:, begin : begin + c]  # [c], [c]
        padded = np.concatenate([end, np.full(width - 1, -np.inf)])  # [c + width - 1]
        ends = np.lib.stride_tricks.sliding_window_view(padded, c) - penalty * np.arange(width)[:, None]  # [width, c]
        scores = (start + ends).reshape(-1)  # [width * c]: short spans first
        for place in _highest(scores, count):
            if scores[place] > -np.inf:  # not behind the window's end
                extra, first = divmod(place, c)
                best[begin + first, begin + first + extra] = float(scores[place])
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0][1] - item[0][0], item[0]))
    return [(first, last, float(np.exp(score + penalty * (last - first) - norm))) for (first, last), score in ranked[:count]]


def null_probability(windows: Sequence[Logits], nulls: Sequence[tuple[float, float]]) -> float:
    """Of no answer: that of its first times of its last token being [CLS] of some window. With those of all spans at most 1."""
    found = 0.0
    for side, none in enumerate(_log_sum(nulls)):
        tokens = np.concatenate([np.asarray(window[side], dtype=np.float64) for window in windows])  # [all c]
        found -= float(np.logaddexp(0.0, _log_sum(tokens) - none)) if len(tokens) else 0.0
    return float(np.exp(found))


def _log_sum(scores: Any) -> np.ndarray:
    """Of each column of ``scores`` [n, ...], the logarithm of the sum of its exponentials."""
    given = np.asarray(scores, dtype=np.float64)  # [n, ...]
    peak = given.max(axis=0)  # [...]
    total: np.ndarray = peak + np.log(np.exp(given - peak).sum(axis=0))  # [...]
    return total


def _highest(scores: np.ndarray, count: int) -> list[int]:
    """Indices of the ``count`` highest of ``scores`` [n], of equal ones the first."""
    if count == 1:
        return [int(scores.argmax())]
    kept = min(count, len(scores))
    candidates = np.flatnonzero(scores >= np.partition(scores, -kept)[-kept])  # [kept or more]
    best: list[int] = candidates[np.argsort(-scores[candidates], kind="stable")][:kept].tolist()
    return best


def decode_batch(
    logits: Sequence[Logits],
    rows: Sequence[int] | np.ndarray,
    features: ReadingFeatures,
    records: Sequence[ReadingRecord],
    settings: DecodeSettings,
    *,
    no_answer: bool = False,
) -> list[tuple[int, list[Prediction]]]:
    """Answers of a batch of questions as (question, answers). ``logits``: of all windows of the questions ``rows``, in order.

    ``no_answer``: the first logit of each is that of [CLS]. The answer is empty where the settings ask for that; and no question stays without
    one: a passage of no token answers with itself.
    """
    found, at = [], 0
    wanted = settings.n_best if settings.choose == "probability" else max(settings.n_best, settings.candidates)
    for row in map(int, rows):
        begins = features.windows[features.first[row] : features.first[row + 1], 1].tolist()
        own = logits[at : at + len(begins)]
        at += len(begins)
        nulls = [(float(first[0]), float(last[0])) for first, last in own] if no_answer else []
        if no_answer:
            own = [(first[1:], last[1:]) for first, last in own]
        spans = best_spans(own, begins, longest=settings.max_answer_tokens, count=wanted, nulls=nulls, penalty=settings.length_penalty)
        text, starts, ends = records[row].text, features.starts[row], features.ends[row]
        made = [stripped(text, int(starts[first]), int(ends[last]), probability) for first, last, probability in spans]
        if settings.choose == "expected_f1":
            made = by_expected_f1(made)
        made = made or [stripped(text, 0, len(text), 0.0)]
        if nulls and settings.no_answer_threshold is not None:
            none = null_probability(own, nulls)
            empty = NO_ANSWER._replace(probability=none)
            place = 0 if none >= settings.no_answer_threshold else 1
            made = [*made[:place], empty, *made[place:]]
        found.append((row, made[: settings.n_best]))
    return found


def gold_logits(
    features: ReadingFeatures, row: int, *, score: float = 30.0, longest: int | None = None, no_answer: bool = False
) -> list[Logits]:
    """Gold as the head's logits for every window of a question: ``score`` at the two ends of one place, in every window that sees them.

    It is the first place that some window holds whole; with ``longest``, the first such one of at most so many tokens if there is any.
    ``no_answer``: [CLS] comes before the tokens of each window, with the ``score`` for a question that has no answer.
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
        if no_answer:
            none = np.full((2, 1), score if features.impossible[row] else 0.0, dtype=np.float32)  # [2, 1]
            logits = np.concatenate([none, logits], axis=1)  # [2, 1 + c]
        made.append((logits[0], logits[1]))
    return made


def engine_logits(
    engine: Engine, features: ReadingFeatures, rows: Sequence[int] | np.ndarray, vocabulary: Vocabulary, *, padded_tokens: int
) -> list[Logits]:
    """Of every window of the questions ``rows`` by the network of a :class:`tasks.reading.models.span.ReadingSpan`, over the tokens that are open.

    Those of the passage, before them [CLS] if the model knows questions without an answer. ``padded_tokens`` go in at once.
    """
    pieces: list[Piece] = []
    asked: list[np.ndarray] = []
    for row in map(int, rows):
        own = features.windows_of(row)
        pieces += own
        asked += [features.questions[row]] * len(own)
    batch = inputs_of(features, pieces, asked, vocabulary, mark=engine.facts["word_in_question"])
    batch["open"] = open_places(batch.pop("passage"), no_answer=engine.facts["no_answer"])  # [b, l]
    del batch["numbers"]
    found: list[Logits] = []
    b, l = batch["ids"].shape
    at_once = max(1, padded_tokens // l)
    for begin in range(0, b, at_once):
        part = {name: values[begin : begin + at_once] for name, values in batch.items()}  # [b', l] each
        logits = engine.run("logits", part)["logits"]  # [b', l, 2]
        found += [(row[inside, 0], row[inside, 1]) for row, inside in zip(logits, part["open"], strict=True)]
    return found


def engine_decoder(
    engine: Engine,
    features: ReadingFeatures,
    rows: Sequence[ReadingRecord],
    vocabulary: Vocabulary,
    settings: DecodeSettings,
    *,
    padded_tokens: int,
) -> Decoder:
    """Answers to the questions of ``features``, which ``rows`` are, by the same network."""

    def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
        logits = engine_logits(engine, features, batch, vocabulary, padded_tokens=padded_tokens)
        return decode_batch(logits, batch, features, rows, settings, no_answer=engine.facts["no_answer"])

    return decode


def gold_decoder(features: ReadingFeatures, rows: Sequence[ReadingRecord], settings: DecodeSettings, *, no_answer: bool) -> Decoder:
    """The same with gold's own logits."""

    def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
        logits = [
            window for row in batch for window in gold_logits(features, int(row), longest=settings.max_answer_tokens, no_answer=no_answer)
        ]
        return decode_batch(logits, batch, features, rows, settings, no_answer=no_answer)

    return decode
