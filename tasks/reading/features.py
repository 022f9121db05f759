"""Reading records as arrays: a question's tokens, windows over its passage, character offsets, and every place of every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.features.ragged import Ragged, id_type, load_arrays, save_arrays
from shared.text import Encoding, Tokenizer, occurrences
from shared.text.spans import spans_to_tokens
from shared.text.windows import split_windows

from .records import ReadingRecord

VERSION = 3
"""Raised whenever the arrays below change; part of the cache key."""

QUESTION_TOKENS = 64
"""Longer questions are cut to this, or to half the window."""


@dataclass(frozen=True)
class Lost:
    """A question none of whose references these features can give back exactly: the first of them that is not blank, and why not."""

    id: str
    answer: str
    reason: str


@dataclass(frozen=True)
class OtherWords:
    """Paraphrases of n questions: ``tokens``, Ragged [m]; those of question i are ``first[i]`` to ``first[i + 1] - 1`` of ``first`` [n + 1]."""

    tokens: Ragged
    first: np.ndarray

    @property
    def longest(self) -> np.ndarray:
        """Tokens of each question's longest paraphrase, 0 where it has none, [n]."""
        lengths = np.zeros(len(self.first) - 1, dtype=np.int64)  # [n]
        np.maximum.at(lengths, np.repeat(np.arange(len(lengths)), np.diff(self.first)), self.tokens.lengths)
        return lengths

    def drawn(self, question: int, draw: float) -> np.ndarray | None:
        """One of the paraphrases of a question by a number in [0, 1), None where it has none."""
        begin, end = int(self.first[question]), int(self.first[question + 1])
        return self.tokens[begin + int(draw * (end - begin))] if end > begin else None


@dataclass(frozen=True)
class ReadingFeatures:
    """Arrays of n questions in w windows; a unit (what stays together in a batch) is a question with all its windows.

    ``ids``: passage tokens of each window, Ragged [w] of :func:`shared.features.ragged.id_type`; ``windows`` [w, 2] int32: question index,
    first token of the passage.
    ``first`` [n + 1] int32: windows ``first[i]`` to ``first[i + 1] - 1`` belong to question i; every question has one.
    ``questions``: question tokens, Ragged [n] of the type of ``ids``; ``starts``, ``ends``: half-open character span of each token of each
    whole passage, Ragged int32 [n]. ``answers``: (reference, first, last) in tokens of the whole passage, ``last`` inclusive, Ragged int32 [n], every
    place of every reference; ``impossible`` [n] bool: questions known to have no answer. ``lost``: questions without an exact reference
    (not kept on disk; counted in ``lost_count``); ``cut_questions`` counts questions that were cut. ``paraphrases``: other words for the
    questions, given for a training, never kept.
    """

    ids: Ragged
    windows: np.ndarray
    first: np.ndarray
    questions: Ragged
    starts: Ragged
    ends: Ragged
    answers: Ragged
    impossible: np.ndarray
    lost_count: int = 0
    cut_questions: int = 0
    lost: tuple[Lost, ...] = field(default=(), compare=False)
    paraphrases: OtherWords | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of all windows of each question, [CLS], question, two [SEP] each included, [n]."""
        counts = np.diff(self.first)  # [n]
        passages = np.add.reduceat(self.ids.lengths, self.first[:-1]) if len(self) else np.zeros(0, dtype=np.int64)  # [n]
        lengths: np.ndarray = passages + counts * (self.questions.lengths + 3)  # [n]
        return lengths

    def windows_of(self, index: int) -> list[tuple[int, int, int]]:
        """(window, begin, end) of every window of a question; it holds tokens ``begin`` to ``end - 1`` of the passage."""
        numbers = range(int(self.first[index]), int(self.first[index + 1]))
        begins = self.windows[numbers.start : numbers.stop, 1].tolist()
        return [(number, begin, begin + len(self.ids[number])) for number, begin in zip(numbers, begins, strict=True)]

    @property
    def record_index(self) -> np.ndarray:
        """The record of each question, [n]: its own number."""
        return np.arange(len(self))

    def arrays(self) -> dict[str, Ragged | np.ndarray]:
        names = ("ids", "windows", "first", "questions", "starts", "ends", "answers", "impossible")
        return {name: getattr(self, name) for name in names}

    def counts(self) -> dict[str, int]:
        return {"lost_count": self.lost_count, "cut_questions": self.cut_questions}

    def joined(self, other: ReadingFeatures) -> ReadingFeatures:
        """The questions of both, in memory; those of ``other`` are numbered on."""
        windows = np.array(other.windows)  # [w, 2]
        windows[:, 0] += len(self.starts)
        ragged = {name: getattr(self, name).joined(getattr(other, name)) for name in ("ids", "questions", "starts", "ends", "answers")}
        return ReadingFeatures(
            **ragged,
            windows=np.concatenate([self.windows, windows]),  # [w, 2]
            first=np.concatenate([self.first, other.first[1:] + self.first[-1]]),  # [n + 1]
            impossible=np.concatenate([self.impossible, other.impossible]),  # [n]
            lost_count=self.lost_count + other.lost_count,
            cut_questions=self.cut_questions + other.cut_questions,
        )

    def save(self, folder: Path, meta: dict[str, Any]) -> None:
        save_arrays(folder, self.arrays(), {**meta, **self.counts()})

    @classmethod
    def load(cls, folder: Path) -> ReadingFeatures:
        arrays, meta = load_arrays(folder)
        return cls(**arrays, lost_count=meta["lost_count"], cut_questions=meta["cut_questions"])


def question_tokens(window: int) -> int:
    """Tokens of a question that are read; longer ones are cut."""
    return min(QUESTION_TOKENS, window // 2)


def make_features(records: Sequence[ReadingRecord], tokenizer: Tokenizer, *, window: int, overlap: int) -> ReadingFeatures:
    """Tokenises, cuts windows and places answers. ``window`` counts a window's question, its [SEP] and its part of the passage.

    ``overlap`` is lowered to half of what the question leaves for the passage. A passage that several questions share is read once.
    Raises ValueError for a ``window`` in which a question (cut to half of it) leaves less than two tokens.
    """
    passages = list(dict.fromkeys(record.text for record in records))
    encoded = dict(zip(passages, tokenizer.encode_batch(passages), strict=True))
    asked = tokenizer.encode_batch([record.question for record in records])
    longest = question_tokens(window)
    ids, windows, first, questions, starts, ends, answers = [], [], [0], [], [], [], []
    lost: list[Lost] = []
    for index, (record, question) in enumerate(zip(records, asked, strict=True)):
        encoding = encoded[record.text]
        words = question.ids[:longest]
        questions.append(words)
        starts.append(encoding.starts)
        ends.append(encoding.ends)
        size = window - len(words) - 1
        borders = split_windows(len(encoding.ids), size, max(1, min(overlap, size // 2))) or [(0, 0)]
        for begin, end in borders:
            ids.append(encoding.ids[begin:end])
            windows.append((index, begin))
        first.append(len(ids))
        answers.append(_places(record, encoding, borders, lost))
    return ReadingFeatures(
        ids=Ragged.from_rows(ids, dtype=id_type(len(tokenizer.vocabulary))),
        windows=np.asarray(windows, dtype=np.int32).reshape(-1, 2),  # [w, 2]
        first=np.asarray(first, dtype=np.int32),  # [n + 1]
        questions=Ragged.from_rows(questions, dtype=id_type(len(tokenizer.vocabulary))),
        starts=Ragged.from_rows(starts, dtype=np.int32),
        ends=Ragged.from_rows(ends, dtype=np.int32),
        answers=Ragged.from_rows(answers, dtype=np.int32, width=3),
        impossible=np.asarray([record.answers == () for record in records], dtype=np.bool_),  # [n]
        lost_count=len(lost),
        cut_questions=sum(len(question.ids) > longest for question in asked),
        lost=tuple(lost),
    )


def _places(record: ReadingRecord, encoding: Encoding, borders: Sequence[tuple[int, int]], lost: list[Lost]) -> list[tuple[int, int, int]]:
    """(reference, first, last) of every place of every reference; those that are given back exactly, or else those that touch it."""
    exact_ones, near, reasons = [], [], []
    begins_of, ends_of = np.asarray(borders).T  # [w], [w]
    for number, answer in enumerate(record.answers or ()):
        text = answer.text.strip()
        if not text:
            continue
        if answer.start is not None:
            places = [answer.start + len(answer.text) - len(answer.text.lstrip())]
        else:
            places = occurrences(record.text, text)
        if not places:
            reasons.append((answer.text, "stands nowhere in the passage"))
            continue
        begins = np.asarray(places)  # [m]
        first, last, exact = spans_to_tokens(encoding, begins, begins + len(text))  # [m], [m], [m]
        whole = last < ends_of[np.searchsorted(begins_of, first, side="right") - 1]  # [m]; the last window that holds ``first`` reaches furthest
        for a, b, same, held in zip(first.tolist(), last.tolist(), exact.tolist(), whole.tolist(), strict=True):
            if a < 0:
                reasons.append((answer.text, "no token touches it"))
            elif text != answer.text:  # the metric counts a reference's own blanks
                reasons.append((answer.text, "blanks at its ends"))
                near.append((number, a, b))
            elif not same:
                got = record.text[int(encoding.starts[a]) : int(encoding.ends[b])]
                reasons.append((answer.text, f"its tokens stand for {got!r}"))
                near.append((number, a, b))
            elif not held:
                reasons.append((answer.text, f"longer than what two windows share ({b - a + 1} tokens)"))
                near.append((number, a, b))
            else:
                exact_ones.append((number, a, b))
    if record.answers and not exact_ones:
        lost.append(Lost(record.id, *(reasons[0] if reasons else (record.answers[0].text, "blank"))))
    return exact_ones or near
