"""A file that is one JSON object, with the line of everything in it and with keys that stand twice.

Codes as in :mod:`tasks.json_lines`: D003 empty, D004 not UTF-8, D005 byte order mark, D008 not JSON, D009 not an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.errors import Problem
from tasks.json_lines import kind

_KEY_OR_NEWLINE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|\n')

Pairs = list[tuple[str, Any]]


@dataclass
class JsonObject:
    """``value`` is None when the file holds no readable object. Of a key given twice, ``value`` has the last value, :meth:`pairs` has both."""

    value: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)
    _doubled: dict[int, tuple[dict[str, Any], Pairs]] = field(default_factory=dict)
    _lines: dict[int, list[int]] = field(default_factory=dict)

    def pairs(self, inner: dict[str, Any]) -> Pairs:
        """Every key and value of an object inside ``value``, in the order of the file."""
        return self._doubled[id(inner)][1] if id(inner) in self._doubled else list(inner.items())

    def repeated(self, inner: dict[str, Any]) -> list[str]:
        """The keys that stand more than once in an object inside ``value``."""
        keys = [key for key, _ in self.pairs(inner)] if id(inner) in self._doubled else []
        return [key for key in dict.fromkeys(keys) if keys.count(key) > 1]

    def lines(self, inner: dict[str, Any]) -> list[int]:
        """The line of each of :meth:`pairs`, from 1."""
        return self._lines.get(id(inner)) or [1] * len(self.pairs(inner))


def parse_json_object(data: bytes, name: str, *, what: str) -> JsonObject:
    """Reads the bytes of a file; never raises for what is in them. ``name`` stands for the file in problems, ``what`` says what is expected."""
    parsed = JsonObject()

    def problem(code: str, found: str, expected: str, remedy: str, line: int | None = None) -> JsonObject:
        parsed.problems.append(Problem(code, found, expected, remedy, name, line))
        return parsed

    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return problem("LIC-D004", "UTF-16", "UTF-8", "Save the file as UTF-8 without a byte order mark.", 1)
    if data.startswith(b"\xef\xbb\xbf"):
        problem("LIC-D005", "a byte order mark (EF BB BF)", "plain UTF-8", "Save the file as UTF-8 without BOM.", 1)
        data = data[3:]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return problem("LIC-D004", *_foreign(data, error), data.count(b"\n", 0, error.start) + 1)
    if not text.strip():
        return problem("LIC-D003", "a file of blanks only" if text else "an empty file", what, "Download or export it again.")
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, parsed))
        if text.find("\n", 0, len(text.rstrip())) >= 0:
            _note_lines(value, text, parsed)
    except json.JSONDecodeError as error:
        found = f"no valid JSON: {error.msg} at character {error.colno}"
        if around := text[max(0, error.pos - 15) : error.pos + 15].strip():
            found += f", near “{around}”"
        return problem("LIC-D008", found, what, _remedy(text, error), error.lineno)
    except (ValueError, RecursionError) as error:
        return problem("LIC-D008", f"JSON that can not be read: {error}", what, "Mend the file.")
    if not isinstance(value, dict):
        return problem("LIC-D009", kind(value), what, "Write one object for the whole file.", 1)
    parsed.value = value
    return parsed


def _foreign(data: bytes, error: UnicodeDecodeError) -> tuple[str, str, str]:
    """What was found, expected, and what to do."""
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        at = error.start - data.rfind(b"\n", 0, error.start)
        found = f"the byte {data[error.start]:02X} at byte {at} of the line, which is not UTF-8"
        return found, "UTF-8", "Mend the line, or download the file again."
    return "what looks like GBK (GB18030)", "UTF-8", "Convert it: `iconv -f GB18030 -t UTF-8 FILE > NEW`."


def _remedy(text: str, error: json.JSONDecodeError) -> str:
    if error.msg == "Extra data" and isinstance(json.loads(text[: error.pos]), dict) and text.startswith("{", error.pos):
        return "The file seems to hold one object a line (JSON lines); this track's files are one object for everything."
    if error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip()) - 5:
        return "It breaks off at its end, which means an incomplete download or copy: get it again."
    return "Mend it there, or download the file again."


def _object(pairs: Pairs, parsed: JsonObject) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        parsed._doubled[id(made)] = made, pairs  # keeping the object keeps its id from being given to another
    return made


def _note_lines(value: Any, text: str, parsed: JsonObject) -> None:
    def walk(inner: Any) -> None:
        if isinstance(inner, list):
            for entry in inner:
                walk(entry)
        elif isinstance(inner, dict):
            noted = parsed._lines[id(inner)] = []
            for _, entry in parsed.pairs(inner):
                noted.append(next(lines))
                walk(entry)

    lines = _lines_of_keys(text)
    walk(value)


def _lines_of_keys(text: str) -> Iterator[int]:
    """The line of every key of a valid JSON text, in its order."""
    line = 1
    for match in _KEY_OR_NEWLINE.finditer(text):
        if match[1]:
            yield line
        line += match[0].count("\n")
