"""Dropout that does not slow a CPU down (Srivastava and others, JMLR 15, 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F

_STEPS = 1 << 16


def dropout(x: paddle.Tensor, rate: float, training: bool) -> paddle.Tensor:
    """Zeros each number with probability ``rate`` and divides the others by ``1 - rate``; any shape, same shape out.

    ``x`` itself outside training or for rate 0. ``paddle.seed`` fixes the draw, through one number that it hands to a
    fast generator: on CPU Paddle's own dropout draws a uniform number per element, at the price of a matrix product
    (4 ms for 16 x 64 x 384 where this takes 1). There the rate is rounded to 1/65,536, and the divisor with it.
    Raises ValueError for a rate outside [0, 1).
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"the dropout rate must lie in [0, 1), found {rate}: give e.g. 0.1")
    if not training or not rate:
        return x  # [...]
    if not (paddle.in_dynamic_mode() and x.place.is_cpu_place()):
        return x * F.dropout(paddle.ones_like(x), rate)  # [...]: a product, so that it can be differentiated twice
    return _Product.apply(x, drawn_factors(x.shape, rate))  # [...]


class _Product(paddle.autograd.PyLayer):
    """``x`` times an array; Paddle's own product would compute the array's gradient too."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, array: np.ndarray) -> paddle.Tensor:
        factors = paddle.to_tensor(array)  # [...]
        ctx.factors = factors if x.dtype == paddle.float32 else factors.astype(x.dtype)  # [...]
        return x * ctx.factors  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        return upper * ctx.factors  # [...]


def drawn_factors(shape: Sequence[int], rate: float) -> np.ndarray:
    """What dropout multiplies by on a CPU, float32 of that shape: 0 with probability ``rate``, else ``1 / (1 - rate)``; see :func:`dropout`."""
    dropped = min(max(round(rate * _STEPS), 1), _STEPS - 1)
    size = int(np.prod(shape))
    raw = np.random.SFC64(int(paddle.randint(0, 2**31 - 1, [1]).item())).random_raw((size + 3) // 4)  # [size / 4]
    draws = raw.astype("<u8", copy=False).view("<u2")[:size]  # [size]
    return np.multiply(draws >= dropped, np.float32(_STEPS / (_STEPS - dropped)), dtype="float32").reshape(shape)
