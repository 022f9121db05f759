"""Entropy of a distribution from distances between its samples, differentiable (kexue.fm article 7343, arXiv 1506.06501).

H = d/n sum_i log e_k(i) + log B_d + psi(n) - psi(k), where e_k(i) is the distance from point i to its k-th nearest neighbour
and B_d the volume of the unit ball. Only the first sum depends on the points, so the constants do not matter for training.
"""

from __future__ import annotations

import math

import paddle

EULER_GAMMA = 0.5772156649015329
"""-psi(1)."""

CONSTANTS = ("exact", "approximate")
"""``exact``: psi(n). ``approximate``: log(n - 1) in its place, the article's formula for k = 1."""

_CHUNK = 1 << 18


def log_unit_ball_volume(d: int) -> float:
    """``log B_d = d/2 log pi - log Gamma(d/2 + 1)``; B_1 = 2, B_2 = pi. Raises ValueError for d below 1."""
    if d < 1:
        raise ValueError(f"a ball has at least 1 dimension, found d={d}: give the size of the codes")
    return 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0)


def digamma(n: int) -> float:
    """psi(n) of a whole number, ``-gamma + 1 + 1/2 + ... + 1/(n - 1)``. Raises ValueError for n below 1."""
    if n < 1 or n != int(n):
        raise ValueError(f"psi is given for whole numbers from 1, found {n}: give a number of points or neighbours")
    return math.fsum(1.0 / i for i in range(1, int(n))) - EULER_GAMMA


def normal_entropy(d: int = 1) -> float:
    """``d/2 log(2 pi e)``, the entropy of N(0, I): the largest that mean 0 and variance 1 allow (1.4189 a dimension)."""
    if d < 1:
        raise ValueError(f"a distribution has at least 1 dimension, found d={d}: give the size of the codes")
    return 0.5 * d * math.log(2.0 * math.pi * math.e)


def entropy_constant(n: int, d: int, k: int = 1, constants: str = "exact") -> float:
    """What the estimate adds to ``d/n sum_i log e_k(i)``: ``log B_d + psi(n) - psi(k)``.

    ``constants="approximate"`` puts log(n - 1) in the place of psi(n); with k = 1 it is ``log B_d + log(n - 1) + gamma``.
    Raises ValueError for another name, and for k that is not in 1..n-1.
    """
    if constants not in CONSTANTS:
        raise ValueError(f"constants must be 'exact' or 'approximate', found {constants!r}: take one of these")
    _check_neighbour(n, k)
    of_n = digamma(n) if constants == "exact" else math.log(n - 1)
    return log_unit_ball_volume(d) + of_n - digamma(k)


def neighbour_squared_distances(z: paddle.Tensor, k: int = 1) -> paddle.Tensor:
    """Squared distance from every point to its k-th nearest neighbour among the others: [n, d] gives [n].

    The neighbours are found first, from differences of coordinates (the expansion ``|a|^2 - 2ab + |b|^2`` loses close
    points to rounding), in row chunks of bounded memory; the distance to the one that was found is then computed again with
    a gradient, which reaches the point and its neighbour. Of neighbours at equal distance one is taken.
    Raises ValueError for other shapes, numbers that are not finite, and k that is not in 1..n-1.
    """
    if z.ndim != 2 or z.shape[1] < 1:
        raise ValueError(f"points must be [n, d] with d at least 1, found shape {list(z.shape)}: flatten each point to one row")
    n, _ = z.shape
    _check_neighbour(n, k)
    if not bool(paddle.isfinite(z).all()):
        bad = int(paddle.logical_not(paddle.isfinite(z).all(axis=1)).astype("int64").sum())
        raise ValueError(f"{bad} of {n} points hold NaN or infinity: lower the learning rate or clip gradients, and check the input")
    with paddle.no_grad():
        neighbour = _neighbour(z, k)  # [n]
    nearest = paddle.gather(z, neighbour)  # [n, d]
    return (z - nearest).square().sum(axis=1)  # [n]


def _check_neighbour(n: int, k: int) -> None:
    if k < 1 or k != int(k):
        raise ValueError(f"k must be a whole number from 1, found k={k}: the nearest neighbour is k=1")
    if k >= n:
        raise ValueError(f"k must be below the number of points, found k={k} and {n} points: give a larger batch or a smaller k")


def _neighbour(z: paddle.Tensor, k: int) -> paddle.Tensor:
    n = z.shape[0]
    rows = max(1, _CHUNK // n)
    columns = paddle.unbind(z.transpose([1, 0]).contiguous(), axis=0)  # d of [n]
    found = []
    for start in range(0, n, rows):
        end = min(n, start + rows)
        squared = paddle.zeros([end - start, n], dtype=z.dtype)  # [r, n]
        for column in columns:
            squared += (column[start:end].unsqueeze(1) - column.unsqueeze(0)).square()  # [r, n]
        own = paddle.nn.functional.one_hot(paddle.arange(start, end), n).astype("bool")  # [r, n]
        squared = paddle.where(own, paddle.full_like(squared, math.inf), squared)  # [r, n]
        found.append(paddle.topk(squared, k, axis=1, largest=False)[1][:, k - 1])  # [r]
    return paddle.concat(found)  # [n]


def knn_entropy(z: paddle.Tensor, k: int = 1, constants: str = "exact", *, epsilon: float = 1e-8) -> paddle.Tensor:
    """Estimated differential entropy in nats of the distribution that the points ``z`` [n, d] were drawn from: a scalar [].

    ``d/n sum_i log e_k(i) + log B_d + psi(n) - psi(k)``; see :func:`entropy_constant` for ``constants``. The gradient is that
    of the estimate: every point is pushed off its neighbour, and off those whose neighbour it is. Scaling by c adds d log c.

    ``epsilon``: the distance is taken as ``sqrt(e^2 + epsilon^2)``. So a duplicate counts as log(epsilon) and has gradient 0,
    and no pair pulls with more than ``d / (2 n epsilon)``; points much farther apart than epsilon are left as they are.
    Half-precision points are computed in float32.

    The estimate has a bias that grows with d and falls with n (d=10, n=1000: 14.24 for 14.19), and a fixed set of points can
    be moved to a value above every true entropy, by making it evenly spaced: judge by points that were not optimised.

    Raises ValueError for k >= n, points that are not finite or not [n, d], unknown constants, and epsilon that is not above 0.
    """
    if not epsilon > 0.0:
        raise ValueError(f"epsilon must be above 0, found {epsilon}: duplicates would count as minus infinity, give e.g. 1e-8")
    if z.dtype not in (paddle.float32, paddle.float64):
        z = z.astype("float32")  # [n, d]
    squared = neighbour_squared_distances(z, k)  # [n]
    n, d = z.shape
    # paddle 2.6 rounds a number that is added to a float64 tensor to float32, but not a tensor
    constant = paddle.full([], entropy_constant(n, d, k, constants), dtype=z.dtype)  # []
    return 0.5 * d * paddle.log(squared + epsilon * epsilon).mean() + constant  # []
