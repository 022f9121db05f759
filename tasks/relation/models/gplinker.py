"""Triples as spans and links: GPLinker (kexue.fm article 8888) with links between the slots of an object.

Spans are subjects and objects. A link of a (predicate, slot) leads from a subject to an object's slot, head to head and tail to tail; one of
two slots of a predicate leads from the one to the other, so that objects with several slots come back whole.

Notation: b windows, p (predicate, slot) pairs, t kinds of links between slots, n right pairs.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from shared.backbone import Backbone
from shared.inference import Network
from shared.text import Vocabulary

from ...gplinker import Gplinker, GplinkerSettings
from ...gplinker_decode import unlabelled_batch
from ..features import RelationFeatures
from ..schema import RelationSchema
from .gplinker_decode import Labels, gold_places


class RelationGplinkerSettings(GplinkerSettings):
    """The ``[model]`` table of a recipe whose model is ``gplinker``."""

    entities: Literal["role", "type"] = Field(
        "role", description="labels of spans: subject and object, or these with every entity type of the schema"
    )


class RelationGplinker(Gplinker):
    """``schema``: whose pairs and types the labels are made of."""

    def __init__(self, backbone: Backbone, *, schema: RelationSchema, settings: RelationGplinkerSettings):
        labels = Labels.of(schema, settings.entities)
        super().__init__(backbone, spans=labels.spans, links=labels.links, directed=True, settings=settings)
        self.labels, self.entities = labels, settings.entities

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

    def network(self, **facts: Any) -> Network:
        """As :meth:`Gplinker.network`; what the labels of spans are is a fact."""
        return super().network(entities=self.entities, **facts)
