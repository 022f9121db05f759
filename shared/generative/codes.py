"""Codes of an autoencoder: how they are normalised, drawn and joined by a path."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

PATHS = ("linear", "great_circle")


class CodeNorm(nn.Layer):
    """Batch normalisation without gain and bias: codes [b, d] of mean 0 and variance 1 (kexue.fm articles 7343, 7381).

    Batch statistics in training, running ones in evaluation; the variance is biased in both. Paddle's ``momentum`` is the share that is
    kept: ``running = momentum running + (1 - momentum) batch``. Half precision is computed in float32.

    ``tau`` (article 7381) scales the result by ``gamma = sqrt(tau + (1 - tau) sigmoid(theta))``, theta [d] learned from 0: so the codes
    keep a mean square of at least tau, and a VAE whose mu passes here cannot lose its latent.

    Raises ValueError for tau outside [0, 1], shapes other than [b, d], and a batch of 1 in training, whose normal form is 0 whatever it holds.
    """

    def __init__(self, size: int, *, momentum: float = 0.9, epsilon: float = 1e-5, tau: float | None = None):
        super().__init__()
        if size < 1 or not 0.0 <= momentum < 1.0:
            raise ValueError(f"size must be at least 1 and momentum in [0, 1), found {size} and {momentum}: give e.g. 32 and 0.9")
        if tau is not None and not 0.0 <= tau <= 1.0:
            raise ValueError(f"tau must lie in [0, 1], found {tau}: the article uses 0.5")
        self.size, self.tau = size, tau
        self.norm = nn.BatchNorm1D(size, momentum=momentum, epsilon=epsilon, weight_attr=False, bias_attr=False)
        self.theta = None if tau is None else self.create_parameter([size], default_initializer=nn.initializer.Constant(0.0))  # [d]

    def forward(self, codes: paddle.Tensor) -> paddle.Tensor:
        if codes.ndim != 2 or codes.shape[1] != self.size:
            raise ValueError(f"codes must be [b, {self.size}], found {list(codes.shape)}: give the encoder's size as latent_size")
        if self.training and paddle.in_dynamic_mode() and codes.shape[0] < 2:
            raise ValueError(
                f"batch normalisation wants at least 2 examples in training, found a batch of {codes.shape[0]}: "
                "drop the last short batch, or call eval() first"
            )
        if codes.dtype not in (paddle.float32, paddle.float64):
            codes = codes.astype("float32")  # [b, d]
        normal = self.norm(codes)  # [b, d]
        return normal if self.theta is None else normal * self.gain()  # [b, d]

    def gain(self) -> paddle.Tensor:
        """gamma [d] of ``tau``. Raises ValueError without ``tau``."""
        if self.theta is None or self.tau is None:
            raise ValueError("this CodeNorm has no gain, found tau=None: make it with tau=0.5")
        return paddle.sqrt(self.tau + (1.0 - self.tau) * F.sigmoid(self.theta))  # [d]


def standard_normal(n: int, size: int, seed: int) -> paddle.Tensor:
    """n codes from N(0, I), [n, size] in float32: the same for the same seed on every device, and no other draw is disturbed.

    Raises ValueError for n or size below 1.
    """
    if n < 1 or size < 1:
        raise ValueError(f"at least 1 code of at least 1 number can be drawn, found n={n} and size={size}: give larger ones")
    return paddle.to_tensor(np.random.default_rng(seed).standard_normal((n, size), dtype="float32"))  # [n, size]


def reparameterize(mu: paddle.Tensor, log_var: paddle.Tensor, noise: paddle.Tensor | None = None) -> paddle.Tensor:
    """A point of the ellipse: ``mu + exp(log_var / 2) * noise``, [b, d]; noise from N(0, I) unless given (``paddle.seed`` fixes it)."""
    if noise is None:
        noise = paddle.randn(mu.shape, dtype=mu.dtype)  # [b, d]
    return mu + paddle.exp(0.5 * log_var) * noise  # [b, d]


def interpolate_codes(a: Any, b: Any, steps: int, path: str = "linear") -> paddle.Tensor:
    """``steps`` codes from a to b, both ends included: [d] and [d] give [steps, d], [n, d] and [n, d] give [steps, n, d].

    ``linear``: (1 - t) a + t b. ``great_circle``: the direction turns evenly along the arc and the length changes evenly; codes of
    N(0, I) lie near a sphere of radius sqrt(d), which a straight line leaves.

    Raises ValueError for steps below 2, other paths and shapes, and on a great circle for a zero vector or opposite directions.
    """
    first, last = (code if paddle.is_tensor(code) else paddle.to_tensor(np.asarray(code, dtype="float32")) for code in (a, b))  # [.., d]
    if steps < 2:
        raise ValueError(f"an interpolation has at least 2 steps, found {steps}: its two ends are among them")
    if path not in PATHS:
        raise ValueError(f"path must be 'linear' or 'great_circle', found {path!r}: take one of these")
    if list(first.shape) != list(last.shape) or first.ndim not in (1, 2):
        raise ValueError(f"both codes must be [d] or [n, d], found {list(first.shape)} and {list(last.shape)}: give two of one shape")
    t = paddle.linspace(0.0, 1.0, steps, dtype=first.dtype).reshape([steps] + [1] * first.ndim)  # [steps, 1..]
    if path == "linear":
        return first * (1.0 - t) + last * t  # [steps, .., d]
    lengths = [code.norm(axis=-1, keepdim=True) for code in (first, last)]  # [.., 1], [.., 1]
    shortest = min(float(length.min()) for length in lengths)
    if not shortest > 0.0:
        raise ValueError(f"a great circle has no direction at the origin, found a code of length {shortest:g}: take path='linear'")
    start, end = first / lengths[0], last / lengths[1]  # [.., d], [.., d]
    half = 0.5 * (start - end).norm(axis=-1, keepdim=True)  # [.., 1]
    if float(half.max()) > 1.0 - 1e-6:
        raise ValueError(
            f"opposite codes have no single great circle, found an angle of {float(2.0 * paddle.asin(half.clip(max=1.0)).max()):.4f}: "
            "take path='linear' or a third code between them"
        )
    # from the chord: the arc cosine of a product loses small angles to rounding
    angle = 2.0 * paddle.asin(half)  # [.., 1]
    sine = paddle.sin(angle)  # [.., 1]
    straight = (angle < 1e-4).astype(first.dtype)  # [.., 1]
    divisor = sine + straight  # [.., 1]
    along = paddle.sin((1.0 - t) * angle) / divisor * (1.0 - straight) + (1.0 - t) * straight  # [steps, .., 1]
    beyond = paddle.sin(t * angle) / divisor * (1.0 - straight) + t * straight  # [steps, .., 1]
    return (start * along + end * beyond) * (lengths[0] * (1.0 - t) + lengths[1] * t)  # [steps, .., d]
