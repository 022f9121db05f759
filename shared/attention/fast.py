"""Dot-product self-attention in one step with its own backward pass, for training on a CPU.

The numbers are those of the plain way, :meth:`MultiHeadAttention.attend`; what is saved is memory that is only moved: three projections that come
out of their products apart need no splitting, heads are moved by the one transposition that Paddle does quickly, mask, softmax and
dropout work in place, and no gradient is copied to be added up.
"""

from __future__ import annotations

import math
from typing import Any

import paddle
import paddle.nn.functional as F

from ..dropout import drawn_factors
from ..fast_gradients import affine, column_sums, spread_sums


class SelfAttention(paddle.autograd.PyLayer):
    """Projection to queries, keys and values, scores, mask, softmax, dropout and mixing, up to the output projection.

    ``hidden`` [b, l, h], ``weight`` [h, 3 h], ``bias`` [3 h], ``mask`` additive [b, n, l, l] or None: [b, l, h].
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: paddle.Tensor,
        weight: paddle.Tensor,
        bias: paddle.Tensor,
        mask: paddle.Tensor | None,
        heads: int,
        rate: float,
    ) -> paddle.Tensor:
        b, l, h = hidden.shape
        rows = hidden.reshape([b * l, h])  # [r, h]
        weights, biases = paddle.split(weight, 3, axis=1), paddle.split(bias, 3)  # 3 x [h, h], 3 x [h]
        query, key, value = (
            affine(rows, weights[part], biases[part]).reshape([b, l, heads, h // heads]).transpose([0, 2, 1, 3]) for part in range(3)
        )  # [b, n, l, d] each
        query.scale_(1.0 / math.sqrt(h // heads))
        scores = paddle.matmul(query, key, transpose_y=True)  # [b, n, l, l]
        if mask is not None:
            scores.add_(mask)
        kept = softmax_(scores)  # [b, n, l, l]
        factors = paddle.to_tensor(drawn_factors(scores.shape, rate)) if rate else None  # [b, n, l, l]
        ctx.save_for_backward(rows, weight, query, key, value, kept)
        ctx.factors, ctx.shape, ctx.masked = factors, (b, l, heads, h // heads), mask is not None
        dropped = kept if factors is None else kept * factors  # [b, n, l, l]
        return paddle.matmul(dropped, value).transpose([0, 2, 1, 3]).reshape([b, l, h])  # [b, l, h]

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        rows, weight, query, key, value, kept = ctx.saved_tensor()
        factors, (b, l, heads, d) = ctx.factors, ctx.shape
        upper = gradient.reshape([b, l, heads, d]).transpose([0, 2, 1, 3])  # [b, n, l, d]
        dropped = kept if factors is None else kept * factors  # [b, n, l, l]
        to_value = paddle.matmul(dropped, upper, transpose_x=True)  # [b, n, l, d]
        to_scores = paddle.matmul(upper, value, transpose_y=True)  # [b, n, l, l]
        if factors is not None:
            to_scores.multiply_(factors)
        to_scores.multiply_(kept)
        to_scores.subtract_(spread_sums(to_scores).multiply_(kept))
        to_query = paddle.matmul(to_scores, key).scale_(1.0 / math.sqrt(d))  # [b, n, l, d]
        to_key = paddle.matmul(to_scores, query, transpose_x=True)  # [b, n, l, d]
        inward = paddle.zeros_like(rows)  # [r, h]
        to_weight, to_bias = [], []
        for part, weights in zip((to_query, to_key, to_value), paddle.split(weight, 3, axis=1), strict=True):
            flat = part.transpose([0, 2, 1, 3]).reshape([b * l, heads * d])  # [r, h]
            inward.add_(paddle.matmul(flat, weights, transpose_y=True))
            to_weight.append(paddle.matmul(rows, flat, transpose_x=True))  # [h, h]
            to_bias.append(column_sums(flat))  # [h]
        found = (inward.reshape([b, l, heads * d]), paddle.concat(to_weight, axis=1), paddle.concat(to_bias))  # [b, l, h], [h, 3 h], [3 h]
        return (*found, None) if ctx.masked else found


_FAST_ROW = 128
"""From this length on Paddle's softmax takes a row's exponentials together; below, one after the other."""


def softmax_(scores: paddle.Tensor) -> paddle.Tensor:
    """Softmax over the last axis of ``scores`` [b, n, l, k], which is written over: [b, n, l, k]."""
    k = scores.shape[-1]
    if k >= _FAST_ROW:
        return F.softmax(scores, axis=-1)  # [b, n, l, k]
    rows, ones = scores.reshape([-1, k]), paddle.ones([1, k], dtype=scores.dtype)  # [r, k], [1, k]
    tops = F.max_pool1d(rows.unsqueeze(0), k).reshape([-1, 1])  # [r, 1]: a third of the time of max
    rows = paddle.exp(rows.subtract_(paddle.matmul(tops, ones)))  # [r, k]
    sums = paddle.matmul(rows, ones, transpose_y=True)  # [r, 1]
    return rows.multiply_(paddle.matmul(paddle.reciprocal(sums), ones)).reshape(scores.shape)  # [b, n, l, k]
