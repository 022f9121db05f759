"""Exponential moving average of weights, free of its start at zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import paddle
from paddle import nn

_HALF = (paddle.float16, paddle.bfloat16)


class EMA:
    """``s_t = decay s_{t-1} + (1 - decay) w_t`` from ``s_0 = 0``; the average is ``s_t / (1 - decay^t)`` (bert4keras' EMA optimizer).

    ``of``: a layer, or parameters. Trainable ones are averaged; frozen ones and buffers are not, and stay as they are. Shadows are
    float32 for half-precision weights. Call :meth:`update` after every optimizer step; then ::

        with ema.apply():       # the averages are the weights here
            evaluate(model)     # on the way out the weights are back bit for bit, whatever happened

    or ``ema.apply()`` ... ``ema.restore()``. Raises ValueError for a decay outside [0, 1), no trainable parameter, and calls out of order.
    """

    def __init__(self, of: nn.Layer | Iterable[paddle.Tensor], decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"the decay must lie in [0, 1), found {decay}: give e.g. 0.999")
        named = of.named_parameters() if isinstance(of, nn.Layer) else ((str(i), parameter) for i, parameter in enumerate(of))
        self._parameters = {name: parameter for name, parameter in named if not parameter.stop_gradient}
        if not self._parameters:
            raise ValueError("nothing to average, found 0 trainable parameters: give a layer or its parameters, not frozen")
        self.decay = decay
        self.updates = 0
        self._shadows = {
            name: paddle.zeros(parameter.shape, dtype="float32" if parameter.dtype in _HALF else parameter.dtype)  # [...]
            for name, parameter in self._parameters.items()
        }
        self._kept: dict[str, paddle.Tensor] | None = None

    def update(self) -> None:
        """Takes the present weights into the average."""
        self._not_applied("update")
        with paddle.no_grad():
            for name, shadow in self._shadows.items():
                weight = self._parameters[name].astype(shadow.dtype)  # [...]
                shadow.add_(weight.subtract(shadow).scale_(1.0 - self.decay))
        self.updates += 1

    def apply(self) -> EMA:
        """Puts the averages into the parameters and keeps the weights aside; as a context manager it restores them at the end."""
        self._not_applied("apply")
        if not self.updates:
            raise ValueError("there is no average yet, found 0 updates: call update() after an optimizer step first")
        correction = -math.expm1(self.updates * math.log(self.decay)) if self.decay else 1.0
        kept = {name: parameter.clone().detach() for name, parameter in self._parameters.items()}
        self._kept = kept
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                paddle.assign(self._shadows[name].scale(1.0 / correction).astype(parameter.dtype), parameter)
        return self

    def restore(self) -> None:
        """Puts the kept weights back bit for bit."""
        if self._kept is None:
            raise ValueError("there is nothing to restore, found the weights in their place: call apply() first")
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                paddle.assign(self._kept[name], parameter)
        self._kept = None

    def __enter__(self) -> EMA:
        if self._kept is None:
            raise ValueError("the averages are not in place, found the weights: write `with ema.apply():`")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._kept is not None:  # the body may have restored them itself
            self.restore()

    def state_dict(self) -> dict[str, Any]:
        """``updates`` [] int64 and a tensor ``shadow.NAME`` a parameter, NAME as of ``named_parameters()`` or its position; live tensors."""
        return {"updates": paddle.to_tensor(self.updates, dtype="int64")} | {f"shadow.{name}": value for name, value in self._shadows.items()}

    def set_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes a copy of what :meth:`state_dict` gave (tensors or NumPy arrays). Raises ValueError, with nothing changed, where it does not fit."""
        wanted = {"updates"} | {f"shadow.{name}" for name in self._shadows}
        if set(state_dict) != wanted:
            apart = sorted(wanted ^ set(state_dict))
            raise ValueError(
                f"the state must fit these parameters, found {', '.join(apart[:5])} on one side only: give state_dict() of the same model"
            )
        read = {}
        for name, shadow in self._shadows.items():
            value = paddle.to_tensor(state_dict[f"shadow.{name}"]).clone().detach()  # [...]
            if list(value.shape) != list(shadow.shape) or value.dtype != shadow.dtype:
                raise ValueError(f"shadow.{name} must be {list(shadow.shape)} {shadow.dtype}, found {list(value.shape)} {value.dtype}")
            read[name] = value
        self._shadows, self.updates = read, int(state_dict["updates"])

    def _not_applied(self, wish: str) -> None:
        if self._kept is not None:
            raise ValueError(f"cannot {wish}, found the averages in the weights' place: call restore() first")
