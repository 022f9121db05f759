"""Linear-chain conditional random field, many independent chains at once.

Notation: b batch, l length, r chains, k tags. A chain is one tagging of the sequence: a single chain with many tags is the
classical tagger; one three-tag chain per (event type, role) lets one span carry several roles.

score(y) = sum_t x[t, y_t] + sum_t T[y_t, y_{t+1}];  loss = log Z - score(gold), log Z by the forward recursion.
There are no start or end vectors, as in the LIC2020 baseline (kexue.fm article 7321); forbidden starts and
transitions are masked instead, in training and in decoding alike.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from ..losses import full_precision
from .crf_decode import FORBIDDEN, viterbi

_TINY = 1e-30


class LinearChainCRF(nn.Layer):
    """Transition scores of ``num_chains`` chains and the negative log-likelihood of gold taggings.

    The forward recursion keeps ``a = log alpha`` and moves with ``m + log(exp(a - m) @ exp(T))``, m = max a: one matrix product
    for all chains and rows, where the usual form needs a ``[b, k, k]`` logsumexp a step. The product is safe because the largest term of
    every row is exactly 1. Both forms are equal as long as a tag that only far worse tags may precede lies within 69 nats (``_TINY``) of
    the best one; beyond that its score is taken for too high, so that log Z, and the loss, err upwards and stay finite.

    ``allowed`` [k, k] and ``allowed_start`` [k] are boolean arrays of the moves and first tags that may happen (default: all).
    ``learning_rate_multiplier`` applies to the transitions alone: they are under-trained at an encoder's rate (article 7196; the LIC2020
    baseline uses 100).

    Raises ValueError when shapes do not fit or an array forbids every start.
    """

    def __init__(
        self,
        num_tags: int,
        *,
        num_chains: int = 1,
        allowed: np.ndarray | None = None,
        allowed_start: np.ndarray | None = None,
        learning_rate_multiplier: float = 1.0,
    ):
        super().__init__()
        if num_tags < 2 or num_chains < 1:
            raise ValueError(f"a CRF needs at least 2 tags and 1 chain, found num_tags={num_tags}, num_chains={num_chains}")
        self.num_tags, self.num_chains = num_tags, num_chains
        self.allowed = _checked("allowed", allowed, (num_tags, num_tags))  # [k, k]
        self.allowed_start = _checked("allowed_start", allowed_start, (num_tags,))  # [k]
        if not self.allowed_start.any():
            raise ValueError("allowed_start forbids every tag: at least one must be able to start")
        self.transitions = self.create_parameter(
            [num_chains, num_tags, num_tags],
            attr=paddle.ParamAttr(learning_rate=learning_rate_multiplier, initializer=nn.initializer.Constant(0.0)),
        )  # [r, k, k]
        self.transitions.rate_multiplier = learning_rate_multiplier  # for shared.optim.parameter_groups
        self._walk = np.zeros((0, num_tags), dtype=np.float32)  # [longest so far, k]
        self._move_penalty = paddle.to_tensor(np.where(self.allowed, 0.0, FORBIDDEN).astype("float32"))  # [k, k]
        self._start_penalty = paddle.to_tensor(np.where(self.allowed_start, 0.0, FORBIDDEN).astype("float32"))  # [k]

    def masked_transitions(self) -> paddle.Tensor:
        """Transition scores with forbidden moves pushed down, [r, k, k]."""
        return _wide(self.transitions) + self._move_penalty  # [r, k, k]

    def forward(self, emissions: paddle.Tensor, tags: paddle.Tensor, lengths: paddle.Tensor) -> paddle.Tensor:
        """Negative log-likelihood per sequence and chain, [b, r].

        ``emissions`` [b, l, r, k] (float), ``tags`` [b, l, r] (int; anything beyond the length), ``lengths`` [b] (int, 1..l).
        Raises ValueError for other shapes, tags and lengths.
        """
        return self._loss(emissions.astype("float32"), tags, lengths)  # [b, r]

    @full_precision
    def _loss(self, emissions: paddle.Tensor, tags: paddle.Tensor, lengths: paddle.Tensor) -> paddle.Tensor:
        return self.log_partition(emissions, lengths) - self.path_score(emissions, tags, lengths)  # [b, r]

    @full_precision
    def log_partition(self, emissions: paddle.Tensor, lengths: paddle.Tensor) -> paddle.Tensor:
        """log Z, [b, r]: the log of the summed exponentiated scores of every allowed tagging."""
        self._check(emissions, lengths)
        moves = paddle.exp(self.masked_transitions())  # [r, k, k]
        steps = paddle.unbind(paddle.transpose(emissions, [1, 2, 0, 3]), axis=0)  # l of [r, b, k]
        alpha = steps[0] + self._start_penalty  # [r, b, k]
        alphas = [alpha]
        for step in steps[1:]:
            top = paddle.max(alpha, axis=-1, keepdim=True).detach()  # [r, b, 1]
            moved = paddle.matmul(paddle.exp(alpha - top), moves)  # [r, b, k]
            alpha = paddle.log(paddle.clip(moved, min=_TINY)) + top + step  # [r, b, k]
            alphas.append(alpha)
        last = (lengths.astype("int64") - 1).reshape([1, 1, -1, 1]).expand([1, self.num_chains, -1, self.num_tags])  # [1, r, b, k]
        ended = paddle.take_along_axis(paddle.stack(alphas), last, axis=0)[0]  # [r, b, k]
        return paddle.logsumexp(ended, axis=-1).transpose([1, 0])  # [b, r]

    @full_precision
    def path_score(self, emissions: paddle.Tensor, tags: paddle.Tensor, lengths: paddle.Tensor) -> paddle.Tensor:
        """Score of the given tagging, [b, r]."""
        self._check(emissions, lengths)
        b, l, r, k = emissions.shape
        if paddle.in_dynamic_mode() and list(tags.shape) != [b, l, r]:
            raise ValueError(f"emissions {list(emissions.shape)} need tags {[b, l, r]}, found {list(tags.shape)}: give one tag a chain and token")
        real = paddle.arange(l).unsqueeze(0) < lengths.astype("int64").unsqueeze(1)  # [b, l]
        tags = tags.astype("int64") * real.astype("int64").unsqueeze(-1)  # [b, l, r]
        if paddle.in_dynamic_mode() and not 0 <= int(tags.min()) <= int(tags.max()) < k:
            raise ValueError(f"tags within the lengths must be 0 to {k - 1}, found {int(tags.min())} to {int(tags.max())}: see num_tags={k}")
        valid = real.astype("float32")  # [b, l]
        at = paddle.take_along_axis(emissions, tags.unsqueeze(-1), axis=-1).squeeze(-1)  # [b, l, r]
        score = (at * valid.unsqueeze(-1)).sum(axis=1)  # [b, r]
        if l > 1:
            chain = paddle.arange(r, dtype="int64") * (k * k)  # [r]
            moves = chain + tags[:, :-1] * k + tags[:, 1:]  # [b, l-1, r]
            moved = paddle.gather(self.masked_transitions().reshape([-1]), moves.reshape([-1])).reshape([b, l - 1, r])  # [b, l-1, r]
            score = score + (moved * valid[:, 1:].unsqueeze(-1)).sum(axis=1)  # [b, r]
        return score

    @full_precision
    def random_score(self, emissions: paddle.Tensor, lengths: paddle.Tensor) -> paddle.Tensor:
        """Expected score of a tagging drawn at random, [b, r]: the first tag evenly among the allowed starts, every next one evenly among
        the allowed moves. ``log_partition`` minus it is a cross entropy, so above 0: what label smoothing mixes in.

        Raises ValueError for shapes and lengths as :meth:`forward`, and for a tag that may be followed by none.
        """
        self._check(emissions, lengths)
        emissions, l = _wide(emissions), emissions.shape[1]  # [b, l, r, k]
        if len(self._walk) < l:
            self._walk = random_walk(self.allowed, self.allowed_start, l)
        places = self._walk[:l]  # [l, k]
        real = paddle.arange(l).unsqueeze(0) < lengths.astype("int64").unsqueeze(1)  # [b, l]
        weights = paddle.to_tensor(places).unsqueeze(0) * real.astype("float32").unsqueeze(-1)  # [b, l, k]
        score = (emissions * weights.unsqueeze(2)).sum(axis=[1, 3])  # [b, r]
        if l == 1:
            return score  # [b, r]
        left = weights[:, : l - 1] * real[:, 1:].astype("float32").unsqueeze(-1)  # [b, l-1, k]
        chances = paddle.to_tensor((self.allowed / self.allowed.sum(axis=1, keepdims=True)).astype(np.float32))  # [k, k]
        moved = (_wide(self.transitions) * chances).sum(axis=-1)  # [r, k]
        return score + paddle.matmul(left.sum(axis=1), moved, transpose_y=True)  # [b, r]

    def decode(self, emissions: paddle.Tensor, lengths: paddle.Tensor) -> np.ndarray:
        """The best allowed tagging of every chain, [b, l, r] int16, 0 beyond the length (:func:`viterbi`). Shapes as in :meth:`forward`."""
        self._check(emissions, lengths)
        given, moves = emissions.astype("float32").numpy(), self.masked_transitions().numpy()
        return viterbi(given, moves, lengths.numpy(), starts=self.allowed_start)[0]

    def _check(self, emissions: paddle.Tensor, lengths: paddle.Tensor) -> None:
        if emissions.ndim != 4 or list(emissions.shape[2:]) != [self.num_chains, self.num_tags]:
            raise ValueError(
                f"emissions must be [b, l, {self.num_chains}, {self.num_tags}], found {list(emissions.shape)}: "
                "reshape the head's output to chains and tags"
            )
        if emissions.shape[1] == 0:
            raise ValueError("emissions of length 0: a sequence needs at least one token, drop empty ones before")
        if not paddle.in_dynamic_mode():  # a recorded graph has neither lengths nor values
            return
        if list(lengths.shape) != [emissions.shape[0]]:
            raise ValueError(f"emissions {list(emissions.shape)} need lengths [{emissions.shape[0]}], found {list(lengths.shape)}: give one a row")
        if not 1 <= int(lengths.min()) <= int(lengths.max()) <= emissions.shape[1]:
            raise ValueError(
                f"lengths must be 1 to {emissions.shape[1]}, found {int(lengths.min())} to {int(lengths.max())}: "
                "drop empty sequences before"
            )


def random_walk(allowed: np.ndarray, allowed_start: np.ndarray, length: int) -> np.ndarray:
    """Probability of every tag at every place, [length, k] float32, for a first tag drawn evenly among the allowed starts [k] and each next
    one evenly among the moves that ``allowed`` [k, k] leaves. Raises ValueError for a tag that no other may follow."""
    moves = allowed.sum(axis=1, keepdims=True)  # [k, 1]
    if not moves.all():
        raise ValueError(f"tag {int(moves[:, 0].argmin())} may be followed by no tag: a random tagging would end there, allow a move from it")
    chances = allowed / moves  # [k, k]
    place = allowed_start / allowed_start.sum()  # [k]
    walk = np.empty((length, len(place)), dtype=np.float32)  # [length, k]
    for step in range(length):
        walk[step] = place
        place = place @ chances  # [k]
    return walk


def _wide(values: paddle.Tensor) -> paddle.Tensor:
    return values if values.dtype in (paddle.float32, paddle.float64) else values.astype("float32")  # [...]


def _checked(name: str, array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if array is None:
        return np.ones(shape, dtype=bool)
    array = np.asarray(array, dtype=bool)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, found {array.shape}")
    return array
