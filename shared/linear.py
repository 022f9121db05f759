"""A linear map whose bias costs little to train on a CPU."""

from __future__ import annotations

from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn

from .fast_gradients import affine, column_sums, trains_in_float32


class Linear(nn.Linear):
    """``x W + b``: [..., in] gives [..., out]; the weight is [in, out].

    While it trains on a CPU, the bias is added as the product of a column of ones and the bias row. The sum is the same
    number by number, but its gradient becomes a matrix product: Paddle's own, a reduction over the rows, takes as long
    as the rest of the layer's backward pass (a 384 to 1536 layer at 1,024 rows: 20 ms against 16).

    ``double_backward=False`` says that nobody differentiates it twice: then its backward pass is our own and copies nothing.
    """

    def __init__(self, in_features: int, out_features: int, weight_attr: Any = None, bias_attr: Any = None, *, double_backward: bool = True):
        super().__init__(in_features, out_features, weight_attr=weight_attr, bias_attr=bias_attr)
        self.double_backward = double_backward

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.bias is None or not (self.training and paddle.in_dynamic_mode() and x.place.is_cpu_place()):
            return F.linear(x, self.weight, self.bias)  # [..., out]
        if not self.double_backward and trains_in_float32(x, self.weight, self.bias):
            return _FastGradient.apply(x, self.weight, self.bias)  # [..., out]
        ones = paddle.ones([*x.shape[:-1], 1], dtype=x.dtype)  # [..., 1]
        return paddle.matmul(x, self.weight) + paddle.matmul(ones, self.bias.unsqueeze(0))  # [..., out]


class _FastGradient(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x, weight)
        return affine(x.reshape([-1, x.shape[-1]]), weight, bias).reshape([*x.shape[:-1], -1])  # [..., out]

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        x, weight = ctx.saved_tensor()
        rows, upper = x.reshape([-1, x.shape[-1]]), gradient.reshape([-1, weight.shape[1]])  # [r, in], [r, out]
        inward = paddle.matmul(upper, weight, transpose_y=True).reshape(x.shape)  # [..., in]
        return inward, paddle.matmul(rows, upper, transpose_x=True), column_sums(upper)  # [..., in], [in, out], [out]
