"""The neighbour estimate of entropy against distributions whose entropy is known (kexue.fm article 7343)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import paddle

from .entropy import entropy_constant, knn_entropy, normal_entropy

ENTROPIES = {
    "normal": normal_entropy(),
    "logistic": 2.0 - 0.5 * math.log(math.pi**2 / 3.0),
    "laplace": 1.0 + 0.5 * math.log(2.0),
    "uniform": 0.5 * math.log(12.0),
}
"""In nats, of one dimension of mean 0 and variance 1; the largest first."""

_DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "logistic": lambda rng, shape: rng.logistic(0.0, math.sqrt(3.0) / math.pi, shape),
    "laplace": lambda rng, shape: rng.laplace(0.0, math.sqrt(0.5), shape),
    "uniform": lambda rng, shape: rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape),
}


class EntropyBias(NamedTuple):
    """``exact`` and ``approximate``: mean estimate by either constants minus the truth; ``deviation``: of one estimate. In nats, for all d."""

    distribution: str
    d: int
    n: int
    k: int
    exact: float
    approximate: float
    deviation: float


def entropy_bias(distribution: str, d: int, n: int, k: int = 1, *, repeats: int = 20, seed: int = 0) -> EntropyBias:
    """Of ``repeats`` estimates by :func:`knn_entropy`, each of n new points with d independent coordinates of variance 1.

    Raises ValueError for other distributions than those of :data:`ENTROPIES`, fewer than 2 repeats, and what the estimate itself refuses.
    """
    if distribution not in ENTROPIES or repeats < 2:
        raise ValueError(f"distribution must be one of {', '.join(ENTROPIES)} with at least 2 repeats, found {distribution!r} and {repeats}")
    rng = np.random.default_rng(seed)
    draw, truth = _DRAWS[distribution], d * ENTROPIES[distribution]
    found = [float(knn_entropy(paddle.to_tensor(draw(rng, (n, d))), k)) - truth for _ in range(repeats)]
    moved = entropy_constant(n, d, k, "approximate") - entropy_constant(n, d, k)
    exact = float(np.mean(found))
    return EntropyBias(distribution, d, n, k, exact, exact + moved, float(np.std(found, ddof=1)))
