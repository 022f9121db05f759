"""Losses as functions of logits. Half-precision logits are computed in float32; what can be differentiated twice says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import numpy as np
import paddle
import paddle.nn.functional as F

from . import double_backward as twice

P = ParamSpec("P")

HIDDEN = -1e30
"""Put in place of a score, or added to it, that must not count: its exponential is 0, and no arithmetic on it gives NaN."""

_CLIPPED = 63.0


def full_precision(function: Callable[P, paddle.Tensor]) -> Callable[P, paddle.Tensor]:
    """``function`` without ``paddle.amp.auto_cast``, whose O2 level would turn ``HIDDEN`` into an infinity, and a loss into NaN."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> paddle.Tensor:
        if not paddle.in_dynamic_mode():
            return function(*args, **kwargs)
        with paddle.amp.auto_cast(enable=False):
            return function(*args, **kwargs)

    return run


@full_precision
def powered_bce(logits: paddle.Tensor, targets: paddle.Tensor, power: int) -> paddle.Tensor:
    """Binary cross entropy of ``sigmoid(logits) ** power``, element by element: [...] and [...] give [...].

    The power is a device against class imbalance (kexue.fm article 7161): at the start a negative costs little, a positive ``power`` times
    as much. From logits, without overflow: log(1 - p^n) = log(1 - p) + log(1 + p + ... + p^(n-1)). It can be differentiated twice.
    Raises ValueError for a power below 1.
    """
    if power < 1:
        raise ValueError(f"the power must be at least 1, found {power}: 1 is plain binary cross entropy")
    logits = _wide(logits)  # [...]
    targets = targets if targets.dtype == logits.dtype else targets.astype(logits.dtype)  # [...]
    positive, negative = _powered_logs(logits, power)  # [...], [...]
    return targets * positive + (1.0 - targets) * negative  # [...]


def _powered_logs(logits: paddle.Tensor, power: int) -> tuple[paddle.Tensor, paddle.Tensor]:
    """``-log p`` and ``-log(1 - p)`` of ``p = sigmoid(logits) ** power``, [...] each."""
    positive = F.softplus(-logits) * power  # [...]
    negative = F.softplus(logits)  # [...]
    if power > 1:
        probability = F.sigmoid(logits)  # [...]
        series = probability + 1.0  # [...]
        for _ in range(power - 2):
            series = series * probability + 1.0  # [...]
        negative = negative - paddle.log(series)  # [...]
    return positive, negative


def share(total: paddle.Tensor, count: float) -> paddle.Tensor:
    """``total`` [] over ``count`` things, []: 0, with a gradient of 0, where there is none.

    What a part of a batch adds to the mean over all of it, when ``count`` is that of the whole.
    """
    return total * (1.0 / count if count else 0.0)  # []


# -- two passes of one network -----------------------------------------------------------------------------------


@full_precision
def softmax_divergence(first: paddle.Tensor, second: paddle.Tensor) -> paddle.Tensor:
    """How far two softmaxes over the last axis are apart, both directions of the Kullback-Leibler divergence averaged: [..., n] give [...].

    ``sum (p - q)(log p - log q) / 2``: what R-Drop adds to the loss for two passes with other dropout (arXiv 2106.14448). As p - q sums to
    0, the logits stand for the logarithms, which would take three times as long on CPU.
    """
    first, second = _wide(first), _wide(second)  # [..., n], [..., n]
    apart = F.softmax(first, axis=-1) - F.softmax(second, axis=-1)  # [..., n]
    return (apart * (first - second)).sum(axis=-1) * 0.5  # [...]


@full_precision
def powered_divergence(first: paddle.Tensor, second: paddle.Tensor, power: int) -> paddle.Tensor:
    """The same of two probabilities ``sigmoid(logit) ** power`` of yes against no, element by element: [...] and [...] give [...]."""
    (yes, no), (other_yes, other_no) = (_powered_logs(_wide(logits), power) for logits in (first, second))  # [...] each
    return (paddle.exp(-yes) - paddle.exp(-other_yes)) * ((no - yes) - (other_no - other_yes)) * 0.5  # [...]


# -- many labels, few of them right ------------------------------------------------------------------------------


@full_precision
def multilabel_cross_entropy(logits: paddle.Tensor, labels: paddle.Tensor, *, double_backward: bool = False) -> paddle.Tensor:
    """Every right label above 0, every wrong one below, with no imbalance between them (kexue.fm article 7359): [..., n] give [...].

    ``log(1 + sum over wrong of e^s) + log(1 + sum over right of e^-s)``, s the ``logits`` [..., n]; ``labels`` [..., n] is true (or above
    0) at the right ones, which may be none or all. ``double_backward`` makes it differentiable twice.
    Raises ValueError for shapes that differ or an empty last axis.
    """
    if list(logits.shape) != list(labels.shape):
        raise ValueError(f"logits {list(logits.shape)} and labels {list(labels.shape)} differ: give one label for every logit")
    _check_classes(logits)
    logits = _wide(logits)  # [..., n]
    right = labels if labels.dtype == paddle.bool else labels > 0  # [..., n]
    # sums, not `where`: on paddle 2.6 that has no second derivative
    weight = right.astype(logits.dtype)  # [..., n]
    negative = _one_and_sum(logits + weight * HIDDEN, double_backward)  # [...]
    positive = _one_and_sum(-logits + (1.0 - weight) * HIDDEN, double_backward)  # [...]
    return negative + positive  # [...]


@full_precision
def sparse_multilabel_cross_entropy(logits: paddle.Tensor, positions: paddle.Tensor, *, padding: int = -1) -> paddle.Tensor:
    """:func:`multilabel_cross_entropy` with the right labels given by place (kexue.fm article 8888): [..., n] and [..., m] give [...].

    ``positions`` [..., m]: whole numbers 0 to n-1, rows with fewer than m of them filled up with ``padding``; m may be 0, a place named
    twice counts once. ``padding`` is any number: with one that is itself a place (0, the article's ``mask_zero``), that place is right
    for no row. The article subtracts the right labels' share from the sum over all, which loses the rest to rounding once the right ones
    are high; here they are struck out before the sum, which is exact and needs the labels no more densely.

    Raises ValueError for shapes that do not belong together, an empty last axis, or a place outside 0 to n-1.
    """
    if list(logits.shape[:-1]) != list(positions.shape[:-1]) or logits.ndim != positions.ndim:
        raise ValueError(f"logits {list(logits.shape)} and positions {list(positions.shape)} differ: give [..., n] and [..., m]")
    _check_classes(logits)
    logits = _wide(logits)  # [..., n]
    n, m = logits.shape[-1], positions.shape[-1]
    rows = logits.reshape([-1, n])  # [r, n]
    if m == 0:
        return _one_and_sum(rows).reshape(logits.shape[:-1])  # [...]
    places = paddle.sort(positions.astype("int64").reshape([-1, m]), axis=1)  # [r, m]
    real = places != padding  # [r, m]
    if m > 1:
        fresh = paddle.concat([paddle.ones_like(real[:, :1]), places[:, 1:] != places[:, :-1]], axis=1)  # [r, m]
        real = paddle.logical_and(real, fresh)  # [r, m]
    if paddle.in_dynamic_mode():
        _check_places(places, padding, n)
    starts = paddle.arange(rows.shape[0], dtype="int64").unsqueeze(1) * n  # [r, 1]
    flat = (starts + paddle.where(real, places, paddle.zeros_like(places))).reshape([-1])  # [r * m]
    away = real.astype(logits.dtype) * HIDDEN  # [r, m]
    struck = paddle.scatter_nd(flat.unsqueeze(1), away.reshape([-1]), [rows.shape[0] * n]).reshape([-1, n])  # [r, n]
    right = paddle.gather(rows.reshape([-1]), flat).reshape([-1, m])  # [r, m]
    positive = _one_and_sum(paddle.where(real, -right, paddle.full_like(right, HIDDEN)))  # [r]
    return (_one_and_sum(rows + struck) + positive).reshape(logits.shape[:-1])  # [...]


def _one_and_sum(scores: paddle.Tensor, double_backward: bool = False) -> paddle.Tensor:
    """``log(1 + sum e^scores)`` over the last axis, [..., n] to [...]: the softplus of a logsumexp, with no column of zeros to add."""
    if double_backward:
        return F.softplus(twice.logsumexp(scores))  # [...]
    top = scores.detach().max(axis=-1, keepdim=True)  # [..., 1]
    # faster than paddle.logsumexp, by a third forward and by 40% with its gradient (16 million numbers in rows of 16 thousand)
    summed = paddle.log(paddle.exp(scores - top).sum(axis=-1)) + top.squeeze(-1)  # [...]
    return F.softplus(summed)  # [...]


def _check_classes(logits: paddle.Tensor) -> None:
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits {list(logits.shape)} have no label: the last axis needs at least one")


def _check_places(places: paddle.Tensor, padding: int, n: int) -> None:
    outside = paddle.logical_and(paddle.logical_or(places < 0, places >= n), places != padding)  # [r, m]
    if bool(outside.any()):
        found = int(paddle.masked_select(places, outside)[0])
        raise ValueError(f"position {found} is not one of the {n} labels: count from 0, and fill up with the padding value {padding}")


# -- the next token ----------------------------------------------------------------------------------------------


@full_precision
def token_cross_entropy(
    logits: paddle.Tensor, labels: paddle.Tensor, *, label_smoothing: float = 0.0, double_backward: bool = False
) -> paddle.Tensor:
    """Mean of ``-log softmax(logits)[label]`` over all places, []: ``logits`` [..., v] and ``labels`` [...] (whole numbers 0 to v-1).

    ``label_smoothing`` e in [0, 1) mixes the label with all tokens evenly: (1 - e) of the label's term and e of the mean of all.
    ``double_backward`` makes it differentiable twice. Raises ValueError for shapes that do not belong together, no place at all, a label
    outside 0 to v-1 or another smoothing.
    """
    return _token_losses(logits, labels, label_smoothing, double_backward).mean()  # []


@full_precision
def seq2seq_cross_entropy(
    logits: paddle.Tensor, ids: paddle.Tensor, segment_ids: paddle.Tensor, *, label_smoothing: float = 0.0, double_backward: bool = False
) -> paddle.Tensor:
    """Mean cross entropy of the target's tokens, each scored by the logits of the place before it (kexue.fm article 7427), [].

    ``logits`` [b, l, v]; ``ids`` [b, l]; ``segment_ids`` [b, l], 1 at the target and nowhere else (padding is 0). The sum over all target
    tokens of the batch is divided by their number. Logits elsewhere do not count. Smoothing and ``double_backward`` as in
    :func:`token_cross_entropy`. Raises ValueError as that does, and for a batch without a target token behind the first place.
    """
    if logits.ndim != 3 or list(logits.shape[:2]) != list(ids.shape) or list(ids.shape) != list(segment_ids.shape):
        raise ValueError(
            f"expected logits [b, l, v], ids [b, l] and segment_ids [b, l], "
            f"found {list(logits.shape)}, {list(ids.shape)} and {list(segment_ids.shape)}: give all of one batch"
        )
    wanted = segment_ids[:, 1:] == 1  # [b, l-1]
    if paddle.in_dynamic_mode() and (0 in wanted.shape or not bool(wanted.any())):
        raise ValueError(
            f"segment_ids {list(segment_ids.shape)} mark no target token (segment 1 behind the first place): give every batch at least one target"
        )
    if double_backward or not paddle.in_dynamic_mode():  # choosing rows has no second derivative on paddle 2.6, and no fixed shape
        chosen = wanted.astype("int64")  # [b, l-1]
        losses = _token_losses(logits[:, :-1], ids[:, 1:].astype("int64") * chosen, label_smoothing, double_backward)  # [b, l-1]
        weights = wanted.astype(losses.dtype)  # [b, l-1]
        return (losses * weights).sum() / weights.sum()  # []
    b, l, v = logits.shape
    if logits.place.is_cpu_place():  # which cannot gather float16
        logits = _wide(logits)  # [b, l, v]
    row, column = paddle.nonzero(wanted).unbind(axis=1)  # [t], [t]
    places = row * l + column  # [t]
    rows = paddle.gather(logits.reshape([b * l, v]), places)  # [t, v]
    labels = paddle.gather(ids.reshape([b * l]), places + 1)  # [t]
    return token_cross_entropy(rows, labels, label_smoothing=label_smoothing)  # []


def _token_losses(logits: paddle.Tensor, labels: paddle.Tensor, smoothing: float, double_backward: bool) -> paddle.Tensor:
    if list(logits.shape[:-1]) != list(labels.shape):
        raise ValueError(f"logits {list(logits.shape)} and labels {list(labels.shape)} differ: give [..., v] and [...]")
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"label_smoothing must lie in [0, 1), found {smoothing}: give e.g. 0.1")
    if 0 in labels.shape:
        raise ValueError(f"labels {list(labels.shape)} hold no token: leave empty batches out")
    labels = labels.astype("int64")  # [...]
    if paddle.in_dynamic_mode():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= logits.shape[-1]:
            wrong = low if low < 0 else high
            raise ValueError(f"label {wrong} is not one of the {logits.shape[-1]} tokens: logits and labels need the same vocabulary")
    logits = _wide(logits)  # [..., v]
    if double_backward:
        picked = (logits * F.one_hot(labels, logits.shape[-1]).astype(logits.dtype)).sum(axis=-1)  # [...]
        losses = twice.logsumexp(logits) - picked  # [...]
    else:
        losses = F.cross_entropy(logits, labels.unsqueeze(-1), reduction="none", axis=-1).squeeze(-1)  # [...]
        picked = _picked(logits, labels) if smoothing else None  # [...]
        # three times faster than a logsumexp, but on CPU its kernel takes every loss above 64 for 64
        if paddle.in_dynamic_mode() and logits.place.is_cpu_place() and float(losses.max()) > _CLIPPED:
            losses = paddle.logsumexp(logits, axis=-1) - _picked(logits, labels)  # [...]
    # (1 - e) (L - s) + e (L - mean), with L the logsumexp and s the label's logit
    return losses if not smoothing else losses + smoothing * (picked - logits.mean(axis=-1))  # [...]


def _picked(logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
    places = labels.reshape([-1])  # [n]
    starts = paddle.arange(places.shape[0], dtype="int64") * logits.shape[-1]  # [n]
    return paddle.gather(logits.reshape([-1]), starts + places).reshape(labels.shape)  # [...]


# -- sentences in pairs ------------------------------------------------------------------------------------------


@full_precision
def in_batch_similarity(
    vectors: paddle.Tensor,
    scale: float = 30.0,
    *,
    groups: np.ndarray | None = None,
    reduction: str = "mean",
    double_backward: bool = False,
) -> paddle.Tensor:
    """Every sentence must find its partner among all others of the batch (SimBERT, kexue.fm article 7427).

    ``vectors`` [2n, h], partners one behind the other: (0, 1), (2, 3) ... They are brought to length 1; the softmax over row i of
    ``scale * V V^T`` without its diagonal is to have its mass at the partner, i + 1 - 2 (i mod 2). A vector of zeros has similarity 0 to
    every other. ``groups`` [n], a number a pair: pairs of one group mean the same, so their rows are left out of each other's softmax.
    ``reduction``: ``mean`` gives [], ``none`` one loss a row, [2n]. ``double_backward`` makes it differentiable twice.
    Raises ValueError for another shape, an odd number of rows or fewer than 2, numbers that are not finite, a scale that is not a positive
    number, or groups that are not one a pair.
    """
    if vectors.ndim != 2 or vectors.shape[0] < 2 or vectors.shape[0] % 2 or vectors.shape[1] == 0:
        raise ValueError(f"vectors must be [2n, h], two rows a pair, found shape {list(vectors.shape)}: give whole pairs, one at least")
    if not 0.0 < scale < math.inf:
        raise ValueError(f"scale must be a positive number, found {scale}: SimBERT's is 30")
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction must be 'mean' or 'none', found {reduction!r}: take one of these")
    wide = _wide(vectors)  # [2n, h]
    if paddle.in_dynamic_mode() and not bool(paddle.isfinite(wide).all()):
        wrong = int(paddle.logical_not(paddle.isfinite(wide)).astype("int64").sum())
        raise ValueError(f"the vectors {list(vectors.shape)} hold {wrong} numbers that are NaN or infinite: look at the encoder before the loss")
    units = _unit(wide)  # [2n, h]
    rows = units.shape[0]
    similarity = paddle.matmul(units, units, transpose_y=True) * scale  # [2n, 2n]
    order = np.arange(rows)  # [2n]
    partner = order + 1 - 2 * (order % 2)  # [2n]
    own = np.arange(rows // 2) if groups is None else np.asarray(groups)  # [n]
    if own.shape != (rows // 2,):
        raise ValueError(f"groups are {list(own.shape)} for {rows // 2} pairs: give one number a pair")
    own = np.repeat(own, 2)  # [2n]
    kin = own[:, None] == own[None, :]  # [2n, 2n]
    kin[order, partner] = False
    if double_backward:
        others = similarity + paddle.to_tensor(kin.astype("float32")).astype(similarity.dtype) * HIDDEN  # [2n, 2n]
    else:
        others = paddle.where(paddle.to_tensor(kin), paddle.full_like(similarity, HIDDEN), similarity)  # [2n, 2n]
    losses = _token_losses(others, paddle.to_tensor(partner), 0.0, double_backward)  # [2n]
    return losses.mean() if reduction == "mean" else losses  # [] or [2n]


@full_precision
def ranked_cosines(cosines: paddle.Tensor, alike: np.ndarray, scale: float = 20.0, *, double_backward: bool = False) -> paddle.Tensor:
    """Every pair that is alike above every one that is not (CoSENT, kexue.fm article 8847), [].

    ``log(1 + sum of e^(scale (c_j - c_i)))`` over all i that are ``alike`` [m] and all j that are not, c the ``cosines`` [m]: the order of the
    cosines alone counts, as it does for a rank correlation. 0 where one of the two kinds is missing. Raises ValueError for shapes that differ
    or a scale that is not a positive number.
    """
    if cosines.ndim != 1 or list(cosines.shape) != list(np.shape(alike)) or not len(alike):
        raise ValueError(f"cosines {list(cosines.shape)} and alike {list(np.shape(alike))} must be [m], one pair at least")
    if not 0.0 < scale < math.inf:
        raise ValueError(f"scale must be a positive number, found {scale}: CoSENT's is 20")
    yes = np.asarray(alike, dtype=bool)  # [m]
    counts = paddle.to_tensor((yes[:, None] & ~yes[None, :]).astype("float32"))  # [m, m]
    wide = _wide(cosines) * scale  # [m]
    apart = wide.unsqueeze(0) - wide.unsqueeze(1)  # [m, m]: c_j - c_i at (i, j)
    return _one_and_sum((apart + (1.0 - counts) * HIDDEN).reshape([-1]), double_backward)  # []


def cosines_of(first: paddle.Tensor, second: paddle.Tensor) -> paddle.Tensor:
    """The cosines of the rows of two matrices, [m, h] and [m, h] give [m]; 0 for a row of zeros."""
    return (_unit(_wide(first)) * _unit(_wide(second))).sum(axis=1)  # [m]


def _unit(vectors: paddle.Tensor) -> paddle.Tensor:
    """Rows [r, h] of length 1, rows of zeros left as they are; no square over- or underflows, and none gives an infinite gradient."""
    largest = vectors.detach().abs().max(axis=1, keepdim=True)  # [r, 1]
    scaled = vectors / paddle.where(largest > 0, largest, paddle.ones_like(largest))  # [r, h]
    return scaled * paddle.rsqrt(paddle.clip((scaled * scaled).sum(axis=1, keepdim=True), min=0.5))  # [r, h]


def _wide(logits: paddle.Tensor) -> paddle.Tensor:
    return logits if logits.dtype in (paddle.float32, paddle.float64) else logits.astype("float32")  # [...]
