"""Generation: from the outputs for the windows of a passage to its answer, for predict, extract, evaluate and roundtrip alike.

The search writes answers only; what a window gives to the no-answer token is read off its first step. An answer's weight is what all windows give
to it, each P(answer | window): a window that leaves most to the no-answer token gives little. Over all hypotheses of all windows weights are brought
to a sum of 1, and that is an answer's probability; where no answer is an answer too, less the probability that every window says that it has none.
Needs numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.decoding import Hypothesis, SubstringAutomaton
from shared.text import Vocabulary

from ...decoding import Decoder
from ...generation_decode import at_once, steps_of
from ...generation_rows import make_rows
from ...generation_search import gold_codes, gold_hypotheses, hypotheses, place_of, weights_of, width
from ...generation_words import Codes, Words
from ..expected import by_expected_f1
from ..features import ReadingFeatures
from ..predictions import NO_ANSWER, Prediction, stripped
from ..records import ReadingRecord
from .span_batch import Piece, holds

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...generation import GenerateDecodeSettings
    from .generate_design import ReadingDecodeSettings


Found = tuple[Sequence[Hypothesis], float]
"""Hypotheses of one window, and what it gives to the no-answer token"""


def answers_of(
    windows: Sequence[Found], numbers: Sequence[int], features: ReadingFeatures, settings: GenerateDecodeSettings
) -> list[tuple[int, int, float]]:
    """Answers (first, last, probability) of one passage, in tokens of the whole, the surest first; equal ones in the order of the text.

    ``numbers``: the windows. An answer stands where its tokens first do in the windows that gave it.
    """
    mass: dict[tuple[int, ...], float] = {}
    place: dict[tuple[int, ...], int] = {}
    for (own, none), number in zip(windows, numbers, strict=True):
        if not own:
            continue
        weights = weights_of(own, settings)
        given = 1.0 - none if settings.search == "mbr" else math.fsum(math.exp(one.log_probability) for one in own)
        words, begin = features.ids[number].tolist(), int(features.windows[number, 1])
        for one, weight in zip(own, weights, strict=True):
            mass[one.tokens] = mass.get(one.tokens, 0.0) + given * weight
            at = begin + place_of(words, one.tokens)
            place[one.tokens] = min(at, place.get(one.tokens, at))
    total = math.fsum(mass.values())
    ranked = sorted(mass, key=lambda tokens: (-mass[tokens], place[tokens], len(tokens)))
    even = 1.0 / max(len(ranked), 1)  # where no answer has a probability that a float can hold
    return [(place[tokens], place[tokens] + len(tokens) - 1, mass[tokens] / total if total else even) for tokens in ranked]


def decode_batch(
    found: Sequence[Found],
    rows: Sequence[int] | np.ndarray,
    features: ReadingFeatures,
    records: Sequence[ReadingRecord],
    settings: ReadingDecodeSettings,
    *,
    floor: float | None = None,
) -> list[tuple[int, list[Prediction]]]:
    """Answers of a batch of questions as (question, answers). ``found``: of all windows of the questions, in order.

    ``floor``: the first answer and all others of at least that probability, however many ``n_best`` asks for. A passage of no token answers
    with itself, unless no answer is an answer: no question stays without one.
    """
    decoded, at = [], 0
    for row in map(int, rows):
        numbers = range(int(features.first[row]), int(features.first[row + 1]))
        own = found[at : at + len(numbers)]
        at += len(numbers)
        text, starts, ends = records[row].text, features.starts[row], features.ends[row]
        none = math.prod(window[1] for window in own) if settings.no_answer_threshold is not None else 0.0
        made = [
            stripped(text, int(starts[first]), int(ends[last]), (1.0 - none) * probability)
            for first, last, probability in answers_of(own, numbers, features, settings)
        ]
        if settings.rescore == "spans" or settings.search == "mbr":
            made = by_expected_f1(made)
        if settings.no_answer_threshold is not None:
            place = 0 if none >= settings.no_answer_threshold else 1
            made = [*made[:place], NO_ANSWER._replace(probability=none), *made[place:]]
        made = made or [stripped(text, 0, len(text), 0.0)]
        kept = made[: settings.n_best] if floor is None else [made[0], *(answer for answer in made[1:] if answer.probability >= floor)]
        decoded.append((row, kept))
    return decoded


def spans_of(features: ReadingFeatures, row: int) -> list[tuple[int, int]]:
    """The places of a question's answers, in tokens of the whole passage: those of the first reference first."""
    return [(first, last) for _, first, last in sorted(features.answers[row].tolist())]


def gold_answer(features: ReadingFeatures, window: Piece, spans: Sequence[tuple[int, int]], *, longest: int) -> tuple[int, ...] | None:
    """The tokens of the answer that a window is to give: the first place that it holds whole, of at most ``longest`` tokens if there is one.

    None where it holds none.
    """
    number, begin, _ = window
    held = [span for span in spans if holds(window, span)]
    fitting = [(first, last) for first, last in held if last - first < longest] or held
    return tuple(features.ids[number][fitting[0][0] - begin : fitting[0][1] + 1 - begin].tolist()) if fitting else None


def sources_of(features: ReadingFeatures, numbers: Sequence[int], vocabulary: Vocabulary) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Windows as sources, question and passage, and the passages, whose tokens an answer is of."""
    passages = [features.ids[number] for number in numbers]
    questions = (features.questions[int(features.windows[number, 0])] for number in numbers)
    return [np.concatenate([question, [vocabulary.sep_id], passage]) for question, passage in zip(questions, passages, strict=True)], passages


def grammar_of(words: Words, settings: ReadingDecodeSettings, longest: int) -> SubstringAutomaton:
    """Any run of a window's tokens that is short enough."""
    return SubstringAutomaton(
        [text.tolist() for text in words.texts], end_id=0, without=(1, 2), max_length=min(settings.max_answer_tokens, longest - 1)
    )


def engine_decoder(
    engine: Engine,
    features: ReadingFeatures,
    records: Sequence[ReadingRecord],
    vocabulary: Vocabulary,
    settings: ReadingDecodeSettings,
    *,
    padded_tokens: int,
    floor: float | None = None,
) -> Decoder:
    """What the engine of a :class:`ReadingGenerator` answers. ``padded_tokens``: those of a batch; ``floor``: see :func:`decode_batch`."""
    longest = settings.max_target or engine.facts["max_target"]
    count = width(settings, candidates=floor is not None, least=settings.n_best)
    codes = Codes.of_vocabulary((), vocabulary)

    def search(numbers: Sequence[int]) -> list[Found]:
        made, words = make_rows(*sources_of(features, numbers, vocabulary), codes, vocabulary)
        steps, none = steps_of(engine, made), np.zeros(0)  # [0]

        def step(tokens: np.ndarray | None, state: Any) -> tuple[np.ndarray, Any]:
            nonlocal none
            logits, state = steps(tokens, state)  # [r, u]
            if tokens is None:
                masses = np.exp(logits - logits.max(axis=1, keepdims=True))  # [b, u]
                none = masses[:, 1] / masses.sum(axis=1)  # [b]
            return logits, state  # [r, u]

        found = hypotheses(
            step,
            grammar_of(words, settings, longest),
            words,
            settings,
            max_target=longest,
            seed=engine.facts["seed"],
            keys=list(numbers),
            count=count,
        )
        return list(zip(found, none.tolist(), strict=True))

    def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
        numbers = [number for row in batch for number in range(int(features.first[row]), int(features.first[row + 1]))]
        found: dict[int, Found] = dict.fromkeys(numbers, ((), 1.0))
        full = [number for number in numbers if len(features.ids[number])]
        widest = max((len(features.ids[number]) + len(features.questions[int(features.windows[number, 0])]) + 3 for number in full), default=1)
        part_size = at_once(settings, max(1, padded_tokens // widest), count)
        for begin in range(0, len(full), part_size):
            part = full[begin : begin + part_size]
            found.update(zip(part, search(part), strict=True))
        return decode_batch([found[number] for number in numbers], batch, features, records, settings, floor=floor)

    return decode


def gold_decoder(features: ReadingFeatures, records: Sequence[ReadingRecord], settings: ReadingDecodeSettings, *, longest: int) -> Decoder:
    """The same with gold in the model's place; ``longest``: tokens of an answer, its end included."""
    codes = gold_codes((), features.ids.values)

    def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
        windows = [window for row in batch for window in features.windows_of(int(row))]
        spans = {int(row): spans_of(features, int(row)) for row in batch}
        most = min(settings.max_answer_tokens, longest - 1)
        answers = [gold_answer(features, window, spans[int(features.windows[window[0], 0])], longest=most) for window in windows]
        given = [(number, answer) for (number, _, _), answer in zip(windows, answers, strict=True) if answer is not None]
        found: dict[int, Found] = {number: ((), 1.0) for number, _, _ in windows}
        if given:
            words = Words(codes, [features.ids[number] for number, _ in given])
            made = gold_hypotheses(grammar_of(words, settings, longest), words, [answer for _, answer in given], max_target=longest)
            found.update((number, (own, 0.0)) for (number, _), own in zip(given, made, strict=True))
        return decode_batch([found[number] for number, _, _ in windows], batch, features, records, settings)

    return decode
