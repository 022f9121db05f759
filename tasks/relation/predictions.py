"""Triples of the relation track: as found in a window, and as predicted of a text. Every model's decode ends here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .features import RelationFeatures
from .records import RelationRecord
from .schema import RelationSchema


class Mention(NamedTuple):
    """Verbatim ``text`` at characters ``start`` to ``end`` (half-open)."""

    text: str
    start: int
    end: int


class Prediction(NamedTuple):
    """One triple; ``object``: (slot, mention), ``@value`` first. ``probability``: the least sure of its spans and links."""

    predicate: str
    subject: Mention
    object: tuple[tuple[str, Mention], ...]
    probability: float

    def key(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """The triple as strings."""
        return self.predicate, self.subject.text, tuple((slot, mention.text) for slot, mention in self.object)

    def as_row(self) -> dict[str, Any]:
        """Plain values, spans half-open."""
        return {
            "subject": self.subject.text,
            "predicate": self.predicate,
            "object": {slot: mention.text for slot, mention in self.object},
            "subject_span": [self.subject.start, self.subject.end],
            "object_spans": {slot: [mention.start, mention.end] for slot, mention in self.object},
            "probability": self.probability,
        }


class Span(NamedTuple):
    """Inclusive tokens of a window, with a probability."""

    first: int
    last: int
    probability: float


class Found(NamedTuple):
    """One triple of one window: ``slots`` are (pair, span), ``@value`` first."""

    subject: Span
    slots: tuple[tuple[int, Span], ...]
    probability: float


def to_predictions(
    found: Iterable[tuple[int, Found]], features: RelationFeatures, records: Sequence[RelationRecord], schema: RelationSchema
) -> list[list[Prediction]]:
    """One set of triples a record, from those of all its windows, cut out of its text.

    Equal triples count once with their best probability; a triple whose object is a part of another's (the same but for slots that it lacks)
    goes, since another mention or window saw more.
    """
    best: list[dict[tuple, Prediction]] = [{} for _ in records]
    for window, triple in found:
        record, begin, _ = features.windows[window].tolist()
        starts, ends, text = features.starts[record], features.ends[record], records[record].text

        def mention(
            span: Span, begin: int = begin, starts: np.ndarray = starts, ends: np.ndarray = ends, text: str = text
        ) -> Mention:
            start, end = int(starts[begin + span.first]), int(ends[begin + span.last])
            return Mention(text[start:end], start, end)

        slots = tuple((schema.pairs[pair][1], mention(span)) for pair, span in triple.slots)
        predicate = schema.pairs[triple.slots[0][0]][0]
        made = Prediction(predicate, mention(triple.subject), slots, triple.probability)
        other = best[record].get(made.key())
        if other is None or made.probability > other.probability:
            best[record][made.key()] = made
    return [largest(row) for row in best]


def largest(row: dict[tuple, Prediction]) -> list[Prediction]:
    """Predictions by key in the order of the text, without those whose object is a part of another's."""
    objects: dict[tuple, list[set]] = defaultdict(list)
    for predicate, subject, slots in row:
        objects[predicate, subject].append(set(slots))
    kept = [made for (predicate, subject, slots), made in row.items() if not any(set(slots) < other for other in objects[predicate, subject])]
    return sorted(kept, key=lambda made: (made.subject.start, made.subject.end, made.predicate, made.object[0][1].start, made.object))
