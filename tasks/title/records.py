"""Files of abstracts and their titles in, typed records out, every problem said with its line.

A line is `{"abst": …, "title": …}`, as in the CSL data that kexue.fm article 7259 trains on; other keys are left aside. Codes beyond those of
:mod:`tasks.json_lines`: D012 an empty abstract or title. A text that stands in the file twice is no problem and only counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.base import ReadResult
from tasks.json_lines import Fields, emptiness, in_order, read_json_lines, write_json_lines
from tasks.statistics import of_texts, percentiles, shares

NAMES = ("abst", "abstract", "content", "text")
"""What the key of the text may be; the first of them that a line has counts."""


@dataclass(frozen=True, slots=True)
class TitleRecord:
    """One abstract (``text``). ``title`` is None when the line is unlabelled; ``line`` counts from 1."""

    text: str
    title: str | None = None
    line: int | None = None


def read_records(path: str | Path, *, labelled: bool | None = None) -> ReadResult:
    """Records of a train, dev or test file with all problems of all lines; nothing in them is stripped.

    A record with a problem of its own is left out and counted in ``skipped``; BOM, CRLF and blank lines cost no record.
    ``labelled``: True wants a ``title`` on every line, False ignores it, None takes what each line has.
    """
    read = read_json_lines(path, what="abstracts with titles, one JSON object a line")
    made = read_rows(read.rows, str(path), labelled=labelled)
    return ReadResult(made.records, in_order([*read.problems, *made.problems]), read.skipped + made.skipped)


def read_rows(rows: Iterable[tuple[int, dict[str, Any]]], file: str, *, labelled: bool | None) -> ReadResult:
    """The same for (line, object) of a part of the lines; no problem is about more than one line."""
    result = ReadResult([])
    for number, row in rows:
        before = len(result.problems)
        fields = Fields(row, "", file=file, line=number, problems=result.problems)
        text = _visible(fields, next((name for name in NAMES if name in row), NAMES[0]))
        title = None if labelled is False else _visible(fields, "title", optional=labelled is None)
        if len(result.problems) == before:
            result.records.append(TitleRecord(text or "", title, number))
        else:
            result.skipped += 1
    return result


def _visible(fields: Fields, key: str, *, optional: bool = False) -> str | None:
    value: str | None = fields.take(key, str, optional=optional)
    if value is not None and (nothing := emptiness(value, key)):
        fields.report("LIC-D012", nothing, "a text", "Delete the line or restore it.")
    return value


def write_records(path: str | Path, records: Iterable[TitleRecord]) -> None:
    """Writes lines that :func:`read_records` reads, atomically; ``title`` None gives an unlabelled line."""
    write_json_lines(path, ({"abst": one.text, **({} if one.title is None else {"title": one.title})} for one in records))


def describe(records: Sequence[TitleRecord]) -> dict[str, Any]:
    """Counts that tell what a file demands of a model. Shares are fractions of the labelled records; lengths are in characters.

    ``share_of_title_in_text``: of all titles' characters those that stand in their text, whatever their case.
    """
    titles = [(one.text, one.title) for one in records if one.title is not None]
    there = sum(character in text.lower() for text, title in titles for character in title.lower())
    return {
        "records": len(records),
        "labelled": len(titles),
        **of_texts([one.text for one in records]),
        **percentiles("title_length", [len(title) for _, title in titles]),
        **shares({"of_title_in_text": there}, sum(len(title) for _, title in titles)),
        **shares({"title_stands_in_text": sum(title.lower() in text.lower() for text, title in titles)}, len(titles)),
    }
