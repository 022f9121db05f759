"""Official DuEE 1.0 files in, typed records out, every problem said with its line.

Codes beyond those of :mod:`tasks.json_lines`: D012 empty text or name, D013 type and D014 role outside the schema, D015 an offset at which
something else stands (or a span that occurs nowhere), D016 a duplicated id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.text import occurrences
from tasks.base import ReadResult
from tasks.event.schema import EventSchema, class_of_type
from tasks.json_lines import Fields, emptiness, in_order, quote, read_json_lines, write_json_lines
from tasks.statistics import of_texts, rarest, shares


@dataclass(frozen=True, slots=True)
class Argument:
    """``text`` fills ``role``; ``start`` is its character offset in the record's text (None: not given).

    ``aliases`` are other accepted mentions.
    """

    role: str
    text: str
    start: int | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    trigger: str | None
    trigger_start: int | None
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One text. ``events`` is None when the line is unlabelled, () when it is labelled with no event; ``line`` counts from 1."""

    id: str
    text: str
    events: tuple[Event, ...] | None = None
    line: int | None = None


def read_records(path: str | Path, schema: EventSchema | None, *, labelled: bool | None = None) -> ReadResult:
    """Records of a train, dev or test file with all problems of all lines.

    A record with a problem of its own is left out and counted in ``skipped``; BOM, CRLF and blank lines cost no record.
    ``labelled``: True wants ``event_list`` on every line, False ignores it, None takes what each line has. Without ``schema`` any type and
    role goes. Trigger, its offset and argument offsets may be absent; where an offset is given it must be right.
    """
    read = read_json_lines(path, what="DuEE records, one JSON object a line")
    made = read_rows(read.rows, str(path), schema, labelled=labelled, seen={})
    return ReadResult(made.records, in_order([*read.problems, *made.problems]), read.skipped + made.skipped)


def read_rows(
    rows: Iterable[tuple[int, dict[str, Any]]], file: str, schema: EventSchema | None, *, labelled: bool | None, seen: dict[str, int]
) -> ReadResult:
    """The same for (line, object) of a part of the lines. ``seen``: the line of every id so far; the ids of ``rows`` come into it."""
    result = ReadResult([])
    for number, row in rows:
        before = len(result.problems)
        fields = Fields(row, "", file=file, line=number, problems=result.problems)
        text = fields.take("text", str)
        identity = fields.take("id", str)
        if text is not None and (nothing := emptiness(text, "text")):
            fields.report("LIC-D012", nothing, "a text", "Delete the line or restore its text.")
        if identity == "":
            fields.report("LIC-D012", "an empty “id”", "an id", "Give the record its id back.")
        elif identity is not None:
            if identity in seen:
                found = f"the id {quote(identity)} again (first in line {seen[identity]})"
                fields.report("LIC-D016", found, "each id once", "Delete one of the two lines, or give it its own id.")
            else:
                seen[identity] = number
        event_list = None if labelled is False else fields.take("event_list", list, optional=labelled is None)
        events: tuple[Event, ...] | None = None
        if event_list is not None:
            usable = text if text and text.strip() else ""
            read_events = (_event(event, position, usable, schema, fields) for position, event in enumerate(event_list, 1))
            events = tuple(event for event in read_events if event is not None)
        if len(result.problems) == before:
            result.records.append(EventRecord(identity, text, events, number))
        else:
            result.skipped += 1
    return result


def _event(value: Any, position: int, text: str, schema: EventSchema | None, parent: Fields) -> Event | None:
    """The event, or None once anything was reported (the record is dropped then)."""
    where = f"event {position}"
    if not isinstance(value, dict):
        parent.report("LIC-D011", f"{where} is {quote(value)}", "an object", 'Write {"event_type": …, "arguments": […]}.')
        return None
    before = len(parent.problems)
    fields = Fields(value, where, file=parent.file, line=parent.line, problems=parent.problems)
    event_type = fields.take("event_type", str)
    if event_type is not None:
        known = check_type(event_type, schema, fields)
        fields.where = f"{where} ({event_type})"
    else:
        known = False
    trigger = fields.take("trigger", str, optional=True)
    trigger_start = fields.take("trigger_start_index", int, optional=True)
    if trigger is not None:
        _check_span(trigger, trigger_start, text, "the trigger", fields)
    arguments = []
    for number, entry in enumerate(fields.take("arguments", list) or [], 1):
        if not isinstance(entry, dict):
            fields.report("LIC-D011", f"argument {number} is {quote(entry)}", "an object", 'Write {"role": …, "argument": …}.')
            continue
        inner = Fields(entry, f"{fields.where}, argument {number}", file=parent.file, line=parent.line, problems=parent.problems)
        role, span = inner.take("role", str), inner.take("argument", str)
        start = inner.take("argument_start_index", int, optional=True)
        aliases = inner.take("alias", list, optional=True) or []
        if any(not isinstance(alias, str) for alias in aliases):
            inner.report("LIC-D011", "“alias” holds something that is no string", "strings", "Write other mentions as strings.")
            aliases = []
        if role is not None and known:
            check_role(event_type, role, schema, inner)
        if span is not None:
            _check_span(span, start, text, f"the argument of role {quote(role or '?')}", inner)
        arguments.append(Argument(role or "", span or "", start, tuple(aliases)))
    return Event(event_type, trigger, trigger_start, tuple(arguments)) if len(parent.problems) == before else None


def check_type(event_type: str, schema: EventSchema | None, fields: Fields) -> bool:
    """Reports a type outside the schema; True when its roles can be checked."""
    if schema is None:
        return event_type != ""
    if event_type in schema.roles:
        return True
    nearest = schema.nearest_type(event_type)
    remedy = f"Did you mean {quote(nearest)}?" if nearest else "Use a type of the schema, or read with the schema the file was made for."
    fields.report("LIC-D013", f"the type {quote(event_type)}", f"one of the schema's {len(schema.types)} types", remedy)
    return False


def check_role(event_type: str, role: str, schema: EventSchema | None, fields: Fields) -> None:
    """Reports a role that the (known) type does not have."""
    if schema is None or role in schema.roles[event_type]:
        return
    nearest = schema.nearest_role(event_type, role)
    owners = [name for name in schema.types if role in schema.roles[name]]
    remedy = f"Did you mean {quote(nearest)}?" if nearest else "Use one of them."
    if owners:
        remedy += f" {quote(role)} is a role of {', '.join(owners[:3])}{' …' if len(owners) > 3 else ''}."
    expected = f"a role of {quote(event_type)}: {', '.join(schema.roles[event_type]) or 'it has none'}"
    fields.report("LIC-D014", f"the role {quote(role)}", expected, remedy)


def _check_span(span: str, start: int | None, text: str, what: str, fields: Fields) -> None:
    if not span:
        fields.report("LIC-D012", f"empty text as {what}", "a part of the text", "Delete the entry or restore its text.")
        return
    if not text or (start is None and span in text):
        return
    if start is not None and start >= 0 and text.startswith(span, start):
        return
    places = occurrences(text, span)
    if start is None:
        stands = "no offset"
    elif 0 <= start < len(text):
        stands = f"{quote(text[start : start + len(span)])} at offset {start}"
    else:
        stands = f"nothing at offset {start} (the text has {len(text)} characters)"
    if places:
        remedy = f"It occurs at {', '.join(map(str, places[:8]))}{' …' if len(places) > 8 else ''}: give one of these offsets."
    elif (folded := occurrences(text.lower(), span.lower())) and len(text.lower()) == len(text):
        there = text[folded[0] : folded[0] + len(span)]
        remedy = f"With other case it occurs at {folded[0]}: write {quote(there)}, as the text does."
    else:
        remedy = "It occurs nowhere in the text: correct the span (offsets count characters, not bytes)."
    fields.report("LIC-D015", f"{stands} for {what}", f"{quote(span)} there", remedy)


def write_records(path: str | Path, records: Iterable[EventRecord], schema: EventSchema | None = None) -> None:
    """Writes the official form, atomically; ``events`` None gives an unlabelled line."""
    write_json_lines(path, (as_row(record, schema) for record in records))


def as_row(record: EventRecord, schema: EventSchema | None = None) -> dict[str, Any]:
    """One record as an object of an official file."""
    row: dict[str, Any] = {"text": record.text, "id": record.id}
    if record.events is not None:
        class_of = class_of_type if schema is None else schema.class_of
        row["event_list"] = [_event_row(event, class_of(event.type)) for event in record.events]
    return row


def _event_row(event: Event, event_class: str) -> dict[str, Any]:
    row: dict[str, Any] = {"event_type": event.type}
    if event.trigger is not None:
        row["trigger"] = event.trigger
    if event.trigger_start is not None:
        row["trigger_start_index"] = event.trigger_start
    row["arguments"] = [
        {
            **({} if argument.start is None else {"argument_start_index": argument.start}),
            "role": argument.role,
            "argument": argument.text,
            "alias": list(argument.aliases),
        }
        for argument in event.arguments
    ]
    row["class"] = event_class
    return row


def as_triples(record: EventRecord) -> list[tuple[str, str, str | tuple[str, ...]]]:
    """(type, role, text) of every argument, for :func:`tasks.event.metric.score`; (type, role, mentions) where aliases are given."""
    return [
        (event.type, argument.role, (argument.text, *argument.aliases) if argument.aliases else argument.text)
        for event in record.events or ()
        for argument in event.arguments
    ]


def as_events(record: EventRecord) -> list[tuple[str, list[tuple[str, tuple[str, ...]]]]]:
    """(type, [(role, mentions), ...]) of every event, for :func:`tasks.event.metric.score_events`."""
    return [
        (event.type, [(argument.role, (argument.text, *argument.aliases)) for argument in event.arguments]) for event in record.events or ()
    ]


def describe(records: Sequence[EventRecord]) -> dict[str, Any]:
    """Counts that tell what a file demands of a model. Shares are fractions of the labelled records; lengths are in characters."""
    labelled = [(record, record.events) for record in records if record.events is not None]
    counts = dict.fromkeys(("several_events", "several_events_of_one_type", "repeated_role", "several_roles_on_one_span", "no_event"), 0)
    events = arguments = without_argument = without_offset = repeated = 0
    types: dict[str, int] = {}
    for record, stated in labelled:
        names = [event.type for event in stated]
        for name in names:
            types[name] = types.get(name, 0) + 1
        roles_of_span: dict[tuple[int | None, str], set] = {}
        triples = as_triples(record)
        for event in stated:
            for argument in event.arguments:
                roles_of_span.setdefault((argument.start, argument.text), set()).add((event.type, argument.role))
                without_offset += argument.start is None
            without_argument += not event.arguments
        events += len(names)
        arguments += len(triples)
        repeated += len(triples) - len(set(triples))
        counts["no_event"] += not names
        counts["several_events"] += len(names) > 1
        counts["several_events_of_one_type"] += len(set(names)) < len(names)
        counts["repeated_role"] += any(len({a.role for a in event.arguments}) < len(event.arguments) for event in stated)
        counts["several_roles_on_one_span"] += any(len(pairs) > 1 for pairs in roles_of_span.values())
    return {
        "records": len(records),
        "labelled": len(labelled),
        "events": events,
        "arguments": arguments,
        "arguments_repeated_exactly": repeated,
        "arguments_without_offset": without_offset,
        "events_without_argument": without_argument,
        "types": len(types),
        **rarest("type", types, "events"),
        **of_texts([record.text for record in records]),
        **shares(counts, len(labelled)),
    }
