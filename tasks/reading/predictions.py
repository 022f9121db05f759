"""Answers of the reading track as predicted of a passage. Every model's decode ends here."""

from __future__ import annotations

from typing import NamedTuple


class Prediction(NamedTuple):
    """Verbatim ``text`` without blanks at its ends, at characters ``start`` to ``end`` (half-open); ``probability``: of its first times of its
    last token."""

    text: str
    start: int
    end: int
    probability: float


NO_ANSWER = Prediction("", 0, 0, 0.0)
"""The passage does not answer; with the probability of that in its place."""


def stripped(text: str, start: int, end: int, probability: float) -> Prediction:
    answer = text[start:end]
    start += len(answer) - len(answer.lstrip())
    answer = answer.strip()
    return Prediction(answer, start, start + len(answer), probability)
