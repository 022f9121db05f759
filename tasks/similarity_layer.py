"""What the trainings of SimBERT share, as an objective of pretraining and as a model of the paraphrase task: its parts under one set of names.

Notation: b rows, l tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from paddle import nn

from shared.similarity import SimilarityNetwork

Batch = Mapping[str, np.ndarray]


class SimilarityLayer(nn.Layer):
    """``simbert`` with its parts under the names that :meth:`shared.similarity.SimBERT.save` gives them.

    A batch holds ``ids`` (what the network reads), ``texts`` (what they were before random replacement) and ``segments``, [b, l] each.
    ``divisible`` is False: rows are losses of each other, so a batch cannot be cut into parts.
    """

    divisible = False

    def __init__(self, simbert: SimilarityNetwork):
        super().__init__()
        self.backbone, self.language_model_head, self.pooler = simbert.backbone, simbert.unilm.language_model_head, simbert.pooler
        self._whole = (simbert,)  # not a sublayer: its parts stand above

    @property
    def simbert(self) -> SimilarityNetwork:
        """The network whole."""
        return self._whole[0]

    def divisors(self, batch: Batch) -> dict[str, float]:
        """``batches``: 1, since no batch can be cut."""
        return {"batches": 1.0}

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    def replaceable(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """1 at the targets and their [SEP] [b, l], and the rows' lengths [b]: what :class:`RandomReplacement` takes."""
        return batch["segments"], (batch["texts"] != self.backbone.config.pad_id).sum(axis=1)  # [b, l], [b]
