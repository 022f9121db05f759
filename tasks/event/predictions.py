"""Arguments of the event track as predicted of a text, and the events that they make up. Every model's decode ends here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from shared.text.windows import WindowSpan, merge_windows

from ..cliques import maximal_cliques
from .features import EventFeatures
from .records import EventRecord
from .schema import EventSchema

Place = tuple[int, int, int]
"""An argument as (label, first, last), tokens of the whole text."""


class Prediction(NamedTuple):
    """One argument: verbatim ``text`` at characters ``start`` to ``end`` (half-open), with its probability.

    ``events``: numbers of those of its text's events that it belongs to; none where the model does not tell events of one type apart.
    """

    type: str
    role: str
    text: str
    start: int
    end: int
    probability: float
    events: tuple[int, ...] = ()


class WindowLink(NamedTuple):
    """Two arguments that belong to one event, as a window sees them; an argument linked with itself tells events of one type apart."""

    left: Place
    right: Place


def to_predictions(
    found: Iterable[tuple[int, WindowSpan | WindowLink]], features: EventFeatures, records: Sequence[EventRecord], schema: EventSchema
) -> list[list[Prediction]]:
    """Merges the windows' spans of each record, cuts the arguments out of its text and groups them by links, where there are any.

    An event is a largest set of arguments of one type of which every two are linked; without a partner an argument is an event of its own.
    Two arguments that no window sees together are linked where some argument is linked with both.
    """
    spans: list[list[WindowSpan]] = [[] for _ in records]
    links: list[list[WindowLink]] = [[] for _ in records]
    for number, one in found:
        if isinstance(one, WindowLink):
            links[number].append(one)
        else:
            spans[number].append(one)
    windows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (index, begin, _), length in zip(features.windows.tolist(), features.ids.lengths.tolist(), strict=True):
        windows[index].append((begin, begin + length))
    predictions: list[list[Prediction]] = []
    for index, record in enumerate(records):
        starts, ends = features.starts[index], features.ends[index]
        merged = merge_windows(spans[index], overlaps=bool(links[index]))
        events = _events(merged, links[index], windows[index], schema) if links[index] else [()] * len(merged)
        row = []
        for span, numbers in zip(merged, events, strict=True):
            kind, role = schema.pairs[span.label]
            start, end = int(starts[span.first]), int(ends[span.last])
            row.append(Prediction(kind, role, record.text[start:end], start, end, span.score, numbers))
        predictions.append(row)
    return predictions


def as_events(row: Sequence[Prediction]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The events of a text as (type, [(role, text), ...]), each argument and each event once; one a type where events are not told apart."""
    events: dict[tuple[str, int | None], dict[tuple[str, str], None]] = {}
    for made in row:
        for number in made.events or (None,):
            events.setdefault((made.type, number), {})[made.role, made.text] = None
    distinct = {(kind, frozenset(arguments)): (kind, list(arguments)) for (kind, _), arguments in reversed(events.items())}
    return list(reversed(distinct.values()))


def _events(
    spans: Sequence[WindowSpan], links: Sequence[WindowLink], windows: Sequence[tuple[int, int]], schema: EventSchema
) -> list[tuple[int, ...]]:
    """The events of each of ``spans``, numbered by type and first argument."""
    number_of = {(span.label, span.first, span.last): number for number, span in enumerate(spans)}
    neighbours = [0] * len(spans)
    for link in links:
        left, right = (_whole(place, spans, number_of) for place in link)
        if left is not None and right is not None and left != right:
            neighbours[left] |= 1 << right
            neighbours[right] |= 1 << left
    by_type: dict[str, list[int]] = defaultdict(list)
    for number, span in enumerate(spans):
        by_type[schema.pairs[span.label][0]].append(number)
    if len(windows) > 1:
        neighbours = _through_partners(neighbours, spans, windows, by_type)
    events: list[list[int]] = [[] for _ in spans]
    count = 0
    for _, members in sorted(by_type.items()):
        inside = [sum(1 << place for place, other in enumerate(members) if neighbours[number] >> other & 1) for number in members]
        for clique in maximal_cliques(inside):
            for place in clique:
                events[members[place]].append(count)
            count += 1
    return [tuple(numbers) for numbers in events]


def _whole(place: Place, spans: Sequence[WindowSpan], number_of: dict[Place, int]) -> int | None:
    """The merged span that a window's own became or lies in; None for one that went."""
    if place in number_of:
        return number_of[place]
    label, first, last = place
    return next((number for number, span in enumerate(spans) if span.label == label and span.first <= first and last <= span.last), None)


def _through_partners(
    neighbours: Sequence[int], spans: Sequence[WindowSpan], windows: Sequence[tuple[int, int]], by_type: dict[str, list[int]]
) -> list[int]:
    more = list(neighbours)
    for members in by_type.values():
        for left, right in combinations(members, 2):
            begin, end = min(spans[left].first, spans[right].first), max(spans[left].last, spans[right].last)
            together = any(first <= begin and end < last for first, last in windows)
            if not together and neighbours[left] & neighbours[right]:
                more[left] |= 1 << right
                more[right] |= 1 << left
    return more
