"""Events as complete subgraphs of arguments: GPLinker (kexue.fm article 8926).

Spans are arguments, a label for each (type, role), so one span may carry several and spans may nest. Any two arguments of one event are linked,
head to head and tail to tail, with a label for each type.

Notation: b windows, p (type, role) pairs, t types, n right pairs.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from shared.backbone import Backbone
from shared.text import Vocabulary

from ...gplinker import Gplinker, GplinkerSettings
from ...gplinker_decode import unlabelled_batch
from ..features import EventFeatures
from ..schema import EventSchema
from .gplinker_decode import gold_places, types_of_pairs


class EventGplinkerSettings(GplinkerSettings):
    """The ``[model]`` table of a recipe whose model is ``gplinker``."""

    triggers: bool = Field(True, description="also learn where triggers are, a label of spans for each type; they are not predicted")


class EventGplinker(Gplinker):
    """``schema``: whose types and roles the labels are."""

    def __init__(self, backbone: Backbone, *, schema: EventSchema, settings: EventGplinkerSettings):
        labels = len(schema.pairs) + len(schema.types) * settings.triggers
        super().__init__(backbone, spans=labels, links=len(schema.types), directed=False, settings=settings)
        self.type_of_pair = types_of_pairs(schema)

    def training_lengths(self, features: EventFeatures) -> np.ndarray:
        """Tokens of each window, [w]."""
        return features.lengths

    def collate(
        self, features: EventFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch: ``ids`` [b, l + 2], ``mask`` [b, l] and, when labelled, the right ``spans``, ``heads`` and ``tails`` [n, 4] of
        (row, label, first, last). Nothing is drawn."""
        batch = unlabelled_batch(features.ids, rows, vocabulary)
        if labelled:
            batch["spans"], batch["heads"], batch["tails"] = gold_places(features, rows, self.type_of_pair, self.num_spans)  # [n, 4] each
        return batch
