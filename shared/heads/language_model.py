"""BERT's language-model head over an embedding table that belongs to someone else (Devlin and others, arXiv 1810.04805)."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from .. import double_backward as twice
from ..activations import get_activation
from ..linear import Linear
from ..norms import LayerNorm

LIFT = 6.0
"""From here on GELU is the identity, for values down to 2 below."""


class TiedLanguageModelHead(nn.Layer):
    """``LayerNorm(activation(x W + b)) E^T + bias``, with E the token embeddings [v, h]: scores of every token of the vocabulary.

    The table is given to :meth:`forward` and is no parameter of the head, so that it is registered, trained and saved once.
    ``double_backward`` makes the head differentiable twice, as an exact gradient penalty needs. Raises ValueError for an activation
    that :func:`shared.activations.get_activation` does not know and for sizes below 1.
    """

    def __init__(self, hidden_size: int, vocab_size: int, *, activation: str = "gelu", eps: float = 1e-12, double_backward: bool = False):
        super().__init__()
        for name, size in (("hidden_size", hidden_size), ("vocab_size", vocab_size)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, found {size}: give that of the embedding table")
        self.hidden_size, self.vocab_size = hidden_size, vocab_size
        self.double_backward = double_backward
        self.activation = twice.activation(activation) if double_backward else get_activation(activation)
        normal = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02))
        self.transform = Linear(hidden_size, hidden_size, weight_attr=normal)  # [h, h]
        self.norm = LayerNorm(hidden_size, eps=eps, double_backward=double_backward)
        self.bias = self.create_parameter([vocab_size], is_bias=True)  # [v]

    def start_as_identity(self) -> None:
        """New weights with which the head gives ``LayerNorm(x) E^T``: a start for an encoder that was published without its own head.

        The transform is the identity with a bias that lifts every value onto the straight part of the activation (GELU and its like are
        x there to 1e-4), and the normalisation takes the lift out again, since it is the same for all values. It holds for an ``x`` of the
        size that a normalisation gives; a random transform in its place would have to be unlearnt first.
        """
        self.transform.weight.set_value(np.eye(self.hidden_size, dtype=np.float32))
        self.transform.bias.set_value(np.full(self.hidden_size, LIFT, dtype=np.float32))
        self.norm.weight.set_value(np.ones(self.hidden_size, dtype=np.float32))
        for bias in (self.norm.bias, self.bias):
            bias.set_value(np.zeros(bias.shape, dtype=np.float32))

    def forward(self, hidden: paddle.Tensor, table: paddle.Tensor, words: paddle.Tensor | None = None) -> paddle.Tensor:
        """``hidden`` [..., h], two axes at least, and ``table`` [v, h] give logits [..., v]. Raises ValueError for other shapes.

        ``words`` [u] (int64): only the scores of these tokens, in that order, [..., u]; the work is u / v of that of all.
        """
        if hidden.ndim < 2 or hidden.shape[-1] != self.hidden_size or list(table.shape) != [self.vocab_size, self.hidden_size]:
            raise ValueError(
                f"expected hidden [..., {self.hidden_size}] and table [{self.vocab_size}, {self.hidden_size}], "
                f"found {list(hidden.shape)} and {list(table.shape)}: give the encoder's output and its token embeddings"
            )
        transformed = self.norm(self.activation(self.transform(hidden)))  # [..., h]
        bias = self.bias  # [v]
        if words is not None:
            rows = twice.gather_rows if self.double_backward else paddle.index_select
            table, bias = rows(table, words), rows(bias.unsqueeze(1), words).squeeze(1)  # [u, h], [u]
        return paddle.matmul(transformed, table, transpose_y=True) + bias  # [..., v] or [..., u]
