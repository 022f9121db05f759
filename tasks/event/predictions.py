"""Arguments of the event track as predicted of a text. Every model's decode ends here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.text.windows import WindowSpan, merge_windows

from .features import EventFeatures
from .records import EventRecord
from .schema import EventSchema


class Prediction(NamedTuple):
    """One argument: verbatim ``text`` at characters ``start`` to ``end`` (half-open), with its probability under the CRF."""

    type: str
    role: str
    text: str
    start: int
    end: int
    probability: float


def to_predictions(
    found: Iterable[tuple[int, WindowSpan]], features: EventFeatures, records: Sequence[EventRecord], schema: EventSchema
) -> list[list[Prediction]]:
    """Merges the windows' spans of each record and cuts the arguments out of its text."""
    by_record: list[list[WindowSpan]] = [[] for _ in records]
    for number, span in found:
        by_record[number].append(span)
    predictions: list[list[Prediction]] = []
    for index, (record, spans) in enumerate(zip(records, by_record, strict=True)):
        starts, ends = features.starts[index], features.ends[index]
        row = []
        for span in merge_windows(spans):
            kind, role = schema.pairs[span.label]
            start, end = int(starts[span.first]), int(ends[span.last])
            row.append(Prediction(kind, role, record.text[start:end], start, end, span.score))
        predictions.append(row)
    return predictions
