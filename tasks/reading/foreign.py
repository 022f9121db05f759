"""The reading track for files of other origin: SQuAD 1.1 or 2.0 shaped, whose questions need not have an answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..base import ReadResult
from . import records
from .records import ReadingRecord
from .task import ReadingTask


class ForeignReading(ReadingTask):
    """As the track, but a list of no answer, or of blank ones alone, says that the context does not answer."""

    def read_records(self, path: Path, schema: None = None, *, labelled: bool | None = None) -> ReadResult:
        return records.read_records(path, schema, labelled=labelled, empty_is_impossible=True)

    @property
    def feature_version(self) -> int:
        return 1000 + super().feature_version  # the same file read as an official one has other records


def leaks(rows: Sequence[ReadingRecord], evaluated: Iterable[ReadingRecord]) -> list[bool]:
    """Which of ``rows`` ask on a context of ``evaluated`` what is asked there too, but for blanks, punctuation, case and width."""
    known = {(_bare(record.question), _bare(record.text)) for record in evaluated}
    return [(_bare(record.question), _bare(record.text)) in known for record in rows]


def _bare(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).lower()
    return "".join(character for character in plain if unicodedata.category(character)[0] in "LNM")
