"""How fast a training is: tokens a second, its share of what the machine's matrix product can do, and the time left.

The share is the "model FLOPs utilisation" of PaLM (Chowdhery and others, arXiv 2204.02311, appendix B), against a peak that is measured
(:func:`matmul_peak`) instead of one that a vendor prints.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import paddle

from ..backbone import BackboneConfig

_SHORTEST = 2e-3
"""Seconds that a reading of the clock must span: below, the call and the reading count for too much."""


def matmul_peak(seconds: float = 0.3, *, sizes: Sequence[int] = (512, 1024, 2048), dtype: str = "float32") -> float:
    """FLOP/s of this device's matrix product, measured now: the best reading over square matrices of ``sizes``, 2 n³ a product.

    Takes about ``seconds`` in all; a size whose single product would take more than its share is left out, but for the first. Paddle's
    random state stays as it is. Raises ValueError for no sizes or no time.
    """
    if not sizes or not seconds > 0:
        raise ValueError(f"sizes {list(sizes)} and seconds {seconds}: give at least one size and some time")
    best, share = 0.0, seconds / len(sizes)
    generator = np.random.default_rng(0)
    with paddle.no_grad():
        for size in sizes:
            work = 2.0 * size**3
            if best and work / best > share:
                continue
            left, right = (paddle.to_tensor(generator.random((size, size), dtype="float32")).astype(dtype) for _ in range(2))  # [n, n] each
            _products(left, right, 1)  # what is set up once
            began, repeats = time.perf_counter(), 1
            while True:
                mark = time.perf_counter()
                _products(left, right, repeats)
                now = time.perf_counter()
                if now - mark >= _SHORTEST:
                    best = max(best, work * repeats / (now - mark))
                else:
                    repeats *= 2
                if now - began >= share and best:
                    break
    return best


def _products(left: paddle.Tensor, right: paddle.Tensor, repeats: int) -> None:
    product = left  # [n, n]
    for _ in range(repeats):
        product = paddle.matmul(left, right)  # [n, n]
    float(product[0, 0])  # a device works on while Python goes on: reading a number waits for it


_SCORES = {
    "dot_product": (2, 1),
    "dense": (1, 1),
    "factorized_dense": (1, 0),
    "factorized_random": (0, 0),
    "random": (0, 0),
    "fixed_random": (0, 0),
}
"""Per attention kind: projections [h, h] besides the values', and products of l by l scores a head."""


def step_flops(config: BackboneConfig, *, padded_tokens: int, sum_of_squared_lengths: int, head_weights: int = 0) -> float:
    """Floating-point operations of the matrix products of one training step, forward and backward.

    ``padded_tokens`` t: tokens that the encoder computes, b l for a batch padded to l. ``sum_of_squared_lengths`` s: over the rows of the
    batch, as long as they are computed, b l² for that batch. ``head_weights``: weights of linear layers above the encoder that every
    token meets.

    Counted, a multiplication and an addition as two: per block 2 t (p h² + 2 h i) for the projections (p = 4 for the dot product: queries,
    keys, values, output) and the feed-forward, 4 h s for scores and weighted values; 2 t w h² for a convolution over w tokens; 2 t times
    ``head_weights``. All of it three times: the backward pass takes one product for the gradient of each of the two factors. For the dot
    product that is 6 N t + 12 L h s, PaLM's 6 N + 12 L H Q T a token.

    Not counted: whatever is no matrix product (embeddings, norms, softmax, dropout, the optimizer), the pooler and what heads do beyond
    linear layers, what factorized Synthesizers do with their short rows, sums that are written as products (biases), and a forward pass that
    recomputation repeats. Frozen weights are counted as if they were trained.
    """
    h = config.hidden_size
    projections, products = 2, 1  # values and output; weights by values
    for kind in config.attention.split("+"):
        own_projections, own_products = _SCORES[kind]
        projections, products = projections + own_projections, products + own_products
    weights = config.num_layers * (projections * h * h + 2 * h * config.intermediate_size) + config.convolution_width * h * h + head_weights
    forward = 2.0 * padded_tokens * weights + 2.0 * products * config.num_layers * h * sum_of_squared_lengths
    return 3.0 * forward


@dataclass(frozen=True)
class Rates:
    """Smoothed: real ``tokens`` and ``padded_tokens`` a second, ``share`` of the peak (0 to 1), ``seconds_left``. None: not known yet."""

    tokens: float | None = None
    padded_tokens: float | None = None
    share: float | None = None
    seconds_left: float | None = None


class Throughput:
    """Turns finished steps and a clock into :class:`Rates`.

    A rate is a sum of tokens over a sum of seconds, both fading with about ``memory`` steps. ``peak``: FLOP/s to compare with.
    A step whose time is below a microsecond, or more than 50 times the usual, tells of the clock and not of the training (a suspended machine, a
    clock that was set): it is left out, until three in a row say that the training has become that slow. ``clock`` gives seconds.
    """

    ODD, IN_A_ROW = 50.0, 3

    def __init__(self, *, peak: float | None = None, memory: int = 50, clock: Callable[[], float] = time.monotonic):
        if memory < 1 or (peak is not None and not peak > 0):
            raise ValueError(f"memory {memory} and peak {peak}: give at least one step, and FLOP/s above 0 or None")
        self._peak, self._keep, self._clock = peak, 1.0 - 1.0 / memory, clock
        self._mark = clock()
        self._forget()
        self._odd = 0
        self._evaluations: list[float] = []

    def _forget(self) -> None:
        self._counted, self._weight = 0, 0.0
        self._seconds = self._tokens = self._padded = self._flops = 0.0

    def restart(self) -> None:
        """What has passed since the last reading belongs to no step (a checkpoint, a stop)."""
        self._mark = self._clock()

    def evaluated(self) -> None:
        """What has passed since the last reading was an evaluation: :meth:`step` counts those to come by the median of those seen."""
        passed = self._passed()
        if passed > 0:
            self._evaluations.append(passed)

    def step(self, *, tokens: int, padded_tokens: int, flops: float = 0.0, steps_left: int = 0, evaluations_left: int = 0) -> Rates:
        """A step of so many tokens and operations (:func:`step_flops`) has ended just now."""
        passed = self._passed()
        if self._believable(passed):
            keep = self._keep
            self._counted += 1
            self._weight = keep * self._weight + 1.0
            self._seconds = keep * self._seconds + passed
            self._tokens = keep * self._tokens + tokens
            self._padded = keep * self._padded + padded_tokens
            self._flops = keep * self._flops + flops
        return self._rates(steps_left, evaluations_left)

    def _passed(self) -> float:
        now = self._clock()
        passed, self._mark = now - self._mark, now
        return passed if math.isfinite(passed) else 0.0

    def _believable(self, passed: float) -> bool:
        if passed < 1e-6:
            return False
        if self._counted >= self.IN_A_ROW and passed > self.ODD * self._seconds / self._weight:
            self._odd += 1
            if self._odd < self.IN_A_ROW:
                return False
            self._forget()
        self._odd = 0
        return True

    def _rates(self, steps_left: int, evaluations_left: int) -> Rates:
        if not self._seconds:
            return Rates()
        evaluation = statistics.median(self._evaluations) if self._evaluations else 0.0
        left = steps_left * self._seconds / self._weight + evaluations_left * evaluation
        share = None
        if self._peak and self._flops:
            reached = self._flops / self._seconds
            self._peak = max(self._peak, reached)  # whatever disturbed its measuring, what was reached can be reached
            share = reached / self._peak
        return Rates(self._tokens / self._seconds, self._padded / self._seconds, share, left)
