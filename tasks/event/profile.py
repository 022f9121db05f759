"""What ``lic data check`` tabulates of DuEE records: see :mod:`tasks.profile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.profile import Profile, crossing, fold, odd_mention, odd_text, two_widths

from .records import EventRecord, as_triples
from .schema import EventSchema

LONG_ARGUMENT = 30
OVERLAPS = (
    "several events",
    "several events of one type",
    "a role filled twice in one event",
    "one span in several roles",
    "an argument inside another",
    "arguments that cross",
    "an argument that occurs several times",
)


def profile(rows: Sequence[EventRecord], schema: EventSchema | None) -> Profile:
    """Lengths of texts, counts of types and roles, overlaps of arguments, suspicious places."""
    made = Profile(lines=[record.line for record in rows])
    made.lengths["text"] = [len(record.text) for record in rows]
    made.keys["text"] = [record.text for record in rows]
    made.labels = {"type": Counter(), "role": Counter()}
    if schema is not None:
        made.known = {"type": schema.types, "role": tuple(f"{kind} · {role}" for kind, role in schema.pairs)}
    made.overlaps = dict.fromkeys(OVERLAPS, 0)
    mentions: list[tuple[int, str]] = []
    for index, record in enumerate(rows):
        made.suspect(index, odd_text("text", record.text))
        if record.events is None:
            made.answers.append(None)
            continue
        triples = as_triples(record)
        made.labelled += 1
        made.answers.append(repr(sorted(set(map(str, triples)))))
        made.labels["type"].update(event.type for event in record.events)
        made.labels["role"].update(f"{kind} · {role}" for kind, role, _ in triples)
        for kind, present in zip(OVERLAPS, _overlaps(record), strict=True):
            made.overlaps[kind] += present
        made.suspect(index, _odd_labels(record))
        mentions += [(index, argument.text) for event in record.events for argument in event.arguments]
    made.suspects += two_widths("argument", mentions)
    return made


def _overlaps(record: EventRecord) -> tuple[bool, ...]:
    """Which of :data:`OVERLAPS` a labelled record has."""
    events = record.events or ()
    types = [event.type for event in events]
    roles: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for event in events:
        for argument in event.arguments:
            start = record.text.find(argument.text) if argument.start is None else argument.start
            roles.setdefault((start, start + len(argument.text)), set()).add((event.type, argument.role))
    nested, crosses = crossing(span for span in roles if span[0] >= 0)
    texts = {argument.text for event in events for argument in event.arguments}
    return (
        len(types) > 1,
        len(set(types)) < len(types),
        any(len({argument.role for argument in event.arguments}) < len(event.arguments) for event in events),
        any(len(pairs) > 1 for pairs in roles.values()),
        nested,
        crosses,
        any(record.text.count(text) > 1 for text in texts),
    )


def _odd_labels(record: EventRecord) -> Iterator[tuple[str, str]]:
    if not record.events:
        yield "labelled texts without an event", record.text
        return
    folded = None if record.text.isascii() else fold(record.text)
    triples = as_triples(record)
    if len(set(triples)) < len(triples):
        yield "arguments given twice", next(str(text) for kind, role, text in triples if triples.count((kind, role, text)) > 1)
    for event in record.events:
        if not event.arguments:
            yield "events without an argument", event.type
        for argument in event.arguments:
            yield from odd_mention("argument", argument.text, record.text, folded=folded, longest=LONG_ARGUMENT)
            if argument.text == event.trigger:
                yield "arguments equal to their trigger", argument.text
            if len(argument.text) == 1:
                yield "arguments of one character", argument.text
            if argument.aliases:
                yield "arguments with aliases", argument.text
