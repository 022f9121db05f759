"""GPLinker: from scores of pairs of tokens to arguments and links of the windows, for predict, extract, evaluate and roundtrip alike.

Notation: b windows, n arguments of one window, m pairs of them. Needs numpy only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ...gplinker_decode import GplinkerTables, gold_tables, logit, places_of, probabilities, tables_of
from ..features import EventFeatures
from ..predictions import WindowLink
from ..schema import EventSchema

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...decoding import Decoder
    from .gplinker_design import DecodeSettings

Found = tuple[int, WindowSpan | WindowLink]


def decode_tables(
    tables: GplinkerTables,
    rows: Sequence[int] | np.ndarray,
    features: EventFeatures,
    type_of_pair: Sequence[int],
    settings: DecodeSettings,
) -> Iterator[Found]:
    """Arguments and links of a batch of windows by record. ``rows`` [b]: window numbers."""
    places, scores = tables.spans.above(logit(settings.span_threshold), longest=settings.max_span)  # [n, 4], [n]
    predicted = places[:, 1] < len(type_of_pair)  # [n]: triggers are not
    places, scores = places[predicted], scores[predicted]  # [n, 4], [n]
    cuts = np.searchsorted(places[:, 0], np.arange(len(rows) + 1))  # [b + 1]
    for position, (begin, end) in enumerate(pairwise(cuts.tolist())):
        own = begin + _kept(places[begin:end, 1:], scores[begin:end], settings)  # [n]
        record, first, total = features.windows[rows[position]].tolist()
        window = first, first + int(features.ids.lengths[rows[position]])
        sure = probabilities(scores[own]).tolist()
        for (label, start, last), probability in zip(places[own, 1:].tolist(), sure, strict=True):
            yield record, in_text(label, start, last, probability, window, total)
        for left, right in _links(tables, position, places[own, 1:], type_of_pair, logit(settings.link_threshold)).tolist():
            ends = [places[own[one], 1:].tolist() for one in (left, right)]
            yield record, WindowLink(*((label, first + start, first + last) for label, start, last in ends))


def _kept(places: np.ndarray, scores: np.ndarray, settings: DecodeSettings) -> np.ndarray:
    """Numbers of the arguments [n, 3] that stay, in order."""
    order = np.argsort(-scores, kind="stable")[: settings.max_spans]  # [n]
    if settings.overlaps:
        return np.sort(order)  # [n]
    chosen: list[int] = []
    for number in order.tolist():
        label, first, last = places[number]
        same = places[[other for other in chosen if places[other, 0] == label]]  # [m, 3]
        if not ((same[:, 1] <= last) & (same[:, 2] >= first)).any():
            chosen.append(number)
    return np.sort(np.asarray(chosen, dtype=np.int64))  # [n]


def _links(tables: GplinkerTables, row: int, places: np.ndarray, type_of_pair: Sequence[int], threshold: float) -> np.ndarray:
    """Which of one window's arguments ``places`` [n, 3] belong to one event: pairs [m, 2], each argument with itself among them."""
    kinds = np.asarray(type_of_pair)[places[:, 0]]  # [n]
    left, right = np.nonzero(np.triu(kinds[:, None] == kinds, 1))  # [m], [m]
    scores = np.full(len(left), np.inf)  # [m]
    for table, end in ((tables.heads, places[:, 1]), (tables.tails, places[:, 2])):
        both = np.minimum(end[left], end[right]), np.maximum(end[left], end[right])  # [m] each
        scores = np.minimum(scores, table.at(row, kinds[left], *both))  # [m]
    linked = np.stack([left, right], axis=1)[scores > threshold]  # [m, 2]
    return np.concatenate([np.repeat(np.arange(len(places))[:, None], 2, axis=1), linked])  # [m, 2]


def types_of_pairs(schema: EventSchema) -> tuple[int, ...]:
    """The number of each pair's type, [p]."""
    return tuple(schema.types.index(kind) for kind, _ in schema.pairs)


def gold_places(
    features: EventFeatures, rows: Sequence[int] | np.ndarray, type_of_pair: Sequence[int], num_spans: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right pairs of the windows ``rows`` [b]: of spans, heads and tails, [n, 4] each; a link's earlier token stands first."""
    spans: list[tuple[int, int, int, int]] = []
    heads: list[tuple[int, int, int, int]] = []
    tails: list[tuple[int, int, int, int]] = []
    for position, row in enumerate(rows):
        own = features.spans[row].tolist()
        spans += [(position, *span) for span in own if span[0] < num_spans]
        members = defaultdict(list)
        for event, span in features.events[row].tolist():
            members[event].append(own[span])
        for group in members.values():
            for (label, first, last), (_, start, end) in combinations(group, 2):
                heads.append((position, type_of_pair[label], min(first, start), max(first, start)))
                tails.append((position, type_of_pair[label], min(last, end), max(last, end)))
    return places_of(spans), places_of(heads), places_of(tails)


def engine_decoder(
    engine: Engine, features: EventFeatures, schema: EventSchema, vocabulary: Vocabulary, settings: DecodeSettings
) -> Decoder:
    """Arguments and links of the windows of ``features`` by the network of an :class:`tasks.event.models.gplinker.EventGplinker`."""
    types = types_of_pairs(schema)

    def decode(batch: np.ndarray) -> list[Found]:
        found: list[Found] = []
        for part, tables in tables_of(engine, features.ids, batch, vocabulary):
            found += decode_tables(tables, part, features, types, settings)
        return found

    return decode


def gold_decoder(features: EventFeatures, schema: EventSchema, settings: DecodeSettings) -> Decoder:
    """The same with gold's own pairs."""
    pairs, types = len(schema.pairs), types_of_pairs(schema)

    def decode(batch: np.ndarray) -> list[Found]:
        length = int(features.ids.lengths[batch].max())
        tables = gold_tables(gold_places(features, batch, types, pairs), spans=pairs, links=len(schema.types), length=length)
        return list(decode_tables(tables, batch, features, types, settings))

    return decode
