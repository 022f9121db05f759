"""Gradients as they come: dense or sparse, in any precision, finite or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
from paddle.nn.clip import get_tensor_from_selected_rows, merge_selected_rows

from .slots import Slot


def dense(gradient: paddle.Tensor, like: paddle.Tensor) -> paddle.Tensor:
    """The gradient in the shape and dtype of ``like``."""
    if gradient.is_selected_rows():
        rows, values = rows_of(gradient, like.dtype)  # [r], [r, ...]
        return paddle.zeros_like(like).index_add_(rows, 0, values)  # [...]
    return gradient if gradient.dtype == like.dtype else gradient.astype(like.dtype)  # [...]


def rows_of(gradient: paddle.Tensor, dtype: Any) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Rows [r], each once, and their gradients [r, ...] of a sparse gradient."""
    merged = merge_selected_rows(gradient)
    return paddle.to_tensor(np.asarray(merged.rows(), dtype="int64")), get_tensor_from_selected_rows(merged).astype(dtype)


def refuse_not_finite(pairs: Sequence[tuple[Slot, paddle.Tensor]]) -> None:
    """Raises ValueError naming the parameter with a NaN or an infinity; one sum a gradient and one wait for all."""
    if not pairs:
        return
    tensors = [get_tensor_from_selected_rows(gradient) if gradient.is_selected_rows() else gradient for _, gradient in pairs]
    total = paddle.add_n([tensor.sum(dtype="float32") for tensor in tensors])  # []
    if math.isfinite(float(total)):
        return
    for (slot, _), tensor in zip(pairs, tensors, strict=True):  # a sum may overflow where every gradient is finite
        wrong = int((~paddle.isfinite(tensor)).sum())
        if wrong:
            raise ValueError(
                f"gradients must be finite, found {wrong} of {math.prod(tensor.shape)} that are not in {slot.parameter.name}: "
                "nothing was updated; lower the learning rate, clip the gradients, or train under a GradScaler"
            )


def joint_norm(gradients: Sequence[paddle.Tensor]) -> float:
    """The L2 norm of all gradients together, in float32; 0 for none. One wait for all."""
    if not gradients:
        return 0.0

    with paddle.no_grad():
        # on a CPU a third of the time of square and sum
        return math.sqrt(float(paddle.add_n([paddle._C_ops.squared_l2_norm(gradient.astype("float32")).reshape([]) for gradient in gradients])))


def scale_gradients(gradients: Sequence[paddle.Tensor], factor: float) -> None:
    """Multiplies all gradients in place."""
    with paddle.no_grad():
        for gradient in gradients:
            gradient.scale_(factor)
