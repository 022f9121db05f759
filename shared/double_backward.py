"""Functions whose gradient can itself be differentiated, on paddle 3.3 and 2.6: what a gradient penalty needs inside a model.

In eager mode Paddle has no second derivative for softmax, log_softmax, logsumexp, gelu and erf (3.3.1 and 2.6.2), nor for exp,
gather and take_along_axis (2.6.2). Each function here runs Paddle's own kernel forward and gives the gradient by operations that
can be differentiated again, the functions of this file among them: so derivatives of any order exist. Measured on both lines in float64: values and
first gradients equal Paddle's, second gradients equal central finite differences of the first (tests/shared/test_double_backward.py).
Where a graph is recorded instead of run, they are Paddle's plain functions.

Already differentiable twice on both lines: matmul, linear, log, tanh, sigmoid, softplus, relu, silu, sqrt, rsqrt, square, power, division, sum, mean,
clip, concat, slicing, reshape, transpose, unbind, conv2d. Not, on either: cumsum, max, topk, log1p, expm1, layer_norm, cross_entropy,
embedding, einsum, dropout; on 2.6.2 also stack and where.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import paddle
import paddle.nn.functional as F

from . import activations

_ERF_SLOPE = 2 / math.sqrt(math.pi)
_TANH_RATE, _TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


class _Exp(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x)
        return paddle.exp(x)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        return upper * exp(x)  # [...]


class _Erf(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x)
        return paddle.erf(x)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        return upper * exp(-x * x) * _ERF_SLOPE  # [...]


class _Softmax(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, axis: int) -> paddle.Tensor:
        ctx.save_for_backward(x)
        ctx.axis = axis
        return F.softmax(x, axis=axis)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        # the output is not saved but made again: a node that holds its own output is never freed
        weights = softmax(x, ctx.axis)  # [...]
        return weights * (upper - (upper * weights).sum(axis=ctx.axis, keepdim=True))  # [...]


class _LogSoftmax(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, axis: int) -> paddle.Tensor:
        ctx.save_for_backward(x)
        ctx.axis = axis
        # on CPU paddle's own takes seconds for a vocabulary's rows
        return x - paddle.logsumexp(x, axis=axis, keepdim=True)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        return upper - softmax(x, ctx.axis) * upper.sum(axis=ctx.axis, keepdim=True)  # [...]


class _LogSumExp(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, axis: int) -> paddle.Tensor:
        ctx.save_for_backward(x)
        ctx.axis = axis
        return paddle.logsumexp(x, axis=axis, keepdim=True)  # [.., 1, ..]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        return upper * softmax(x, ctx.axis)  # [...]


class _Gelu(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        density = exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))  # [...]
        return upper * (0.5 + 0.5 * erf(x * math.sqrt(0.5)) + x * density)  # [...]


class _GeluTanh(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x, approximate=True)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        squared = x * x  # [...]
        curve = paddle.tanh(x * (_TANH_RATE + _TANH_RATE * _TANH_CUBE * squared))  # [...]
        inner = _TANH_RATE + 3 * _TANH_RATE * _TANH_CUBE * squared  # [...]
        return upper * (0.5 + 0.5 * curve + 0.5 * x * (1 - curve * curve) * inner)  # [...]


class _GatherRows(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, table: paddle.Tensor, index: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(index)
        ctx.rows = table.shape[0]
        return F.embedding(index, table)  # [..., h]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> tuple[paddle.Tensor, None]:
        (index,) = ctx.saved_tensor()
        return _ScatterRows.apply(upper, index, ctx.rows), None  # [n, h]


class _ScatterRows(paddle.autograd.PyLayer):
    """The adjoint of gathering: the rows [..., h] are added up at their places of a table [n, h] of zeros."""

    @staticmethod
    def forward(ctx: Any, rows: paddle.Tensor, index: paddle.Tensor, count: int) -> paddle.Tensor:
        ctx.save_for_backward(index)
        table = paddle.zeros([count, rows.shape[-1]], dtype=rows.dtype)  # [n, h]
        return paddle.scatter_nd_add(table, index.reshape([-1, 1]), rows.reshape([-1, rows.shape[-1]]))  # [n, h]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> tuple[paddle.Tensor, None]:
        (index,) = ctx.saved_tensor()
        return gather_rows(upper, index), None  # [..., h]


class _Pick(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, index: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(index)
        ctx.size = x.shape[-1]
        return paddle.take_along_axis(x, index.unsqueeze(-1), axis=-1).squeeze(-1)  # [...]

    @staticmethod
    def backward(ctx: Any, upper: paddle.Tensor) -> tuple[paddle.Tensor, None]:
        (index,) = ctx.saved_tensor()
        return upper.unsqueeze(-1) * F.one_hot(index, ctx.size).astype(upper.dtype), None  # [..., n]


def exp(x: paddle.Tensor) -> paddle.Tensor:
    """``e^x``; any shape, same shape out."""
    return _Exp.apply(x) if paddle.in_dynamic_mode() else paddle.exp(x)  # [...]


def erf(x: paddle.Tensor) -> paddle.Tensor:
    """The error function, ``2 / sqrt(pi)`` times the integral of ``e^(-t^2)`` from 0 to x; any shape, same shape out."""
    return _Erf.apply(x) if paddle.in_dynamic_mode() else paddle.erf(x)  # [...]


def softmax(x: paddle.Tensor, axis: int = -1) -> paddle.Tensor:
    """``e^x / sum e^x`` over ``axis``; any shape, same shape out."""
    return _Softmax.apply(x, axis) if paddle.in_dynamic_mode() else F.softmax(x, axis=axis)  # [...]


def log_softmax(x: paddle.Tensor, axis: int = -1) -> paddle.Tensor:
    """``x - log sum e^x`` over ``axis``; any shape, same shape out."""
    return _LogSoftmax.apply(x, axis) if paddle.in_dynamic_mode() else F.log_softmax(x, axis=axis)  # [...]


def logsumexp(x: paddle.Tensor, axis: int = -1, keepdim: bool = False) -> paddle.Tensor:
    """``log sum e^x`` over ``axis``, one number; that axis disappears, or is left with size 1 by ``keepdim``."""
    if not paddle.in_dynamic_mode():
        return paddle.logsumexp(x, axis=axis, keepdim=keepdim)  # [...]
    summed = _LogSumExp.apply(x, axis)  # [.., 1, ..]
    return summed if keepdim else summed.squeeze(axis)  # [...]


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """:func:`shared.activations.gelu`, the exact form; any shape, same shape out."""
    return _Gelu.apply(x) if paddle.in_dynamic_mode() else activations.gelu(x)  # [...]


def gelu_tanh(x: paddle.Tensor) -> paddle.Tensor:
    """:func:`shared.activations.gelu_tanh`; any shape, same shape out."""
    return _GeluTanh.apply(x) if paddle.in_dynamic_mode() else activations.gelu_tanh(x)  # [...]


def gelu_sigmoid(x: paddle.Tensor) -> paddle.Tensor:
    """:func:`shared.activations.gelu_sigmoid`; any shape, same shape out."""
    return x * F.sigmoid(activations.SIGMOID_RATE * x)  # [...]


def gather_rows(table: paddle.Tensor, index: paddle.Tensor) -> paddle.Tensor:
    """Rows of ``table`` [n, h] by whole numbers ``index`` [...]: [..., h]; an embedding, with a dense gradient.

    Raises ValueError for a table that is not [n, h].
    """
    if table.ndim != 2:
        raise ValueError(f"expected a table [n, h], found shape {list(table.shape)}: reshape it to rows first")
    return _GatherRows.apply(table, index) if paddle.in_dynamic_mode() else F.embedding(index, table)  # [..., h]


def pick(x: paddle.Tensor, index: paddle.Tensor) -> paddle.Tensor:
    """``x[..., index[...]]``: one number of the last axis at every place; ``x`` [..., n], ``index`` [...] give [...].

    Raises ValueError for shapes that do not belong together.
    """
    if list(x.shape[:-1]) != list(index.shape):
        raise ValueError(f"x {list(x.shape)} needs index {list(x.shape[:-1])}, found {list(index.shape)}: give one index per place")
    if not paddle.in_dynamic_mode():
        return paddle.take_along_axis(x, index.unsqueeze(-1), axis=-1).squeeze(-1)  # [...]
    return _Pick.apply(x, index)  # [...]


_FORMS: dict[Callable[..., Any], Callable[[paddle.Tensor], paddle.Tensor]] = {
    activations.gelu: gelu,
    activations.gelu_tanh: gelu_tanh,
    activations.gelu_sigmoid: gelu_sigmoid,
}


def activation(name: str) -> Callable[[paddle.Tensor], paddle.Tensor]:
    """The function of :func:`shared.activations.get_activation` in a form that can be differentiated twice.

    Raises ValueError for an unknown name.
    """
    plain = activations.get_activation(name)
    return _FORMS.get(plain, plain)
