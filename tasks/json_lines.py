"""Reading the contests' files of one JSON object a line, with everything that is wrong with them by line.

Codes (stable): D001 missing, D002 a folder, D003 empty, D004 not UTF-8, D005 byte order mark, D006 CRLF, D007 blank line, D008 not JSON,
D009 not an object, D010 missing key, D011 wrong kind of value, D019 half of a surrogate pair, D020 a key given twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import category

from shared.errors import Problem
from shared.files import write_text

HARMLESS = frozenset({"LIC-D005", "LIC-D006", "LIC-D007"})
"""Codes of problems that cost no record: the file should be mended, yet every record in it can be read."""

_KINDS = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


@dataclass
class JsonLines:
    """``rows``: (line number from 1, object) of every readable line; ``skipped``: unreadable lines (blank ones not counted)."""

    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: int = 0


class _RepeatedKey(ValueError):
    pass


class _HalfPair(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for key in keys if keys.count(key) > 1))
    for key in made:
        if not key.isascii() and not encodable(key):
            raise _HalfPair(key.encode("ascii", "backslashreplace").decode())
    return made


def quote(value: Any, limit: int = 40) -> str:
    """A value as a person reads it in a message, cut to ``limit`` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return f"“{text}”" if isinstance(value, str) else text


def kind(value: Any) -> str:
    return _KINDS[type(value)]


def file_problem(path: Path, *, what: str) -> Problem | None:
    """Why ``path`` can not be read at all, or None."""
    if path.is_dir():
        return Problem("LIC-D002", "a folder", f"a file: {what}", "Name the file inside the folder.", str(path))
    if not path.exists():
        beside = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        there = "Its folder is empty or absent."
        if beside:
            there = f"Its folder holds: {', '.join(beside[:12])}{' …' if len(beside) > 12 else ''}."
        remedy = f"{there} Give the right path, or import the official archive with `lic data import`."
        return Problem("LIC-D001", "no such file", what, remedy, str(path))
    if path.stat().st_size == 0:
        return Problem("LIC-D003", "an empty file", what, "Download or export it again.", str(path))
    return None


def read_json_lines(path: str | Path, *, what: str = "one JSON object a line, UTF-8") -> JsonLines:
    """Reads every line that can be read; never raises for the file's content (``OSError`` when the system refuses to open it).

    Lines end at ``\\n`` only: U+2028 and its like are legal inside JSON strings.
    """
    path = Path(path)
    problem = file_problem(path, what=what)
    if problem:
        return JsonLines(problems=[problem])
    return parse_json_lines(path.read_bytes(), str(path))


def parse_json_lines(data: bytes, name: str) -> JsonLines:
    """The same for bytes; ``name`` stands for the file in the problems."""
    result = JsonLines()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        result.problems.append(Problem("LIC-D004", "UTF-16", "UTF-8", "Save the file as UTF-8 without a byte order mark.", name, 1))
        result.skipped = data.count(b"\n\x00" if data[0] == 0xFF else b"\x00\n")
        return result
    if data.startswith(b"\xef\xbb\xbf"):
        found = "a byte order mark (EF BB BF)"
        result.problems.append(Problem("LIC-D005", found, "plain UTF-8", "Save the file as UTF-8 without BOM.", name, 1))
        data = data[3:]
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    returns = [number for number, line in enumerate(lines, 1) if line.endswith(b"\r")]
    if returns:
        found = f"{len(returns)} of {len(lines)} lines ending in CRLF"
        result.problems.append(Problem("LIC-D006", found, "lines ending in LF", "Convert it, e.g. `dos2unix FILE`.", name, returns[0]))
    foreign, utf8_beyond_ascii = [], False
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            foreign.append((number, raw, error))
            result.skipped += 1
            continue
        utf8_beyond_ascii = utf8_beyond_ascii or not line.isascii()
        if not line.strip():
            found = "a blank line" if number < len(lines) else "a blank line at the end"
            remedy = "Delete the line: scorers stop at it."
            result.problems.append(Problem("LIC-D007", found, "one JSON object on every line", remedy, name, number))
            continue
        _read_line(line, number, name, result)
    result.problems.extend(_foreign_problems(foreign, name, whole=not utf8_beyond_ascii, lines=len(lines)))
    result.problems.sort(key=lambda problem: problem.line or 0)
    return result


def _read_line(line: str, number: int, name: str, result: JsonLines) -> None:
    try:
        value = json.loads(line, object_pairs_hook=_unique)
    except _RepeatedKey as error:
        found = f"the key {quote(str(error))} twice in one object"
        problem = Problem("LIC-D020", found, "each key once", "Keep the right one.", name, number)
    except _HalfPair as error:
        found = f"the key {quote(str(error))}, which holds half of a surrogate pair"
        problem = Problem("LIC-D019", found, "text that UTF-8 can hold", "Mend the \\ud8xx escape.", name, number)
    except json.JSONDecodeError as error:
        around = line[max(0, error.pos - 15) : error.pos + 15].strip()
        found = f"no valid JSON: {error.msg} at character {error.pos + 1}, near {quote(around)}"
        remedy = "Mend the line; a line cut off at its end means an incomplete download."
        if number == 1 and line.lstrip().startswith("["):
            remedy = "The file seems to be one JSON list: write one object a line instead."
        problem = Problem("LIC-D008", found, "one JSON object", remedy, name, number)
    except (ValueError, RecursionError) as error:
        problem = Problem("LIC-D008", f"JSON that can not be read: {error}", "one JSON object", "Mend the line.", name, number)
    else:
        if isinstance(value, dict):
            result.rows.append((number, value))
            return
        problem = Problem("LIC-D009", kind(value), "a JSON object ({…})", "Write one object a line.", name, number)
    result.problems.append(problem)
    result.skipped += 1


def _foreign_problems(foreign: list[tuple[int, bytes, UnicodeDecodeError]], name: str, *, whole: bool, lines: int) -> list[Problem]:
    """One problem for a file wholly in another encoding, one a line for strays."""

    def guess(raw: bytes) -> str:
        try:
            raw.decode("gb18030")
        except UnicodeDecodeError:
            return "unknown"
        return "GBK"

    if foreign and whole and all(guess(raw) == "GBK" for _, raw, _ in foreign):
        found = f"what looks like GBK (GB18030) in {len(foreign)} of {lines} lines"
        remedy = "Convert it: `iconv -f GB18030 -t UTF-8 FILE > NEW`."
        return [Problem("LIC-D004", found, "UTF-8", remedy, name, foreign[0][0])]
    problems = []
    for number, raw, error in foreign:
        guessed = ", perhaps GBK" if guess(raw) == "GBK" else ""
        found = f"the byte {raw[error.start]:02X} at byte {error.start + 1} of the line, which is not UTF-8{guessed}"
        problems.append(Problem("LIC-D004", found, "UTF-8", "Mend the line, or download the file again.", name, number))
    return problems


class Fields:
    """Takes typed values out of one object and notes what is missing or of a wrong kind."""

    def __init__(self, value: dict[str, Any], where: str, *, file: str, line: int, problems: list[Problem]):
        self.value, self.where, self.file, self.line, self.problems = value, where, file, line, problems

    def report(self, code: str, found: str, expected: str, remedy: str) -> None:
        prefix = f"in {self.where} " if self.where else ""
        self.problems.append(Problem(code, prefix + found, expected, remedy, self.file, self.line))

    def take(self, key: str, wanted: type, *, optional: bool = False) -> Any:
        """The value under ``key``, or None when it is absent or unusable (reported unless ``optional`` and absent)."""
        if key not in self.value:
            if not optional:
                keys = ", ".join(map(str, self.value)) or "none"
                self.report("LIC-D010", f"no key “{key}” (keys: {keys})", f"“{key}”: {_KINDS[wanted]}", "Add it, or check the spelling.")
            return None
        value = self.value[key]
        if type(value) is not wanted:
            self.report("LIC-D011", f"“{key}” is {kind(value)}", _KINDS[wanted], f"Give “{key}” as {_KINDS[wanted]}.")
            return None
        if isinstance(value, str) and not encodable(value):
            self.report("LIC-D019", f"“{key}” holds half of a surrogate pair", "text that UTF-8 can hold", "Mend the \\ud8xx escape.")
            return None
        return value


def encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: no half of a surrogate pair is in it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def visible(text: str) -> bool:
    """Whether there is anything in the text but blanks, control and format characters and U+FFFD, all of which encoders drop."""
    return any(not (character.isspace() or character == "\ufffd" or category(character) in ("Cc", "Cf")) for character in text)


def emptiness(text: str, name: str) -> str | None:
    """How to call a text called ``name`` in which nothing is :func:`visible`; None for any other text."""
    if visible(text):
        return None
    if not text:
        return f"an empty “{name}”"
    return f"a “{name}” of {'control characters' if text.strip() else 'blanks'} only"


def dump_json_lines(rows: Iterable[dict[str, Any]]) -> str:
    """One object a line, Chinese as itself, ``\\n`` after every line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_json_lines(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes :func:`dump_json_lines` atomically."""
    write_text(path, dump_json_lines(rows))
