"""What position alone finds: the beginning of the passage. A model has to beat it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .decode import Prediction
from .records import ReadingRecord

_CLAUSE = re.compile(r"[^\s，。！？；：、,!?;:]+")


def first_clause(rows: Sequence[ReadingRecord]) -> list[list[Prediction]]:
    """The passage up to its first punctuation mark or blank (the whole of it where there is nothing else); probability 1."""
    found = []
    for record in rows:
        match = _CLAUSE.search(record.text)
        start, end = match.span() if match else (0, len(record.text))
        found.append([Prediction(record.text[start:end], start, end, 1.0)])
    return found
