"""Official DuIE 2.0 files in, typed records out, every problem said with its line.

Codes beyond those of :mod:`tasks.json_lines`: D012 empty text or name, D013 predicate and D014 slot outside the schema. What the official
files themselves have is no problem and only counted by :func:`describe`: mentions that do not stand in their text, blanks at a mention's
ends, empty slots (``@value`` too: train has one), repeated texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.base import ReadResult
from tasks.json_lines import Fields, emptiness, in_order, quote, read_json_lines, write_json_lines
from tasks.relation.schema import VALUE, RelationSchema
from tasks.statistics import of_texts, rarest, shares

Triple = tuple[str, str, dict[str, str]]
"""(predicate, subject, {slot: text})"""


@dataclass(frozen=True, slots=True)
class Spo:
    """One triple. ``object``: (slot, text) pairs, ``@value`` first and then in the schema's order; the types as the file names them.

    ``object_types`` holds the slots that the file types, which are not always those of ``object``.
    """

    predicate: str
    subject: str
    object: tuple[tuple[str, str], ...]
    subject_type: str | None = None
    object_types: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RelationRecord:
    """One text. ``spos`` is None when the line is unlabelled, () when it is labelled with no triple; ``line`` counts from 1."""

    text: str
    spos: tuple[Spo, ...] | None = None
    line: int | None = None


def read_records(path: str | Path, schema: RelationSchema | None, *, labelled: bool | None = None) -> ReadResult:
    """Records of a train, dev or test file with all problems of all lines.

    A record with a problem of its own is left out and counted in ``skipped``; BOM, CRLF and blank lines cost no record.
    ``labelled``: True wants ``spo_list`` on every line, False ignores it, None takes what each line has. Without ``schema`` any predicate
    and slot goes, and slots keep the file's order behind ``@value``.
    """
    read = read_json_lines(path, what="DuIE records, one JSON object a line")
    made = read_rows(read.rows, str(path), schema, labelled=labelled)
    return ReadResult(made.records, in_order([*read.problems, *made.problems]), read.skipped + made.skipped)


def read_rows(rows: Iterable[tuple[int, dict[str, Any]]], file: str, schema: RelationSchema | None, *, labelled: bool | None) -> ReadResult:
    """The same for (line, object) of a part of the lines; no problem is about more than one line."""
    result = ReadResult([])
    for number, row in rows:
        before = len(result.problems)
        fields = Fields(row, "", file=file, line=number, problems=result.problems)
        text = fields.take("text", str)
        if text is not None and (nothing := emptiness(text, "text")):
            fields.report("LIC-D012", nothing, "a text", "Delete the line or restore its text.")
        spo_list = None if labelled is False else fields.take("spo_list", list, optional=labelled is None)
        spos: tuple[Spo, ...] | None = None
        if spo_list is not None:
            read_spos = (read_spo(entry, position, schema, fields) for position, entry in enumerate(spo_list, 1))
            spos = tuple(spo for spo in read_spos if spo is not None)
        if len(result.problems) == before:
            result.records.append(RelationRecord(text, spos, number))
        else:
            result.skipped += 1
    return result


def read_spo(value: Any, position: int, schema: RelationSchema | None, parent: Fields) -> Spo | None:
    """An entry of ``spo_list``, or None when its shape leaves in doubt what it states.

    Reported, yet returned: a predicate or slot outside the schema, an empty predicate or subject.
    """
    where = f"triple {position}"
    if not isinstance(value, dict):
        remedy = 'Write {"predicate": …, "subject": …, "object": {"@value": …}}.'
        parent.report("LIC-D011", f"{where} is {quote(value)}", "an object", remedy)
        return None
    fields = Fields(value, where, file=parent.file, line=parent.line, problems=parent.problems)
    before = len(fields.problems)
    predicate = fields.take("predicate", str)
    if predicate:
        fields.where = f"{where} ({predicate})"
    subject = fields.take("subject", str)
    slots = _read_object(fields)
    subject_type = fields.take("subject_type", str, optional=True)
    types = _read_slots("object_type", fields.take("object_type", dict, optional=True), fields)
    sound = len(fields.problems) == before
    if subject == "":
        fields.report("LIC-D012", "an empty “subject”", "a part of the text", "Delete the triple or restore its subject.")
    known = predicate is not None and check_predicate(predicate, schema, fields)
    order = schema.slots[predicate] if known and schema is not None else (VALUE,)
    if known:
        for slot in slots:
            check_slot(predicate, slot, schema, fields)
    return Spo(predicate, subject, _ordered(slots, order), subject_type, _ordered(types, order)) if sound else None


def _read_object(fields: Fields) -> dict[str, str]:
    if isinstance(fields.value.get("object"), str):
        remedy = 'Write {"@value": …}: a plain string is the form of DuIE 1.0, at which the scorer stops.'
        fields.report("LIC-D011", "“object” is a string", "an object from slot to text", remedy)
        return {}
    given = fields.take("object", dict)
    if given is not None and VALUE not in given:
        found = f"no “@value” in “object” (slots: {', '.join(given) or 'none'})"
        fields.report("LIC-D010", found, "“@value”: a string", "Every object has one; the other slots stand beside it.")
    return _read_slots("object", given, fields)


def _read_slots(key: str, given: dict[str, Any] | None, fields: Fields) -> dict[str, str]:
    inner = Fields(given or {}, f"{fields.where}, “{key}”", file=fields.file, line=fields.line, problems=fields.problems)
    return {slot: inner.take(slot, str) for slot in inner.value}


def _ordered(slots: dict[str, str], order: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``slots`` in ``order``, then those that it does not name."""
    if len(slots) == 1:
        return tuple(slots.items())
    return tuple((slot, slots[slot]) for slot in dict.fromkeys((*order, *slots)) if slot in slots)


def check_predicate(predicate: str, schema: RelationSchema | None, fields: Fields) -> bool:
    """Reports an empty predicate or one outside the schema; True when its slots can be checked."""
    if predicate == "":
        fields.report("LIC-D012", "an empty “predicate”", "a predicate of the schema", "Name it or delete the triple.")
        return False
    if schema is None:
        return True
    if predicate in schema.slots:
        return True
    nearest = schema.nearest_predicate(predicate)
    remedy = f"Did you mean {quote(nearest)}?" if nearest else "Use a predicate of the schema, or read with the schema the file was made for."
    fields.report("LIC-D013", f"the predicate {quote(predicate)}", f"one of the schema's {len(schema.predicates)} predicates", remedy)
    return False


def check_slot(predicate: str, slot: str, schema: RelationSchema | None, fields: Fields) -> None:
    """Reports a slot that the (known) predicate does not have."""
    if schema is None or slot in schema.slots[predicate]:
        return
    nearest = schema.nearest_slot(predicate, slot)
    owners = [name for name in schema.predicates if slot in schema.slots[name]]
    remedy = f"Did you mean {quote(nearest)}?" if nearest else "Delete it: a slot too many makes the triple wrong."
    if owners:
        remedy += f" {quote(slot)} is a slot of {', '.join(owners[:3])}{' …' if len(owners) > 3 else ''}."
    expected = f"a slot of {quote(predicate)}: {', '.join(schema.slots[predicate])}"
    fields.report("LIC-D014", f"the slot {quote(slot)}", expected, remedy)


def write_records(path: str | Path, records: Iterable[RelationRecord], schema: RelationSchema | None = None) -> None:
    """Writes the official form, atomically; ``spos`` None gives an unlabelled line."""
    write_json_lines(path, (as_row(record, schema) for record in records))


def as_row(record: RelationRecord, schema: RelationSchema | None = None) -> dict[str, Any]:
    """One record as an object of an official file. Types that a triple does not name are the schema's, or left out without one."""
    row: dict[str, Any] = {"text": record.text}
    if record.spos is not None:
        row["spo_list"] = [spo_row(spo, schema) for spo in record.spos]
    return row


def spo_row(spo: Spo, schema: RelationSchema | None = None) -> dict[str, Any]:
    """One triple as an entry of ``spo_list``."""
    subject_type, types = spo.subject_type, dict(spo.object_types)
    if schema is not None and spo.predicate in schema.slots:
        if subject_type is None:
            subject_type = schema.subject_types[spo.predicate]
        if not types:
            types = {slot: schema.object_types[spo.predicate][slot] for slot, _ in spo.object if slot in schema.slots[spo.predicate]}
    return {
        "predicate": spo.predicate,
        "subject": spo.subject,
        **({} if subject_type is None else {"subject_type": subject_type}),
        "object": dict(spo.object),
        **({"object_type": types} if types else {}),
    }


def as_triples(record: RelationRecord) -> list[Triple]:
    """(predicate, subject, {slot: text}) of every triple, for :func:`tasks.relation.metric.score`."""
    return [(spo.predicate, spo.subject, dict(spo.object)) for spo in record.spos or ()]


def describe(records: Sequence[RelationRecord]) -> dict[str, Any]:
    """Counts that tell what a file demands of a model. Shares are fractions of the labelled records; lengths are in characters.

    A mention is a subject or the text of a slot that is not empty, counted as often as triples name it.
    """
    labelled = [(record, record.spos) for record in records if record.spos is not None]
    counts = dict.fromkeys(
        (
            "no_spo",
            "several_spos",
            "several_objects_of_one_subject_predicate",
            "several_predicates_of_one_subject_object",
            "nested_or_same_subject_object",
            "mention_occurs_more_than_once",
        ),
        0,
    )
    spos = repeated = multi_slot = mentions = not_verbatim = blank_edges = empty = 0
    predicates: dict[str, int] = {}
    for record, stated in labelled:
        distinct = {(spo.predicate, spo.subject, spo.object) for spo in stated}
        given = [text for spo in stated for text in (spo.subject, *(text for _, text in spo.object))]
        for spo in stated:
            predicates[spo.predicate] = predicates.get(spo.predicate, 0) + 1
            multi_slot += len(spo.object) > 1
        spos += len(stated)
        repeated += len(stated) - len(distinct)
        mentions += sum(text != "" for text in given)
        empty += sum(text == "" for text in given)
        not_verbatim += sum(text not in record.text for text in given)
        blank_edges += sum(text != text.strip() for text in given)
        ends = {(predicate, subject, dict(slots).get(VALUE, "")) for predicate, subject, slots in distinct}
        counts["no_spo"] += not stated
        counts["several_spos"] += len(distinct) > 1
        counts["several_objects_of_one_subject_predicate"] += len({end[:2] for end in ends}) < len(ends)
        counts["several_predicates_of_one_subject_object"] += len({end[1:] for end in ends}) < len(ends)
        counts["nested_or_same_subject_object"] += any(subject in value or value in subject for _, subject, value in ends)
        counts["mention_occurs_more_than_once"] += any(text and record.text.count(text) > 1 for text in given)
    return {
        "records": len(records),
        "labelled": len(labelled),
        "spos": spos,
        "spos_repeated_exactly": repeated,
        "multi_slot_spos": multi_slot,
        "mentions": mentions,
        "mentions_not_verbatim": not_verbatim,
        "mentions_with_blank_edges": blank_edges,
        "empty_slot_values": empty,
        "predicates": len(predicates),
        **rarest("predicate", predicates, "spos"),
        **of_texts([record.text for record in records]),
        **shares(counts, len(labelled)),
    }
