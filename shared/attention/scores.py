"""What an attention kind is: a layer that turns heads of projected tokens into scores, before mask and softmax.

Notation: b batch, n heads, d head size, q new tokens, k all tokens so far, l either, h = n d hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import paddle
from paddle import nn

Heads = Sequence[paddle.Tensor]


class Places(NamedTuple):
    """``q`` new tokens and ``k`` tokens in all, and where they stand in their texts, from 0: ``queries`` [b, q] and ``keys`` [b, k], or None
    for both where they stand in order."""

    q: int
    k: int
    queries: paddle.Tensor | None = None
    keys: paddle.Tensor | None = None


class Scores(nn.Layer):
    """Base of the attention kinds.

    ``query_parts`` and ``key_parts`` say how many [b, n, l, d] projections of the tokens a kind asks of :class:`MultiHeadAttention`,
    which makes them all, with the values, in one matrix product. Key parts are what a cache keeps.
    ``max_length`` is the longest text that the kind has weights for, None for any.
    """

    query_parts = 0
    key_parts = 0
    max_length: int | None = None

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        """``queries`` [b, n, q, d] and ``keys`` [b, n, k, d], one a part; gives scores [b or 1, n, q, k].

        ``share`` [n, 1, 1] multiplies them; a kind applies it to whatever is smaller than its scores.
        """
        raise NotImplementedError

    def replaced_parameters(self, hidden_size: int) -> int:
        """Weights of the scores without biases: what stands in for the 2 h^2 of queries and keys (Synthesizer, table 1)."""
        own = sum(int(parameter.size) for name, parameter in self.named_parameters() if not name.split(".")[-1].startswith("bias"))
        return own + (self.query_parts + self.key_parts) * hidden_size * hidden_size

    def _check_length(self, places: Places) -> None:
        if self.max_length is not None and places.keys is None and paddle.in_dynamic_mode() and places.k > self.max_length:
            raise ValueError(
                f"{places.k} tokens do not fit the {self.max_length} that this {type(self).__name__} has weights for: "
                f"cut the text into windows of at most {self.max_length} tokens, or make it with max_length={places.k}"
            )


class DotProduct(Scores):
    """``Q K^T / sqrt(d)`` (Vaswani and others, arXiv 1706.03762)."""

    query_parts = 1
    key_parts = 1

    def __init__(self, head_size: int):
        super().__init__()
        self.scale = 1.0 / math.sqrt(head_size)

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        return paddle.matmul(shared_out(queries[0] * self.scale, share), keys[0], transpose_y=True)  # [b, n, q, k]


def shared_out(x: paddle.Tensor, share: paddle.Tensor | None) -> paddle.Tensor:
    """``x`` [.., n, l, x] times ``share`` [n, 1, 1], if there is one."""
    return x if share is None else x * share  # [.., n, l, x]


def copied(scores: paddle.Tensor, rows: int) -> paddle.Tensor:
    """Scores [1, n, q, k] for each of ``rows`` texts, [rows, n, q, k]: on a CPU copies cost a fifth of broadcasting, forward and backward."""
    if scores.shape[0] == rows:
        return scores  # [rows, n, q, k]
    return paddle.concat([scores] * rows, axis=0)  # [rows, n, q, k]


def size(x: paddle.Tensor, axis: int) -> int:
    """The size of an axis, also in a graph that is being recorded, where it is a tensor."""
    found: int = x.shape[axis] if paddle.in_dynamic_mode() else paddle.shape(x)[axis]
    return found
