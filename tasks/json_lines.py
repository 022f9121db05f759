"""Reading the contests' files of one JSON object a line, with everything that is wrong with them by line.

Codes (stable): D001 missing, D002 a folder, D003 empty, D004 not UTF-8, D005 byte order mark, D006 CRLF, D007 blank line, D008 not JSON,
D009 not an object, D010 missing key, D011 wrong kind of value, D019 half of a surrogate pair, D020 a key given twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import category

from shared.errors import Problem
from shared.files import atomic_write

HARMLESS = frozenset({"LIC-D005", "LIC-D006", "LIC-D007"})
"""Codes of problems that cost no record: the file should be mended, yet every record in it can be read."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")

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


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file: ``size`` bytes from byte ``begin``, the first of them line ``first`` of the file (from 1); ``last``: no line follows."""

    begin: int
    size: int
    first: int = 1
    lines: int = 0
    last: bool = True


def cut_chunks(path: str | Path, size: int) -> list[Chunk]:
    """A file as chunks of whole lines, each the shortest of at least ``size`` bytes. One chunk for UTF-16, whose line ends are two bytes."""
    chunks: list[Chunk] = []
    first = 1
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        if file.read(2) in _UTF16:
            return [Chunk(0, total)]
        file.seek(0)
        while (begin := file.tell()) < total:
            data = file.read(size)
            lines = data.count(b"\n")
            if not data.endswith(b"\n"):
                file.readline()
                lines += 1
            chunks.append(Chunk(begin, file.tell() - begin, first, lines, file.tell() >= total))
            first += lines
    return chunks


@dataclass
class LineFacts:
    """What the lines of a chunk say about the file only together with those of the other chunks."""

    lines: int = 0
    byte_order_mark: bool = False
    returns: int = 0
    first_return: int | None = None
    foreign: list[tuple[int, int, int, bool]] = field(default_factory=list)  # line, byte, its position in the line, whether the line may be GBK
    utf8_beyond_ascii: bool = False

    def add(self, later: LineFacts) -> None:
        """Takes in the facts of the next chunk."""
        self.lines += later.lines
        self.byte_order_mark |= later.byte_order_mark
        self.returns += later.returns
        self.first_return = later.first_return if self.first_return is None else self.first_return
        self.foreign += later.foreign
        self.utf8_beyond_ascii |= later.utf8_beyond_ascii

    def whole_file(self, problems: Iterable[Problem], name: str) -> list[Problem]:
        """All problems of a file by line, given those of its lines (``problems``, in order)."""
        marks = []
        if self.byte_order_mark:
            found = "a byte order mark (EF BB BF)"
            marks.append(Problem("LIC-D005", found, "plain UTF-8", "Save the file as UTF-8 without BOM.", name, 1))
        if self.returns:
            found = f"{self.returns} of {self.lines} lines ending in CRLF"
            marks.append(Problem("LIC-D006", found, "lines ending in LF", "Convert it, e.g. `dos2unix FILE`.", name, self.first_return))
        return in_order([*marks, *problems, *self._foreign_problems(name)])

    def _foreign_problems(self, name: str) -> list[Problem]:
        """One problem for a file wholly in another encoding, one a line for strays."""
        if self.foreign and not self.utf8_beyond_ascii and all(gbk for *_, gbk in self.foreign):
            found = f"what looks like GBK (GB18030) in {len(self.foreign)} of {self.lines} lines"
            remedy = "Convert it: `iconv -f GB18030 -t UTF-8 FILE > NEW`."
            return [Problem("LIC-D004", found, "UTF-8", remedy, name, self.foreign[0][0])]
        problems = []
        for number, byte, position, gbk in self.foreign:
            found = f"the byte {byte:02X} at byte {position + 1} of the line, which is not UTF-8{', perhaps GBK' if gbk else ''}"
            problems.append(Problem("LIC-D004", found, "UTF-8", "Mend the line, or download the file again.", name, number))
        return problems


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by line, those of one line as they came."""
    return sorted(problems, key=lambda problem: problem.line or 0)


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
    result, facts = parse_chunk(data, name)
    result.problems = facts.whole_file(result.problems, name)
    return result


def parse_chunk(data: bytes, name: str, *, first: int = 1, last: bool = True) -> tuple[JsonLines, LineFacts]:
    """The same for a chunk that begins with line ``first``: its rows and the problems of its lines, and its part of what concerns the file."""
    result, facts = JsonLines(), LineFacts()
    if first == 1 and data[:2] in _UTF16:
        result.problems.append(Problem("LIC-D004", "UTF-16", "UTF-8", "Save the file as UTF-8 without a byte order mark.", name, 1))
        result.skipped = data.count(b"\n\x00" if data[0] == 0xFF else b"\x00\n")
        return result, facts
    if first == 1 and data.startswith(b"\xef\xbb\xbf"):
        facts.byte_order_mark = True
        data = data[3:]
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    facts.lines = len(lines)
    end = first + len(lines) - 1 if last else None
    for number, raw in enumerate(lines, first):
        if raw.endswith(b"\r"):
            facts.returns += 1
            facts.first_return = facts.first_return or number
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            facts.foreign.append((number, raw[error.start], error.start, _may_be_gbk(raw)))
            result.skipped += 1
            continue
        facts.utf8_beyond_ascii = facts.utf8_beyond_ascii or not line.isascii()
        if not line.strip():
            found = "a blank line at the end" if number == end else "a blank line"
            remedy = "Delete the line: scorers stop at it."
            result.problems.append(Problem("LIC-D007", found, "one JSON object on every line", remedy, name, number))
            continue
        _read_line(line, number, name, result)
    return result, facts


def _may_be_gbk(raw: bytes) -> bool:
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


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


def dump_json_lines(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """One object a line, Chinese as itself, UTF-8, ``\\n`` after every line."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"


def write_json_lines(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes :func:`dump_json_lines` atomically."""
    with atomic_write(path) as file:
        file.writelines(dump_json_lines(rows))
