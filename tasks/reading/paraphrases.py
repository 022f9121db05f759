"""Other words for questions: the file that ``lic data paraphrase`` writes, and what a training takes of it.

A line is ``{"question": …, "paraphrases": [{"text": …, "source": …, "score": …}]}``. ``source`` says where the words come from (``rule: when``,
``pairs``, ``pool``, ``generated``, or anything); ``score`` is the cosine of the two by the model that judged them, or null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shared.errors import InputError, Problem
from shared.features.ragged import Ragged
from tasks.json_lines import Fields, emptiness, file_problem, quote, read_json_lines, write_json_lines

from .features import QUESTION_TOKENS, OtherWords, ReadingFeatures

if TYPE_CHECKING:
    from shared.text import Tokenizer

WHAT = 'one JSON object a line, {"question": …, "paraphrases": [{"text": …}]}'


class Paraphrase(NamedTuple):
    """``score``: cosine to the question, None where no model judged."""

    text: str
    source: str = ""
    score: float | None = None


Known = Mapping[str, Sequence[Paraphrase]]
"""Paraphrases by question"""


def write_paraphrases(path: str | Path, known: Known) -> None:
    """Writes the questions that have paraphrases, atomically."""
    rows = ({"question": question, "paraphrases": [one._asdict() for one in found]} for question, found in known.items() if found)
    write_json_lines(path, rows)


def read_paraphrases(path: str | Path) -> dict[str, list[Paraphrase]]:
    """Raises InputError with every problem of the file; a question that stands twice has the paraphrases of both lines."""
    path = Path(path)
    problem = file_problem(path, what=WHAT)
    if problem:
        raise InputError(problem)
    lines = read_json_lines(path, what=WHAT)
    problems: list[Problem] = list(lines.problems)
    known: dict[str, list[Paraphrase]] = {}
    for line, row in lines.rows:
        fields = Fields(row, "", file=str(path), line=line, problems=problems)
        question, entries = fields.take("question", str), fields.take("paraphrases", list)
        if question is not None and emptiness(question, "question"):
            fields.report("LIC-D012", emptiness(question, "question") or "", "the question", "Give it, or delete the line.")
        for number, entry in enumerate(entries or []):
            made = _paraphrase(entry, f"paraphrases[{number}]", fields)
            if made is not None and question is not None:
                known.setdefault(question, []).append(made)
    if problems:
        raise InputError(*problems)
    return known


def _paraphrase(value: Any, where: str, parent: Fields) -> Paraphrase | None:
    if not isinstance(value, dict):
        parent.report("LIC-D011", f"{where} {quote(value)}", "an object with “text”", "Write {…} there.")
        return None
    fields = Fields(value, where, file=parent.file, line=parent.line, problems=parent.problems)
    text, source = fields.take("text", str), fields.take("source", str, optional=True)
    score = value.get("score")
    if text is not None and (nothing := emptiness(text, "text")):
        fields.report("LIC-D012", nothing, "other words for the question", "Give them, or delete the entry.")
        return None
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        fields.report("LIC-D011", f"the score {quote(score)}", "a number or null", "Give the cosine, or leave it out.")
        return None
    return None if text is None else Paraphrase(text, source or "", score)


def with_paraphrases(features: ReadingFeatures, known: Known, tokenizer: Tokenizer, *, window: int) -> tuple[ReadingFeatures, int]:
    """``features`` that know other words for their questions, and how many of the questions have some.

    A question is told by its tokens. Paraphrases are cut as questions are; those of the question's own tokens, or of none, are left out.
    """
    longest = min(QUESTION_TOKENS, window // 2)
    questions = list(known)
    others = [one.text for question in questions for one in known[question]]
    cut = [encoding.ids[:longest].astype(features.questions.values.dtype) for encoding in tokenizer.encode_batch([*questions, *others])]
    by_tokens: dict[bytes, dict[bytes, np.ndarray]] = {}
    at = len(questions)
    for question, tokens in zip(questions, cut, strict=False):
        count = len(known[question])
        kept = by_tokens.setdefault(tokens.tobytes(), {})
        kept.update((other.tobytes(), other) for other in cut[at : at + count] if len(other) and not np.array_equal(other, tokens))
        at += count
    found = [list(by_tokens.get(np.asarray(features.questions[row]).tobytes(), {}).values()) for row in range(len(features))]
    first = np.cumsum([0, *map(len, found)])  # [n + 1]
    tokens_of = Ragged.from_rows([tokens for row in found for tokens in row], dtype=features.questions.values.dtype)
    return replace(features, paraphrases=OtherWords(tokens_of, first)), sum(map(bool, found))
