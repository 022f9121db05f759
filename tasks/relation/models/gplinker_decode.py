"""GPLinker: from scores of pairs of tokens to triples of the windows, for predict, extract, evaluate and roundtrip alike.

Notation: s subject spans, o object spans, p (predicate, slot) pairs, n candidates. Needs numpy only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.heads.pair_decode import AT_ONCE
from shared.text import Vocabulary

from ...cliques import maximal_cliques
from ...gplinker_decode import GplinkerTables, gold_tables, logit, places_of, probabilities, tables_of
from ..features import RelationFeatures
from ..predictions import Found, Span
from ..schema import VALUE, RelationSchema
from .casrel_decode import link_types

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...decoding import Decoder
    from .gplinker_design import DecodeSettings


class Labels(NamedTuple):
    """What the pointers' labels are. Of spans: ``subject`` and ``object`` [p] of each pair, ``spans`` in all, subjects' before objects'.

    Of links: the pairs, then ``slots``: two pairs to the number behind them.
    """

    subject: tuple[int, ...]
    object: tuple[int, ...]
    spans: int
    slots: Mapping[tuple[int, int], int]

    @property
    def links(self) -> int:
        return len(self.subject) + len(self.slots)

    @property
    def subjects(self) -> int:
        """How many labels of spans are subjects'."""
        return max(self.subject) + 1

    @classmethod
    def of(cls, schema: RelationSchema, entities: str) -> Labels:
        subjects = [schema.subject_types[predicate] if entities == "type" else "" for predicate, _ in schema.pairs]
        objects = [schema.object_types[predicate][slot] if entities == "type" else "" for predicate, slot in schema.pairs]
        kinds = {name: number for number, name in enumerate(dict.fromkeys(subjects))}
        others = {name: len(kinds) + number for number, name in enumerate(dict.fromkeys(objects))}
        return cls(
            subject=tuple(kinds[name] for name in subjects),
            object=tuple(others[name] for name in objects),
            spans=len(kinds) + len(others),
            slots={pair: len(subjects) + number for pair, number in link_types(schema.pairs).items()},
        )


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


def gold_places(features: RelationFeatures, rows: Sequence[int] | np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right pairs of the windows ``rows`` [b]: of spans, heads and tails, [n, 4] each of (row, label, first, last)."""
    spans: list[tuple[int, int, int, int]] = []
    heads: list[tuple[int, int, int, int]] = []
    tails: list[tuple[int, int, int, int]] = []
    for position, row in enumerate(rows):
        mentions = defaultdict(list)
        for subject, first, last in features.subjects[row].tolist():
            mentions[subject].append((first, last))
        for subject, pair, first, last in features.objects[row].tolist():
            spans.append((position, labels.object[pair], first, last))
            for start, end in mentions[subject]:
                spans.append((position, labels.subject[pair], start, end))
                heads.append((position, pair, start, first))
                tails.append((position, pair, end, last))
        for _, pair, first, last, other, start, end in features.links[row].tolist():
            heads.append((position, labels.slots[pair, other], first, start))
            tails.append((position, labels.slots[pair, other], last, end))
    return places_of(spans), places_of(heads), places_of(tails)


def engine_decoder(
    engine: Engine, features: RelationFeatures, schema: RelationSchema, vocabulary: Vocabulary, settings: DecodeSettings
) -> Decoder:
    """Triples of the windows of ``features`` by the network of a :class:`tasks.relation.models.gplinker.RelationGplinker`."""
    labels = Labels.of(schema, engine.facts["entities"])

    def decode(batch: np.ndarray) -> list[tuple[int, Found]]:
        found: list[tuple[int, Found]] = []
        for part, tables in tables_of(engine, features.ids, batch, vocabulary):
            found += decode_tables(tables, part, schema, labels, settings)
        return found

    return decode


def gold_decoder(features: RelationFeatures, schema: RelationSchema, entities: str, settings: DecodeSettings) -> Decoder:
    """The same with gold's own pairs."""
    labels = Labels.of(schema, entities)

    def decode(batch: np.ndarray) -> list[tuple[int, Found]]:
        length = int(features.ids.lengths[batch].max())
        tables = gold_tables(gold_places(features, batch, labels), spans=labels.spans, links=labels.links, length=length)
        return list(decode_tables(tables, batch, schema, labels, settings))

    return decode
