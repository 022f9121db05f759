"""Multi-head attention around any kind of scores, over whole texts or one token at a time for decoding (Vaswani and others, arXiv 1706.03762)."""

from __future__ import annotations

from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import nn

from .. import double_backward as twice
from ..dropout import dropout
from ..fast_gradients import trains_in_float32
from ..linear import Linear
from ..masks import Mask
from .fast import SelfAttention
from .kinds import KindSettings, make_scores
from .scores import DotProduct, Heads, Places, copied, size


class Beams(NamedTuple):
    """How the rows of a search stand over what is kept of their sources, which is held once a source and never for a row.

    r rows belong to b sources and take one new token each. Every source has g cells, a row is in one of them; a cell may be empty. ``rows`` [r]: the
    cell of every row, among b g; ``cells`` [b, g]: the row in every cell, any number in an empty one. ``bias`` [b, n, g, k + g]: 0 where a cell may
    look, the most negative number where not; first the k tokens that are kept, then the new ones of the cells. For kinds that ask, ``places`` [b, g]
    and ``key_places`` [b, k]: where these tokens stand in their texts.
    """

    rows: paddle.Tensor
    cells: paddle.Tensor
    bias: paddle.Tensor
    places: paddle.Tensor | None = None
    key_places: paddle.Tensor | None = None

    def spread(self, values: paddle.Tensor) -> paddle.Tensor:
        """What the rows have, [r, x], in their cells: [b, g, x]."""
        return paddle.index_select(values, self.cells.flatten()).reshape([-1, size(self.cells, 1), values.shape[-1]])  # [b, g, x]


class MultiHeadAttention(nn.Layer):
    """Self-attention with its output projection: hidden [b, l, h] gives [b, l, h].

    ``kind`` names the scores (:func:`kind_names`, or several joined by ``+``). Queries, keys and values come from one weight
    [h, p h], columns in that order (one matrix product): p is 3 for the dot product, 1 for kinds that look at no token.
    ``max_length`` is needed by every kind but the dot product. ``double_backward``: the softmax can be differentiated twice.
    Raises ValueError for a hidden size that the heads do not divide, for unknown kinds, for texts longer than ``max_length``, and for a mask
    that hides everything from a text.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_heads: int,
        kind: str = "dot_product",
        max_length: int | None = None,
        rank: int = 8,
        factors: tuple[int, int] | None = None,
        tiling: str = "repeat",
        combine: str = "mix",
        dropout: float = 0.0,
        weight_attr: paddle.ParamAttr | None = None,
        double_backward: bool = False,
    ):
        super().__init__()
        if num_heads < 1 or hidden_size % num_heads:
            raise ValueError(f"hidden_size {hidden_size} is not a multiple of num_heads {num_heads}: choose heads that divide it")
        if max_length is None and kind != "dot_product":
            raise ValueError(f"attention kind {kind!r} has weights for every place: give max_length, found None")
        self.num_heads, self.head_size, self.dropout = num_heads, hidden_size // num_heads, dropout
        self.double_backward = double_backward
        settings = KindSettings(
            num_heads, self.head_size, max_length or 1, rank, factors, tiling, combine, double_backward=double_backward
        )
        self.scores = make_scores(kind, settings)
        self.parts = self.scores.query_parts + self.scores.key_parts + 1
        self.qkv = Linear(hidden_size, self.parts * hidden_size, weight_attr=weight_attr, double_backward=double_backward)
        self.out = Linear(hidden_size, hidden_size, weight_attr=weight_attr, double_backward=double_backward)

    def forward(
        self, hidden: paddle.Tensor, mask: Mask | None = None, places: paddle.Tensor | None = None, key_places: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """``places`` [b, q]: where the tokens stand in their texts, for kinds that ask; default: in order. See :meth:`attend`."""
        return self.attend(hidden, mask, places, places if key_places is None else key_places)[0]  # [b, l, h]

    def attend(
        self,
        hidden: paddle.Tensor,
        mask: Mask | None,
        places: paddle.Tensor | None,
        key_places: paddle.Tensor | None,
        *,
        keep: bool = False,
    ) -> tuple[paddle.Tensor, tuple[paddle.Tensor, ...]]:
        """``hidden`` [b, q, h] under a ``mask`` over [b, 1, q, q] gives [b, q, h], and with ``keep`` what :meth:`step` needs of these tokens:
        key parts and values, each [b, n, q, d]."""
        if not keep and self._is_plain() and trains_in_float32(hidden, self.qkv.weight, self.qkv.bias):
            return self.out(self._fast(hidden, mask)), ()  # [b, q, h]
        queries, kept = self._projected(self.qkv(hidden))  # [b, n, q, d] each
        value = kept[-1]  # [b, n, q, d]
        where = Places(size(hidden, 1), size(value, 2), places, key_places)
        scores = self.scores(queries, kept[:-1], where)  # [b or 1, n, q, q]
        weights = dropout(self._weights(scores, mask, value), self.dropout, self.training)  # [b, n, q, q]
        return self.out(self._joined(paddle.matmul(weights, value))), tuple(kept) if keep else ()  # [b, q, h]

    def weights(self, hidden: paddle.Tensor, mask: Mask | None = None) -> paddle.Tensor:
        """Who looks at whom: of tokens in order, ``hidden`` [b, q, h], the weights [b, n, q, q] of :meth:`forward`, without dropout."""
        queries, kept = self._projected(self.qkv(hidden))  # [b, n, q, d] each
        length = size(hidden, 1)
        weights = self._weights(self.scores(queries, kept[:-1], Places(length, length)), mask, kept[-1])  # [b or 1, n, q, q]
        return weights.expand([hidden.shape[0], *weights.shape[1:]])  # [b, n, q, q]

    def step(self, hidden: paddle.Tensor, beams: Beams, kept: Heads) -> tuple[paddle.Tensor, tuple[paddle.Tensor, ...]]:
        """One new token a row, ``hidden`` [r, h], over ``kept``, key parts and values [b, n, k, d]: [r, h], and the same parts of the new tokens,
        each [b, n, g, d]. No gradient is meant to pass."""
        queries, new = self._projected(beams.spread(self.qkv(hidden)))  # [b, n, g, d] each
        g, k = size(beams.cells, 1), size(kept[-1], 2)
        before = self.scores(queries, kept[:-1], Places(g, k, beams.places, beams.key_places))  # [b or 1, n, g, k]
        among = self.scores(queries, new[:-1], Places(g, g, beams.places, beams.places))  # [b or 1, n, g, g]
        scores = paddle.concat([before, among], axis=-1)  # [b or 1, n, g, k + g]
        scores = scores if scores.dtype in (paddle.float32, paddle.float64) else scores.astype("float32")  # [b or 1, n, g, k + g]
        weights = F.softmax(scores + beams.bias, axis=-1).astype(kept[-1].dtype)  # [b, n, g, k + g]
        mixed = paddle.matmul(weights[:, :, :, :k], kept[-1]) + paddle.matmul(weights[:, :, :, k:], new[-1])  # [b, n, g, d]
        return self.out(paddle.index_select(self._joined(mixed).flatten(0, 1), beams.rows)), tuple(new)  # [r, h]

    def _projected(self, projected: paddle.Tensor) -> tuple[Heads, Heads]:
        """[b, q, p h] as the heads of queries and of what is kept, [b, n, q, d] each."""
        split = projected.reshape([0, 0, self.parts, self.num_heads, self.head_size])  # [b, q, p, n, d]
        parts = paddle.unbind(split.transpose([2, 0, 3, 1, 4]), axis=0)  # p x [b, n, q, d]
        return parts[: self.scores.query_parts], parts[self.scores.query_parts :]

    def _joined(self, mixed: paddle.Tensor) -> paddle.Tensor:
        return mixed.transpose([0, 2, 1, 3]).reshape([0, 0, self.num_heads * self.head_size])  # [b, q, h]

    def _is_plain(self) -> bool:
        return self.training and not self.double_backward and isinstance(self.scores, DotProduct)

    def _fast(self, hidden: paddle.Tensor, mask: Mask | None) -> paddle.Tensor:
        b, l, _ = hidden.shape
        added = None  # [b, n, l, l]
        if mask is not None:
            mask.check()
            added = mask.additive(hidden.dtype, shape=[b, self.num_heads, l, l])  # [b, n, l, l]
        return SelfAttention.apply(hidden, self.qkv.weight, self.qkv.bias, added, self.num_heads, self.dropout)  # [b, l, h]

    def _weights(self, scores: paddle.Tensor, mask: Mask | None, value: paddle.Tensor) -> paddle.Tensor:
        if scores.dtype != paddle.float32 and scores.dtype != paddle.float64:
            # a barred score plus a negative one overflows half precision, and a row of infinities gives NaN
            scores = scores.astype("float32")  # [b or 1, n, q, k]
        if mask is not None:
            if paddle.in_dynamic_mode():
                mask.check()
                scores = copied(scores, max(scores.shape[0], mask.bool.shape[0]))  # [b or 1, n, q, k]
            scores = scores + mask.additive(scores.dtype, shape=scores.shape if paddle.in_dynamic_mode() else None)  # [b or 1, n, q, k]
        weights = twice.softmax(scores, axis=-1) if self.double_backward else F.softmax(scores, axis=-1)  # [b or 1, n, q, k]
        if self.training and self.dropout and paddle.in_dynamic_mode() and weights.shape[0] != value.shape[0]:
            weights = weights.expand([value.shape[0], *weights.shape[1:]])  # [b, n, q, k]: every example drops its own
        return weights if weights.dtype == value.dtype else weights.astype(value.dtype)  # [b or 1, n, q, k]
