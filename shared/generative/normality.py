"""How near codes are to the standard normal or to others, and the demonstration that entropy makes them normal (kexue.fm article 7343)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import paddle

from .bodies import MLP
from .codes import CodeNorm
from .entropy import knn_entropy
from .geometry import as_codes


class LatentNormality(NamedTuple):
    """A number a dimension [d], all for ``n`` codes; N(0, 1) has mean 0, std 1, skewness 0, excess kurtosis 0, distance 0.

    ``ks``: largest distance between the distribution function of the codes and that of N(0, 1) (Kolmogorov and Smirnov).
    ``correlation`` [d, d]. A dimension that never changes has skewness, kurtosis and correlations 0, and std 0 to tell.
    """

    n: int
    mean: np.ndarray
    std: np.ndarray
    skewness: np.ndarray
    excess_kurtosis: np.ndarray
    ks: np.ndarray
    correlation: np.ndarray

    @property
    def ks_limit(self) -> float:
        """What ``ks`` of n normal codes exceeds in 5 of 100 cases, 1.358 / sqrt(n)."""
        return 1.358 / math.sqrt(self.n)

    @property
    def largest_correlation(self) -> float:
        """Between two different dimensions, without its sign; 0 for one dimension."""
        return float(np.abs(self.correlation - np.diag(np.diag(self.correlation))).max())


def latent_normality(z: Any) -> LatentNormality:
    """Diagnostics of codes [n, d], tensor or array. Raises ValueError for other shapes, fewer than 2 codes, NaN and infinity."""
    codes = as_codes("codes", z)
    n, d = codes.shape
    if n < 2:
        raise ValueError(f"a distribution needs at least 2 codes, found {n}: encode more data")
    mean, std = codes.mean(axis=0), codes.std(axis=0)
    moving = std > 1e-12 * np.maximum(1.0, np.abs(mean))  # [d]
    normal = np.where(moving, (codes - mean) / np.where(moving, std, 1.0), 0.0)  # [n, d]
    kurtosis = np.where(moving, (normal**4).mean(axis=0) - 3.0, 0.0)
    correlation = np.where(np.eye(d, dtype=bool), 1.0, normal.T @ normal / n)
    below = _normal_distribution(np.sort(codes, axis=0))  # [n, d]
    steps = np.arange(n + 1)[:, None] / n  # [n+1, 1]
    ks = np.maximum(np.abs(steps[1:] - below), np.abs(steps[:-1] - below)).max(axis=0)
    return LatentNormality(n, mean, std, (normal**3).mean(axis=0), kurtosis, ks, correlation)


def _normal_distribution(x: np.ndarray) -> np.ndarray:
    error = np.asarray(paddle.erf(paddle.to_tensor(x / math.sqrt(2.0), dtype="float64")).numpy(), dtype=np.float64)
    return 0.5 * (1.0 + error)


def frechet_distance(a: Any, b: Any) -> float:
    """``|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))``, C the covariances of features a [n, f] and b [m, f] (arXiv 1706.08500).

    The squared distance of the normal distributions that have their moments: with features of a classifier the usual score of
    generated images. It falls with n and m: compare equal numbers. Raises ValueError for other shapes, fewer than 2 rows, NaN, infinity.
    """
    first, second = as_codes("a", a), as_codes("b", b)
    if first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ValueError(f"features must be [n, f] and [m, f] with n and m from 2, found {list(first.shape)} and {list(second.shape)}")
    size = first.shape[1]
    covariances = [np.cov(features.T).reshape(size, size) for features in (first, second)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T  # [f, f]
    # tr (C_a C_b)^(1/2) from a symmetric product, whose eigenvalues are real
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0.0)).sum()
    shift = first.mean(axis=0) - second.mean(axis=0)
    return float(max(shift @ shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2.0 * common, 0.0))


class MaximumEntropy(NamedTuple):
    """``before`` and ``after``: normalised codes [n, d] that were not trained on; ``entropies``: their estimated entropy at every look,
    ``steps`` [m] when it was taken, the first before training."""

    before: np.ndarray
    after: np.ndarray
    steps: np.ndarray
    entropies: np.ndarray


def maximize_entropy(
    d: int = 2, *, n: int = 1000, steps: int = 300, batch: int = 256, k: int = 3, learning_rate: float = 3e-3, looks: int = 10, seed: int = 0
) -> MaximumEntropy:
    """A cloud of 2^d clumps becomes normal by nothing but entropy under mean 0 and variance 1; it rises towards 1.4189 d.

    A small network moves the points, its output is normalised by the batch, and Adam ascends :func:`knn_entropy`. Every batch is
    drawn anew and the looks are at n others: points that are moved themselves only learn to keep even distances, which the estimate
    takes for more entropy than there is. The random state of paddle is left as it was.
    Raises ValueError for d, steps or looks below 1 and for k that a batch does not allow.
    """
    if d < 1 or steps < 1 or looks < 1:
        raise ValueError(f"d, steps and looks must be at least 1, found {d}, {steps} and {looks}: give e.g. 2, 300 and 10")
    rng = np.random.default_rng(seed)
    state = paddle.get_rng_state()
    network, norm = MLP([d, 64, 64, d], activation="tanh"), CodeNorm(d)
    paddle.set_rng_state(state)  # the weights come from `rng`
    for parameter in network.parameters():
        width = parameter.shape[0]
        values = rng.normal(0.0, 0.5 * width**-0.5, parameter.shape) if parameter.ndim == 2 else np.zeros(parameter.shape)
        parameter.set_value(paddle.to_tensor(values.astype("float32")))  # [in, out] or [out]

    def moved(points: paddle.Tensor) -> paddle.Tensor:
        return norm(points + network(points))  # [n, d]

    rate = paddle.optimizer.lr.LambdaDecay(learning_rate, lambda step: 1.0 - step / steps)
    optimizer = paddle.optimizer.Adam(rate, parameters=network.parameters())
    held_out = _clumps(n, d, rng)
    with paddle.no_grad():
        before = norm(held_out)  # [n, d]
        taken, entropies = [0], [float(knn_entropy(before, k))]
    after = before
    for step in range(1, steps + 1):
        (-knn_entropy(moved(_clumps(batch, d, rng)), k, epsilon=1e-4)).backward()
        optimizer.step()
        optimizer.clear_grad()
        rate.step()
        if step == steps or step % max(1, steps // looks) == 0:
            with paddle.no_grad():
                after = moved(held_out)  # [n, d]
                taken.append(step)
                entropies.append(float(knn_entropy(after, k)))
    return MaximumEntropy(before.numpy(), after.numpy(), np.asarray(taken), np.asarray(entropies))


def _clumps(n: int, d: int, rng: np.random.Generator) -> paddle.Tensor:
    values = rng.choice([-1.0, 1.0], (n, d)) + rng.normal(0.0, 0.15, (n, d))
    return paddle.to_tensor(values.astype("float32"))  # [n, d]
