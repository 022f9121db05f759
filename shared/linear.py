"""A linear map whose bias costs little to train on a CPU."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn


class Linear(nn.Linear):
    """``x W + b``: [..., in] gives [..., out]; the weight is [in, out].

    While it trains on a CPU, the bias is added as the product of a column of ones and the bias row. The sum is the same
    number by number, but its gradient becomes a matrix product: Paddle's own, a reduction over the rows, takes as long
    as the rest of the layer's backward pass (a 384 to 1536 layer at 1,024 rows: 20 ms against 16).
    """

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.bias is None or not (self.training and paddle.in_dynamic_mode() and x.place.is_cpu_place()):
            return F.linear(x, self.weight, self.bias)  # [..., out]
        ones = paddle.ones([*x.shape[:-1], 1], dtype=x.dtype)  # [..., 1]
        return paddle.matmul(x, self.weight) + paddle.matmul(ones, self.bias.unsqueeze(0))  # [..., out]
