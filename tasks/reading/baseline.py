"""What position alone finds, the beginning of the passage, and what the answer's type alone finds. A model has to beat both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from . import metric
from .predictions import Prediction
from .records import ReadingRecord

_CLAUSE = re.compile(r"[^\s，。！？；：、,!?;:]+")


def first_clause(rows: Sequence[ReadingRecord]) -> list[list[Prediction]]:
    """The passage up to its first punctuation mark or blank (the whole of it where there is nothing else); probability 1."""
    found = []
    for record in rows:
        match = _CLAUSE.search(record.text)
        start, end = match.span() if match else (0, len(record.text))
        found.append([Prediction(record.text[start:end], start, end, 1.0)])
    return found


def type_only(candidates: Mapping[str, Sequence[str]], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Mean official ``em`` and ``f1`` of an answer drawn with equal chances from ``candidates``: id to all values of the answer's type.

    A value that the passage says twice counts twice. The scores are of the questions in ``references``, unrounded; 0 where there is none.
    Raises ValueError for a question without candidates.
    """
    matches = total = 0.0
    for identity, answers in references.items():
        texts = candidates.get(identity)
        if not texts:
            raise ValueError(f"no candidates for the question {identity!r}: give all values of its answer's type")
        scored = [metric.score_answer(text, answers) for text in texts]
        matches += sum(exact for exact, _ in scored) / len(texts)
        total += sum(f1 for _, f1 in scored) / len(texts)
    questions = max(len(references), 1)
    return {"em": matches / questions, "f1": total / questions}
