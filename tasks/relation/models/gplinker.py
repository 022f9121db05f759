"""Triples as spans and links: GPLinker (kexue.fm article 8888) with links between the slots of an object.

Spans are subjects and objects. A link of a (predicate, slot) leads from a subject to an object's slot, head to head and tail to tail; one of
two slots of a predicate leads from the one to the other, so that objects with several slots come back whole.

Notation: b windows, p (predicate, slot) pairs, t kinds of links between slots, n right pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from shared.backbone import Backbone
from shared.text import Vocabulary

from ...gplinker import Gplinker, GplinkerSettings, places_of, unlabelled_batch
from ..features import RelationFeatures
from ..schema import RelationSchema
from .casrel import link_types


class RelationGplinkerSettings(GplinkerSettings):
    """The ``[model]`` table of a recipe whose model is ``gplinker``."""

    entities: Literal["role", "type"] = Field(
        "role", description="labels of spans: subject and object, or these with every entity type of the schema"
    )


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


class RelationGplinker(Gplinker):
    """``schema``: whose pairs and types the labels are made of."""

    def __init__(self, backbone: Backbone, *, schema: RelationSchema, settings: RelationGplinkerSettings):
        labels = Labels.of(schema, settings.entities)
        super().__init__(backbone, spans=labels.spans, links=labels.links, directed=True, settings=settings)
        self.labels = labels

    def training_lengths(self, features: RelationFeatures) -> np.ndarray:
        """Tokens of each window, [w]."""
        return features.lengths

    def collate(
        self, features: RelationFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch: ``ids`` [b, l + 2], ``mask`` [b, l] and, when labelled, the right ``spans``, ``heads`` and ``tails`` [n, 4] of
        (row, label, first, last). Nothing is drawn."""
        batch = unlabelled_batch(features.ids, rows, vocabulary)
        if labelled:
            batch["spans"], batch["heads"], batch["tails"] = gold_places(features, rows, self.labels)  # [n, 4] each
        return batch


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
