"""Spans by their two ends: for every label a start and an end tag at every token (half pointer, half tag; kexue.fm article 7161).

Notation: b rows, l tokens, h hidden, k labels. The last axis of a tagging is (start, end).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import nn

from ..linear import Linear
from ..losses import full_precision, powered_bce, powered_divergence, share
from .half_pointer_decode import nearest_pairs


class HalfPointer(nn.Layer):
    """One linear layer; a tag's probability is ``sigmoid(logit) ** power``. New biases are ``bias``: tags are rare."""

    def __init__(self, hidden_size: int, num_labels: int, *, power: int = 1, bias: float = 0.0):
        super().__init__()
        self.num_labels, self.power = num_labels, power
        self.project = Linear(
            hidden_size,
            num_labels * 2,
            weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02)),
            bias_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(bias)),
        )  # [h, k * 2]

    def forward(self, hidden: paddle.Tensor) -> paddle.Tensor:
        """Logits [b, l, k, 2] of ``hidden`` [b, l, h]."""
        return self.project(hidden).reshape([0, 0, self.num_labels, 2])  # [b, l, k, 2]

    def probabilities(self, logits: paddle.Tensor) -> paddle.Tensor:
        """[b, l, k, 2] gives [b, l, k, 2], float32 for half precision."""
        wide = logits if logits.dtype in (paddle.float32, paddle.float64) else logits.astype("float32")  # [b, l, k, 2]
        return nn.functional.sigmoid(wide) ** self.power  # [b, l, k, 2]

    def loss(self, logits: paddle.Tensor, tags: paddle.Tensor, mask: paddle.Tensor, *, divisor: float | None = None) -> paddle.Tensor:
        """Cross entropy averaged over the two ends, summed over labels, averaged over the real tokens, [].

        ``tags`` [b, l, k, 2] float, ``mask`` [b, l] float, 1 at real tokens. ``divisor``: how many tokens the mean is over, where these rows
        are a part of a bigger batch. Raises ValueError for other shapes and, without a divisor, a mask without a token.
        """
        if list(tags.shape) != list(logits.shape):
            raise ValueError(f"logits {list(logits.shape)} and tags {list(tags.shape)} do not fit: give [b, l, k, 2] twice")
        return self._mean(powered_bce(logits, tags, self.power), mask, divisor)  # []

    def divergence(self, first: paddle.Tensor, second: paddle.Tensor, mask: paddle.Tensor, *, divisor: float | None = None) -> paddle.Tensor:
        """How far the tags' probabilities in two passes are apart (:func:`powered_divergence`), averaged and summed as :meth:`loss`, [].

        ``first`` and ``second`` [b, l, k, 2]: logits. Raises ValueError as :meth:`loss`.
        """
        if list(first.shape) != list(second.shape):
            raise ValueError(f"logits {list(first.shape)} and {list(second.shape)} differ: give two passes over the same rows")
        return self._mean(powered_divergence(first, second, self.power), mask, divisor)  # []

    @full_precision
    def _mean(self, losses: paddle.Tensor, mask: paddle.Tensor, divisor: float | None) -> paddle.Tensor:
        if list(mask.shape) != list(losses.shape[:2]):
            raise ValueError(f"logits {list(losses.shape)} and mask {list(mask.shape)} do not fit: give [b, l, k, 2] and [b, l]")
        if paddle.in_dynamic_mode() and divisor is None and not float(mask.sum()) > 0:
            raise ValueError(f"the mask {list(mask.shape)} hides every token: leave batches without text out")
        total = (losses.sum(axis=[2, 3]) * 0.5 * mask).sum()  # []
        return total / mask.sum() if divisor is None else share(total, divisor)  # []

    def decode(self, logits: paddle.Tensor, mask: paddle.Tensor, *, threshold: float = 0.5) -> list[list[tuple[int, int, int]]]:
        """For every row the spans (label, first, last), ascending: each start above ``threshold`` with its :func:`nearest_pairs` end.

        ``logits`` [b, l, k, 2], ``mask`` [b, l], above 0 at the tokens that may be a start or an end.
        """
        inside = mask.numpy() > 0  # [b, l]
        above = (self.probabilities(logits).numpy() > threshold) & inside[:, :, None, None]  # [b, l, k, 2]
        return [
            [
                (label, *pair)
                for label in range(self.num_labels)
                for pair in nearest_pairs(*(np.flatnonzero(row[:, label, end]).tolist() for end in (0, 1)))
            ]
            for row in above
        ]


def span_tags(spans: np.ndarray | Sequence[tuple[int, int, int]], length: int, num_labels: int) -> np.ndarray:
    """Spans [n, 3] of (label, first, last) as a tagging [length, k, 2] float32."""
    spans = np.asarray(spans, dtype=np.int64).reshape(-1, 3)  # [n, 3]
    tags = np.zeros((length, num_labels, 2), dtype=np.float32)  # [l, k, 2]
    tags[spans[:, 1], spans[:, 0], 0] = 1.0
    tags[spans[:, 2], spans[:, 0], 1] = 1.0
    return tags
