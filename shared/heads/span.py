"""One span of a text by a softmax for its first and one for its last token (kexue.fm article 7321).

Notation: b rows, l tokens, h hidden, s answer places, u groups. The last axis of scores is (first, last).
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from ..linear import Linear
from ..losses import HIDDEN, full_precision
from .global_pointer import BARRED, check_mask


class SpanHead(nn.Layer):
    """One linear layer; a span's probability is that of its first token times that of its last.

    Rows may be windows of one long text: those of a group share both softmaxes (shared normalisation, arXiv 1710.10723), so that a window
    without the answer learns to say so. Raises ValueError for a hidden size below 1.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        if hidden_size < 1:
            raise ValueError(f"hidden_size must be at least 1, found {hidden_size}: give the encoder's")
        self.hidden_size = hidden_size
        self.project = Linear(hidden_size, 2, weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02)))  # [h, 2]

    def forward(self, hidden: paddle.Tensor, allowed: paddle.Tensor | None = None) -> paddle.Tensor:
        """``hidden`` [b, l, h] and ``allowed`` [b, l] (true or 1 where an answer may be; None: anywhere) give scores [b, l, 2].

        Float64 for float64, else float32; ``BARRED`` where no answer may be. Raises ValueError for other shapes and, where values
        are known, a row without an allowed token.
        """
        if hidden.ndim != 3 or hidden.shape[-1] != self.hidden_size:
            raise ValueError(f"hidden must be [b, l, {self.hidden_size}], found {list(hidden.shape)}: give the encoder's output")
        if paddle.in_dynamic_mode():  # a recorded graph has no lengths yet
            if 0 in hidden.shape:
                raise ValueError(f"hidden {list(hidden.shape)} has no token: leave empty rows out")
            if allowed is not None:
                check_mask(allowed, hidden.shape[:2])
        scores = self.project(hidden)  # [b, l, 2]
        if scores.dtype not in (paddle.float32, paddle.float64):
            scores = scores.astype("float32")  # [b, l, 2]
        if allowed is None:
            return scores  # [b, l, 2]
        inside = allowed.astype("bool").unsqueeze(-1)  # [b, l, 1]
        inside = paddle.concat([inside, inside], axis=-1)  # [b, l, 2]
        return paddle.where(inside, scores, paddle.full_like(scores, BARRED))  # [b, l, 2]

    @full_precision
    def loss(self, logits: paddle.Tensor, spans: paddle.Tensor, *, groups: paddle.Tensor | None = None) -> paddle.Tensor:
        """Negative log-likelihood of all right spans of a group together, halved: the mean of both cross entropies for a single one, [].

        ``spans`` [s, 3] of (row, first, last), any number a row; or [s, 2, 2] of (row, token) of the first and of the last token, for windows
        that overlap: of two that see a token, both may name it. ``groups`` [b] numbers the text of every row from 0 (default: each
        row is one). Averaged over the groups that have a span; 0, with a gradient of 0, where none has.

        Raises ValueError for other shapes, a token outside the row or barred, a last token before the first, spans across groups.
        """
        if logits.ndim != 3 or logits.shape[-1] != 2:
            raise ValueError(f"logits must be [b, l, 2], found {list(logits.shape)}: give what the head returned")
        if spans.ndim not in (2, 3) or list(spans.shape[1:]) not in ([3], [2, 2]):
            raise ValueError(f"spans must be [s, 3] or [s, 2, 2], found {list(spans.shape)}: give (row, first, last) or two (row, token)")
        b = logits.shape[0]
        if groups is not None and list(groups.shape) != [b]:
            raise ValueError(f"groups must be [{b}], found {list(groups.shape)}: give one number for every row of the logits")
        if spans.shape[0] == 0:
            return logits[:, 0, 0].sum() * 0.0  # []
        spans = spans.astype("int64")  # [s, 3] or [s, 2, 2]
        if spans.ndim == 2:
            spans = paddle.gather(spans, paddle.to_tensor([0, 1, 0, 2]), axis=1).reshape([-1, 2, 2])  # [s, 2, 2]
        groups = paddle.arange(b, dtype="int64") if groups is None else groups.astype("int64")  # [b]
        _check_spans(spans, groups, list(logits.shape))
        starts, ends = (paddle.gather_nd(logits[:, :, end], spans[:, end]) for end in (0, 1))  # [s], [s]
        if bool((paddle.minimum(starts, ends) <= BARRED).any()):
            place = int(paddle.nonzero(paddle.minimum(starts, ends) <= BARRED)[0])
            raise ValueError(f"span {spans[place].tolist()} ends at a token that is not allowed: keep answers inside the mask")
        numbers = paddle.arange(int(groups.max()) + 1, dtype="int64").unsqueeze(1)  # [u, 1]
        of_rows = paddle.logsumexp(logits, axis=1)  # [b, 2]
        total = sum(_by_group(of_rows[:, end], numbers == groups.unsqueeze(0)) for end in (0, 1))  # [u]
        members = numbers == paddle.gather(groups, spans[:, 0, 0]).unsqueeze(0)  # [u, s]
        gold = _by_group(starts + ends, members)  # [u]
        known = members.any(axis=1)  # [u]
        return paddle.masked_select(total - gold, known).mean() * 0.5  # []

    def decode(self, logits: paddle.Tensor | np.ndarray, *, longest: int, count: int = 1) -> list[list[tuple[int, int, float]]]:
        """:func:`best_spans` of every row of ``logits`` [b, l, 2], tokens at ``BARRED`` left out."""
        scores = (logits if isinstance(logits, np.ndarray) else logits.numpy()).astype(np.float64)  # [b, l, 2]
        scores = np.where(scores > BARRED, scores, -np.inf)  # [b, l, 2]
        return [best_spans(row[:, 0], row[:, 1], longest=longest, count=count) for row in scores]


def best_spans(starts: np.ndarray, ends: np.ndarray, *, longest: int, count: int = 1) -> list[tuple[int, int, float]]:
    """The ``count`` likeliest (first, last, probability) of at most ``longest`` tokens, the surest first; of equal ones the short, then the early.

    ``starts`` and ``ends`` [l]: scores of first and last token, -inf where neither may be. Fewer where not so many exist, none for no token.
    Raises ValueError for a length or count below 1 and for arrays of different shape.
    """
    if longest < 1 or count < 1:
        raise ValueError(f"longest and count must be at least 1, found {longest} and {count}: a span has one token or more")
    if starts.ndim != 1 or starts.shape != ends.shape:
        raise ValueError(f"starts {starts.shape} and ends {ends.shape} must be two equal [l]: give one score for every token")
    width = min(longest, len(starts))
    if not width or np.isneginf(starts).all() or np.isneginf(ends).all():
        return []
    starts, ends = (scores.astype(np.float64) - _log_sum(scores.astype(np.float64)) for scores in (starts, ends))  # [l], [l]
    padded = np.concatenate([ends, np.full(width - 1, -np.inf)])  # [l + width - 1]
    scores = (starts + np.lib.stride_tricks.sliding_window_view(padded, len(starts))).reshape(-1)  # [width * l]: short spans first
    kept = min(count, len(scores))
    places = np.flatnonzero(scores >= np.partition(scores, -kept)[-kept])  # [kept or more]
    places = places[np.argsort(-scores[places], kind="stable")][:kept]  # [kept]
    extra, first = np.divmod(places, len(starts))  # [kept], [kept]
    return [
        (int(begin), int(begin + more), float(np.exp(scores[place])))
        for place, begin, more in zip(places, first, extra, strict=True)
        if scores[place] > -np.inf
    ]


def _log_sum(scores: np.ndarray) -> float:
    top = scores.max()
    return float(top + np.log(np.exp(scores - top).sum()))


def _by_group(scores: paddle.Tensor, members: paddle.Tensor) -> paddle.Tensor:
    """logsumexp of the ``scores`` [n] that are ``members`` [u, n] of each group: [u]."""
    spread = scores.unsqueeze(0).expand_as(members)  # [u, n]
    return paddle.logsumexp(paddle.where(members, spread, paddle.full_like(spread, HIDDEN)), axis=1)  # [u]


def _check_spans(spans: paddle.Tensor, groups: paddle.Tensor, shape: list[int]) -> None:
    places, number = spans.numpy(), groups.numpy()  # [s, 2, 2], [b]
    if (number < 0).any():
        raise ValueError(f"group {int(number.min())} is negative: number the groups from 0")
    rows, tokens = places[:, :, 0], places[:, :, 1]  # [s, 2], [s, 2]
    outside = ((rows < 0) | (rows >= shape[0]) | (tokens < 0) | (tokens >= shape[1])).any(axis=1)  # [s]
    if outside.any():
        raise ValueError(f"span {places[outside][0].tolist()} (row, token of both ends) lies outside logits {shape}: count from 0")
    apart = number[rows[:, 0]] != number[rows[:, 1]]  # [s]
    if apart.any():
        raise ValueError(f"span {places[apart][0].tolist()} has its ends in two groups: a span belongs to one text")
    turned = (rows[:, 0] == rows[:, 1]) & (tokens[:, 0] > tokens[:, 1])  # [s]
    if turned.any():
        raise ValueError(f"span {places[turned][0].tolist()} ends before it starts: give its first token first")
