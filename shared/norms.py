"""Layer normalisation, and layer normalisation whose gain and bias depend on a condition (kexue.fm article 7124)."""

from __future__ import annotations

from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn

from .activations import get_activation
from .fast_gradients import column_sums


def normalise(x: paddle.Tensor, eps: float) -> paddle.Tensor:
    """``(x - mean) / sqrt(biased variance + eps)`` over the last axis, from operations that can be differentiated twice.

    ``x`` [..., h] gives [..., h].
    """
    centred = x - x.mean(axis=-1, keepdim=True)  # [..., h]
    return centred * paddle.rsqrt((centred * centred).mean(axis=-1, keepdim=True) + eps)  # [..., h]


class _FastGradient(paddle.autograd.PyLayer):
    """Paddle's layer normalisation forward; backward by matrix products, which on CPU take a quarter of its own kernel's time."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, eps: float) -> paddle.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return F.layer_norm(x, [x.shape[-1]], weight=weight, bias=bias, epsilon=eps)  # [..., h]

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        x, weight = ctx.saved_tensor()
        size = x.shape[-1]
        rows, upper = x.reshape([-1, size]), gradient.reshape([-1, size])  # [r, h], [r, h]
        column, row = paddle.ones([rows.shape[0], 1], dtype=x.dtype), paddle.ones([1, size], dtype=x.dtype)  # [r, 1], [1, h]
        mean = paddle.full([size, 1], 1.0 / size, dtype=x.dtype)  # [h, 1]
        weighted_mean = weight.unsqueeze(1) * (1.0 / size)  # [h, 1]
        # a column times a row of ones spreads faster than broadcasting
        centred = rows - paddle.matmul(paddle.matmul(rows, mean), row)  # [r, h]
        rate = paddle.matmul(paddle.rsqrt(paddle.matmul(centred * centred, mean) + ctx.eps), row)  # [r, h]
        normal = centred.multiply_(rate)  # [r, h]
        aligned = upper * normal  # [r, h]
        lost = paddle.matmul(paddle.matmul(aligned, weighted_mean), row).multiply_(normal)  # [r, h]
        lost.add_(paddle.matmul(paddle.matmul(upper, weighted_mean), row))
        inward = paddle.matmul(column, weight.unsqueeze(0)).multiply_(upper).subtract_(lost).multiply_(rate)  # [r, h]
        return inward.reshape(x.shape), column_sums(aligned), column_sums(upper)  # [..., h], [h], [h]


def _gradient_matters(*tensors: paddle.Tensor) -> bool:
    return paddle.in_dynamic_mode() and tensors[0].place.is_cpu_place() and not any(tensor.stop_gradient for tensor in tensors)


class LayerNorm(nn.Layer):
    """Layer normalisation over the last axis, gain 1 and bias 0 at the start: [..., size] gives [..., size].

    ``double_backward`` computes it from operations that have a second derivative (Paddle's fused kernel has none in eager
    mode), for gradient penalties; it is several times slower. Raises ValueError for a last axis that is not ``size``.
    """

    def __init__(self, size: int, *, eps: float = 1e-12, double_backward: bool = False):
        super().__init__()
        self.size, self.eps, self.double_backward = size, eps, double_backward
        self.weight = self.create_parameter([size], default_initializer=nn.initializer.Constant(1.0))  # [size]
        self.bias = self.create_parameter([size], is_bias=True)  # [size]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if x.shape[-1] != self.size:
            raise ValueError(f"LayerNorm was made for a last axis of {self.size}, found {list(x.shape)}: make it with size={x.shape[-1]}")
        if self.double_backward:
            return normalise(x, self.eps) * self.weight + self.bias  # [..., size]
        if self.training and _gradient_matters(x, self.weight, self.bias):
            return _FastGradient.apply(x, self.weight, self.bias, self.eps)  # [..., size]
        return F.layer_norm(x, [self.size], weight=self.weight, bias=self.bias, epsilon=self.eps)  # [..., size]


class ConditionalLayerNorm(nn.Layer):
    """``normalise(x) * (weight + W_weight c) + bias + W_bias c``, with W_weight and W_bias without bias and zero at the start.

    So it equals :class:`LayerNorm` for any condition until it is trained.

    ``condition_hidden`` first projects the condition to that width (bias-free, then ``condition_activation``).
    ``double_backward`` as in :class:`LayerNorm`.
    """

    def __init__(
        self,
        size: int,
        condition_size: int,
        *,
        eps: float = 1e-12,
        condition_hidden: int | None = None,
        condition_activation: str = "tanh",
        double_backward: bool = False,
    ):
        super().__init__()
        self.size, self.condition_size, self.eps, self.double_backward = size, condition_size, eps, double_backward
        self.weight = self.create_parameter([size], default_initializer=nn.initializer.Constant(1.0))  # [size]
        self.bias = self.create_parameter([size], is_bias=True)  # [size]
        self.condition_activation = get_activation(condition_activation)
        self.condition_projection = None if condition_hidden is None else nn.Linear(condition_size, condition_hidden, bias_attr=False)
        width = condition_size if condition_hidden is None else condition_hidden
        zero = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))
        self.weight_projection = nn.Linear(width, size, weight_attr=zero, bias_attr=False)
        self.bias_projection = nn.Linear(width, size, weight_attr=zero, bias_attr=False)

    def forward(self, x: paddle.Tensor, condition: paddle.Tensor) -> paddle.Tensor:
        """``x`` [..., size]; ``condition`` [..., condition_size] with as many axes as ``x``, or [b, condition_size],
        which then holds at every position of example b. Returns [..., size]. Raises ValueError for other shapes."""
        if x.shape[-1] != self.size or condition.shape[-1] != self.condition_size:
            raise ValueError(
                f"expected x [..., {self.size}] and condition [..., {self.condition_size}], "
                f"found {list(x.shape)} and {list(condition.shape)}: "
                "give the sizes that the layer was made with"
            )
        if condition.ndim == 2 and x.ndim > 2:
            condition = condition.reshape([condition.shape[0]] + [1] * (x.ndim - 2) + [self.condition_size])  # [b, 1.., c]
        elif condition.ndim != x.ndim:
            raise ValueError(f"condition has {condition.ndim} axes, x has {x.ndim}: give [b, c] or as many axes as x")
        if self.condition_projection is not None:
            condition = self.condition_activation(self.condition_projection(condition))  # [b, 1.., condition_hidden]
        weight = self.weight + self.weight_projection(condition)  # [b, 1.., size]
        bias = self.bias + self.bias_projection(condition)  # [b, 1.., size]
        if self.double_backward:
            return normalise(x, self.eps) * weight + bias  # [..., size]
        return F.layer_norm(x, [self.size], epsilon=self.eps) * weight + bias  # [..., size]
