"""A parameter with what its optimizer keeps of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import paddle

HALF = (paddle.float16, paddle.bfloat16)


@dataclass
class Slot:
    """A parameter, what its group says of it, and its state, made at its first update."""

    parameter: paddle.Tensor
    ratio: float
    weight_decay: float
    steps: int = 0
    moment: paddle.Tensor | None = None
    v_hat: paddle.Tensor | None = None
    master: paddle.Tensor | None = None


def listed(parameters: Iterable[Any] | None) -> list[Any]:
    """Parameters or groups as lists, since both are walked more than once."""
    if parameters is None or isinstance(parameters, (paddle.Tensor, Mapping, set)):
        found = "None" if parameters is None else type(parameters).__name__
        raise ValueError(f"parameters must be a list of parameters or of groups, found {found}: give layer.parameters()")
    given = list(parameters)
    if not given:
        raise ValueError("nothing to optimize, found 0 parameters: give layer.parameters() or a list of groups")
    if isinstance(given[0], Mapping):
        for group in given:
            if not group.get("params"):
                raise ValueError(f"every group needs params, found {', '.join(map(str, group)) or 'an empty group'}: leave such a group out")
        return [{**group, "params": listed([group["params"]] if isinstance(group["params"], paddle.Tensor) else group["params"])} for group in given]
    return given


def not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, found {value}: give 0 or more")


def read_slot(slot: Slot, position: int, entries: dict[str, Any]) -> tuple[int, Any, Any, Any]:
    """Takes a slot's entries out of ``entries``: steps, moment, v_hat, master."""
    steps = int(entries.pop(f"{position}.steps", 0))
    dtype = paddle.float32 if slot.parameter.dtype in HALF else slot.parameter.dtype
    tensors: list[Any] = []
    for name in ("moment", "v_hat", "master"):
        value = entries.pop(f"{position}.{name}", None)
        if (value is None and steps and name != "master") or (value is not None and not steps):
            found = f"{steps} steps and {'no ' if value is None else ''}{name}"
            raise ValueError(f"parameter {position} must have steps, moment and v_hat or none of them, found {found}: give the whole state")
        if value is not None:
            value = paddle.to_tensor(value).clone().detach()
            if value.dtype != dtype or list(value.shape) != list(slot.parameter.shape):
                raise ValueError(
                    f"{position}.{name} must be {list(slot.parameter.shape)} {dtype} for {slot.parameter.name}, "
                    f"found {list(value.shape)} {value.dtype}: give the parameters in the order they had when the state was saved"
                )
        tensors.append(value)
    return steps, tensors[0], tensors[1], tensors[2]
