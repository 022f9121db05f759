"""Multi-head attention around any kind of scores, with a cache for decoding (Vaswani and others, arXiv 1706.03762)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from .scores import DotProduct, Places, copied


@dataclass(frozen=True)
class LayerCache:
    """What one attention layer keeps of the tokens it has seen: key parts and values, each [b, n, k, d]."""

    parts: tuple[paddle.Tensor, ...] = ()

    def select(self, rows: paddle.Tensor) -> LayerCache:
        """The rows [r] (int64) of the batch, in that order, repeated where named twice."""
        return LayerCache(tuple(paddle.index_select(part, rows, axis=0) for part in self.parts))  # [r, n, k, d]


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
        return self.attend(hidden, mask, places, places if key_places is None else key_places, None)[0]  # [b, l, h]

    def attend(
        self,
        hidden: paddle.Tensor,
        mask: Mask | None,
        places: paddle.Tensor | None,
        key_places: paddle.Tensor | None,
        cache: LayerCache | None,
    ) -> tuple[paddle.Tensor, LayerCache]:
        """``hidden`` [b, q, h] of the new tokens; ``mask`` over [b, 1, q, k], k counting the tokens in ``cache`` first.

        Returns [b, q, h] and the cache with the new tokens added, an empty one for None.
        """
        if cache is None and self._is_plain() and trains_in_float32(hidden, self.qkv.weight, self.qkv.bias):
            return self.out(self._fast(hidden, mask)), LayerCache()  # [b, q, h]
        cache = LayerCache() if cache is None else cache
        projected = self.qkv(hidden).reshape([0, 0, self.parts, self.num_heads, self.head_size])  # [b, q, p, n, d]
        parts = paddle.unbind(projected.transpose([2, 0, 3, 1, 4]), axis=0)  # p x [b, n, q, d]
        queries: Sequence[paddle.Tensor] = parts[: self.scores.query_parts]  # [b, n, q, d] each
        kept: Sequence[paddle.Tensor] = parts[self.scores.query_parts :]  # [b, n, q, d] each
        if cache.parts:
            kept = [paddle.concat([cache.parts[place], kept[place]], axis=2) for place in range(len(kept))]  # [b, n, k, d] each
        value = kept[-1]  # [b, n, k, d]
        where = Places(_length(hidden, 1), _length(value, 2), places, key_places)
        scores = self.scores(queries, kept[:-1], where)  # [b or 1, n, q, k]
        weights = dropout(self._weights(scores, mask, value), self.dropout, self.training)  # [b, n, q, k]
        mixed = paddle.matmul(weights, value).transpose([0, 2, 1, 3]).reshape([0, 0, self.num_heads * self.head_size])  # [b, q, h]
        return self.out(mixed), LayerCache(tuple(kept))  # [b, q, h]

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


def _length(x: paddle.Tensor, axis: int) -> int:
    """The size of an axis, also in a graph that is being recorded, where it is a tensor."""
    size: int = x.shape[axis] if paddle.in_dynamic_mode() else paddle.shape(x)[axis]
    return size
