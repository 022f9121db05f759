"""SimBERT's joint step as an objective of pretraining: a step is a whole batch of pairs, since every other row is another meaning.

Notation: n pairs, l tokens of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import paddle

from shared.backbone import Backbone
from shared.pretrained import Pretrained
from shared.similarity import PairBatcher, SimBERT
from shared.similarity.batcher import PairBatch
from shared.text import Tokenizer

from ...similarity_layer import Batch, SimilarityLayer
from .settings import SimbertSettings


class SimilarityModel(SimilarityLayer):
    """:class:`SimBERT` over ``backbone`` as a :class:`SimilarityLayer`.

    Head and pooler are the source's (``pretrained``) where it has them; ``new_parts`` names the others. Raises ValueError as SimBERT does.
    """

    def __init__(self, backbone: Backbone, tokenizer: Tokenizer, settings: SimbertSettings, *, pretrained: Pretrained | None = None):
        simbert = SimBERT(backbone, tokenizer, scale=settings.scale, max_length=settings.max_length, pooling=settings.pooling)
        super().__init__(simbert)
        self.new_parts = simbert.load_parts(pretrained) if pretrained is not None else simbert.new_parts

    @property
    def simbert(self) -> SimBERT:
        """With its texts."""
        simbert = super().simbert
        assert isinstance(simbert, SimBERT)
        return simbert

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """The sequence loss of the targets and the similarity loss of the sources, summed, []."""
        pairs = PairBatch(batch["texts"], batch["segments"], batch["groups"])
        return self.simbert.loss(pairs, inputs=paddle.to_tensor(batch["ids"])).total  # []

    def evaluate(self, batches: Sequence[PairBatch]) -> Iterator[dict[str, float]]:
        """Mean losses over ``batches``; yields what is known after each, the scores last.

        ``accuracy``: how often a text's partner is nearer to it than every other text of the batch, by the cosine; larger batches are harder.
        """
        sums = np.zeros(4)  # [4]: both losses of all rows, partners found, rows
        for batch in batches:
            with paddle.no_grad():
                found = self.simbert.loss(batch)
                rows = len(batch.ids)
                vectors = self.simbert(paddle.to_tensor(batch.ids), paddle.to_tensor(batch.segment_ids)).numpy()  # [2n, h]
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # [2n, h]
            near = vectors @ vectors.T - 4.0 * np.eye(rows)  # [2n, 2n]
            right = (near.argmax(axis=1) == np.arange(rows) ^ 1).sum()
            sums += [float(found.seq2seq) * rows, float(found.similarity) * rows, right, rows]
            yield {}
        seq2seq, similarity, right, rows = sums
        yield {"sequence_loss": seq2seq / rows, "similarity_loss": similarity / rows, "accuracy": right / rows}


def batch_of(batcher: PairBatcher, number: int, epoch: int) -> dict[str, Any]:
    """Batch ``number`` of an epoch, counted around where it has fewer: ``ids`` that the encoder reads, ``texts``, ``segments``, ``groups``."""
    pairs = next(batcher.batches(epoch, start=number % batcher.steps(epoch)))
    return {"ids": pairs.ids, "texts": pairs.ids, "segments": pairs.segment_ids, "groups": pairs.groups}


def rows_of_budget(tokens: int, max_length: int) -> int:
    """Rows of a batch of pairs within ``tokens`` padded tokens: even, two a pair. Raises ValueError where not two pairs fit."""
    longest = 2 * max_length - 1
    rows = tokens // longest // 2 * 2
    if rows < 4:
        raise ValueError(f"batch_tokens {tokens} hold {rows} rows of {longest} tokens, and two pairs have 4: give {4 * longest} or more")
    return rows
