"""The event schema: which types there are and which roles each has (65 types and 217 pairs in DuEE 1.0)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem
from tasks.json_lines import HARMLESS, Fields, quote, read_json_lines, write_json_lines


def class_of_type(event_type: str) -> str:
    """The part of an event type before its first hyphen: 财经/交易 of 财经/交易-出售/收购."""
    return event_type.split("-", 1)[0]


@dataclass(frozen=True)
class EventSchema:
    """``types`` in file order; ``roles`` of each type in file order; ``pairs``: every (type, role), in that order.

    ``lines`` are the objects of the file as read, so that :meth:`write` gives them back with their ids.
    """

    types: tuple[str, ...]
    roles: Mapping[str, tuple[str, ...]]
    lines: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple((event_type, role) for event_type in self.types for role in self.roles[event_type])

    @cached_property
    def pair_index(self) -> dict[tuple[str, str], int]:
        return {pair: index for index, pair in enumerate(self.pairs)}

    @cached_property
    def _classes(self) -> dict[str, str]:
        return {line["event_type"]: line["class"] for line in self.lines if isinstance(line.get("class"), str)}

    def class_of(self, event_type: str) -> str:
        """The schema file's class of a type; where the file gives none, the part before the first hyphen."""
        return self._classes.get(event_type, class_of_type(event_type))

    def counts(self) -> dict[str, int]:
        return {"types": len(self.types), "pairs": len(self.pairs)}

    def nearest_type(self, name: str) -> str | None:
        """The type whose spelling is nearest to ``name``, or None when none is near."""
        return next(iter(difflib.get_close_matches(name, self.types, n=1, cutoff=0.3)), None)

    def nearest_role(self, event_type: str, name: str) -> str | None:
        """The role of ``event_type`` whose spelling is nearest to ``name``, or None when none is near."""
        return next(iter(difflib.get_close_matches(name, self.roles[event_type], n=1, cutoff=0.3)), None)

    def as_lines(self) -> list[dict[str, Any]]:
        """The objects of an official schema file, one a line."""
        if self.lines:
            return [dict(line) for line in self.lines]
        return [
            {
                "event_type": name,
                "role_list": [{"role": role} for role in self.roles[name]],
                "id": f"{index:032x}",
                "class": class_of_type(name),
            }
            for index, name in enumerate(self.types)
        ]

    def write(self, path: str | Path) -> None:
        """Writes the official form, atomically."""
        write_json_lines(path, self.as_lines())

    @classmethod
    def read(cls, path: str | Path) -> EventSchema:
        """Raises :class:`InputError` with every problem of the file. A BOM, CRLF or blank line alone does not stop it: nothing is lost."""
        schema, problems = cls.inspect(path)
        if schema is None or any(problem.code not in HARMLESS for problem in problems):
            raise InputError(*problems)
        return schema

    @classmethod
    def inspect(cls, path: str | Path) -> tuple[EventSchema | None, list[Problem]]:
        """The schema as far as it can be read (None if there is no usable line), and all problems."""
        read = read_json_lines(path, what="an event schema, one type a line")
        problems = list(read.problems)
        types: dict[str, tuple[str, ...]] = {}
        lines = []
        first_line: dict[str, int] = {}
        for number, row in read.rows:
            before = len(problems)
            fields = Fields(row, "", file=str(path), line=number, problems=problems)
            name = fields.take("event_type", str)
            role_list = fields.take("role_list", list)
            roles = _roles(fields, role_list or [])
            if name == "":
                fields.report("LIC-D012", "an empty “event_type”", "a name", "Name the type.")
            elif name in types:
                found = f"the type {quote(name)} again (first in line {first_line[name]})"
                fields.report("LIC-D017", found, "each type once", "Merge the two lines.")
            if len(problems) == before:
                types[name] = tuple(roles)
                first_line[name] = number
                lines.append(row)
        if not types:
            if not problems:
                problems.append(Problem("LIC-D003", "no event type", "one type a line", "Download the schema again.", str(path)))
            return None, problems
        return cls(tuple(types), types, tuple(lines)), problems


def _roles(fields: Fields, role_list: list[Any]) -> list[str]:
    roles: list[str] = []
    for position, entry in enumerate(role_list, 1):
        if not isinstance(entry, dict):
            fields.report("LIC-D011", f"entry {position} of “role_list” is {quote(entry)}", 'an object {"role": …}', "Write it so.")
            continue
        role = Fields(entry, f"role {position}", file=fields.file, line=fields.line, problems=fields.problems).take("role", str)
        if role is None:
            continue
        if not role:
            fields.report("LIC-D012", f"an empty name for role {position}", "a name", "Name the role.")
        elif role in roles:
            fields.report("LIC-D018", f"the role {quote(role)} twice", "each role once within a type", "Delete one.")
        else:
            roles.append(role)
    return roles
