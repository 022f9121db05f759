"""GPLinker: from scores of pairs of tokens to triples of the windows, for predict, extract, evaluate and roundtrip alike.

Notation: s subject spans, o object spans, p (predicate, slot) pairs, n candidates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from shared.heads.pair_decode import AT_ONCE
from shared.text import Vocabulary

from ...cliques import maximal_cliques
from ...designs import Decoder, decode_settings, model_settings
from ...gplinker import GplinkerTables, gold_tables, logit, probabilities
from ...recipe import Recipe, Settings
from ..features import RelationFeatures
from ..predictions import Found, Span
from ..records import RelationRecord
from ..schema import VALUE, RelationSchema
from .gplinker import Labels, RelationGplinker, RelationGplinkerSettings, gold_places


class DecodeSettings(Settings):
    """The ``[decode]`` table: probabilities above which a span and a link count. Spans are in tokens."""

    span_threshold: float = Field(0.5, gt=0, lt=1)
    link_threshold: float = Field(0.5, gt=0, lt=1, description="of a subject with an object")
    slot_threshold: float = Field(0.5, gt=0, lt=1, description="of two slots of one object")
    max_span: int = Field(64, ge=1, description="longest subject or object")
    max_spans: int = Field(200, ge=1, description="subjects and objects that a window is searched with, the surest; texts have a handful")


class Spans(NamedTuple):
    """Distinct spans of one window: ``first`` and ``last`` [n], and a score for each label, [n, labels], very low where none was found."""

    first: np.ndarray
    last: np.ndarray
    scores: np.ndarray


class Links(NamedTuple):
    """n links of one window: numbers of subject and object span and of the pair, and the least of the scores that they rest on."""

    subject: np.ndarray
    object: np.ndarray
    pair: np.ndarray
    score: np.ndarray


def decode_tables(
    tables: GplinkerTables,
    rows: Sequence[int] | np.ndarray,
    schema: RelationSchema,
    labels: Labels,
    settings: DecodeSettings,
) -> Iterator[tuple[int, Found]]:
    """Triples of a batch of windows as (window, triple). ``rows`` [b]: window numbers."""
    places, scores = tables.spans.above(logit(settings.span_threshold), longest=settings.max_span)  # [n, 4], [n]
    cuts = np.searchsorted(places[:, 0], np.arange(len(rows) + 1))  # [b + 1]
    for position, (begin, end) in enumerate(pairwise(cuts.tolist())):
        part, own = places[begin:end, 1:], scores[begin:end]  # [n, 3], [n]
        is_subject = part[:, 0] < labels.subjects  # [n]
        subjects, objects = (_distinct(part[which], own[which], labels.spans, settings.max_spans) for which in (is_subject, ~is_subject))
        if len(subjects.first) and len(objects.first):
            links = _links(tables, position, subjects, objects, labels, logit(settings.link_threshold))
            triples = _triples(tables, position, subjects, objects, links, schema, labels, logit(settings.slot_threshold))
            yield from ((int(rows[position]), triple) for triple in triples)


def _distinct(places: np.ndarray, scores: np.ndarray, labels: int, most: int) -> Spans:
    """Spans of ``places`` [n, 3] of (label, first, last), the ``most`` surest, in order."""
    spans, which = np.unique(places[:, 1:], axis=0, return_inverse=True)  # [m, 2], [n]
    table = np.full((len(spans), labels), -np.inf)  # [m, labels]
    table[which.reshape(-1), places[:, 0]] = scores
    if len(spans) > most:
        kept = np.sort(np.argsort(-table.max(axis=1), kind="stable")[:most])  # [most]
        spans, table = spans[kept], table[kept]
    return Spans(spans[:, 0], spans[:, 1], table)


def _links(tables: GplinkerTables, row: int, subjects: Spans, objects: Spans, labels: Labels, threshold: float) -> Links:
    """Which subject has which object in which pair."""
    pairs = np.arange(len(labels.subject))  # [p]
    of_subject, of_object = subjects.scores[:, labels.subject], objects.scores[:, labels.object]  # [s, p], [o, p]
    found: list[tuple[np.ndarray, ...]] = []
    size = max(1, AT_ONCE // (len(objects.first) * len(pairs)))
    for begin in range(0, len(subjects.first), size):
        own = slice(begin, begin + size)
        heads = tables.heads.at(row, pairs, subjects.first[own, None, None], objects.first[:, None])  # [s, o, p]
        tails = tables.tails.at(row, pairs, subjects.last[own, None, None], objects.last[:, None])  # [s, o, p]
        linked = np.minimum(heads, tails)  # [s, o, p]
        subject, object_, pair = np.nonzero(linked > threshold)  # [n] each
        ends = np.minimum(of_subject[own][subject, pair], of_object[object_, pair])  # [n]
        sure = np.minimum(linked[subject, object_, pair], ends)  # [n]
        typed = np.isfinite(ends)  # [n]
        found.append((subject[typed] + begin, object_[typed], pair[typed], sure[typed]))
    return Links(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _triples(
    tables: GplinkerTables,
    row: int,
    subjects: Spans,
    objects: Spans,
    links: Links,
    schema: RelationSchema,
    labels: Labels,
    threshold: float,
) -> Iterator[Found]:
    """Objects of every subject and predicate: a value with every largest set of further slots that are linked with it and with each other."""
    sure = probabilities(links.score)  # [n]
    ends = probabilities(np.stack([subjects.scores.max(axis=1)[links.subject], objects.scores.max(axis=1)[links.object]]))  # [2, n]
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for number, (subject, pair) in enumerate(zip(links.subject.tolist(), links.pair.tolist(), strict=True)):
        groups[subject, schema.pairs[pair][0]].append(number)
    for (subject, _), members in groups.items():
        owner = Span(int(subjects.first[subject]), int(subjects.last[subject]), float(ends[0, members[0]]))
        slots = [
            (int(links.pair[number]), Span(int(objects.first[links.object[number]]), int(objects.last[links.object[number]]), float(ends[1, number])))
            for number in members
        ]
        scores = _slot_scores(tables, row, slots, labels)
        neighbours = [sum(1 << other for other in range(len(slots)) if scores[number, other] > threshold) for number in range(len(slots))]
        for clique in maximal_cliques(neighbours):
            chosen = sorted((slots[number] for number in clique), key=lambda slot: slot[0])
            if schema.pairs[chosen[0][0]][1] == VALUE:
                inner = [scores[left, right] for left in clique for right in clique if left < right]
                least = float(probabilities(np.asarray(min(inner)))) if inner else 1.0
                yield Found(owner, tuple(chosen), min(least, *(float(sure[members[number]]) for number in clique)))


def _slot_scores(tables: GplinkerTables, row: int, slots: Sequence[tuple[int, Span]], labels: Labels) -> np.ndarray:
    """How surely two ``slots`` of one subject and predicate belong to one object, symmetric [m, m]; -inf where they are of one kind."""
    scores = np.full((len(slots), len(slots)), -np.inf)  # [m, m]
    asked = [
        (left, right, labels.slots[slots[left][0], slots[right][0]])
        for left in range(len(slots))
        for right in range(len(slots))
        if (slots[left][0], slots[right][0]) in labels.slots
    ]
    if asked:
        left, right, kind = np.asarray(asked).T  # [n] each
        spans = np.asarray([(span.first, span.last) for _, span in slots])  # [m, 2]
        heads = tables.heads.at(row, kind, spans[left, 0], spans[right, 0])  # [n]
        tails = tables.tails.at(row, kind, spans[left, 1], spans[right, 1])  # [n]
        scores[left, right] = scores[right, left] = np.minimum(heads, tails)
    return scores


class Gplinker:
    """The design ``gplinker``."""

    settings = RelationGplinkerSettings
    decode_settings = DecodeSettings

    def build(self, backbone: Any, schema: RelationSchema, recipe: Recipe) -> RelationGplinker:
        return RelationGplinker(backbone, schema=schema, settings=model_settings(self, recipe))

    def decoder(
        self,
        model: RelationGplinker,
        features: RelationFeatures,
        rows: Sequence[RelationRecord],
        schema: RelationSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        floor: float | None = None,
    ) -> Decoder:
        settings: DecodeSettings = decode_settings(self, recipe)
        if floor is not None:
            settings = settings.model_copy(update={"span_threshold": floor, "link_threshold": floor, "slot_threshold": floor})

        def decode(batch: np.ndarray) -> list[tuple[int, Found]]:
            found: list[tuple[int, Found]] = []
            for part in model.parts_of(batch, features.ids.lengths[batch]):
                tables = model.tables(model.collate(features, part, vocabulary, labelled=False))
                found += decode_tables(tables, part, schema, model.labels, settings)
            return found

        return decode

    def gold_decoder(
        self, features: RelationFeatures, rows: Sequence[RelationRecord], schema: RelationSchema, recipe: Recipe
    ) -> Decoder:
        labels, settings = Labels.of(schema, model_settings(self, recipe).entities), decode_settings(self, recipe)

        def decode(batch: np.ndarray) -> list[tuple[int, Found]]:
            length = int(features.ids.lengths[batch].max())
            places = gold_places(features, batch, labels)
            tables = gold_tables(places, spans=labels.spans, links=labels.links, length=length)
            return list(decode_tables(tables, batch, schema, labels, settings))

        return decode
