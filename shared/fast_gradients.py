"""When our own backward passes stand in for Paddle's on a CPU, and the sums they are made of.

Paddle's products are as fast as the machine there; its reductions over rows and its broadcast sums are ten to forty times slower than the same
numbers out of a product with ones. Only plain float32 training takes this way: everything else keeps Paddle's operations.
"""

from __future__ import annotations

import paddle


def trains_in_float32(x: paddle.Tensor, *weights: paddle.Tensor) -> bool:
    """Whether our own backward passes may stand in: on a CPU, all in float32, and a gradient wanted of every tensor.

    Where none is recorded the answer is that of ``weights`` alone: what is computed again for its gradient (``Backbone.recompute``) then gives
    the numbers of the first time.
    """
    return (
        paddle.in_dynamic_mode()
        and x.place.is_cpu_place()
        and (not x.stop_gradient or not paddle.is_grad_enabled())
        and x.dtype == paddle.float32
        and not any(weight.stop_gradient or weight.dtype != paddle.float32 for weight in weights)
    )


def affine(rows: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    """``rows`` [r, in] times ``weight`` [in, out] plus ``bias`` [out], without a gradient: [r, out]."""
    ones = paddle.ones([rows.shape[0], 1], dtype=rows.dtype)  # [r, 1]
    return paddle.matmul(rows, weight).add_(paddle.matmul(ones, bias.unsqueeze(0)))  # [r, out]


def column_sums(rows: paddle.Tensor) -> paddle.Tensor:
    """Sums [c] over ``rows`` [r, c], as a product: on a CPU a fortieth of the time of a reduction."""
    return paddle.matmul(paddle.ones([1, rows.shape[0]], dtype=rows.dtype), rows).reshape([-1])  # [c]


def row_sums(x: paddle.Tensor) -> paddle.Tensor:
    """Sums over the last axis, as a product: ``x`` [..., k] gives [..., 1]."""
    rows = x.reshape([-1, x.shape[-1]])  # [r, k]
    ones = paddle.ones([1, x.shape[-1]], dtype=x.dtype)  # [1, k]
    return paddle.matmul(rows, ones, transpose_y=True).reshape([*x.shape[:-1], 1])  # [..., 1]


def spread(x: paddle.Tensor, size: int) -> paddle.Tensor:
    """``x`` [..., 1] repeated along its last axis, as a product: [..., size]."""
    ones = paddle.ones([1, size], dtype=x.dtype)  # [1, size]
    return paddle.matmul(x.reshape([-1, 1]), ones).reshape([*x.shape[:-1], size])  # [..., size]
