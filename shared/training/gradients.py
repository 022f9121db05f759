"""The gradient of one step: over its parts, all its passes (R-Drop, penalty, adversarial), mixed precision, and all processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import nn

from ..robust import FGM, RandomReplacement, penalised_backward
from .parallel import Ranks
from .settings import LoopSettings


@dataclass
class LossScale:
    """What a loss is multiplied by, so that its float16 gradients do not vanish (dynamic loss scaling, arXiv 1710.03740); 1 if not ``dynamic``.

    It halves when a gradient is not finite, in a step that then does nothing, and doubles after ``patience`` finite ones.
    """

    dynamic: bool = False
    value: float = 1.0
    finite_steps: int = 0
    patience: int = 2000

    def __post_init__(self) -> None:
        if self.dynamic:
            self.value = 2.0**15

    def update(self, finite: bool) -> None:
        """Takes in how a step went."""
        if not self.dynamic:
            return
        self.finite_steps = self.finite_steps + 1 if finite else 0
        if not finite:
            self.value /= 2.0
        elif self.finite_steps == self.patience:
            self.value, self.finite_steps = self.value * 2.0, 0


class Gradients:
    """Leaves the gradient of a step's mean loss in ``.grad`` of ``parameters``.

    ``layer``: what :class:`shared.training.loop.Training` asks of a model. They are as large as ``scale`` says (:class:`LossScale`).
    """

    def __init__(self, layer: nn.Layer, parameters: Sequence[paddle.Tensor], settings: LoopSettings, ranks: Ranks):
        self.layer, self.parameters, self.settings, self.ranks = layer, list(parameters), settings, ranks
        self.scale = LossScale(dynamic=settings.amp != "O0" and settings.amp_dtype == "float16")
        if settings.fgm_epsilon and layer.embedding.weight.stop_gradient:
            raise ValueError(f"fgm_epsilon {settings.fgm_epsilon} needs the gradient of the embeddings, found frozen ones: let them learn, or take 0")
        rows, tokens = settings.replacement_rows, settings.replacement_tokens
        self._replacement = RandomReplacement(rows, tokens, pool="target", seed=settings.seed + ranks.rank) if rows else None
        self._divisor_names: list[str] | None = None

    def of(self, parts: Sequence[Any], *, step: int) -> dict[str, float]:
        """``parts``: batches of this process that make up its share of step ``step`` (from 0), perhaps none.

        Returns ``loss``, the whole step's, and with a penalty ``penalty``, ``rdrop`` with two passes.
        """
        if self._replacement is not None:
            first = step * self.settings.accumulation  # parts draw apart from each other
            parts = [self._replaced(part, self._replacement, first + number) for number, part in enumerate(parts)]
        divisors = self._divisors(parts)
        found = self._pass(parts, divisors)
        self.ranks.sum_gradients(self.parameters)
        if self.settings.fgm_epsilon:
            self._adversarial(parts, divisors)
        names = sorted(found)
        return dict(zip(names, self.ranks.sum_numbers([found[name] for name in names]), strict=True))

    def _pass(self, parts: Sequence[Any], divisors: dict[str, float] | None) -> dict[str, float]:
        """Adds the gradient of all parts; returns the summed figures."""
        settings, scale = self.settings, self.scale.value
        losses: list[paddle.Tensor] = []
        penalties: list[paddle.Tensor] = []
        divergences: list[paddle.Tensor] = []
        for part in parts:
            apart: list[paddle.Tensor] = []
            loss_of = self._loss_of(part, divisors, apart)
            if settings.penalty_epsilon:
                loss, penalty = self._penalised(loss_of)  # [], []
                penalties.append(penalty)
            else:
                loss = loss_of()  # []
                (loss if scale == 1.0 else loss.astype("float32") * scale).backward()
            losses.append(loss.detach())
            divergences += apart[:1]  # a penalty's further passes are none of the loss
        found = {"loss": _total(losses)}
        if settings.penalty_epsilon:
            found["penalty"] = _total(penalties)
        if settings.rdrop:
            found["rdrop"] = _total(divergences)
        return found

    def _penalised(self, loss_of: Callable[[], paddle.Tensor]) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Loss and penalty [] after the backward passes; what is not finite is handed on, for the loop to say and for all ranks to meet."""
        losses: list[paddle.Tensor] = []

        def noted() -> paddle.Tensor:
            loss = loss_of()  # []
            losses.append(loss.detach())
            return loss

        settings = self.settings
        try:
            return penalised_backward(
                noted,
                self.layer.embedding,
                epsilon=settings.penalty_epsilon,
                form=settings.penalty_form,
                parameters=self.parameters,
            )  # [], []
        except ValueError:
            if losses and not math.isfinite(float(losses[-1])):
                return losses[-1], losses[-1]  # [], []
            if all(_finite(parameter.grad) for parameter in self.parameters):
                raise
            return losses[-1], paddle.full([], math.nan)  # [], []

    def _loss_of(self, part: Any, divisors: dict[str, float] | None, apart: list[paddle.Tensor]) -> Callable[[], paddle.Tensor]:
        weight = self.settings.rdrop

        def loss_of() -> paddle.Tensor:
            with self._precision():
                if not weight:
                    loss: paddle.Tensor = self.layer.loss(part) if divisors is None else self.layer.loss(part, divisors)  # []
                    return loss
                first, left = self.layer.examine(part, divisors)  # [], outputs
                second, right = self.layer.examine(part, divisors)  # [], outputs
                divergence = self.layer.divergence(left, right, part, divisors)  # []
            apart.append(divergence.detach())
            return (first + second) * 0.5 + divergence * weight  # []: outside, or O2 would round it

        return loss_of

    def _adversarial(self, parts: Sequence[Any], divisors: dict[str, float] | None) -> None:
        """Adds the gradient at embeddings moved along their gradient, which is the whole step's on every rank by now."""
        weight = self.layer.embedding.weight  # [v, h]
        squares = 0.0 if weight.grad is None else float(paddle.square(weight.grad.astype("float32")).sum())
        if not math.isfinite(squares):
            return  # no direction: the loop refuses the step, or skips it
        plain = [parameter.grad for parameter in self.parameters]
        kept = [None if gradient is None else gradient.clone() for gradient in plain] if self.ranks.world > 1 else None
        with FGM(weight, self.settings.fgm_epsilon) if squares else nullcontext():  # along a gradient of 0 nothing moves
            if kept is None:
                self._pass(parts, divisors)
                return
            for parameter in self.parameters:
                parameter.clear_gradient(False)
            self._pass(parts, divisors)
        self.ranks.sum_gradients(self.parameters)
        with paddle.no_grad():
            for parameter, gradient in zip(self.parameters, kept, strict=True):
                if gradient is not None and parameter.grad is None:
                    parameter.grad = gradient
                elif gradient is not None:
                    parameter.grad.add_(gradient)

    def _divisors(self, parts: Sequence[Any]) -> dict[str, float] | None:
        """What the parts of the whole step have together; None where one part is the step, and the loss knows for itself."""
        if self.ranks.world == 1 and len(parts) == 1:
            return None
        own: dict[str, float] = {}
        for part in parts:
            for name, count in self.layer.divisors(part).items():
                own[name] = own.get(name, 0.0) + float(count)
        if self.ranks.world == 1:
            return own
        if self._divisor_names is None:
            self._divisor_names = sorted({name for names in self.ranks.gather(sorted(own)) for name in names})
        names = self._divisor_names
        return dict(zip(names, self.ranks.sum_numbers([own.get(name, 0.0) for name in names]), strict=True))

    def _replaced(self, part: Any, replacement: RandomReplacement, step: int) -> Any:
        segments, valid = self.layer.replaceable(part)  # [b, l], [b] or [b, l]
        if not segments.any():
            return part
        return {**part, "ids": replacement(part["ids"], segments, valid, step=step)}  # [b, l]

    def _precision(self) -> AbstractContextManager[Any]:
        if self.settings.amp == "O0":
            return nullcontext()
        context: AbstractContextManager[Any] = paddle.amp.auto_cast(level=self.settings.amp, dtype=self.settings.amp_dtype)
        return context


def _finite(gradient: paddle.Tensor | None) -> bool:
    return gradient is None or bool(paddle.isfinite(gradient).all())


def _total(values: Sequence[paddle.Tensor]) -> float:
    return math.fsum(float(value) for value in values)
