"""GELU and its two elementary approximations (Hendrycks and Gimpel, arXiv 1606.08415; kexue.fm article 7309).

All three satisfy ``f(x) - f(-x) = x``. Largest distance from the exact form: tanh 4.7e-4, sigmoid 2.0e-2.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
import paddle.nn.functional as F

SIGMOID_RATE = 1.702
"""Rate of the logistic curve nearest to the normal distribution function (min-max optimum: 1.70174)."""


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """Exact GELU, ``x * (1 + erf(x / sqrt 2)) / 2``; any shape, same shape out."""
    return F.gelu(x)  # [...]


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
