"""The relation schema: which predicates there are and which slots the object of each has (48 predicates and 55 pairs in DuIE 2.0)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem
from tasks.json_lines import HARMLESS, Fields, quote, read_json_lines, write_json_lines

VALUE = "@value"
"""The slot that every object has; the others (inWork, onDate …) are side slots."""


@dataclass(frozen=True)
class RelationSchema:
    """``predicates`` in file order; ``slots`` of each, ``@value`` first and the others in file order; the entity type of each subject and slot.

    ``pairs``: every (predicate, slot), in that order. ``lines`` are the objects of the file as read, so that :meth:`write` gives them back.
    """

    predicates: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]
    subject_types: Mapping[str, str]
    object_types: Mapping[str, Mapping[str, str]]
    lines: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple((predicate, slot) for predicate in self.predicates for slot in self.slots[predicate])

    @cached_property
    def pair_index(self) -> dict[tuple[str, str], int]:
        return {pair: index for index, pair in enumerate(self.pairs)}

    def counts(self) -> dict[str, int]:
        return {"predicates": len(self.predicates), "pairs": len(self.pairs)}

    def nearest_predicate(self, name: str) -> str | None:
        """The predicate whose spelling is nearest to ``name``, or None when none is near."""
        return next(iter(difflib.get_close_matches(name, self.predicates, n=1, cutoff=0.3)), None)

    def nearest_slot(self, predicate: str, name: str) -> str | None:
        """The slot of ``predicate`` whose spelling is nearest to ``name``, or None when none is near."""
        return next(iter(difflib.get_close_matches(name, self.slots[predicate], n=1, cutoff=0.3)), None)

    def as_lines(self) -> list[dict[str, Any]]:
        """The objects of an official schema file, one a line."""
        if self.lines:
            return [dict(line) for line in self.lines]
        return [
            {
                "object_type": {slot: self.object_types[predicate][slot] for slot in self.slots[predicate]},
                "predicate": predicate,
                "subject_type": self.subject_types[predicate],
            }
            for predicate in self.predicates
        ]

    def write(self, path: str | Path) -> None:
        """Writes the official form, atomically."""
        write_json_lines(path, self.as_lines())

    @classmethod
    def read(cls, path: str | Path) -> RelationSchema:
        """Raises :class:`InputError` with every problem of the file. A BOM, CRLF or blank line alone does not stop it: nothing is lost."""
        schema, problems = cls.inspect(path)
        if schema is None or any(problem.code not in HARMLESS for problem in problems):
            raise InputError(*problems)
        return schema

    @classmethod
    def inspect(cls, path: str | Path) -> tuple[RelationSchema | None, list[Problem]]:
        """The schema as far as it can be read (None if there is no usable line), and all problems.

        A predicate may stand once only: predictions name the predicate alone, so a second pair of types could not be told from the first.
        """
        read = read_json_lines(path, what="a relation schema, one predicate a line")
        problems = list(read.problems)
        subject_types: dict[str, str] = {}
        object_types: dict[str, dict[str, str]] = {}
        lines = []
        first_line: dict[str, int] = {}
        for number, row in read.rows:
            before = len(problems)
            fields = Fields(row, "", file=str(path), line=number, problems=problems)
            name = fields.take("predicate", str)
            subject_type = fields.take("subject_type", str)
            types = _types(fields)
            if name == "":
                fields.report("LIC-D012", "an empty “predicate”", "a name", "Name the predicate.")
            elif name in object_types:
                same = (subject_type, types) == (subject_types[name], object_types[name])
                found = f"the predicate {quote(name)} again (first in line {first_line[name]}, with {'the same' if same else 'other'} types)"
                remedy = "Delete one of the two lines." if same else "Delete one of the two lines, or rename one of the predicates."
                fields.report("LIC-D017", found, "each predicate once", remedy)
            if len(problems) == before:
                subject_types[name], object_types[name] = subject_type, types
                first_line[name] = number
                lines.append(row)
        if not object_types:
            if not problems:
                problems.append(Problem("LIC-D003", "no predicate", "one predicate a line", "Download the schema again.", str(path)))
            return None, problems
        slots = {name: tuple(types) for name, types in object_types.items()}
        return cls(tuple(object_types), slots, subject_types, object_types, tuple(lines)), problems


def _types(fields: Fields) -> dict[str, str]:
    """Slot to type, ``@value`` first."""
    if isinstance(fields.value.get("object_type"), str):
        remedy = 'Write {"@value": TYPE}; a plain string is the form of DuIE 1.0.'
        fields.report("LIC-D011", "“object_type” is a string", "an object from slot to type", remedy)
        return {}
    given = fields.take("object_type", dict)
    if given is None:
        return {}
    inner = Fields(given, "“object_type”", file=fields.file, line=fields.line, problems=fields.problems)
    if "" in given:
        inner.report("LIC-D012", "an empty name for a slot", "a name", "Name the slot.")
    return {slot: inner.take(slot, str) for slot in (VALUE, *(slot for slot in given if slot != VALUE))}
