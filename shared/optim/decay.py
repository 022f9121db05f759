"""The second moment's decay as an optimizer really uses it, by its step (kexue.fm article 7387; arXiv 2004.09740).

Every method of this family can be written ``v_hat_t = beta_hat_t v_hat_{t-1} + (1 - beta_hat_t) g_t^2``. Two things are asked of
beta_hat: 0 at the first step (no memory of a start that means nothing) and 1 in the limit (late in training the denominator stands
still, and the method becomes SGD with momentum). Adam fails the second.

Plain Python floats; nothing overflows at any step: AdaX's ``(1 + beta2)^t`` itself leaves float32 at step 887,272 for beta2 = 1e-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["adam", "adax", "adafactor"]
BETA2 = {"adam": 0.999, "adax": 1e-4}


@dataclass(frozen=True)
class DecayCriteria:
    """What beta_hat is at step 1 (``first``) and in the limit (``limit``)."""

    kind: Kind
    first: float
    limit: float

    @property
    def starts_at_zero(self) -> bool:
        return self.first == 0.0

    @property
    def ends_at_one(self) -> bool:
        return self.limit == 1.0

    @property
    def both(self) -> bool:
        return self.starts_at_zero and self.ends_at_one


def equivalent_decay(kind: Kind, t: int, *, beta2: float | None = None, exponent: float = 0.8) -> float:
    """beta_hat at step ``t`` (from 1).

    ``adam``: ``beta2 (1 - beta2^(t-1)) / (1 - beta2^t)``, beta2 = .999. ``adax``: ``1 - beta2 / ((1 + beta2)^t - 1)``, beta2 = 1e-4.
    ``adafactor``: ``1 - t^-exponent``. Raises ValueError for an unknown kind, a step below 1, or a constant out of its range.
    """
    beta2 = _checked(kind, beta2, exponent)
    if t < 1:
        raise ValueError(f"steps count from 1, found t={t}: give the number of the update, the first one being 1")
    if t == 1:
        return 0.0
    if kind == "adam":
        return beta2 * math.expm1((t - 1) * math.log(beta2)) / math.expm1(t * math.log(beta2))
    return 1.0 - (t**-exponent if kind == "adafactor" else gradient_weight(t, beta2))


def decay_criteria(kind: Kind, *, beta2: float | None = None, exponent: float = 0.8) -> DecayCriteria:
    """beta_hat at the first step and in the limit, for judging the method. Errors as :func:`equivalent_decay`."""
    limit = _checked(kind, beta2, exponent) if kind == "adam" else 1.0
    return DecayCriteria(kind, equivalent_decay(kind, 1, beta2=beta2, exponent=exponent), limit)


def gradient_weight(t: int, beta2: float) -> float:
    """``1 - beta_hat_t`` of AdaX, to full relative precision however small: ``beta2 / ((1 + beta2)^t - 1)``; 1 at step 1, 0 when it underflows."""
    if t == 1:
        return 1.0
    power = t * math.log1p(beta2)
    return beta2 * math.exp(-power) / -math.expm1(-power)


def inverse_growth(t: int, beta2: float) -> float:
    """``1 / sqrt((1 + beta2)^t - 1)``: what divides an epsilon beside sqrt(v) when v_hat stands in v's place; 0 when it underflows."""
    power = t * math.log1p(beta2)
    return math.exp(-0.5 * (power + math.log(-math.expm1(-power))))


def _checked(kind: str, beta2: float | None, exponent: float) -> float:
    """The beta2 that counts."""
    if kind not in get_args(Kind):
        raise ValueError(f"the kind must be one of {', '.join(get_args(Kind))}, found {kind!r}")
    if kind == "adafactor":
        if exponent <= 0:
            raise ValueError(f"adafactor's exponent must be above 0, found {exponent}: give e.g. 0.8")
        return 0.0
    beta2 = BETA2[kind] if beta2 is None else beta2
    if not 0 < beta2 < 1:
        raise ValueError(f"beta2 must lie in (0, 1), found {beta2}: give e.g. {BETA2[kind]}")
    return beta2
