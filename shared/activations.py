"""GELU, its two elementary approximations, and the fits that their constants come from.

Hendrycks and Gimpel, arXiv 1606.08415; the derivation follows kexue.fm article 7309. All three forms satisfy ``f(x) - f(-x) = x``.
Largest distance from the exact form: tanh 4.7e-4, sigmoid 2.0e-2.

The fits and the report compute in float64 NumPy and import scipy when they are called, not before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import paddle
import paddle.nn.functional as F

from .fast_gradients import trains_in_float32

SIGMOID_RATE = 1.702
"""Rate of the logistic curve nearest to the normal distribution function (min-max optimum: 1.70174)."""

TANH_RATIO = 0.044715
"""The constant of the tanh form (min-max optimum: 0.0447149)."""


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """Exact GELU, ``x * (1 + erf(x / sqrt 2)) / 2``; any shape, same shape out."""
    return _Gelu.apply(x) if trains_in_float32(x) else F.gelu(x)  # [...]


class _Gelu(paddle.autograd.PyLayer):
    """On a CPU two fifths of the time of Paddle's own, which computes erf and exp twice and one number after the other."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        below = paddle.erf(x * math.sqrt(0.5)).scale_(0.5, 0.5)  # [...]: the normal distribution function
        ctx.save_for_backward(x, below)
        return x * below  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        x, below = ctx.saved_tensor()
        density = paddle.exp((x * x).scale_(-0.5, -0.5 * math.log(2.0 * math.pi)))  # [...]
        return density.multiply_(x).add_(below).multiply_(upper)  # [...]


def gelu_tanh(x: paddle.Tensor) -> paddle.Tensor:
    """``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2``, BERT's and GPT's "gelu_new"; any shape, same shape out."""
    return F.gelu(x, approximate=True)  # [...]


def gelu_sigmoid(x: paddle.Tensor) -> paddle.Tensor:
    """``x * sigmoid(1.702 x)``; any shape, same shape out."""
    return x * F.sigmoid(SIGMOID_RATE * x)  # [...]


_ACTIVATIONS: dict[str, Callable[[paddle.Tensor], paddle.Tensor]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "gelu_sigmoid": gelu_sigmoid,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "quick_gelu": gelu_sigmoid,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": F.tanh,
}
"""Our names first, then the names that published model configurations use for the same functions."""


def activation_names() -> tuple[str, ...]:
    """Every name that :func:`get_activation` knows."""
    return tuple(_ACTIVATIONS)


def get_activation(name: str) -> Callable[[paddle.Tensor], paddle.Tensor]:
    """The function of that name. Raises ValueError for a name that is not one of :func:`activation_names`."""
    if name not in _ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: use one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


# -- where 0.044715 and 1.702 come from --------------------------------------------------------------------------

FIT_RANGE = 4.0
"""The fits look at [0, 4] (both sides are odd functions); the article's grid has steps of 0.001."""


@dataclass(frozen=True)
class TanhFit:
    """``erf(x / sqrt 2) ~ tanh(a x + b x^3) = tanh(a (x + ratio x^3))``."""

    a: float
    b: float

    @property
    def ratio(self) -> float:
        """``b / a``, the constant of :func:`gelu_tanh`: 0.044715."""
        return self.b / self.a


@dataclass(frozen=True)
class SigmoidFit:
    """``Phi(x) ~ sigmoid(rate x)``, with ``Phi`` the normal distribution function."""

    rate: float


def fit_local() -> TanhFit:
    """The fit whose Taylor series at 0 agrees to the third order: ``a = sqrt(2 / pi)``, ``b = (4 - pi) / (3 sqrt 2 pi^1.5)``.

    Its ratio is (4 - pi) / (6 pi) = 0.0455399: more exact near 0 than 0.044715, and worse at 2.5.
    """
    return TanhFit(math.sqrt(2.0 / math.pi), (4.0 - math.pi) / (3.0 * math.sqrt(2.0) * math.pi**1.5))


def fit_minimax_tanh(*, free_slope: bool = False) -> TanhFit:
    """The fit with the smallest largest distance: min over b of ``max_x |erf(x / sqrt 2) - tanh(a x + b x^3)|``.

    ``a`` stays sqrt(2 / pi), the slope at 0 (the article's hybrid of local and global: ratio 0.0447149); with ``free_slope`` both move.
    """
    return _fit_tanh(lambda distance: float(np.abs(distance).max()), free_slope=free_slope)


def fit_minimax_sigmoid() -> SigmoidFit:
    """The fit with the smallest largest distance: min over the rate of ``max_x |Phi(x) - sigmoid(rate x)|``; rate 1.70174."""
    return _fit_sigmoid(lambda distance: float(np.abs(distance).max()))


def fit_weighted(
    form: Literal["tanh", "sigmoid"] = "tanh",
    *,
    power: Literal[1, 2] = 2,
    weight: Literal["uniform", "normal"] = "uniform",
    upper: float = FIT_RANGE,
    free_slope: bool = False,
) -> TanhFit | SigmoidFit:
    """The contrast to min-max: the fit that minimises ``integral from 0 to upper of w(x) |f(x) - g(x)|^power dx``.

    The result depends on the weight ``w``, for which nothing speaks (article 7309): ``uniform`` is 1, ``normal`` the standard normal density.
    ``form`` and ``free_slope`` choose f and g as in :func:`fit_minimax_tanh` and :func:`fit_minimax_sigmoid`.
    Raises ValueError for another form, power or weight, and for an upper end that is not a positive number.
    """
    for name, value, known in (("form", form, ("tanh", "sigmoid")), ("power", power, (1, 2)), ("weight", weight, ("uniform", "normal"))):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, found {value!r}: take one of these")
    if not 0.0 < upper < math.inf:
        raise ValueError(f"upper must be a positive number, found {upper}: give e.g. {FIT_RANGE}")
    if free_slope and form == "sigmoid":
        raise ValueError("free_slope belongs to form 'tanh', found 'sigmoid', which has one coefficient only: leave it out")
    x = np.linspace(0.0, upper, 4001)  # [n]
    density = np.ones_like(x) if weight == "uniform" else np.exp(-x * x / 2.0)  # [n]
    density[[0, -1]] /= 2.0  # the trapezoidal rule

    def mean(distance: np.ndarray) -> float:
        return float((density * np.abs(distance) ** power).sum() / density.sum())

    return _fit_tanh(mean, x, free_slope=free_slope) if form == "tanh" else _fit_sigmoid(mean, x)


def _fit_tanh(cost: Callable[[np.ndarray], float], x: np.ndarray | None = None, *, free_slope: bool) -> TanhFit:
    from scipy.special import erf

    x = np.arange(0.0, FIT_RANGE, 0.001) if x is None else x  # [n]
    local, exact = fit_local(), erf(x / math.sqrt(2.0))  # [n]
    (b,) = _minimum(lambda point: cost(exact - np.tanh(local.a * x + point[0] * x**3)), [0.0])
    if not free_slope:
        return TanhFit(local.a, b)
    return TanhFit(*_minimum(lambda point: cost(exact - np.tanh(point[0] * x + point[1] * x**3)), [local.a, b], method="Nelder-Mead"))


def _fit_sigmoid(cost: Callable[[np.ndarray], float], x: np.ndarray | None = None) -> SigmoidFit:
    from scipy.special import expit, ndtr

    x = np.arange(0.0, FIT_RANGE, 0.001) if x is None else x  # [n]
    exact = ndtr(x)  # [n]
    return SigmoidFit(*_minimum(lambda point: cost(exact - expit(point[0] * x)), [1.0]))


def _minimum(function: Callable[[np.ndarray], float], start: Sequence[float], *, method: str = "Powell") -> list[float]:
    """Neither method needs a derivative, which a largest distance has not."""
    from scipy.optimize import minimize

    exactness = {"Powell": ("xtol", "ftol"), "Nelder-Mead": ("xatol", "fatol")}[method]
    found = minimize(function, start, method=method, options={"maxiter": 100_000, **dict.fromkeys(exactness, 1e-10)})
    return [float(value) for value in np.atleast_1d(found.x)]


# -- how far each form is off ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Approximation:
    """``error``: the largest distance of an approximation from ``target``, met at ``x = at`` and, by symmetry, at ``-at``.

    ``target``: ``gelu``, ``erf`` (erf(x / sqrt 2)) or ``cdf`` (the normal distribution function). ``form``: ``tanh`` or ``sigmoid``.
    ``coefficient``: ratio b / a of the tanh, rate of the sigmoid; ``origin`` says where it comes from.
    """

    target: Literal["gelu", "erf", "cdf"]
    form: Literal["tanh", "sigmoid"]
    origin: str
    coefficient: float
    error: float
    at: float


def approximation_report(*, step: float = 1e-5, upper: float = 10.0) -> list[Approximation]:
    """Largest distances of the elementary forms from GELU, and from what they stand for in it, over [-upper, upper] in steps of ``step``.

    tanh with the published, the local and the min-max coefficient; sigmoid with the published and the min-max rate, and rate 1, which is SiLU.
    Raises ValueError for a step or an upper end that leaves no grid.
    """
    if not 0.0 < step <= upper < math.inf:
        raise ValueError(f"expected 0 < step <= upper, found step={step} and upper={upper}: give e.g. step=1e-5, upper=10")
    from scipy.special import erf, expit

    x = np.arange(0.0, upper + step / 2.0, step)  # [n]
    exact = erf(x / math.sqrt(2.0))  # [n]
    local = fit_local()
    report = []

    def add(form: Literal["tanh", "sigmoid"], origin: str, coefficient: float) -> None:
        if form == "tanh":
            distance = np.tanh(local.a * (x + coefficient * x**3)) - exact  # [n]
        else:
            distance = 2.0 * expit(coefficient * x) - 1.0 - exact  # [n]
        # x (1 + erf) / 2 and (1 + erf) / 2 share their distance with erf, but for the factor
        inner: tuple[Literal["erf", "cdf"], float] = ("erf", 1.0) if form == "tanh" else ("cdf", 0.5)
        targets: list[tuple[Literal["gelu", "erf", "cdf"], np.ndarray]] = [("gelu", x * distance / 2.0), (inner[0], inner[1] * distance)]
        for target, values in targets:
            place = int(np.abs(values).argmax())
            report.append(Approximation(target, form, origin, coefficient, float(abs(values[place])), float(x[place])))

    add("tanh", "published", TANH_RATIO)
    add("tanh", "local", local.ratio)
    add("tanh", "minimax", fit_minimax_tanh().ratio)
    add("sigmoid", "published", SIGMOID_RATE)
    add("sigmoid", "minimax", fit_minimax_sigmoid().rate)
    add("sigmoid", "silu", 1.0)
    return report
