"""What region codes cover: moments, coverage, holes, flat directions, and ellipses to draw (kexue.fm article 7725).

An encoder gives centres mu [n, d] and, a VAE's, semi-axes sigma [n, d]; tensors or arrays come in, NumPy arrays in float64 go out.
An ellipse of scale s holds the points p with ``sum ((p - mu) / sigma)^2 <= s^2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

REGIONS = ("ball", "normal")
SHAPES = ("scattered", "line", "ring", "disc")
"""The article's four: only the disc is regular, without redundancy, and continuous."""

_CHUNK = 1 << 18


def as_codes(name: str, values: Any, like: np.ndarray | None = None) -> np.ndarray:
    """``values`` as float64 [n, d]; a number or [d] is spread to the shape of ``like``. Raises ValueError for other shapes, NaN, infinity."""
    array = np.asarray(values.astype("float32").numpy() if hasattr(values, "stop_gradient") else values, dtype=np.float64)
    if like is not None and array.shape != like.shape:
        if array.ndim > 1 or array.shape not in ((), (like.shape[1],)):
            raise ValueError(f"{name} is {list(array.shape)} for codes {list(like.shape)}: give one row a code, one number a dimension, or one")
        array = np.broadcast_to(array, like.shape)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be [n, d] and not empty, found shape {list(array.shape)}: give one row a code")
    if not np.isfinite(array).all():
        wrong = int((~np.isfinite(array)).sum())
        raise ValueError(f"{name} holds {wrong} numbers of {array.size} that are NaN or infinite: look at the training that made them")
    return array


def _semi_axes(sigma: Any, mu: np.ndarray) -> np.ndarray:
    axes = as_codes("sigma", sigma, like=mu)
    if axes.min() <= 0.0:
        raise ValueError(f"sigma must be above 0, found {axes.min():g}: give semi-axes, not their logarithm")
    return axes


class AggregateMoments(NamedTuple):
    """Of the union of all ellipses, a dimension each [d]: ``mean`` = E[mu], ``second_moment`` = E[mu^2] + E[sigma^2] and its two parts."""

    mean: np.ndarray
    second_moment: np.ndarray
    mean_square_mu: np.ndarray
    mean_square_sigma: np.ndarray

    @property
    def gap(self) -> float:
        """Largest distance of a mean from 0 or of a second moment from 1, which N(0, I) has."""
        return float(max(np.abs(self.mean).max(), np.abs(self.second_moment - 1.0).max()))


def aggregate_moments(mu: Any, sigma: Any = None) -> AggregateMoments:
    """If the codes of all data together are N(0, I), then E[mu] = 0 and E[mu^2] + E[sigma^2] = 1 (article 7381). Points have no ``sigma``."""
    centres = as_codes("mu", mu)
    square_mu = (centres**2).mean(axis=0)  # [d]
    square_sigma = np.zeros_like(square_mu) if sigma is None else (_semi_axes(sigma, centres) ** 2).mean(axis=0)  # [d]
    return AggregateMoments(centres.mean(axis=0), square_mu + square_sigma, square_mu, square_sigma)


class Coverage(NamedTuple):
    """``share`` of the ``points`` [m, d] that lie in an ellipse; ``depth`` [m]: the scale at which the nearest ellipse reaches a point."""

    share: float
    points: np.ndarray
    depth: np.ndarray
    scale: float

    @property
    def covered(self) -> np.ndarray:
        """Which points lie in an ellipse, [m]."""
        return self.depth <= self.scale


def coverage(mu: Any, sigma: Any, *, region: str | Any = "ball", points: int = 10_000, scale: float = 1.0, seed: int = 0) -> Coverage:
    """The share of a region that the ellipses cover, by ``points`` drawn from it under ``seed``.

    ``region``: ``ball``, even in the unit ball; ``normal``, from N(0, I), what a sampler will ask the decoder for; or points [m, d].
    ``sigma`` may be one number: circles around points. Raises ValueError for other regions, no points, and a scale that is not above 0.
    """
    centres = as_codes("mu", mu)
    axes = _semi_axes(sigma, centres)
    if not scale > 0.0:
        raise ValueError(f"scale must be above 0, found {scale}: 1 is the ellipse with the semi-axes sigma")
    if isinstance(region, str):
        if region not in REGIONS or points < 1:
            raise ValueError(f"region must be 'ball' or 'normal' with at least 1 point, found {region!r} with {points}: take one of these")
        drawn = (uniform_ball if region == "ball" else _normal)(points, centres.shape[1], seed)
    else:
        drawn = as_codes("region", region)
        if drawn.shape[1] != centres.shape[1]:
            raise ValueError(f"the region's points have {drawn.shape[1]} dimensions, the codes {centres.shape[1]}: give both the same")
    depth = _depth(drawn, centres, axes)
    return Coverage(float((depth <= scale).mean()), drawn, depth, scale)


def uniform_ball(n: int, d: int, seed: int) -> np.ndarray:
    """n points spread evenly in the unit ball, [n, d]."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((n, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * rng.random((n, 1)) ** (1.0 / d)


def _normal(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def _depth(points: np.ndarray, centres: np.ndarray, axes: np.ndarray) -> np.ndarray:
    depth = np.empty(len(points))
    rates = 1.0 / axes
    rows = max(1, _CHUNK // len(centres))
    for start in range(0, len(points), rows):
        part = points[start : start + rows]
        squared = np.zeros((len(part), len(centres)))
        for point, centre, rate in zip(part.T, centres.T, rates.T, strict=True):  # one dimension
            step = (point[:, None] - centre) * rate  # [r, n]
            squared += step * step
        depth[start : start + rows] = np.sqrt(squared.min(axis=1))
    return depth


class Holes(NamedTuple):
    """Uncovered ``points`` [m, d] with their ``depth`` [m], deepest first; the ``share`` that they are of the region; whether the middle is
    one of them (``at_centre``): the origin, and more than half of what lies within half the typical distance of the codes from it."""

    points: np.ndarray
    depth: np.ndarray
    share: float
    at_centre: bool


def holes(mu: Any, sigma: Any, *, region: str | Any = "ball", points: int = 10_000, scale: float = 1.0, seed: int = 0) -> Holes:
    """The places of a region that no ellipse covers, where a sampler decodes what was never trained. Arguments as :func:`coverage`."""
    found = coverage(mu, sigma, region=region, points=points, scale=scale, seed=seed)
    centres = as_codes("mu", mu)
    empty = ~found.covered
    order = np.argsort(-found.depth[empty], kind="stable")
    middle = _inner_share(centres, _semi_axes(sigma, centres), np.zeros(centres.shape[1]), scale, seed)
    return Holes(found.points[empty][order], found.depth[empty][order], 1.0 - found.share, middle < 0.5 and _covers_no_origin(centres, sigma, scale))


def _covers_no_origin(centres: np.ndarray, sigma: Any, scale: float) -> bool:
    return bool(_depth(np.zeros((1, centres.shape[1])), centres, _semi_axes(sigma, centres))[0] > scale)


def _inner_share(centres: np.ndarray, axes: np.ndarray, origin: np.ndarray, scale: float, seed: int) -> float:
    typical = np.median(np.linalg.norm(centres - origin, axis=1))
    inner = origin + 0.5 * typical * uniform_ball(2000, centres.shape[1], seed)
    return float((_depth(inner, centres, axes) <= scale).mean())


class Redundancy(NamedTuple):
    """``dimensions``: those that say nothing of x. ``signal`` [d]: the share of each dimension's variance that is the centres'."""

    dimensions: tuple[int, ...]
    signal: np.ndarray


def redundant_dimensions(mu: Any, sigma: Any = None, *, threshold: float = 0.05) -> Redundancy:
    """Dimensions whose centres hardly move: in a VAE with sigma near 1, so that ``var(mu) / (var(mu) + E[sigma^2])`` is below ``threshold``.

    Points have no sigma: there the variance is compared with the largest of all dimensions. For directions that lie across the axes
    see :func:`principal_directions`.
    """
    centres = as_codes("mu", mu)
    variance = centres.var(axis=0)  # [d]
    whole = np.full_like(variance, variance.max()) if sigma is None else variance + (_semi_axes(sigma, centres) ** 2).mean(axis=0)  # [d]
    signal = np.divide(variance, whole, out=np.zeros_like(variance), where=whole > 0.0)  # [d]
    return Redundancy(tuple(int(i) for i in np.flatnonzero(signal < threshold)), signal)


class Directions(NamedTuple):
    """Principal directions of the centres: ``variances`` [d], largest first, and ``directions`` [d, d], one a row.

    ``flat``: how many hold less than the threshold's share of the largest; d - 1 of them make a line."""

    variances: np.ndarray
    directions: np.ndarray
    flat: int


def principal_directions(mu: Any, *, threshold: float = 0.01) -> Directions:
    """Eigenvectors of the centres' covariance: a line or a plane in the latent space shows as flat directions, however it is turned."""
    centres = as_codes("mu", mu)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(centres.T, bias=True)))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1].T
    return Directions(values, vectors, int((values <= threshold * values[0]).sum()))


class Ellipses(NamedTuple):
    """To draw: ``centres`` [n, 2], ``semi_axes`` [n, 2], ``angles`` [n] (radians from the first axis to the first semi-axis),
    ``outlines`` [n, p, 2] (closed: the last point is the first), ``labels`` [n]."""

    centres: np.ndarray
    semi_axes: np.ndarray
    angles: np.ndarray
    outlines: np.ndarray
    labels: np.ndarray


def ellipses(mu: Any, sigma: Any, *, scale: float = 1.0, dimensions: tuple[int, int] = (0, 1), points: int = 65) -> Ellipses:
    """The ellipse of every example in two dimensions of the code; axis-parallel, since the posterior is diagonal. Labels count from 0."""
    centres = as_codes("mu", mu)
    columns = _columns(dimensions, centres.shape[1])
    axes = scale * _semi_axes(sigma, centres)[:, columns]
    return _outlined(centres[:, columns], axes, np.zeros(len(centres)), np.arange(len(centres)), points)


def group_ellipses(
    mu: Any, labels: Sequence[Any], sigma: Any = None, *, scale: float = 1.0, dimensions: tuple[int, int] = (0, 1), points: int = 65
) -> Ellipses:
    """One ellipse a label (a digit, a class): mean and covariance of its codes, ``cov(mu) + E[diag sigma^2]``, tilted as it comes."""
    centres = as_codes("mu", mu)
    columns = _columns(dimensions, centres.shape[1])
    given = np.asarray(labels)
    if given.shape != (len(centres),):
        raise ValueError(f"one label a code is needed, found labels {list(given.shape)} for {len(centres)} codes: give [n]")
    spread = np.zeros_like(centres) if sigma is None else _semi_axes(sigma, centres) ** 2
    names = np.unique(given)
    middles, axes, angles = np.zeros((len(names), 2)), np.zeros((len(names), 2)), np.zeros(len(names))
    for row, name in enumerate(names):
        group = centres[given == name][:, columns]
        covariance = np.cov(group.T, bias=True) + np.diag(spread[given == name][:, columns].mean(axis=0))  # [2, 2]
        values, vectors = np.linalg.eigh(covariance)
        middles[row], axes[row] = group.mean(axis=0), scale * np.sqrt(np.maximum(values[::-1], 0.0))
        angles[row] = np.arctan2(vectors[1, 1], vectors[0, 1]) % np.pi
    return _outlined(middles, axes, angles, names, points)


def _columns(dimensions: tuple[int, int], d: int) -> list[int]:
    if len(dimensions) != 2 or not all(0 <= i < d for i in dimensions):
        raise ValueError(f"dimensions must be two of 0..{d - 1}, found {tuple(dimensions)}: choose what to draw, codes need two or more")
    return list(dimensions)


def _outlined(centres: np.ndarray, axes: np.ndarray, angles: np.ndarray, labels: np.ndarray, points: int) -> Ellipses:
    if points < 4:
        raise ValueError(f"an outline has at least 4 points, found {points}: give e.g. 65")
    turn = np.linspace(0.0, 2.0 * np.pi, points)
    x, y = axes[:, :1] * np.cos(turn), axes[:, 1:] * np.sin(turn)  # [n, p], [n, p]
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]  # [n, 1]
    outlines = np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=2) + centres[:, None]  # [n, p, 2]
    outlines[:, -1] = outlines[:, 0]
    return Ellipses(centres, axes, angles, outlines, labels)


class Shape(NamedTuple):
    """``kind``: one of :data:`SHAPES`. What tells them apart: ``flat`` directions, the ``disc`` share that is covered, the share of its
    middle (``inner``), and the share of the sphere on which the typical code lies (``rim``)."""

    kind: str
    flat: int
    disc: float
    inner: float
    rim: float


def describe_shape(mu: Any, sigma: Any = None, *, seed: int = 0) -> Shape:
    """Which of the article's four shapes codes of a few dimensions have, around their own mean and in their own size.

    ``sigma`` None: circles so large that n of them, spread evenly, cover the ball four times. The ball's radius is that of 95 of 100 codes.
    Flat in all directions but one: ``line``. Four fifths of the ball covered: ``disc``. Four fifths of the typical sphere covered, and
    less than a fifth of what lies within half its radius: ``ring``. Else ``scattered``. Raises ValueError for fewer than 2 dimensions.
    """
    centres = as_codes("mu", mu)
    n, d = centres.shape
    if d < 2:
        raise ValueError(f"a shape needs codes of at least 2 dimensions, found {d}: choose a larger latent_size")
    origin = centres.mean(axis=0)
    distances = np.linalg.norm(centres - origin, axis=1)
    radius = float(np.quantile(distances, 0.95))
    flat = principal_directions(centres).flat
    if radius == 0.0:
        return Shape("scattered", flat, 0.0, 0.0, 0.0)
    axes = np.full_like(centres, radius * (4.0 / n) ** (1.0 / d)) if sigma is None else _semi_axes(sigma, centres)
    ball = uniform_ball(4000, d, seed)
    disc = float((_depth(origin + radius * ball, centres, axes) <= 1.0).mean())
    inner = _inner_share(centres, axes, origin, 1.0, seed)
    sphere = ball / np.linalg.norm(ball, axis=1, keepdims=True)
    rim = float((_depth(origin + float(np.median(distances)) * sphere, centres, axes) <= 1.0).mean())
    if flat == d - 1:
        kind = "line"
    elif disc > 0.8:
        kind = "disc"
    else:
        kind = "ring" if rim > 0.8 and inner < 0.2 else "scattered"
    return Shape(kind, flat, disc, inner, rim)


def toy_shape(kind: str, n: int = 400, seed: int = 0) -> np.ndarray:
    """n codes [n, 2] of one of the article's four toy shapes, in the unit disc. Raises ValueError for other names and n below 1."""
    if kind not in SHAPES or n < 1:
        raise ValueError(f"kind must be one of {', '.join(SHAPES)} with at least 1 code, found {kind!r} with {n}: take one of these")
    rng = np.random.default_rng(seed)
    if kind == "disc":
        return uniform_ball(n, 2, seed)
    if kind == "line":
        along = rng.uniform(-1.0, 1.0, n)
        return _jittered(np.stack([0.8 * along, 0.6 * along], axis=1), rng)
    if kind == "ring":
        angle, length = rng.uniform(0.0, 2.0 * np.pi, n), np.sqrt(rng.uniform(0.8**2, 1.0, n))
        return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1)
    sites = uniform_ball(10, 2, seed)
    return _jittered(sites[rng.integers(0, len(sites), n)], rng)


def _jittered(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(points + rng.normal(0.0, 0.01, points.shape))
