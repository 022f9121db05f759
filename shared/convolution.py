"""A convolution that gives every token its neighbours: what a new encoder needs thousands of steps to learn from absolute positions."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from . import double_backward as twice
from .linear import Linear
from .norms import LayerNorm


class LocalConvolution(nn.Layer):
    """``norm(x + gelu(W [x_{i-k} ... x_{i+k}]))`` with ``width`` = 2 k + 1 tokens: [b, l, h] gives [b, l, h].

    As the convolutional positions of wav2vec 2.0 (arXiv 2006.11477), but over all features. It looks to both sides, so it does not go with
    masks that hide later tokens. Padding and what lies beyond the ends count as zeros.
    """

    def __init__(
        self,
        hidden_size: int,
        width: int,
        *,
        eps: float = 1e-12,
        weight_attr: paddle.ParamAttr | None = None,
        double_backward: bool = False,
    ):
        super().__init__()
        if width < 1 or width % 2 == 0:
            raise ValueError(f"width must be an odd number of tokens, found {width}: give e.g. 5")
        self.side = width // 2
        self.mix = Linear(width * hidden_size, hidden_size, weight_attr=weight_attr)  # [w * h, h]
        self.norm = LayerNorm(hidden_size, eps=eps, double_backward=double_backward)
        self.activation = twice.gelu if double_backward else F.gelu

    def forward(self, hidden: paddle.Tensor, real: paddle.Tensor) -> paddle.Tensor:
        """``real`` [b, l]: true for tokens that are no padding."""
        inside = hidden * real.unsqueeze(-1).astype(hidden.dtype)  # [b, l, h]
        beyond = [paddle.zeros_like(inside[:, :1])] * self.side  # [b, 1, h] each
        framed = paddle.concat([*beyond, inside, *beyond], axis=1)  # [b, l + 2 k, h]
        last = 2 * self.side
        # counted from the end, since a recorded graph has no lengths yet
        pieces = [framed[:, shift : shift - last] if shift < last else framed[:, shift:] for shift in range(last + 1)]  # [b, l, h] each
        neighbours = paddle.concat(pieces, axis=-1)  # [b, l, w * h]
        mixed: paddle.Tensor = self.norm(hidden + self.activation(self.mix(neighbours)))  # [b, l, h]
        return mixed
