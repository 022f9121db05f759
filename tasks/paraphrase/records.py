"""Files of pairs in, typed records out, every problem said with its line.

A file is one JSON object a line: ``{"text": …, "pair": …, "label": 1 | 0, "source": …}``; a file to predict has no labels, and ``source``, the
corpus that a pair comes from, may be left out. Codes beyond those of :mod:`tasks.json_lines`: D012 an empty text, D022 another label than 0 and 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.base import ReadResult
from tasks.json_lines import Fields, emptiness, in_order, quote, read_json_lines, write_json_lines
from tasks.statistics import of_texts, shares


@dataclass(frozen=True, slots=True)
class ParaphraseRecord:
    """Two texts. ``label`` is 1 where they mean the same, 0 where they do not, None when the line is unlabelled; ``line`` counts from 1."""

    text: str
    pair: str
    label: int | None = None
    source: str | None = None
    line: int | None = None


def read_records(path: str | Path, *, labelled: bool | None = None) -> ReadResult:
    """Records of a file with all problems of all lines.

    A record with a problem of its own is left out and counted in ``skipped``; BOM, CRLF and blank lines cost no record.
    ``labelled``: True wants ``label`` on every line, False ignores it, None takes what each line has.
    """
    read = read_json_lines(path, what="pairs of texts, one JSON object a line")
    made = read_rows(read.rows, str(path), labelled=labelled)
    return ReadResult(made.records, in_order([*read.problems, *made.problems]), read.skipped + made.skipped)


def read_rows(rows: Iterable[tuple[int, dict[str, Any]]], file: str, *, labelled: bool | None) -> ReadResult:
    """The same for (line, object) of a part of the lines; no problem is about more than one line."""
    result = ReadResult([])
    for number, row in rows:
        before = len(result.problems)
        fields = Fields(row, "", file=file, line=number, problems=result.problems)
        text, pair = take_texts(fields)
        label = None if labelled is False else take_label(fields, optional=labelled is None)
        source = fields.take("source", str, optional=True)
        if len(result.problems) == before:
            assert text is not None and pair is not None
            result.records.append(ParaphraseRecord(text, pair, label, source, number))
        else:
            result.skipped += 1
    return result


def take_texts(fields: Fields) -> tuple[str | None, str | None]:
    """Both texts of a line; a missing one, or one in which nothing is visible, is reported."""
    texts: list[str | None] = []
    for key in ("text", "pair"):
        value: str | None = fields.take(key, str)
        if value is not None and (nothing := emptiness(value, key)):
            fields.report("LIC-D012", nothing, "a text", "Delete the line or restore its text.")
        texts.append(value)
    return texts[0], texts[1]


def take_label(fields: Fields, *, optional: bool) -> int | None:
    """The label of a line; another value than 0 and 1 is reported."""
    label: int | None = fields.take("label", int, optional=optional)
    if label is None or label in (0, 1):
        return label
    fields.report("LIC-D022", f"the label {quote(label)}", "1 for one meaning, 0 for two", "Correct it, or translate the corpus's own labels.")
    return None


def write_records(path: str | Path, records: Iterable[ParaphraseRecord]) -> None:
    """Writes the form that :func:`read_records` reads, atomically; ``label`` None gives an unlabelled line."""
    write_json_lines(path, map(as_row, records))


def as_row(record: ParaphraseRecord) -> dict[str, Any]:
    """One record as an object of a file."""
    row: dict[str, Any] = {"text": record.text, "pair": record.pair}
    if record.label is not None:
        row["label"] = record.label
    return row if record.source is None else {**row, "source": record.source}


def identity(text: str, pair: str) -> str:
    """Both texts as one string, equal for equal pairs alone."""
    return json.dumps([text, pair], ensure_ascii=False)


def describe(records: Sequence[ParaphraseRecord]) -> dict[str, Any]:
    """Counts that tell what a file demands of a model. Shares are fractions of the labelled records; lengths are in characters of either text."""
    labelled = [record for record in records if record.label is not None]
    counts = {
        "alike": sum(record.label == 1 for record in labelled),
        "the_same_text_twice": sum(record.text == record.pair for record in labelled),
    }
    texts = [text for record in records for text in (record.text, record.pair)]
    return {
        "records": len(records),
        "labelled": len(labelled),
        **counts,
        "sources": len({record.source for record in records if record.source is not None}),
        "different_texts": len(set(texts)),
        **of_texts(texts),
        **shares({**counts, **{f"a_text_longer_than_{limit}": _longer(labelled, limit) for limit in (30, 62)}}, len(labelled)),
    }


def _longer(records: Sequence[ParaphraseRecord], limit: int) -> int:
    return sum(max(len(record.text), len(record.pair)) > limit for record in records)
