"""SimBERT's network: an encoder under the UniLM mask with a language-model head and a pooler (kexue.fm article 7427).

Vector and sequence loss come from one forward pass over `[CLS] a [SEP] b [SEP]`: the target's tokens give the sequence loss, and [CLS],
which sees the source only, gives the vector of a. It knows no tokenizer: :class:`.simbert.SimBERT` does. Notation: n pairs, b rows, l tokens,
h hidden.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

from ..backbone import Backbone
from ..heads.language_model import TiedLanguageModelHead
from ..linear import Linear
from ..losses import in_batch_similarity
from ..pretrained import Pretrained
from ..unilm import UniLM
from .batcher import PairBatch


class JointLoss(NamedTuple):
    """``total`` is ``seq2seq`` + ``similarity``; each []."""

    total: paddle.Tensor
    seq2seq: paddle.Tensor
    similarity: paddle.Tensor


class SimilarityNetwork(nn.Layer):
    """A :class:`UniLM` over ``backbone`` and a linear pooler: the vector of a text is ``W h + b`` of its [CLS] state h.

    ``head``: the language-model head, a new one unless given. The pooler begins as the identity, so that before any training the vectors
    are the states themselves. ``scale``: the similarities' factor before the softmax (30 is a temperature of 1/30).
    ``pooling``: ``first``, as the article does, or ``mean``: h is the mean of the source's states, for encoders that were trained so (E5,
    sentence encoders); neither sees the target. ``new_parts``: what no source has given.

    Raises ValueError for a scale that is not positive, another pooling, and as :class:`UniLM` does.
    """

    def __init__(self, backbone: Backbone, *, head: TiedLanguageModelHead | None = None, scale: float = 30.0, pooling: str = "first"):
        super().__init__()
        if not 0.0 < scale < math.inf:
            raise ValueError(f"scale must be a positive number, found {scale}: SimBERT's is 30")
        if pooling not in ("first", "mean"):
            raise ValueError(f"pooling must be 'first' or 'mean', found {pooling!r}: take one of these")
        self.scale, self.pooling = scale, pooling
        self.unilm = UniLM(backbone, head=head)
        h = backbone.config.hidden_size
        self.pooler = Linear(h, h, weight_attr=paddle.ParamAttr(initializer=nn.initializer.Assign(np.eye(h, dtype="float32"))))  # [h, h]
        self.new_parts: tuple[str, ...] = ("language_model_head", "pooler")

    @property
    def backbone(self) -> Backbone:
        return self.unilm.backbone

    def forward(self, ids: paddle.Tensor, segment_ids: paddle.Tensor | None = None) -> paddle.Tensor:
        """The sources' vectors [b, h], of any length: ``ids`` [b, l], ``segment_ids`` [b, l] (default: no target)."""
        segments = paddle.zeros_like(ids) if segment_ids is None else segment_ids  # [b, l]
        return self.vectors(self.unilm.hidden(ids, segments), ids, segments)  # [b, h]

    def vectors(self, hidden: paddle.Tensor, ids: paddle.Tensor, segments: paddle.Tensor) -> paddle.Tensor:
        """The sources' vectors [b, h] from states that are there already: ``hidden`` [b, l, h] of ``ids`` and ``segments`` [b, l]."""
        if self.pooling == "first":
            return self.pooler(hidden[:, 0])  # [b, h]
        source = paddle.logical_and(ids != self.backbone.config.pad_id, segments == 0).astype(hidden.dtype)  # [b, l]
        shares = source / source.sum(axis=1, keepdim=True)  # [b, l]
        return self.pooler(paddle.matmul(shares.unsqueeze(1), hidden).squeeze(1))  # [b, h]

    def loss(self, batch: PairBatch, *, inputs: paddle.Tensor | None = None) -> JointLoss:
        """Sequence loss of the targets and :func:`in_batch_similarity` of the sources, from one forward pass.

        ``inputs`` [2n, l]: what the network reads in place of ``batch.ids`` (random replacement in the targets); labels stay.
        Raises ValueError as both losses do.
        """
        ids, segments = paddle.to_tensor(batch.ids), paddle.to_tensor(batch.segment_ids)  # [2n, l], [2n, l]
        hidden = self.unilm.hidden(ids if inputs is None else inputs, segments)  # [2n, l, h]
        seq2seq = self.unilm.loss(ids, segments, hidden=hidden)  # []
        similarity = self.similarity(self.vectors(hidden, ids, segments), batch.groups)  # []
        return JointLoss(seq2seq + similarity, seq2seq, similarity)

    def similarity(self, vectors: paddle.Tensor, groups: np.ndarray) -> paddle.Tensor:
        """:func:`in_batch_similarity` of ``vectors`` [2n, h], partners one behind the other, and of the pairs' ``groups`` [n], []."""
        return in_batch_similarity(vectors, self.scale, groups=groups, double_backward=self.backbone.config.double_backward)  # []

    def load_parts(self, found: Pretrained) -> tuple[str, ...]:
        """Takes over the language-model head and the pooler of ``found`` where it has them; returns ``new_parts``, the names of the others."""
        new = [] if self.unilm.load_head(found) else ["language_model_head"]
        self.new_parts = (*new, *([] if self._load_pooler(found) else ["pooler"]))
        return self.new_parts

    def _load_pooler(self, found: Pretrained) -> bool:
        names = {name.removeprefix("bert.").removeprefix("ernie.").removeprefix("roberta."): name for name in found.others}
        for weight, bias in (("pooler.weight", "pooler.bias"), ("pooler.dense.weight", "pooler.dense.bias")):
            if weight in names and bias in names:
                matrix, row = found.others[names[weight]], found.others[names[bias]]  # [h, h], [h]
                if found.layout == "huggingface":
                    matrix = matrix.T  # [h, h]
                if list(matrix.shape) != list(self.pooler.weight.shape) or list(row.shape) != list(self.pooler.bias.shape):
                    return False
                self.pooler.weight.set_value(np.ascontiguousarray(matrix.astype("float32")))
                self.pooler.bias.set_value(row.astype("float32"))
                return True
        return False
