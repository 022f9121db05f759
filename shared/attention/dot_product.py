"""Multi-head scaled dot-product attention (Vaswani and others, arXiv 1706.03762)."""

from __future__ import annotations

import math

import paddle
import paddle.nn.functional as F
from paddle import nn

from ..dropout import dropout
from ..linear import Linear
from ..masks import Mask


class MultiHeadAttention(nn.Layer):
    """Self-attention with its output projection: hidden [b, l, h] gives [b, l, h].

    Queries, keys and values come from one [h, 3h] weight, columns in that order (one matrix product instead of three).
    Raises ValueError for a hidden size that the heads do not divide.
    """

    def __init__(self, *, hidden_size: int, num_heads: int, dropout: float = 0.0, weight_attr: paddle.ParamAttr | None = None):
        super().__init__()
        if num_heads < 1 or hidden_size % num_heads:
            raise ValueError(f"hidden_size {hidden_size} is not a multiple of num_heads {num_heads}: choose heads that divide it")
        self.num_heads, self.head_size, self.dropout = num_heads, hidden_size // num_heads, dropout
        self.scale = 1.0 / math.sqrt(self.head_size)
        self.qkv = Linear(hidden_size, 3 * hidden_size, weight_attr=weight_attr)
        self.out = Linear(hidden_size, hidden_size, weight_attr=weight_attr)

    def forward(self, hidden: paddle.Tensor, mask: Mask | None = None) -> paddle.Tensor:
        qkv = self.qkv(hidden).reshape([0, 0, 3, self.num_heads, self.head_size])  # [b, l, 3, n, d]
        query, key, value = paddle.unbind(qkv.transpose([2, 0, 3, 1, 4]), axis=0)  # 3 x [b, n, l, d]
        scores = paddle.matmul(query * self.scale, key, transpose_y=True)  # [b, n, l, l]
        if scores.dtype != paddle.float32 and scores.dtype != paddle.float64:
            # a barred score plus a negative one overflows half precision, and a row of infinities gives NaN
            scores = scores.astype("float32")  # [b, n, l, l]
        if mask is not None:
            shape = scores.shape if paddle.in_dynamic_mode() else None
            scores = scores + mask.additive(scores.dtype, shape=shape)  # [b, n, l, l]
        weights = F.softmax(scores, axis=-1)  # [b, n, l, l]
        if weights.dtype != value.dtype:
            weights = weights.astype(value.dtype)  # [b, n, l, l]
        weights = dropout(weights, self.dropout, self.training)  # [b, n, l, l]
        mixed = paddle.matmul(weights, value).transpose([0, 2, 1, 3]).reshape([0, 0, self.num_heads * self.head_size])  # [b, l, h]
        return self.out(mixed)  # [b, l, h]
