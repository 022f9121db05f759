"""Losses over all pairs of tokens and all labels that never hold a number for each pair and label at once.

In the scores of an Efficient GlobalPointer (kexue.fm article 8877) a label only adds to its first and its last token what the pair has
anyway. Then the sum of ``e^score`` over all pairs of all labels is a product of matrices, with numbers for a token and label only: where the
plain form needs l times as many, several times over. The same functions take full scores [b, k, l, l] as well.

Notation: b rows, k labels, l tokens, n right pairs, g (row, label) that have one.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import paddle
import paddle.nn.functional as F

from ..losses import HIDDEN, full_precision, powered_divergence

_LEAST = 1e-30
"""Stands for a sum that is smaller: its logarithm and its gradient stay finite."""
_EXACT = 1e-24
"""A smaller sum of products may have lost terms to underflow, and is made anew from the scores themselves."""
_HIGHEST = 60.0


class PairParts(NamedTuple):
    """``s_k(i, j) = pairs[i, j] + first[k, i] + last[k, j]``: ``pairs`` [b, l, l], very low where no pair may be; ``first`` and ``last`` [b, k, l].

    ``last`` is very low at padding.
    """

    pairs: paddle.Tensor
    first: paddle.Tensor
    last: paddle.Tensor

    def full(self) -> paddle.Tensor:
        """All scores, [b, k, l, l]."""
        return self.pairs.unsqueeze(1) + self.first.unsqueeze(3) + self.last.unsqueeze(2)  # [b, k, l, l]


Scores: TypeAlias = PairParts | paddle.Tensor
"""Scores of all pairs: in parts, or [b, k, l, l]."""


@full_precision
def pair_cross_entropy(scores: Scores, places: np.ndarray, *, smoothing: float = 0.0) -> paddle.Tensor:
    """The multilabel cross entropy (:func:`shared.losses.multilabel_cross_entropy`) of each label's pairs, summed over labels and rows, [].

    ``places`` [n, 4] int64: (row, label, first, last) of the right pairs, none twice. The right ones are struck out before the sum over the
    wrong ones, not subtracted from it, which would lose the rest to rounding. ``smoothing`` e: 1 - e of this and e of the loss of a label
    without any right pair. Raises ValueError for places of another shape, outside the scores or given twice, and for an e outside [0, 1).
    """
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"smoothing must lie in [0, 1), found {smoothing}: give e.g. 0.01")
    _check(scores, places)
    if isinstance(scores, PairParts):
        products, sums = _first_sums(*_factors(scores), scores)  # [b, k, l], [b, k, l]
        small = np.argwhere(products.numpy() < _EXACT)  # [m, 3]
        sums = _anew(sums, scores, small, places[:0])  # [b, k, l]
        wrong = _anew(sums, scores, places[:, :3], places)  # [b, k, l]
    else:
        sums = scores.reshape([*scores.shape[:2], -1])  # [b, k, l * l]
        wrong = _struck(scores, places).reshape(sums.shape) if len(places) else sums  # [b, k, l * l]
    total = _one_and_sum(wrong).sum()  # []
    if len(places):
        total = total + _right_part(scores_at(scores, places), places)  # []
    if smoothing:
        total = total * (1.0 - smoothing) + _one_and_sum(sums).sum() * smoothing  # []
    return total


@full_precision
def pair_divergence(scores: Scores, others: Scores, places: np.ndarray) -> paddle.Tensor:
    """How far two passes of one network are apart, summed over labels and rows, []: 0 for equal scores, the same when they are exchanged.

    The symmetric divergence (R-Drop, arXiv 2106.14448) of two distributions over a label's pairs and "none" (of score 0), whose
    normaliser is the sum in the loss; and, as right pairs do not exclude each other, that of yes against no at ``places`` [n, 4].
    """
    _check(scores, places)
    if isinstance(scores, PairParts) and isinstance(others, PairParts):
        apart = (_expected(scores, scores, others) - _expected(others, scores, others)).sum() * 0.5  # []
    else:
        one, other = (given.full() if isinstance(given, PairParts) else given for given in (scores, others))  # [b, k, l, l] each
        apart = ((_shares(one) - _shares(other)) * (one - other)).sum() * 0.5  # []
    if not len(places):
        return apart
    return apart + powered_divergence(scores_at(scores, places), scores_at(others, places), 1).sum()  # []


def scores_at(scores: Scores, places: np.ndarray) -> paddle.Tensor:
    """Scores [n] of ``places`` [n, 4]: (row, label, first, last)."""
    if not isinstance(scores, PairParts):
        return paddle.gather_nd(scores, paddle.to_tensor(places))  # [n]
    pairs, first, last = (paddle.to_tensor(places[:, columns]) for columns in ([0, 2, 3], [0, 1, 2], [0, 1, 3]))  # [n, 3] each
    return paddle.gather_nd(scores.pairs, pairs) + paddle.gather_nd(scores.first, first) + paddle.gather_nd(scores.last, last)  # [n]


def _factors(scores: PairParts) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """``e^pairs`` [b, l, l] and ``e^last`` [b, k, l], each row over its greatest; the logarithms of these, [b, 1, l] and [b, k, 1]."""
    high = scores.pairs.detach().max(axis=2, keepdim=True)  # [b, l, 1]
    top = scores.last.detach().max(axis=2, keepdim=True)  # [b, k, 1]
    return paddle.exp(scores.pairs - high), paddle.exp(scores.last - top), high.transpose([0, 2, 1]), top


def _first_sums(
    pairs: paddle.Tensor, last: paddle.Tensor, high: paddle.Tensor, top: paddle.Tensor, scores: PairParts
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """The sum of products over the last tokens for every label and first token, and the logarithm of that of ``e^score``, [b, k, l] each.

    Exact where the greatest pair of a first token and the greatest ``last`` of a label, of whatever tokens, lie less than 60 above what they
    have together.
    """
    products = paddle.matmul(last, pairs, transpose_y=True)  # [b, k, l]
    return products, paddle.log(paddle.clip(products, min=_LEAST)) + (scores.first + (high + top))  # [b, k, l], [b, k, l]


def _anew(sums: paddle.Tensor, scores: PairParts, owners: np.ndarray, without: np.ndarray) -> paddle.Tensor:
    """``sums`` [b, k, l] made anew from the scores for the ``owners`` [m, 3]: (row, label, first); the pairs ``without`` [n, 4] left out."""
    if not len(owners):
        return sums
    b, k, l = sums.shape
    distinct = np.unique(np.ravel_multi_index(tuple(owners.T), (b, k, l)))  # [m]
    away = np.zeros((len(distinct), l), dtype=np.float32)  # [m, l]
    if len(without):
        away[np.searchsorted(distinct, np.ravel_multi_index(tuple(without[:, :3].T), (b, k, l))), without[:, 3]] = HIDDEN
    row, label, first = np.unravel_index(distinct, (b, k, l))  # [m] each
    pairs = paddle.gather(scores.pairs.reshape([b * l, l]), paddle.to_tensor(row * l + first))  # [m, l]
    last = paddle.gather(scores.last.reshape([b * k, l]), paddle.to_tensor(row * k + label))  # [m, l]
    own = paddle.gather(scores.first.reshape([b * k * l]), paddle.to_tensor(distinct))  # [m]
    anew = _log_sum(pairs + last + paddle.to_tensor(away)) + own  # [m]
    return paddle.scatter(sums.reshape([-1]), paddle.to_tensor(distinct), anew).reshape([b, k, l])  # [b, k, l]


def _struck(scores: paddle.Tensor, places: np.ndarray) -> paddle.Tensor:
    away = paddle.full([len(places)], HIDDEN, dtype=scores.dtype)  # [n]
    return scores + paddle.scatter_nd(paddle.to_tensor(places), away, scores.shape)  # [b, k, l, l]


def _right_part(right: paddle.Tensor, places: np.ndarray) -> paddle.Tensor:
    """``log(1 + sum e^-s)`` over the right pairs of each label, summed, []; ``right`` [n]."""
    owners = places[:, 0] * (places[:, 1].max() + 1) + places[:, 1]  # [n]
    order = np.argsort(owners, kind="stable")  # [n]
    _, counts = np.unique(owners[order], return_counts=True)  # [g]
    begins = np.cumsum(counts) - counts  # [g]
    index = np.full((len(counts), counts.max()), len(places), dtype=np.int64)  # [g, m]
    index[np.repeat(np.arange(len(counts)), counts), np.arange(len(places)) - np.repeat(begins, counts)] = order
    padded = paddle.concat([-right, paddle.full([1], HIDDEN, dtype=right.dtype)])  # [n + 1]
    return _one_and_sum(paddle.gather(padded, paddle.to_tensor(index.reshape(-1))).reshape(index.shape)).sum()  # []


def _shares(scores: paddle.Tensor) -> paddle.Tensor:
    """The distribution over each label's pairs and none, without the share of none, [b, k, l, l]."""
    whole = _one_and_sum(scores.reshape([*scores.shape[:2], -1]))  # [b, k]
    return paddle.exp(scores - whole.unsqueeze([2, 3]))  # [b, k, l, l]


def _expected(scores: PairParts, left: PairParts, right: PairParts) -> paddle.Tensor:
    """The mean of ``left - right`` under the distribution over pairs and none that ``scores`` give, [b, k]."""
    pairs, last, high, top = _factors(scores)  # [b, l, l], [b, k, l], [b, 1, l], [b, k, 1]
    whole = _one_and_sum(_first_sums(pairs, last, high, top, scores)[1]).unsqueeze(2)  # [b, k, 1]
    weight = paddle.exp(paddle.clip(scores.first + (high + top) - whole, max=_HIGHEST))  # [b, k, l]
    apart = paddle.matmul(last, pairs * (left.pairs - right.pairs), transpose_y=True)  # [b, k, l]
    apart = apart + paddle.matmul(last * (left.last - right.last), pairs, transpose_y=True)  # [b, k, l]
    apart = apart + paddle.matmul(last, pairs, transpose_y=True) * (left.first - right.first)  # [b, k, l]
    return (weight * apart).sum(axis=2)  # [b, k]


def _log_sum(scores: paddle.Tensor) -> paddle.Tensor:
    """``log(sum e^scores)`` over the last axis, [..., n] to [...]."""
    top = scores.detach().max(axis=-1, keepdim=True)  # [..., 1]
    return paddle.log(paddle.exp(scores - top).sum(axis=-1)) + top.squeeze(-1)  # [...]


def _one_and_sum(scores: paddle.Tensor) -> paddle.Tensor:
    return F.softplus(_log_sum(scores))  # [...]


def _check(scores: Scores, places: np.ndarray) -> None:
    b, k, l = scores.first.shape if isinstance(scores, PairParts) else scores.shape[:3]
    if places.ndim != 2 or places.shape[1] != 4:
        raise ValueError(f"places must be [n, 4] of (row, label, first, last), found shape {list(places.shape)}")
    if not len(places):
        return
    if (places < 0).any() or (places >= (b, k, l, l)).any():
        wrong = places[((places < 0) | (places >= (b, k, l, l))).any(axis=1)][0].tolist()
        raise ValueError(f"the place {wrong} does not lie within {b} rows, {k} labels and {l} tokens: count from 0")
    if len(np.unique(places, axis=0)) < len(places):
        raise ValueError("a place is given twice: give each right pair once")
