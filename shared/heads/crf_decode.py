"""Best taggings and span probabilities of a linear-chain CRF, in NumPy: what predict runs after the encoder.

Notation: b batch, l length, r chains, k tags. Transitions come with their forbidden moves already at a large negative value.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np

FORBIDDEN = -1e4
"""Added to a forbidden transition or start: exp of it is 0 in float32, and no arithmetic on it gives NaN."""


def viterbi(
    emissions: np.ndarray, transitions: np.ndarray, lengths: np.ndarray, *, starts: np.ndarray | None = None, ends: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Best tagging of every chain.

    ``emissions`` [b, l, r, k], ``transitions`` [r, k, k], ``lengths`` [b], or [b, r] where chains stand for different sequences;
    ``starts``/``ends`` [k] boolean: allowed first/last tags. Returns tags [b, l, r] (int16, 0 beyond the length) and their scores [b, r].
    """
    b, l, r, k = emissions.shape
    lengths = np.broadcast_to(lengths if np.ndim(lengths) == 2 else np.asarray(lengths)[:, None], (b, r)).reshape(-1)  # [b * r]
    order = np.argsort(-lengths, kind="stable")  # [n]: the long chains first, so that those that go on are a slice
    alive = np.searchsorted(-lengths[order], -np.arange(l), side="left")  # [l]: chains that are longer
    steps = np.ascontiguousarray(emissions.transpose(1, 3, 0, 2).reshape(l, k, b * r)[:, :, order])  # [l, k, n]
    moves = np.ascontiguousarray(transitions[[0] if r == 1 else order % max(r, 1)].transpose(1, 2, 0))  # [k(from), k(to), n], or one for all
    places = np.zeros(b * r, dtype=np.int64) if r == 1 else np.arange(b * r)  # [n]: of each chain's moves
    penalty = np.float32(-1e9)
    if starts is not None:
        steps[0] += np.where(starts, 0, penalty)[:, None]  # [k, n]
    for t in range(1, l):
        live = alive[t]
        steps[t, :, :live] += (steps[t - 1, :, None, :live] + moves[:, :, :live]).max(0)  # [k, m]: now the best score up to each tag
    last = steps[lengths[order] - 1, :, np.arange(b * r)]  # [n, k]
    if ends is not None:
        last = last + np.where(ends, 0, penalty)  # [n, k]
    tag = last.argmax(-1)  # [n]
    tags, score = np.zeros((l, b * r), dtype=np.int16), np.empty(b * r, dtype=last.dtype)  # [l, n], [n]
    score[order] = last.max(-1)
    for t in range(l - 1, -1, -1):
        live = alive[t]
        tags[t, order[:live]] = tag[:live]  # [m]
        if t:
            tag[:live] = (steps[t - 1, :, :live] + moves[:, tag[:live], places[:live]]).argmax(0)  # [m]
    return np.ascontiguousarray(tags.reshape(l, b, r).transpose(1, 0, 2)), score.reshape(b, r)


def may_leave_outside(emissions: np.ndarray, transitions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """False for a chain whose best tagging is tag 0 throughout, whatever else is allowed; True for all that only :func:`viterbi` can tell, [b, r].

    Shapes as there, ``lengths`` [b]. Tag 0 must be allowed everywhere. Any tagging gains over that of tag 0 alone at most, at each of its other
    tags, what that tag scores above tag 0 and twice the most that a move scores above the move from 0 to 0.
    """
    best = reduce(np.maximum, (emissions[..., tag] for tag in range(1, emissions.shape[-1])))  # [b, l, r]
    gain = best - emissions[..., 0]  # [b, l, r]
    move = (transitions - transitions[:, :1, :1]).max((1, 2))  # [r]: at least 0, that of the move from 0 to 0
    real = np.arange(gain.shape[1]) < np.asarray(lengths)[:, None]  # [b, l]
    slack = 1e-4  # rounding of long sums
    may: np.ndarray = ((gain > -2 * move - slack) & real[..., None]).any(1)  # [b, r]
    return may


class Forward(NamedTuple):
    """Log forward and backward messages: ``alpha`` and ``beta`` [b, l, r, k], ``log_partition`` [b, r]."""

    alpha: np.ndarray
    beta: np.ndarray
    log_partition: np.ndarray


def forward_backward(
    emissions: np.ndarray, transitions: np.ndarray, lengths: np.ndarray, *, starts: np.ndarray | None = None
) -> Forward:
    """Messages of the sum-product recursion; ``alpha`` includes the emission of its step, ``beta`` does not.

    ``emissions`` [b, l, r, k], ``transitions`` [r, k, k], ``lengths`` [b], or [b, r] where chains stand for different sequences.
    """
    b, l, r, _k = emissions.shape
    lengths = np.broadcast_to(lengths if np.ndim(lengths) == 2 else np.asarray(lengths)[:, None], (b, r)).T  # [r, b]
    steps = np.ascontiguousarray(emissions.transpose(1, 2, 0, 3))  # [l, r, b, k]
    moves = np.exp(transitions)  # [r, k, k]
    alpha = np.empty_like(steps)  # [l, r, b, k]
    alpha[0] = steps[0] + (0 if starts is None else np.where(starts, 0, np.float32(-1e4)))  # [r, b, k]
    for t in range(1, l):
        alpha[t] = _message(alpha[t - 1], moves) + steps[t]  # [r, b, k]
    beta = np.zeros_like(steps)  # [l, r, b, k]
    back = np.ascontiguousarray(np.swapaxes(moves, 1, 2))  # [r, k, k]
    for t in range(l - 2, -1, -1):
        live = (t + 1 < lengths)[..., None]  # [r, b, 1]
        beta[t] = np.where(live, _message(beta[t + 1] + steps[t + 1], back), 0)  # [r, b, k]
    last = np.take_along_axis(alpha, (lengths - 1)[None, ..., None], 0)[0]  # [r, b, k]
    top = last.max(-1, keepdims=True)  # [r, b, 1]
    partition = np.log(np.exp(last - top).sum(-1)) + top[..., 0]  # [r, b]
    return Forward(alpha.transpose(2, 0, 1, 3), beta.transpose(2, 0, 1, 3), partition.T)


def _message(log_message: np.ndarray, moves: np.ndarray) -> np.ndarray:
    top = log_message.max(-1, keepdims=True)  # [r, b, 1]
    message: np.ndarray = np.log(np.maximum(np.matmul(np.exp(log_message - top), moves), 1e-30)) + top  # [r, b, k]
    return message


def segment_log_probability(
    messages: Forward, emissions: np.ndarray, transitions: np.ndarray, row: int, chain: int, first: int, tags: np.ndarray
) -> float:
    """log P(y[first .. first+n-1] = ``tags``) of one chain, exact: alpha, the segment's own scores, beta, minus log Z."""
    last = first + len(tags) - 1
    score = float(messages.alpha[row, first, chain, tags[0]])
    for offset in range(1, len(tags)):
        score += float(transitions[chain, tags[offset - 1], tags[offset]] + emissions[row, first + offset, chain, tags[offset]])
    return score + float(messages.beta[row, last, chain, tags[-1]] - messages.log_partition[row, chain])


def bio_spans(tags: np.ndarray, length: int) -> list[tuple[int, int, int]]:
    """Spans of one BIO tagging [l]: (label, first, last) with last inclusive; 0 = O, 2i+1 = B, 2i+2 = I of label i.

    An I that does not follow its own B or I opens no span.
    """
    spans: list[tuple[int, int, int]] = []
    label, first = -1, -1
    for position in range(length):
        tag = int(tags[position])
        if label >= 0 and tag == 2 * label + 2:
            continue
        if label >= 0:
            spans.append((label, first, position - 1))
            label = -1
        if tag % 2 == 1:
            label, first = tag // 2, position
    if label >= 0:
        spans.append((label, first, length - 1))
    return spans


def bio_constraints(num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Allowed moves [k, k] and starts [k] of BIO tags: 0 = O, 2i+1 = B of label i, 2i+2 = I of label i; I follows only its own B or I."""
    k = 2 * num_labels + 1
    allowed = np.ones((k, k), dtype=bool)
    inside = np.arange(2, k, 2)
    allowed[:, inside] = False
    allowed[inside, inside] = True
    allowed[inside - 1, inside] = True
    starts = np.ones(k, dtype=bool)
    starts[inside] = False
    return allowed, starts
