"""Predicted titles as a file to hand in: ``title.json``, `{"abst": …, "title": …}` a line, inside a zip; written, read back, validated, scored.

No leaderboard asks for it; it is packed and checked as the tracks' files are. Codes beyond those of :mod:`tasks.packing`,
:mod:`tasks.submission_checks`, :mod:`tasks.json_lines` and :mod:`tasks.title.records`: D016 a text given again, S040 a line break or other control
character in a title.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem, input_error
from tasks.json_lines import HARMLESS, Fields, JsonLines, dump_json_lines, emptiness, parse_json_lines, quote
from tasks.packing import PACKING_FAULTS, open_member, pack
from tasks.submission_checks import compare_records
from tasks.title import metric
from tasks.title.records import read_records

MEMBER = "title.json"
_READABLE = HARMLESS | PACKING_FAULTS | {"LIC-S040", "LIC-D012"}
"""What leaves no doubt about what was predicted."""

Row = tuple[str, str]
"""(text, title)"""


def write_submission(path: str | Path, rows: Iterable[Row]) -> None:
    """Writes the zip ``path`` and the bare file beside it (``title.zip``, ``title.json``), each atomically; equal rows give equal bytes.

    A line for every row, in order, whatever stands in it: :func:`check_submission` tells of empty titles. Raises ValueError for another suffix
    than ``.zip``.
    """
    pack(path, MEMBER, dump_json_lines({"abst": text, "title": title} for text, title in rows))


def read_submission(path: str | Path) -> list[Row]:
    """Rows of a zip or of a bare JSON-lines file, in order. Raises :class:`InputError` with every problem that leaves in doubt what was predicted."""
    read, problems, where = _open(path)
    rows, more = _rows(read, where)
    problems = [problem for problem in problems + read.problems + more if problem.code not in _READABLE]
    if problems:
        raise InputError(*problems)
    return [(text, title) for _, text, title in rows]


def check_submission(path: str | Path, schema: None = None, against: str | Path | None = None) -> list[Problem]:
    """Everything that makes the zip no answer to the test file ``against``, or costs score; empty when it is fine. This task has no schema."""
    texts = None
    problems: list[Problem] = []
    if against is not None:
        test = read_records(against, labelled=False)
        problems.extend(problem for problem in test.problems if problem.code not in HARMLESS)
        texts = Counter(record.text for record in test.records)
    read, more, where = _open(path)
    rows, row_problems = _rows(read, where)
    row_problems += _repeated(rows, texts, where)
    problems += more + sorted(read.problems + row_problems, key=lambda problem: problem.line or 0)
    if against is not None and texts is not None and (rows or not more):
        given = [text for _, text, _ in rows]
        remedy = "Give every text a line with its title."
        problems += compare_records(given, texts, where, Path(against).name, records="texts", remedy=remedy)
    return problems


def score_files(gold: str | Path, prediction: str | Path, *, alias: str | Path | None = None) -> dict[str, Any]:
    """:func:`tasks.title.metric.score` of a prediction (zip or bare file) against a labelled file; of a text given again the last title counts.

    A text without a title scores 0. Raises :class:`InputError` for files that can not be read whole, and for an alias table.
    """
    if alias is not None:
        remedy = "Leave --alias out: only the relation track has alias tables."
        raise input_error("LIC-F006", found="an alias table", expected="none for the title task", remedy=remedy, file=alias)
    read = read_records(gold, labelled=True)
    problems = [problem for problem in read.problems if problem.code not in HARMLESS]
    if problems:
        raise InputError(*problems)
    predicted = dict(read_submission(prediction))
    return metric.score((predicted.get(record.text, ""), record.title) for record in read.records)


def _open(path: str | Path) -> tuple[JsonLines, list[Problem], str]:
    """The lines that count, what is wrong with the file around them, and the name that stands for it."""
    opened = open_member(path, MEMBER)
    return (JsonLines() if opened.data is None else parse_json_lines(opened.data, opened.where)), opened.problems, opened.where


def _rows(read: JsonLines, file: str) -> tuple[list[tuple[int, str, str]], list[Problem]]:
    """(line, text, title) of every line that has both, and the problems of all lines."""
    problems: list[Problem] = []
    rows = []
    for number, value in read.rows:
        fields = Fields(value, "", file=file, line=number, problems=problems)
        text, title = fields.take("abst", str), fields.take("title", str)
        if text is None or title is None:
            continue
        if nothing := emptiness(title, "title"):
            fields.report("LIC-D012", nothing, "a title", "Give any words of the text: an empty title scores 0.")
        elif odd := next((character for character in title if unicodedata.category(character) in ("Cc", "Zl", "Zp")), None):
            fields.report("LIC-S040", f"the character U+{ord(odd):04X} inside the title {quote(title)}", "text of one line", "Take it out.")
        rows.append((number, text, title))
    return rows, problems


def _repeated(rows: list[tuple[int, str, str]], texts: Mapping[str, int] | None, file: str) -> list[Problem]:
    """Lines of one text with different titles, or more of them than the test file has."""
    problems = []
    first: dict[str, tuple[int, str]] = {}
    count: Counter[str] = Counter()
    for number, text, title in rows:
        line, before = first.setdefault(text, (number, title))
        count[text] += 1
        if title == before and count[text] <= max(1, (texts or {}).get(text, 1)):
            continue
        found = f"the text {quote(text)} again (first in line {line}){'' if title == before else ', with another title'}"
        problems.append(Problem("LIC-D016", found, "one title for each text", "Delete one of the lines.", file, number))
    return problems
