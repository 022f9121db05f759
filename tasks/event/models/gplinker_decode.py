"""GPLinker: from scores of pairs of tokens to arguments and links of the windows, for predict, extract, evaluate and roundtrip alike.

Notation: b windows, n arguments of one window, m pairs of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import Field

from shared.text import Vocabulary
from shared.text.windows import WindowSpan, in_text

from ...designs import Decoder, decode_settings, model_settings
from ...gplinker import GplinkerTables, gold_tables, logit, probabilities
from ...recipe import Recipe, Settings
from ..features import EventFeatures
from ..predictions import WindowLink
from ..records import EventRecord
from ..schema import EventSchema
from .gplinker import EventGplinker, EventGplinkerSettings, gold_places, types_of_pairs

Found = tuple[int, WindowSpan | WindowLink]


class DecodeSettings(Settings):
    """The ``[decode]`` table: probabilities above which an argument and a link count. Spans are in tokens."""

    span_threshold: float = Field(0.5, gt=0, lt=1)
    link_threshold: float = Field(0.5, gt=0, lt=1, description="of two arguments of one event")
    max_span: int = Field(254, ge=1, description="longest argument")
    max_spans: int = Field(200, ge=1, description="arguments that a window may have, the surest; texts have a handful")
    overlaps: bool = Field(True, description="false: of arguments of one role that overlap only the surest stays")


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


class Gplinker:
    """The design ``gplinker``."""

    settings = EventGplinkerSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: EventSchema, recipe: Recipe) -> EventGplinker:
        return EventGplinker(backbone, schema=schema, settings=model_settings(self, recipe))

    def decoder(
        self,
        model: EventGplinker,
        features: EventFeatures,
        rows: Sequence[EventRecord],
        schema: EventSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        """``floor`` is that of arguments: links, which no candidate is made of, keep their threshold."""
        settings: DecodeSettings = decode_settings(self, recipe)
        if floor is not None:
            settings = settings.model_copy(update={"span_threshold": floor})

        def decode(batch: np.ndarray) -> list[Found]:
            found: list[Found] = []
            for part in model.parts_of(batch, features.ids.lengths[batch]):
                tables = model.tables(model.collate(features, part, vocabulary, labelled=False))
                found += decode_tables(tables, part, features, model.type_of_pair, settings)
            return found

        return decode

    def gold_decoder(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, recipe: Recipe) -> Decoder:
        settings, pairs, types = decode_settings(self, recipe), len(schema.pairs), types_of_pairs(schema)

        def decode(batch: np.ndarray) -> list[Found]:
            length = int(features.ids.lengths[batch].max())
            tables = gold_tables(gold_places(features, batch, types, pairs), spans=pairs, links=len(schema.types), length=length)
            return list(decode_tables(tables, batch, features, types, settings))

        return decode
