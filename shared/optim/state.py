"""The state of any optimizer here as a flat table of tensors, by the parameters' own names.

Paddle's optimizers name their accumulators by numbers that a process counts up, so a state saved as Paddle gives it fits the
next process only by luck. Here the keys are ``NAME/ACCUMULATOR`` with NAME as in ``layer.named_parameters()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.base.layer_helper import LayerHelper

from .slots import HALF


def optimizer_state(optimizer: paddle.optimizer.Optimizer, layer: nn.Layer) -> dict[str, paddle.Tensor]:
    """Everything that the next step depends on beside weights, gradients and settings; live tensors, of any shape.

    AdaX and its kin give their own table, whose keys are positions. Paddle's: accumulators and, for half-precision parameters, ``master``.
    """
    if _keeps_slots(optimizer):
        state: dict[str, paddle.Tensor] = optimizer.state_dict()
        return state
    found: dict[str, paddle.Tensor] = {}
    masters = getattr(optimizer, "_master_weights", {})
    for name, parameter in layer.named_parameters():
        if parameter.name in masters:
            found[f"{name}/master"] = masters[parameter.name]
        owner = masters[parameter.name].name if parameter.name in masters else parameter.name
        for kind, table in optimizer._accumulators.items():
            if owner in table:
                found[f"{name}/{kind}"] = table[owner]
    return found


def set_optimizer_state(optimizer: paddle.optimizer.Optimizer, layer: nn.Layer, state: Mapping[str, Any]) -> None:
    """Takes a copy of what :func:`optimizer_state` gave (tensors or NumPy arrays) into an optimizer that has not stepped yet.

    Raises ValueError for a state of other parameters.
    """
    if _keeps_slots(optimizer):
        optimizer.set_state_dict(state)
        return
    named = dict(layer.named_parameters())
    owners = sorted({key.rpartition("/")[0] for key in state})
    unknown = [name for name in owners if name not in named]
    if unknown:
        raise ValueError(f"the state must fit this layer, found also {', '.join(unknown[:5])}: build the model as when it was saved")
    if optimizer.helper is None:  # paddle 2.6 makes it at the first step
        optimizer.helper = LayerHelper(type(optimizer).__name__)
    block = paddle.static.default_main_program().global_block()
    optimizer._create_accumulators(block, [named[name] for name in owners])
    present = optimizer_state(optimizer, layer)
    apart = sorted(set(present) ^ set(state))
    if apart:
        raise ValueError(f"the state must fit this optimizer, found {', '.join(apart[:5])} on one side only: take the same optimizer")
    for key, tensor in present.items():
        value = state[key]
        array = value.astype("float32").numpy() if paddle.is_tensor(value) and value.dtype in HALF else np.asarray(value)
        if list(array.shape) != list(tensor.shape):
            raise ValueError(f"{key} must be {list(tensor.shape)}, found {list(array.shape)}: build the model as when it was saved")
        tensor.set_value(paddle.to_tensor(array, place=tensor.place).astype(tensor.dtype))  # [...]


def _keeps_slots(optimizer: Any) -> bool:
    return hasattr(optimizer, "_slots")
