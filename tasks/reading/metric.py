"""The official DuReader-robust score: exact match and F1 over characters, against the best of several references.

Rule (``evaluate.py`` of baidu/DuReader, DuReader-Robust): both sides are lower-cased and lose :data:`DELETED`; EM asks for equal strings.
For F1 every CJK ideograph and every ``=`` is a token of its own and all between two of them one token, blanks included; what two token
lists share is their longest common run (the script calls it a subsequence, yet it allows no gap). Blanks are never stripped. An id that is
not predicted counts 0. Unlike the script, which reads ``data[0]`` only, all of a file counts.

The script knows no question without an answer. Where a gold file has some (no reference), they count as in SQuAD 2.0 (arXiv 1806.03822): EM
and F1 are 1 for an answer that is empty once normalised, else 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .questions import kind_of

DELETED = ":_`，。：？！()“”；’《》·、,「」（）－～『』|"
"""Characters without weight. The script also lists ``……``, two characters, which never equals one; it keeps ``‘``, ``.``, ``!`` and ``?``."""

_DELETE = str.maketrans("", "", DELETED)
_ALONE = "=\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
_TOKEN = re.compile(f"[{_ALONE}]|[^{_ALONE}]+")
_LENGTHS = ((4, "1-4"), (8, "5-8"), (16, "9-16"), (None, "17+"))


def score(
    gold: Mapping[str, Sequence[str]], predicted: Mapping[str, str], *, questions: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """``em`` and ``f1`` as unrounded fractions, with counts and the same per length (characters) of the shortest reference that is not empty.

    ``gold``: id to references, none for a question without an answer: ``unanswerable`` counts these, and ``per_answerability`` tells them from
    the others where there are any. ``questions``: id to question, for the same per kind of question, the most frequent first. ``missing_ids`` of
    gold are not predicted and count 0; ``unknown_ids`` of the prediction are not in gold and are left out, as the contest does with its
    confusion data; ``empty_answers`` are predicted without a character.
    """
    parts: dict[str, list[float]] = {name: [0, 0, 0.0] for _, name in _LENGTHS}
    kinds: dict[str, list[float]] = {}
    sides: dict[str, list[float]] = {"answerable": [0, 0, 0.0], "unanswerable": [0, 0, 0.0]}
    for identity, references in gold.items():
        em, f1 = score_answer(predicted[identity], references) if identity in predicted else (False, 0.0)
        shortest = min((len(reference) for reference in references if reference), default=0)
        counting = [sides["answerable" if references else "unanswerable"]]
        if references:
            counting.append(parts[next(name for most, name in _LENGTHS if most is None or shortest <= most)])
        if questions is not None:
            counting.append(kinds.setdefault(kind_of(questions[identity]), [0, 0, 0.0]))
        for part in counting:
            part[0] += 1
            part[1] += em
            part[2] += f1
    asked, matches, total = (sum(part[index] for part in sides.values()) for index in range(3))
    without = sides["unanswerable"][0]
    ranked = sorted(kinds.items(), key=lambda part: (-part[1][0], part[0]))
    return {
        **_shares(asked, matches, total),
        "questions": asked,
        "missing_ids": sum(identity not in predicted for identity in gold),
        "unknown_ids": sum(identity not in gold for identity in predicted),
        "empty_answers": sum(not predicted.get(identity, "?") for identity in gold),
        **({"unanswerable": without} if without else {}),
        **({"per_answerability": {name: {**_shares(*part), "questions": part[0]} for name, part in sides.items()}} if without else {}),
        "per_answer_length": {name: {**_shares(*part), "questions": part[0]} for name, part in parts.items()},
        **({} if questions is None else {"per_question_kind": {name: {**_shares(*part), "questions": part[0]} for name, part in ranked}}),
    }


def _shares(questions: float, matches: float, total: float) -> dict[str, float]:
    return {"em": matches / questions, "f1": total / questions} if questions else {"em": 0.0, "f1": 0.0}


def score_answer(predicted: str, references: Sequence[str]) -> tuple[bool, float]:
    """Exact match and F1 of one answer against the best of its references, each for itself; without a reference, of none (SQuAD 2.0)."""
    ours = normalise(predicted)
    if not references:
        return not ours, float(not ours)
    theirs = [normalise(reference) for reference in references]
    return ours in theirs, max((_f1(ours, reference) for reference in theirs), default=0.0)


def normalise(text: str) -> str:
    return text.lower().translate(_DELETE)


def tokenise(text: str) -> list[str]:
    """Tokens of a normalised text; joined they are the text."""
    return _TOKEN.findall(text)


def longest_run(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Length of the longest run of neighbours that both sequences have."""
    best = 0
    above = [0] * (len(right) + 1)
    for ours in left:
        row = [0] * (len(right) + 1)
        for index, theirs in enumerate(right):
            if ours == theirs:
                row[index + 1] = above[index] + 1
                best = max(best, row[index + 1])
        above = row
    return best


def _f1(predicted: str, reference: str) -> float:
    """0 where either is empty, even if both are."""
    if not predicted or not reference:
        return 0.0
    if predicted == reference:
        return 1.0
    ours, theirs = tokenise(predicted), tokenise(reference)
    return 2 * longest_run(ours, theirs) / (len(ours) + len(theirs))
