"""CasRel: from tag probabilities on the window grid to triples of the windows, for predict, extract, evaluate and roundtrip alike.

Notation: b windows, l tokens, n subjects, p (predicate, slot) pairs, m pairs of spans. Needs numpy only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shared.features.rows import framed_rows
from shared.heads.half_pointer_decode import all_pairs, nearest_pairs
from shared.text import Vocabulary

from ..features import RelationFeatures
from ..predictions import Found, Span
from ..schema import VALUE, RelationSchema

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...decoding import Decoder
    from .casrel_design import DecodeSettings

MOST_LINKED = 12
CONDITIONED_TOKENS = 1 << 16
"""Padded tokens that a head is asked about at once: each subject takes its whole window again."""


def link_types(pairs: Sequence[tuple[str, str]]) -> dict[tuple[int, int], int]:
    """Every two slots of one predicate, the smaller pair first, numbered: 10 in the official schema."""
    both = ((a, b) for a, b in combinations(range(len(pairs)), 2) if pairs[a][0] == pairs[b][0])
    return {pair: number for number, pair in enumerate(both)}


class Head(Protocol):
    """What decoding asks of a model (or of gold) about one batch of windows."""

    def subjects(self) -> np.ndarray:
        """Probability that a subject starts and ends at each token, [b, l, 2]."""
        ...

    def objects(self, rows: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """The same for the objects of the subjects ``spans`` [n, 2] in the windows ``rows`` [n], [n, l, p, 2]."""
        ...

    def links(self, links: np.ndarray) -> np.ndarray:
        """Probability that two spans are slots of one object, [m]. ``links`` [m, 6]: subject (as last asked for), type, first, last,
        first, last."""
        ...


def decode_batch(
    head: Head,
    rows: Sequence[int] | np.ndarray,
    features: RelationFeatures,
    schema: RelationSchema,
    link_types: dict[tuple[int, int], int],
    settings: DecodeSettings,
) -> list[tuple[int, Found]]:
    """Triples of a batch of windows as (window, triple). ``rows`` [b]: window numbers."""
    tags = head.subjects()  # [b, l, 2]
    subjects = [
        (row, span) for row, tagging in enumerate(tags) for span in _spans(tagging, settings.subject_threshold, settings.max_span, all_pairs)
    ]
    at_once = max(1, CONDITIONED_TOKENS // max(1, tags.shape[1]))
    found: list[tuple[int, Found]] = []
    for begin in range(0, len(subjects), at_once):
        some = _decode_subjects(head, subjects[begin : begin + at_once], schema, link_types, settings)
        found += [(int(rows[row]), triple) for row, triple in some]
    return found


def _decode_subjects(
    head: Head,
    subjects: Sequence[tuple[int, Span]],
    schema: RelationSchema,
    link_types: dict[tuple[int, int], int],
    settings: DecodeSettings,
) -> Iterable[tuple[int, Found]]:
    """Triples of n subjects (row of the batch, span) as (row, triple)."""
    where = np.asarray([row for row, _ in subjects], dtype=np.int64)  # [n]
    spans = np.asarray([(span.first, span.last) for _, span in subjects], dtype=np.int64)  # [n, 2]
    tags = head.objects(where, spans)  # [n, l, p, 2]
    groups = _objects(tags, schema, settings)
    linked = _links(head, groups, link_types)
    for (number, _), slots in sorted(groups.items()):
        row, subject = subjects[number]
        for chosen, probability in _assemble(number, slots, schema, linked, settings.link_threshold):
            sure = min(subject.probability, probability, *(span.probability for _, span in chosen))
            yield row, Found(subject, chosen, sure)


def _spans(
    tags: np.ndarray, threshold: float, longest: int, pairing: Callable[[Sequence[int], Sequence[int]], list[tuple[int, int]]]
) -> list[Span]:
    """Spans of a tagging [l, 2]."""
    starts, ends = (np.flatnonzero(tags[:, end] > threshold).tolist() for end in (0, 1))
    return [
        Span(first, last, float(np.sqrt(tags[first, 0] * tags[last, 1])))
        for first, last in pairing(starts, ends)
        if last - first < longest
    ]


def _objects(tags: np.ndarray, schema: RelationSchema, settings: DecodeSettings) -> dict[tuple[int, str], list[tuple[int, Span]]]:
    """(subject, predicate) to its (pair, span) of all slots."""
    groups: dict[tuple[int, str], list[tuple[int, Span]]] = defaultdict(list)
    fired = (tags > settings.object_threshold).any(axis=1).all(axis=2)  # [n, p]
    for number, pair in zip(*(axis.tolist() for axis in np.nonzero(fired)), strict=True):
        spans = _spans(tags[number, :, pair], settings.object_threshold, settings.max_span, nearest_pairs)
        groups[number, schema.pairs[pair][0]] += [(pair, span) for span in spans]
    return groups


def _links(head: Head, groups: dict, link_types: dict[tuple[int, int], int]) -> dict[tuple, float]:
    """(subject, slot, slot) to the probability that the two belong to one object, for all slots of all groups."""
    asked = [
        (number, left, right)
        for (number, _), slots in groups.items()
        for left, right in combinations(sorted(slots), 2)
        if (left[0], right[0]) in link_types
    ]
    if not asked:
        return {}
    links = np.asarray(
        [(number, link_types[a, b], left.first, left.last, right.first, right.last) for number, (a, left), (b, right) in asked],
        dtype=np.int64,
    )  # [m, 6]
    return dict(zip(asked, head.links(links).tolist(), strict=True))


def _assemble(
    number: int, slots: list[tuple[int, Span]], schema: RelationSchema, linked: dict[tuple, float], threshold: float
) -> Iterable[tuple[tuple[tuple[int, Span], ...], float]]:
    """Objects of one subject and predicate: every value with every largest set of further slots that are all linked with it and each other.

    Of one kind of slot at most :data:`MOST_LINKED`, the surest, are tried with one value: texts have one to three.
    """

    def link(left: tuple[int, Span], right: tuple[int, Span]) -> float:
        return linked.get((number, *sorted((left, right))), 0.0)

    values = [slot for slot in slots if schema.pairs[slot[0]][1] == VALUE]
    others: dict[int, list[tuple[int, Span]]] = defaultdict(list)
    for slot in slots:
        if schema.pairs[slot[0]][1] != VALUE:
            others[slot[0]].append(slot)
    for value in values:
        near = [[slot for slot in group if link(value, slot) > threshold] for _, group in sorted(others.items())]
        kinds = [sorted(group, key=lambda slot: -link(value, slot))[:MOST_LINKED] for group in near]
        for choice in product(*([*kind, None] for kind in kinds)):
            chosen = tuple(slot for slot in choice if slot is not None)
            scores = [link(value, slot) for slot in chosen] + [link(a, b) for a, b in combinations(chosen, 2)]
            if not all(score > threshold for score in scores):
                continue
            free = (slot for kind, taken in zip(kinds, choice, strict=True) if taken is None for slot in kind)
            if not any(all(link(slot, other) > threshold for other in chosen) for slot in free):
                yield (value, *chosen), min(scores, default=1.0)


class EngineHead:
    """What the network of a :class:`tasks.relation.models.casrel.RelationCasrel` answers on one batch; the encoder reads it once."""

    def __init__(self, engine: Engine, ids: np.ndarray, mask: np.ndarray):
        """``ids`` [b, l + 2] between [CLS] and [SEP], ``mask`` [b, l] float32."""
        self._engine, self._mask = engine, mask
        self._read = engine.run("read", {"ids": ids, "mask": mask}, keep=("features",))
        self._seen: Any = None

    def subjects(self) -> np.ndarray:
        found: np.ndarray = self._read["subjects"]  # [b, l, 2]
        return found

    def objects(self, rows: np.ndarray, spans: np.ndarray) -> np.ndarray:
        inputs = {"features": self._read["features"], "mask": self._mask, "rows": rows, "spans": spans}
        made = self._engine.run("objects", inputs, keep=("seen",))
        self._seen = made["seen"]
        found: np.ndarray = made["objects"]  # [n, l, p, 2]
        return found

    def links(self, links: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._engine.run("links", {"seen": self._seen, "links": links})["linked"]  # [m]
        return found


class GoldHead:
    """Gold as a head: what a model without fault would answer on the windows ``rows`` of labelled features."""

    def __init__(self, features: RelationFeatures, rows: Sequence[int] | np.ndarray, num_pairs: int, link_types: dict[tuple[int, int], int]):
        self.features, self.rows, self.num_pairs = features, rows, num_pairs
        self.pairs_of = {number: pair for pair, number in link_types.items()}
        self.longest = int(features.ids.lengths[np.asarray(rows)].max())
        self._asked: list[tuple[int, int]] = []

    def subjects(self) -> np.ndarray:
        tags = np.zeros((len(self.rows), self.longest, 2), dtype=np.float32)  # [b, l, 2]
        for position, row in enumerate(self.rows):
            for _, first, last in self.features.subjects[row].tolist():
                tags[position, first, 0] = tags[position, last, 1] = 1.0
        return tags

    def objects(self, rows: np.ndarray, spans: np.ndarray) -> np.ndarray:
        tags = np.zeros((len(rows), self.longest, self.num_pairs, 2), dtype=np.float32)  # [n, l, p, 2]
        self._asked = []
        for number, (position, span) in enumerate(zip(rows.tolist(), spans.tolist(), strict=True)):
            row = self.rows[position]
            subject = next((s for s, *mention in self.features.subjects[row].tolist() if mention == span), -1)
            self._asked.append((row, subject))
            for owner, pair, first, last in self.features.objects[row].tolist():
                if owner == subject:
                    tags[number, first, pair, 0] = tags[number, last, pair, 1] = 1.0
        return tags

    def links(self, links: np.ndarray) -> np.ndarray:
        answers = []
        for number, kind, *spans in links.tolist():
            row, subject = self._asked[number]
            left, right = self.pairs_of[kind]
            wanted = [subject, left, *spans[:2], right, *spans[2:]]
            answers.append(wanted in self.features.links[row].tolist())
        return np.asarray(answers, dtype=np.float32)  # [m]


def engine_decoder(
    engine: Engine, features: RelationFeatures, schema: RelationSchema, vocabulary: Vocabulary, settings: DecodeSettings
) -> Decoder:
    """Triples of the windows of ``features`` by the network of a :class:`tasks.relation.models.casrel.RelationCasrel`."""
    types = link_types(schema.pairs)

    def decode(batch: np.ndarray) -> list[tuple[int, Found]]:
        ids, lengths = framed_rows(features.ids, batch, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id)
        mask = (np.arange(ids.shape[1] - 2) < lengths[:, None]).astype(np.float32)  # [b, l]
        return decode_batch(EngineHead(engine, ids, mask), batch, features, schema, types, settings)

    return decode


def gold_decoder(features: RelationFeatures, schema: RelationSchema, settings: DecodeSettings) -> Decoder:
    """The same with gold as the head."""
    types = link_types(schema.pairs)

    def decode(batch: np.ndarray) -> list[tuple[int, Found]]:
        return decode_batch(GoldHead(features, batch, len(schema.pairs), types), batch, features, schema, types, settings)

    return decode
