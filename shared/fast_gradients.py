"""When our own backward passes stand in for Paddle's on a CPU, and the sums they are made of.

Paddle's products are as fast as the machine there; its reductions over rows and its broadcast sums are ten to forty times slower than the same
numbers out of a product with ones. Only plain float32 training takes this way: everything else keeps Paddle's operations.
"""

from __future__ import annotations

import paddle


def trains_in_float32(*tensors: paddle.Tensor) -> bool:
    """Whether a gradient of every one of ``tensors`` is wanted on a CPU, in float32: where our own backward passes may stand in."""
    return (
        paddle.in_dynamic_mode()
        and tensors[0].place.is_cpu_place()
        and not any(tensor.stop_gradient or tensor.dtype != paddle.float32 for tensor in tensors)
        and paddle.is_grad_enabled()
    )


def affine(rows: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    """``rows`` [r, in] times ``weight`` [in, out] plus ``bias`` [out], without a gradient: [r, out]."""
    ones = paddle.ones([rows.shape[0], 1], dtype=rows.dtype)  # [r, 1]
    return paddle.matmul(rows, weight).add_(paddle.matmul(ones, bias.unsqueeze(0)))  # [r, out]


def column_sums(rows: paddle.Tensor) -> paddle.Tensor:
    """Sums [c] over ``rows`` [r, c], as a product: on a CPU a fortieth of the time of a reduction."""
    return paddle.matmul(paddle.ones([1, rows.shape[0]], dtype=rows.dtype), rows).reshape([-1])  # [c]


def spread_sums(x: paddle.Tensor) -> paddle.Tensor:
    """At every place the sum over its last axis: ``x`` [..., k] gives [..., k]."""
    rows = x.reshape([-1, x.shape[-1]])  # [r, k]
    ones = paddle.ones([1, x.shape[-1]], dtype=x.dtype)  # [1, k]
    return paddle.matmul(paddle.matmul(rows, ones, transpose_y=True), ones).reshape(x.shape)  # [..., k]
