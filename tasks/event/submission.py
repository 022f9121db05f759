"""The DuEE submission: ``duee.json`` (one object a line) inside a zip, written, read back, validated and scored.

Codes beyond those of :mod:`tasks.packing`, :mod:`tasks.submission_checks`, :mod:`tasks.json_lines` and :mod:`tasks.event.records`: S008 blanks at
the ends of an argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem, input_error
from tasks.event import metric
from tasks.event.records import as_triples, check_role, check_type, read_records
from tasks.event.schema import EventSchema
from tasks.json_lines import HARMLESS, Fields, JsonLines, dump_json_lines, parse_json_lines, quote
from tasks.packing import PACKING_FAULTS, open_member, pack
from tasks.seen import Seen, blocks
from tasks.submission_checks import check_verbatim, compare_records

MEMBER = "duee.json"
_READABLE = HARMLESS | PACKING_FAULTS | {"LIC-S008", "LIC-D012"}
"""What a leaderboard may refuse or count wrong, and yet leaves no doubt about what was predicted."""

PredictedEvent = tuple[str, Sequence[tuple[str, str]]]
"""(type, [(role, text), ...])"""
Row = tuple[str, Sequence[PredictedEvent]]
"""(id, events)"""


def write_submission(path: str | Path, rows: Iterable[Row]) -> None:
    """Writes the zip ``path`` and the bare file beside it (``event.zip``, ``event.json``), each atomically; equal rows give equal bytes.

    Every row makes a line, also one without events. Raises ValueError for another suffix than ``.zip``, an id given twice, or an empty or
    non-string id, type, role or text.
    """
    pack(path, MEMBER, dump_json_lines(_lines(rows)))


def _lines(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    seen, count = Seen(), 0
    for block in blocks(rows):
        earlier = seen.repeated([_name(identity, "id") for identity, _ in block], count)  # [k]
        if (earlier >= 0).any():
            raise ValueError(f"the id {block[int((earlier >= 0).argmax())][0]!r} was given twice; expected each id once")
        count += len(block)
        for identity, events in block:
            yield {"id": identity, "event_list": [_event_row(event) for event in events]}


def _event_row(event: PredictedEvent) -> dict[str, Any]:
    name, arguments = event
    return {
        "event_type": _name(name, "event type"),
        "arguments": [{"role": _name(role, "role"), "argument": _name(text, "argument")} for role, text in arguments],
    }


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"the {what} is {value!r}; expected a string that is not empty")
    return value


def read_submission(path: str | Path) -> list[Row]:
    """Rows of a zip or of a bare JSON-lines file, in order; ``text`` and other extra keys are left aside.

    Raises :class:`InputError` with every problem that leaves in doubt what was predicted. Types and roles may be any, arguments may be
    empty: a score counts them wrong.
    """
    read, problems = _open(path)
    rows, more = _rows(read, _inside(path))
    problems = [problem for problem in problems + read.problems + more if problem.code not in _READABLE]
    if problems:
        raise InputError(*problems)
    return [(identity, events) for _, identity, events in rows]


def check_submission(path: str | Path, schema: EventSchema | None = None, against: str | Path | None = None) -> list[Problem]:
    """Every reason why the leaderboard would refuse the zip or count part of it wrong; empty when it is fine.

    ``against``: the test file whose ids must all be there, and in whose texts every argument must stand word for word.
    """
    path = Path(path)
    texts = None
    problems: list[Problem] = []
    if against is not None:
        test = read_records(against, None, labelled=False)
        problems.extend(problem for problem in test.problems if problem.code not in HARMLESS)
        texts = {record.id: record.text for record in test.records}
    read, more = _open(path)
    rows, row_problems = _rows(read, _inside(path), schema=schema, texts=texts)
    problems += more + sorted(read.problems + row_problems, key=lambda problem: problem.line or 0)
    if against is not None and texts is not None and (rows or not more):
        remedy = 'Give every text a line, one without events as "event_list": [].'
        ids = [identity for _, identity, _ in rows]
        problems += compare_records(ids, texts, _inside(path), Path(against).name, records="ids", remedy=remedy)
    return problems


def rows_in_step(
    read: JsonLines, where: str, texts: dict[str, str], schema: EventSchema | None
) -> tuple[list[str], list[Problem]]:
    """Ids and problems of some lines, for :func:`tasks.submission_steps.sound_in_step`."""
    rows, problems = _rows(read, where, schema=schema, texts=texts)
    return [identity for _, identity, _ in rows], problems


def score_files(
    gold: str | Path, prediction: str | Path, *, alias: str | Path | None = None, schema: EventSchema | None = None, **options: str
) -> dict[str, Any]:
    """:func:`tasks.event.metric.score` of a prediction (zip or bare file) against an official labelled file.

    Raises :class:`InputError` for files that can not be read whole, and for an alias table, which this track does not have.
    """
    if alias is not None:
        remedy = "Leave --alias out: only the relation track has alias tables."
        raise input_error("LIC-F006", found="an alias table", expected="none for the event track", remedy=remedy, file=alias)
    read = read_records(gold, schema, labelled=True)
    problems = [problem for problem in read.problems if problem.code not in HARMLESS]
    if problems:
        raise InputError(*problems)
    rows = read_submission(prediction)
    predicted = {identity: [(name, role, text) for name, arguments in events for role, text in arguments] for identity, events in rows}
    return metric.score({record.id: as_triples(record) for record in read.records}, predicted, **options)


def _inside(path: str | Path) -> str:
    return f"{path}/{MEMBER}" if Path(path).suffix.lower() == ".zip" else str(path)


def _open(path: str | Path) -> tuple[JsonLines, list[Problem]]:
    opened = open_member(path, MEMBER)
    return (JsonLines() if opened.data is None else parse_json_lines(opened.data, opened.where)), opened.problems


def _rows(
    read: JsonLines, file: str, *, schema: EventSchema | None = None, texts: dict[str, str] | None = None
) -> tuple[list[tuple[int, str, list[PredictedEvent]]], list[Problem]]:
    """(line, id, events) of every line with an id that is new, and the problems of all lines."""
    problems: list[Problem] = []
    rows = []
    seen: dict[str, int] = {}
    for number, value in read.rows:
        fields = Fields(value, "", file=file, line=number, problems=problems)
        identity = fields.take("id", str)
        text = (texts or {}).get(identity or "")
        events = []
        for position, entry in enumerate(fields.take("event_list", list) or [], 1):
            event = _read_event(entry, position, fields, schema, text)
            if event is not None:
                events.append(event)
        if identity is None:
            continue
        if identity in seen:
            found = f"the id {quote(identity)} again (first in line {seen[identity]})"
            fields.report("LIC-D016", found, "each id once", "Merge the two lines: a scorer keeps one of them only.")
            continue
        seen[identity] = number
        rows.append((number, identity, events))
    return rows, problems


def _read_event(entry: Any, position: int, parent: Fields, schema: EventSchema | None, text: str | None) -> PredictedEvent | None:
    if not isinstance(entry, dict):
        parent.report("LIC-D011", f"event {position} is {quote(entry)}", "an object", 'Write {"event_type": …, "arguments": […]}.')
        return None
    fields = Fields(entry, f"event {position}", file=parent.file, line=parent.line, problems=parent.problems)
    name = fields.take("event_type", str)
    if name == "":
        fields.report("LIC-D012", "an empty “event_type”", "a type of the schema", "Name the type or delete the event.")
    known = bool(name) and check_type(name, schema, fields)
    arguments = []
    for number, argument in enumerate(fields.take("arguments", list) or [], 1):
        if not isinstance(argument, dict):
            fields.report("LIC-D011", f"argument {number} is {quote(argument)}", "an object", 'Write {"role": …, "argument": …}.')
            continue
        inner = Fields(argument, f"event {position}, argument {number}", file=parent.file, line=parent.line, problems=parent.problems)
        role, span = inner.take("role", str), inner.take("argument", str)
        for key, given in (("role", role), ("argument", span)):
            if given == "":
                inner.report("LIC-D012", f"an empty “{key}”", "text", "Fill it or delete the argument: it can only cost precision.")
        if role and known:
            check_role(name, role, schema, inner)
        if span:
            _check_text(span, text, inner)
        if role is not None and span is not None:
            arguments.append((role, span))
    return None if name is None else (name, arguments)


def _check_text(span: str, text: str | None, fields: Fields) -> None:
    if span != span.strip():
        fields.report(
            "LIC-S008", f"{json.dumps(span, ensure_ascii=False)} with blanks at its ends", "none", "Strip it: every blank costs characters."
        )
    check_verbatim(f"the argument {quote(span)}", span, text, fields)
