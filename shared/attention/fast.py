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
from ..fast_gradients import affine, column_sums, row_sums, spread


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
        dropped = kept * paddle.to_tensor(drawn_factors(scores.shape, rate)) if rate else kept  # [b, n, l, l]
        mixed = paddle.matmul(dropped, value)  # [b, n, l, d]
        ctx.save_for_backward(rows, weight, query, key, value, kept, dropped, mixed)
        ctx.masked = mask is not None
        return mixed.transpose([0, 2, 1, 3]).reshape([b, l, h])  # [b, l, h]

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        rows, weight, query, key, value, kept, dropped, mixed = ctx.saved_tensor()
        b, heads, l, d = query.shape
        upper = gradient.reshape([b, l, heads, d]).transpose([0, 2, 1, 3])  # [b, n, l, d]
        to_value = paddle.matmul(dropped, upper, transpose_x=True)  # [b, n, l, d]
        # dropout's gradient times the weights is the gradient times the dropped weights, whose sum over the keys is upper times mixed
        to_scores = paddle.matmul(upper, value, transpose_y=True).multiply_(dropped)  # [b, n, l, l]
        to_scores.subtract_(spread(row_sums(upper * mixed), l).multiply_(kept))
        to_query = paddle.matmul(to_scores, key).scale_(1.0 / math.sqrt(d))  # [b, n, l, d]
        to_key = paddle.matmul(to_scores, query, transpose_x=True)  # [b, n, l, d]
        inward, to_weight, to_bias = [], [], []
        for part, weights in zip((to_query, to_key, to_value), paddle.split(weight, 3, axis=1), strict=True):
            flat = part.transpose([0, 2, 1, 3]).reshape([b * l, heads * d])  # [r, h]
            inward.append(paddle.matmul(flat, weights, transpose_y=True))  # [r, h]
            to_weight.append(paddle.matmul(rows, flat, transpose_x=True))  # [h, h]
            to_bias.append(column_sums(flat))  # [h]
        summed = inward[0].add_(inward[1]).add_(inward[2]).reshape([b, l, heads * d])  # [b, l, h]
        found = (summed, paddle.concat(to_weight, axis=1), paddle.concat(to_bias))  # [b, l, h], [h, 3 h], [3 h]
        return (*found, None) if ctx.masked else found


_FAST_ROW = 128
"""From this length on Paddle's softmax takes a row's exponentials together; below, one after the other."""


def softmax_(scores: paddle.Tensor) -> paddle.Tensor:
    """Softmax over the last axis of ``scores`` [b, n, l, k], which is written over: [b, n, l, k]."""
    k = scores.shape[-1]
    if k >= _FAST_ROW:
        return F.softmax(scores, axis=-1)  # [b, n, l, k]
    rows = scores.reshape([-1, k])  # [r, k]
    tops = F.max_pool1d(rows.unsqueeze(0), k).reshape([-1, 1])  # [r, 1]: a third of the time of max
    rows = paddle.exp(rows.subtract_(spread(tops, k)))  # [r, k]
    return rows.multiply_(spread(paddle.reciprocal(row_sums(rows)), k)).reshape(scores.shape)  # [b, n, l, k]
