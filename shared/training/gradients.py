"""The gradient of one step: over its parts, all its passes (R-Drop, teachers, penalty, adversarial), mixed precision, and all processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import nn

from ..robust import FGM, RandomReplacement, penalised_backward
from .distillation import Lesson, taught_outputs
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
    ``teacher_groups``: of :class:`shared.training.distillation.Teachers`, 0 for none; each may cut a part of a step in so many.
    """

    def __init__(
        self, layer: nn.Layer, parameters: Sequence[paddle.Tensor], settings: LoopSettings, ranks: Ranks, *, teacher_groups: int = 0
    ):
        self.layer, self.parameters, self.settings, self.ranks = layer, list(parameters), settings, ranks
        self.teacher_groups = teacher_groups
        self.scale = LossScale(dynamic=settings.amp != "O0" and settings.amp_dtype == "float16")
        if settings.fgm_epsilon and layer.embedding.weight.stop_gradient:
            raise ValueError(f"fgm_epsilon {settings.fgm_epsilon} needs the gradient of the embeddings, found frozen ones: let them learn, or take 0")
        rows, tokens = settings.replacement_rows, settings.replacement_tokens
        self._replacement = RandomReplacement(rows, tokens, pool=settings.replacement_pool, seed=settings.seed + ranks.rank) if rows else None
        self._divisor_names: list[str] | None = None

    def of(self, parts: Sequence[Any], *, step: int) -> dict[str, float]:
        """``parts``: batches of this process that make up its share of step ``step`` (from 0), perhaps none; lessons where there are teachers.

        Teachers see the batch as it is, whatever replacement makes of the student's.
        Returns ``loss``, the whole step's, and with a penalty ``penalty``, ``rdrop`` with two passes, ``distillation`` with teachers.
        """
        lessons = [part if isinstance(part, Lesson) else Lesson(part) for part in parts]
        batches = [lesson.batch for lesson in lessons]
        if self._replacement is not None:
            first = step * self.settings.accumulation * max(self.teacher_groups, 1)  # parts draw apart from each other
            batches = [self._replaced(batch, self._replacement, first + number) for number, batch in enumerate(batches)]
        work = list(zip(batches, lessons, strict=True))
        divisors = self._divisors(batches)
        found = self._pass(work, divisors)
        self.ranks.sum_gradients(self.parameters)
        if self.settings.fgm_epsilon:
            self._adversarial(work, divisors)
        names = sorted(found)
        return dict(zip(names, self.ranks.sum_numbers([found[name] for name in names]), strict=True))

    def _pass(self, work: Sequence[tuple[Any, Lesson]], divisors: dict[str, float] | None) -> dict[str, float]:
        """Adds the gradient of all parts, each the student's batch and its lesson; returns the summed figures."""
        settings, scale = self.settings, self.scale.value
        totals: dict[str, list[paddle.Tensor]] = {"loss": []}
        totals |= {"penalty": []} if settings.penalty_epsilon else {}
        totals |= {"rdrop": []} if settings.rdrop else {}
        totals |= {"distillation": []} if self.teacher_groups else {}
        for batch, lesson in work:
            apart: list[dict[str, paddle.Tensor]] = []
            loss_of = self._loss_of(batch, lesson, divisors, apart)
            if settings.penalty_epsilon:
                loss, penalty = self._penalised(loss_of)  # [], []
                totals["penalty"].append(penalty)
            else:
                loss = loss_of()  # []
                (loss if scale == 1.0 else loss.astype("float32") * scale).backward()
            totals["loss"].append(loss.detach())
            for name, part in apart[0].items():  # a penalty's further passes are none of the loss
                totals[name].append(part)
        return {name: _total(values) for name, values in totals.items()}

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

    def _loss_of(
        self, batch: Any, lesson: Lesson, divisors: dict[str, float] | None, apart: list[dict[str, paddle.Tensor]]
    ) -> Callable[[], paddle.Tensor]:
        """What gives the loss of a part, []. ``apart`` takes the divergences, by name, of every pass."""
        layer, weight, share = self.layer, self.settings.rdrop, self.settings.teacher_weight if lesson.teachers else 0.0

        def loss_of() -> paddle.Tensor:
            found: dict[str, paddle.Tensor] = {}
            apart.append(found)
            with self._precision():
                if not weight and not lesson.teachers:
                    loss: paddle.Tensor = layer.loss(batch) if divisors is None else layer.loss(batch, divisors)  # []
                    return loss
                passes = [layer.examine(batch, divisors) for _ in range(2 if weight else 1)]  # [] and outputs each
                divergence = layer.divergence(passes[0][1], passes[1][1], batch, divisors) if weight else None  # []
                far = None
                if lesson.teachers:
                    soft = taught_outputs(lesson, divisors)
                    far = _mean([layer.divergence(outputs, soft, batch, divisors) for _, outputs in passes])  # []
            loss = _mean([own for own, _ in passes])  # []: outside, or O2 would round it
            if far is not None:
                loss = loss * (1.0 - share) + far * share  # []
                found["distillation"] = far.detach()
            if divergence is not None:
                loss = loss + divergence * weight  # []
                found["rdrop"] = divergence.detach()
            return loss

        return loss_of

    def _adversarial(self, work: Sequence[tuple[Any, Lesson]], divisors: dict[str, float] | None) -> None:
        """Adds the gradient at embeddings moved along their gradient, which is the whole step's on every rank by now."""
        weight = self.layer.embedding.weight  # [v, h]
        squares = 0.0 if weight.grad is None else float(paddle.square(weight.grad.astype("float32")).sum())
        if not math.isfinite(squares):
            return  # no direction: the loop refuses the step, or skips it
        plain = [parameter.grad for parameter in self.parameters]
        kept = [None if gradient is None else gradient.clone() for gradient in plain] if self.ranks.world > 1 else None
        with FGM(weight, self.settings.fgm_epsilon) if squares else nullcontext():  # along a gradient of 0 nothing moves
            if kept is None:
                self._pass(work, divisors)
                return
            for parameter in self.parameters:
                parameter.clear_gradient(False)
            self._pass(work, divisors)
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


def _mean(values: Sequence[paddle.Tensor]) -> paddle.Tensor:
    return values[0] if len(values) == 1 else (values[0] + values[1]) * 0.5  # []


def _total(values: Sequence[paddle.Tensor]) -> float:
    return math.fsum(float(value) for value in values)
