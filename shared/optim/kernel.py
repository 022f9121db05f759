"""Paddle's own Adam kernel as AdaX's step: one pass over memory, where single operations take eleven.

AdaX is Adam with another beta2 at every step and no correction of the moments, so the kernel that Adam's class calls does it. That
call is not public and its arguments differ between paddle's lines; hence it is tried once on numbers whose outcome is known, and
where the outcome is another, or an error, :func:`takes` says no and the caller goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import paddle

Kernel = Callable[..., Any]


def takes(weight: paddle.Tensor) -> bool:
    """Whether :func:`adam_step` works for this parameter: float32 on a CPU, and the kernel as it is known."""
    return weight.dtype == paddle.float32 and paddle.device.get_device() == "cpu" and weight.place.is_cpu_place() and _kernel() is not None


def adam_step(
    weight: paddle.Tensor,
    gradient: paddle.Tensor,
    moment: paddle.Tensor,
    second: paddle.Tensor,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """In place, all four in one shape: ``moment = beta1 moment + (1 - beta1) gradient``, ``second = beta2 second + (1 - beta2) gradient^2``,
    ``weight -= rate moment / (sqrt(second) + epsilon)``. Only where :func:`takes` says so.
    """
    kernel = _kernel()
    assert kernel is not None
    kernel(weight, gradient, moment, second, rate, beta1, beta2, epsilon)


@cache
def _kernel() -> Kernel | None:
    for more, last in (((None,), (False,)), ((), ())):  # paddle 3 also passes AMSGrad's maximum and switch
        kernel = _bind(more, last)
        try:
            tensors = [paddle.full([3], value, dtype="float32") for value in (0.5, 2.0, 1.0, 16.0)]  # [3] each
            kernel(*tensors, 0.25, 0.5, 0.25, 0.5)
        except Exception:  # whatever a call with the wrong arguments raises
            continue
        weight, _, moment, second = (tensor.tolist() for tensor in tensors)
        known = [0.5 - 0.25 * 1.5 / (7.0**0.5 + 0.5)] * 3  # second: 16 / 4 + 4 * 3 / 4
        if moment == [1.5] * 3 and second == [7.0] * 3 and all(abs(x - y) < 1e-6 for x, y in zip(weight, known, strict=True)):
            return kernel
    return None


def _bind(more: tuple[Any, ...], last: tuple[Any, ...]) -> Kernel:
    adam: Any = paddle._C_ops.adam_
    no_power = paddle.zeros([1], dtype="float32")  # [1]: beta^t = 0 leaves the moments uncorrected

    def kernel(weight: Any, gradient: Any, moment: Any, second: Any, rate: float, beta1: float, beta2: float, epsilon: float) -> None:
        with paddle.no_grad():
            step = paddle.full([1], rate, dtype="float32")  # [1]
            adam(
                weight, gradient, step, moment, second, *more, no_power, no_power, None, None, beta1, beta2, epsilon, False, 1000, False, True, *last
            )  # fmt: skip

    return kernel
