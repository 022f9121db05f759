"""The DuReader-robust submission: ``reading.json``, one object from question id to answer, inside a zip; written, read back, validated, scored.

Codes beyond those of :mod:`tasks.packing`, :mod:`tasks.submission_checks`, :mod:`tasks.json_lines` and :mod:`tasks.reading.records`: S008 blanks
at the ends of an answer, S040 a line break or other control character in an answer (where no context is at hand that might hold it).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem, input_error
from tasks.json_lines import HARMLESS, Fields, kind, quote
from tasks.packing import PACKING_FAULTS, open_member, pack
from tasks.reading import metric
from tasks.reading.json_value import JsonObject, parse_json_object
from tasks.reading.records import read_records
from tasks.submission_checks import check_verbatim, compare_records

MEMBER = "reading.json"

_READABLE = HARMLESS | PACKING_FAULTS | {"LIC-S008", "LIC-S040", "LIC-D012"}
"""What costs score, or what a leaderboard may refuse, and yet leaves no doubt about what was predicted."""

Row = tuple[str, str]
"""(id, answer)"""


def write_submission(path: str | Path, rows: Iterable[Row]) -> None:
    """Writes the zip ``path`` and the bare file beside it (``reading.zip``, ``reading.json``), each atomically; equal rows give equal bytes.

    Every id must be there, so an empty answer is written as it is; :func:`check_submission` tells of it. Raises ValueError for another
    suffix than ``.zip``, an id given twice, an empty or non-string id, or an answer that is no string.
    """
    answers: dict[str, str] = {}
    for identity, answer in rows:
        if not isinstance(identity, str) or not identity:
            raise ValueError(f"the id is {identity!r}; expected a string that is not empty")
        if identity in answers:
            raise ValueError(f"the id {identity!r} was given twice; expected each id once")
        if not isinstance(answer, str):
            raise ValueError(f"the answer to {identity!r} is {answer!r}; expected a string")
        answers[identity] = answer
    pack(path, MEMBER, [(json.dumps(answers, ensure_ascii=False, indent=2) + "\n").encode("utf-8")])


def read_submission(path: str | Path) -> list[Row]:
    """Rows of a zip or of a bare JSON file, in order.

    Raises :class:`InputError` with every problem that leaves in doubt what was predicted. Answers may be empty or have blanks at their
    ends: a score counts them as they are.
    """
    parsed, where, problems = _open(path)
    rows, more = _rows(parsed, where)
    problems = [problem for problem in problems + more if problem.code not in _READABLE]
    if problems:
        raise InputError(*problems)
    return rows


def check_submission(path: str | Path, schema: None = None, against: str | Path | None = None) -> list[Problem]:
    """Every reason why the leaderboard would refuse the zip or count part of it wrong; empty when it is fine.

    ``against``: the test file whose ids must all be there, and in whose contexts every answer must stand word for word. This track has no
    schema.
    """
    contexts = None
    problems: list[Problem] = []
    if against is not None:
        test = read_records(against, labelled=False)
        problems.extend(problem for problem in test.problems if problem.code not in HARMLESS)
        contexts = {record.id: record.text for record in test.records}
    parsed, where, more = _open(path)
    rows, row_problems = _rows(parsed, where, contexts)
    problems += more + row_problems
    if against is not None and contexts is not None and parsed.value is not None:
        remedy = "Answer every question: a missing one counts 0."
        problems += compare_records([identity for identity, _ in rows], contexts, where, Path(against).name, records="ids", remedy=remedy)
    return problems


def score_files(gold: str | Path, prediction: str | Path, *, alias: str | Path | None = None, **options: Any) -> dict[str, Any]:
    """:func:`tasks.reading.metric.score` of a prediction (zip or bare file) against an official labelled file.

    Raises :class:`InputError` for files that can not be read whole, and for an alias table, which this track does not have.
    """
    if alias is not None:
        remedy = "Leave --alias out: only the relation track has alias tables."
        raise input_error("LIC-F006", found="an alias table", expected="none for the reading track", remedy=remedy, file=alias)
    read = read_records(gold, labelled=True)
    problems = [problem for problem in read.problems if problem.code not in HARMLESS]
    if problems:
        raise InputError(*problems)
    references = {record.id: [answer.text for answer in record.answers] for record in read.records}
    questions = {record.id: record.question for record in read.records}
    return metric.score(references, dict(read_submission(prediction)), questions=questions, **options)


def _open(path: str | Path) -> tuple[JsonObject, str, list[Problem]]:
    """The object that counts, the name of its file, and what is wrong with both."""
    opened = open_member(path, MEMBER)
    if opened.data is None:
        return JsonObject(), opened.where, opened.problems
    parsed = parse_json_object(opened.data, opened.where, what="one JSON object, {question id: answer}")
    return parsed, opened.where, opened.problems + parsed.problems


def _rows(parsed: JsonObject, file: str, contexts: dict[str, str] | None = None) -> tuple[list[Row], list[Problem]]:
    """(id, answer) of every id that is new and has a string, and the problems of all entries."""
    problems: list[Problem] = []
    rows: dict[str, str] = {}
    seen: dict[str, int] = {}
    value = parsed.value or {}
    for (identity, answer), line in zip(parsed.pairs(value), parsed.lines(value), strict=True):
        fields = Fields({"id": identity, "answer": answer}, "", file=file, line=line, problems=problems)
        if fields.take("id", str) is None:
            continue
        if identity in seen:
            found = f"the id {quote(identity)} again (first in line {seen[identity]})"
            fields.report("LIC-D016", found, "each id once", "Delete one of the two: a scorer keeps the last only.")
            continue
        seen[identity] = line
        if not identity:
            fields.report("LIC-D012", "an empty id", "the id of a question", "Delete the entry or give it its id.")
        fields.where = f"the entry {quote(identity)}"
        if not isinstance(answer, str):
            remedy = "Give the answer's text; the official script stops at anything that is no string."
            fields.report("LIC-D011", f"{kind(answer)} as answer", "a string", remedy)
        elif fields.take("answer", str) is not None:
            _check_answer(answer, (contexts or {}).get(identity), fields)
            rows[identity] = answer
    return list(rows.items()), problems


def _check_answer(answer: str, context: str | None, fields: Fields) -> None:
    if not answer.strip():
        found = "an answer of blanks only" if answer else "an empty answer"
        fields.report("LIC-D012", found, "a part of the context", "Give the likeliest piece of the context: a wrong one costs no more.")
        return
    if answer != answer.strip():
        found = f"the answer {json.dumps(answer, ensure_ascii=False)} with blanks at its ends"
        fields.report("LIC-S008", found, "none", "Strip it: the scorer does not, so the blank costs the match.")
    if context is None:
        control = next((character for character in answer.strip() if unicodedata.category(character) in ("Cc", "Zl", "Zp")), None)
        if control is not None:
            found = f"the character U+{ord(control):04X} inside the answer {json.dumps(answer.strip()[:40], ensure_ascii=False)}"
            fields.report("LIC-S040", found, "text of one line", "Answer with the piece before or after it.")
    check_verbatim(f"the answer {quote(answer)}", answer, context, fields, text_is="context")
