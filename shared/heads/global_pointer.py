"""Spans as pairs of tokens: a score for every label, first and last token (kexue.fm articles 8373 and 8877).

Notation: b rows, l tokens, h hidden, k labels, d head size. In scores [b, k, l, l] the third axis is the first token, the fourth the last.
"""

from __future__ import annotations

import math

import numpy as np
import paddle
from paddle import nn

from ..linear import Linear
from ..losses import multilabel_cross_entropy, sparse_multilabel_cross_entropy
from ..masks import like
from .pair_scores import PairParts

BARRED = -65504.0
"""Score of a pair that cannot be: the most negative finite number of float16, far below any real score in every type."""


class _PairScores(nn.Layer):
    """What the two pointers share: which pairs may be, the losses and the decode."""

    def __init__(self, hidden_size: int, num_labels: int, head_size: int, *, rotary: bool, upper_triangle: bool):
        super().__init__()
        for name, size in (("hidden_size", hidden_size), ("num_labels", num_labels), ("head_size", head_size)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, found {size}: give e.g. head_size=64 and the encoder's hidden size")
        if rotary and head_size % 2:
            raise ValueError(f"head_size must be even for rotary positions, found {head_size}: give {head_size + 1}, or rotary=False")
        self.hidden_size, self.num_labels, self.head_size = hidden_size, num_labels, head_size
        self.rotary, self.upper_triangle = rotary, upper_triangle

    def loss(self, logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        """:func:`multilabel_cross_entropy` over the pairs of each label, summed over the labels, averaged over the rows, [].

        ``logits`` and ``labels`` [b, k, l, l]; pairs that are barred must not be labelled.
        """
        if list(labels.shape) != list(logits.shape):
            raise ValueError(f"logits {list(logits.shape)} and labels {list(labels.shape)} differ: give both as [b, k, l, l]")
        losses = multilabel_cross_entropy(_flat(logits), _flat(labels))  # [b, k]
        return losses.sum(axis=1).mean()  # []

    def sparse_loss(self, logits: paddle.Tensor, positions: paddle.Tensor, *, padding: int = -1) -> paddle.Tensor:
        """:meth:`loss` with the labels by place: ``positions`` [b, k, m, 2] of (first, last), filled up with pairs of ``padding``.

        Raises ValueError for other shapes and for a token outside the row.
        """
        if positions.ndim != 4 or list(positions.shape[:2]) != list(logits.shape[:2]) or positions.shape[3] != 2:
            raise ValueError(f"logits {list(logits.shape)} need positions [b, k, m, 2], found {list(positions.shape)}: fill up with {padding}")
        length = logits.shape[-1]
        if positions.shape[2] == 0:
            flat = paddle.zeros(positions.shape[:3], dtype="int64")  # [b, k, 0]
        else:
            first, last = positions.astype("int64").unbind(axis=3)  # [b, k, m], [b, k, m]
            real = first != padding  # [b, k, m]
            if paddle.in_dynamic_mode():
                _check_pairs(first, last, real, length, padding)
            flat = paddle.where(real, first * length + last, paddle.full_like(first, -1))  # [b, k, m]
        return sparse_multilabel_cross_entropy(_flat(logits), flat).sum(axis=1).mean()  # []

    def decode(self, logits: paddle.Tensor | np.ndarray, *, threshold: float = 0.0) -> list[list[tuple[int, int, int]]]:
        """:func:`pairs_above` of the scores."""
        return pairs_above(logits, threshold=threshold)

    def _check(self, hidden: paddle.Tensor, mask: paddle.Tensor | None) -> None:
        if hidden.ndim != 3 or hidden.shape[-1] != self.hidden_size:
            raise ValueError(f"hidden must be [b, l, {self.hidden_size}], found {list(hidden.shape)}: give the encoder's output")
        if paddle.in_dynamic_mode():  # a recorded graph has no lengths yet
            if 0 in hidden.shape:
                raise ValueError(f"hidden {list(hidden.shape)} has no token: leave empty rows out")
            if mask is not None:
                check_mask(mask, hidden.shape[:2])

    def _barred(self, scores: paddle.Tensor, mask: paddle.Tensor | None) -> paddle.Tensor:
        """``BARRED`` wherever a token is padding or, with ``upper_triangle``, the last token stands before the first; [b, k, l, l]."""
        allowed = None
        if mask is not None:
            real = mask.astype("bool")  # [b, l]
            allowed = paddle.logical_and(real.unsqueeze([1, 2]), real.unsqueeze([1, 3]))  # [b, 1, l, l]
        if self.upper_triangle:
            places = _places(scores)  # [l]
            ordered = (places.unsqueeze(1) <= places.unsqueeze(0)).unsqueeze([0, 1])  # [1, 1, l, l]
            allowed = ordered if allowed is None else paddle.logical_and(allowed, ordered)  # [b or 1, 1, l, l]
        if allowed is None:
            return scores  # [b, k, l, l]
        return paddle.where(like(allowed, scores), scores, paddle.full_like(scores, BARRED))  # [b, k, l, l]


class GlobalPointer(_PairScores):
    """``s_k(i, j) = q_k,i . k_k,j / sqrt(d)`` with a query and a key for every label, turned by their places (RoPE): article 8373.

    h (2 k d) weights. ``rotary=False`` leaves the places out, ``upper_triangle=False`` allows a last token before the first: both are for
    scores of pairs that are no spans, such as the heads and the tails of GPLinker (article 8888). Any length is allowed.
    ``bias``: a number that is learnt for each label and added to its scores, at first this; None: none.
    Raises ValueError for sizes below 1 and an odd head size with rotary places.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        head_size: int = 64,
        *,
        rotary: bool = True,
        upper_triangle: bool = True,
        bias: float | None = None,
    ):
        super().__init__(hidden_size, num_labels, head_size, rotary=rotary, upper_triangle=upper_triangle)
        self.project = Linear(hidden_size, num_labels * 2 * head_size, weight_attr=_lecun(hidden_size))  # [h, k * 2 * d]
        self.bias = None if bias is None else self.create_parameter([num_labels], attr=_constant(bias))  # [k]

    def forward(self, hidden: paddle.Tensor, mask: paddle.Tensor | None = None) -> paddle.Tensor:
        """``hidden`` [b, l, h] and ``mask`` [b, l] (true or 1 at real tokens; None: all) give scores [b, k, l, l].

        In float64 for float64, else in float32. Raises ValueError for other shapes and, where values are known, a row without a token.
        """
        self._check(hidden, mask)
        parts = self.project(hidden).reshape([0, 0, 2 * self.num_labels, self.head_size])  # [b, l, 2 * k, d]
        if self.rotary:
            parts = rotate(parts)  # [b, l, 2 * k, d]
        parts = parts.reshape([0, 0, 2, self.num_labels, self.head_size]).transpose([2, 0, 3, 1, 4])  # [2, b, k, l, d]
        query, key = paddle.unbind(parts, axis=0)  # [b, k, l, d], [b, k, l, d]
        scores = _wide(paddle.matmul(query * (1.0 / math.sqrt(self.head_size)), key, transpose_y=True))  # [b, k, l, l]
        if self.bias is not None:
            scores = scores + _wide(self.bias).reshape([1, -1, 1, 1])  # [b, k, l, l]
        return self._barred(scores, mask)  # [b, k, l, l]


class EfficientGlobalPointer(_PairScores):
    """``s_k(i, j) = q_i . k_j / sqrt(d) + (w_k . [q_i; k_i] + v_k . [q_j; k_j]) / 2``: one query and key find spans, all labels share them,
    and 4 d + 2 weights a label type them (article 8877).

    ``rotary`` and ``upper_triangle`` as in :class:`GlobalPointer`. h 2 d + 4 d k weights. ``bias``: what every score starts with (the labels'
    layer has biases anyway). Raises ValueError likewise.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        head_size: int = 64,
        *,
        rotary: bool = True,
        upper_triangle: bool = True,
        bias: float = 0.0,
    ):
        super().__init__(hidden_size, num_labels, head_size, rotary=rotary, upper_triangle=upper_triangle)
        self.project = Linear(hidden_size, 2 * head_size, weight_attr=_lecun(hidden_size))  # [h, 2 * d]
        self.label = Linear(
            2 * head_size, 2 * num_labels, weight_attr=_lecun(2 * head_size), bias_attr=_constant(bias)
        )  # [2 * d, 2 * k]: halved below, once for each end

    def forward(self, hidden: paddle.Tensor, mask: paddle.Tensor | None = None) -> paddle.Tensor:
        """``hidden`` [b, l, h] and ``mask`` [b, l] give scores [b, k, l, l], as :meth:`GlobalPointer.forward`."""
        self._check(hidden, mask)
        return self._barred(PairParts(*self._parts(hidden)).full(), mask)  # [b, k, l, l]

    def parts(self, hidden: paddle.Tensor, mask: paddle.Tensor | None = None) -> PairParts:
        """The same scores in the parts that they are sums of, barred likewise: numbers for a pair or for a token and label, none for both."""
        self._check(hidden, mask)
        pairs, first, last = self._parts(hidden)  # [b, l, l], [b, k, l], [b, k, l]
        pairs = self._barred(pairs.unsqueeze(1), mask).squeeze(1)  # [b, l, l]
        if mask is not None:
            real = mask.astype("bool").unsqueeze(1)  # [b, 1, l]
            last = paddle.where(like(real, last), last, paddle.full_like(last, BARRED))  # [b, k, l]
        return PairParts(pairs, first, last)

    def _parts(self, hidden: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Of the pairs [b, l, l], of the labels' first and last tokens [b, k, l]."""
        both = self.project(hidden)  # [b, l, 2 * d]
        parts = both.reshape([0, 0, 2, self.head_size])  # [b, l, 2, d]
        if self.rotary:
            parts = rotate(parts)  # [b, l, 2, d]
        query, key = paddle.unbind(parts, axis=2)  # [b, l, d], [b, l, d]
        pairs = paddle.matmul(query * (1.0 / math.sqrt(self.head_size)), key, transpose_y=True)  # [b, l, l]
        types = _wide(self.label(both) * 0.5).transpose([0, 2, 1])  # [b, 2 * k, l]
        return _wide(pairs), types[:, : self.num_labels], types[:, self.num_labels :]  # [b, l, l], [b, k, l], [b, k, l]


def rotate(x: paddle.Tensor, *, base: float = 10_000.0) -> paddle.Tensor:
    """Rotary position embedding (RoFormer, arXiv 2104.09864): [..., l, n, d] gives [..., l, n, d], d even, n vectors a token.

    Numbers i and i + d/2 of the token at place p are turned by the angle ``p base^(-2i/d)``, so that the product of two turned
    tokens depends on how far apart they stand, not on where. Raises ValueError for an odd d and fewer than three axes.
    """
    if x.ndim < 3 or x.shape[-1] % 2:
        raise ValueError(f"expected [..., l, n, d] with an even d, found {list(x.shape)}: numbers are turned in pairs")
    size = x.shape[-1]
    half = size // 2
    rates = np.tile(np.power(base, -np.arange(half, dtype=np.float64) / half), 2).astype("float32")  # [d]
    across = (np.eye(size, k=half) - np.eye(size, k=-half)).astype(np.float32)  # [d, d]
    angles = _places(x, axis=-3).astype("float32").unsqueeze([1, 2]) * paddle.to_tensor(rates)  # [l, 1, d]
    # one small matrix a place: on CPU forward and backward together take a ninth of the time of sines, cosines and slices
    turns = paddle.cos(angles) * paddle.eye(size) + paddle.sin(angles) * paddle.to_tensor(across)  # [l, d, d]
    return paddle.matmul(x, turns.astype(x.dtype))  # [..., l, n, d]


def pairs_above(logits: paddle.Tensor | np.ndarray, *, threshold: float = 0.0) -> list[list[tuple[int, int, int]]]:
    """Of every row the (label, first, last) with a score above ``threshold``, ordered: scores [b, k, l, l] give b lists.

    Raises ValueError for scores of another number of axes.
    """
    scores = logits if isinstance(logits, np.ndarray) else logits.numpy()  # [b, k, l, l]
    if scores.ndim != 4:
        raise ValueError(f"scores must be [b, k, l, l], found shape {list(scores.shape)}: add the missing axes")
    found = np.argwhere(scores > threshold)  # [n, 4]
    cuts = np.searchsorted(found[:, 0], np.arange(1, len(scores)))  # [b - 1]
    return [list(map(tuple, part[:, 1:].tolist())) for part in np.split(found, cuts)] if len(scores) else []


def check_mask(mask: paddle.Tensor, shape: list[int]) -> None:
    """Raises ValueError for a ``mask`` that is not of ``shape`` [b, l] or hides a whole row."""
    if list(mask.shape) != list(shape):
        raise ValueError(f"mask {list(mask.shape)} and hidden {list(shape)} differ: give one mark for every token, [b, l]")
    seen = mask.astype("bool").any(axis=1)  # [b]
    if not bool(seen.all()):
        row = int(paddle.nonzero(paddle.logical_not(seen))[0])
        raise ValueError(f"row {row} of the mask hides all {mask.shape[1]} tokens: leave empty rows out")


def _check_pairs(first: paddle.Tensor, last: paddle.Tensor, real: paddle.Tensor, length: int, padding: int) -> None:
    low, high = paddle.minimum(first, last), paddle.maximum(first, last)  # [b, k, m], [b, k, m]
    wrong = paddle.logical_and(real, paddle.logical_or(low < 0, high >= length))  # [b, k, m]
    if bool(wrong.any()):
        pair = [int(paddle.masked_select(end, wrong)[0]) for end in (first, last)]
        raise ValueError(f"the pair {pair} does not lie within {length} tokens: count from 0, and fill up with pairs of {padding}")


def _flat(pairs: paddle.Tensor) -> paddle.Tensor:
    return pairs.reshape([*pairs.shape[:2], -1])  # [b, k, l * l]


def _places(x: paddle.Tensor, axis: int = -1) -> paddle.Tensor:
    return paddle.arange(paddle.shape(x)[axis])  # [l]


def _lecun(inputs: int) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 1.0 / math.sqrt(inputs)))


def _constant(value: float) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Constant(value))


def _wide(scores: paddle.Tensor) -> paddle.Tensor:
    return scores if scores.dtype in (paddle.float32, paddle.float64) else scores.astype("float32")  # [...]
