"""The predictions of a file: ``paraphrase.json`` (one object a line) inside a zip, written, read back, validated and scored.

A line is ``{"text": …, "pair": …, "score": …, "label": 0 | 1}``: the cosine of the two texts, and whether they count as alike. No leaderboard takes
it; the form is that of the tracks, so that everything which handles theirs handles it. Codes beyond those of :mod:`tasks.packing`,
:mod:`tasks.submission_checks`, :mod:`tasks.json_lines` and :mod:`tasks.paraphrase.records`: D016 a pair given again, S041 a score that is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shared.errors import InputError, Problem, input_error
from tasks.json_lines import HARMLESS, Fields, JsonLines, dump_json_lines, parse_json_lines, quote
from tasks.packing import PACKING_FAULTS, open_member, pack
from tasks.seen import Seen, blocks
from tasks.submission_checks import compare_records

from . import metric
from .records import identity, read_records, take_label, take_texts

MEMBER = "paraphrase.json"
_READABLE = HARMLESS | PACKING_FAULTS
"""What leaves no doubt about what was predicted."""


class Row(NamedTuple):
    """What is said of a pair: the cosine, and 1 where it counts as alike, else 0."""

    text: str
    pair: str
    score: float
    label: int


def write_submission(path: str | Path, rows: Iterable[Row]) -> None:
    """Writes the zip ``path`` and the bare file beside it, each atomically; a pair given again keeps its first line. Equal rows give equal bytes.

    Raises ValueError for another suffix than ``.zip``, an empty or non-string text, a score that is no finite number, or another label than 0 and 1.
    """
    pack(path, MEMBER, _lines(rows))


def _lines(rows: Iterable[Row]) -> Iterator[bytes]:
    seen, count = Seen(), 0
    for block in blocks(rows):
        for row in block:
            _check(row)
        earlier = seen.repeated([identity(row.text, row.pair) for row in block], count)  # [k]
        count += len(block)
        yield from dump_json_lines(row._asdict() for row, first in zip(block, earlier.tolist(), strict=True) if first < 0)


def _check(row: Row) -> None:
    for name, text in (("text", row.text), ("pair", row.pair)):
        if not isinstance(text, str) or not text:
            raise ValueError(f"the {name} is {text!r}; expected a string that is not empty")
    if not isinstance(row.score, float) or not math.isfinite(row.score):
        raise ValueError(f"the score is {row.score!r}; expected a finite number")
    if row.label not in (0, 1):
        raise ValueError(f"the label is {row.label!r}; expected 0 or 1")


def read_submission(path: str | Path) -> list[Row]:
    """Rows of a zip or of a bare JSON-lines file, in order; extra keys are left aside.

    Raises :class:`InputError` with every problem that leaves in doubt what was predicted.
    """
    read, problems, where = _open(path)
    rows, more = _rows(read, where)
    found = [row for _, row in rows]
    problems = [problem for problem in problems + read.problems + more + _repeated(rows, where) if problem.code not in _READABLE]
    if problems:
        raise InputError(*problems)
    return found


def check_submission(path: str | Path, against: str | Path | None = None) -> list[Problem]:
    """Everything that is wrong with the zip; empty when it is fine. ``against``: the file whose pairs must all be there."""
    wanted = None
    problems: list[Problem] = []
    if against is not None:
        test = read_records(against, labelled=False)
        problems.extend(problem for problem in test.problems if problem.code not in HARMLESS)
        wanted = dict.fromkeys(identity(record.text, record.pair) for record in test.records)
    read, more, where = _open(path)
    rows, row_problems = _rows(read, where)
    row_problems += _repeated(rows, where)
    problems += more + sorted(read.problems + row_problems, key=lambda problem: problem.line or 0)
    if against is not None and wanted is not None and (rows or not more):
        given = [identity(row.text, row.pair) for _, row in rows]
        problems += compare_records(given, wanted, where, Path(against).name, records="pairs", remedy="Give every pair a line.")
    return problems


def rows_in_step(read: JsonLines, where: str, texts: dict[str, str]) -> tuple[list[str], list[Problem]]:
    """Identities and problems of some lines, for :func:`tasks.submission_steps.sound_in_step`."""
    rows, problems = _rows(read, where)
    return [identity(row.text, row.pair) for _, row in rows], problems


def score_files(gold: str | Path, prediction: str | Path, *, alias: str | Path | None = None, **options: Any) -> dict[str, Any]:
    """:func:`tasks.paraphrase.metric.score` of a prediction (zip or bare file) against a labelled file.

    Raises :class:`InputError` for files that can not be read whole, for pairs without a prediction, and for an alias table.
    """
    if alias is not None:
        remedy = "Leave --alias out: only the relation track has alias tables."
        raise input_error("LIC-F006", found="an alias table", expected="none for the paraphrase task", remedy=remedy, file=alias)
    read = read_records(gold, labelled=True)
    problems = [problem for problem in read.problems if problem.code not in HARMLESS]
    if problems:
        raise InputError(*problems)
    rows = {identity(row.text, row.pair): row for row in read_submission(prediction)}
    wanted = [identity(record.text, record.pair) for record in read.records]
    remedy = "Predict this file: a pair without a score cannot be ranked."
    missing = compare_records(rows, dict.fromkeys(wanted), str(prediction), Path(gold).name, records="pairs", remedy=remedy)
    missing = [problem for problem in missing if problem.code == "LIC-S005"]
    if missing:
        raise InputError(*missing)
    if not read.records:
        raise input_error("LIC-D031", file=gold, found="no sound record", expected="at least one", remedy="See lic data check paraphrase.")
    found = [rows[key] for key in wanted]
    labels, sources = [record.label for record in read.records], [record.source for record in read.records]
    return metric.score(labels, [row.score for row in found], [row.label == 1 for row in found], sources, **options)


def _open(path: str | Path) -> tuple[JsonLines, list[Problem], str]:
    """The lines that count, what is wrong with the file around them, and the name that stands for it."""
    opened = open_member(path, MEMBER)
    return (JsonLines() if opened.data is None else parse_json_lines(opened.data, opened.where)), opened.problems, opened.where


def _rows(read: JsonLines, file: str) -> tuple[list[tuple[int, Row]], list[Problem]]:
    """(line, row) of every whole line, and the problems of all lines."""
    problems: list[Problem] = []
    rows = []
    for number, value in read.rows:
        fields = Fields(value, "", file=file, line=number, problems=problems)
        text, pair = take_texts(fields)
        score, label = _take_score(fields), take_label(fields, optional=False)
        if text is not None and pair is not None and score is not None and label is not None:
            rows.append((number, Row(text, pair, score, label)))
    return rows, problems


def _take_score(fields: Fields) -> float | None:
    value = fields.value.get("score")
    if type(value) is int and value in (-1, 0, 1):
        return float(value)
    score: float | None = fields.take("score", float)
    if score is None or math.isfinite(score):
        return score
    fields.report("LIC-S041", f"the score {score}", "a finite number", "Predict again, or delete what made it.")
    return None


def _repeated(rows: Sequence[tuple[int, Row]], file: str) -> list[Problem]:
    """Lines of a pair that has a line already."""
    problems = []
    first: dict[str, int] = {}
    for number, row in rows:
        line = first.setdefault(identity(row.text, row.pair), number)
        if line != number:
            found = f"the pair {quote(row.text)} and {quote(row.pair)} again (first in line {line})"
            problems.append(Problem("LIC-D016", found, "one line for each pair", "Delete one of the two.", file, number))
    return problems
