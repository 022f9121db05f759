"""A training loop that yields events and can stop and go on between any two of them. It knows no track, no file and no terminal.

Whoever iterates decides what to draw, what to write and when to keep the state. The state after the last finished step stands in the layer,
the optimizer and a few counters; :mod:`shared.training.run_state` turns it into arrays and back. Nothing else decides the next step: rows
follow from lengths and settings (:class:`DataOrder`), and every draw of Paddle, NumPy and Python from the seed and the number of the step.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import paddle
from paddle import nn

from ..errors import work_error
from ..optim import EMA, AdaX, AdaXL2, AdaXW, linear_schedule, parameter_groups
from ..optim.adamw import AdamW
from ..optim.gradients import joint_norm, scale_gradients
from .distillation import Lesson, Teachers
from .gradients import Gradients
from .order import DataOrder, share_of
from .parallel import Ranks
from .settings import LoopSettings

SMALLEST_SCALE = 2.0**-14
"""A loss scale below which float16 gradients that are not finite are a diverged training, not an overflow."""


@dataclass(frozen=True)
class Step:
    """One finished step, from 1. ``loss`` is its mean loss, ``tokens`` its real and ``padded_tokens`` all tokens, of all processes.

    ``extra``: further parts of what was minimised, such as ``penalty``. ``skipped``: a float16 gradient overflowed and no weight moved.
    """

    step: int
    total_steps: int
    epoch: float
    loss: float
    rate: float
    grad_norm: float
    tokens: int
    padded_tokens: int
    rows: int
    extra: Mapping[str, float]
    skipped: bool = False


@dataclass(frozen=True)
class Evaluated:
    """Dev scores after ``step``; ``best`` when ``score`` is the highest so far, ``last`` when patience ends the training here."""

    step: int
    epoch: float
    scores: Mapping[str, Any]
    score: float
    best: bool
    last: bool = False


Event = Step | Evaluated


class Collate(Protocol):
    """Makes a batch of ``rows`` [b]; the same for the same rows and epoch."""

    def __call__(self, rows: np.ndarray, /, *, epoch: int) -> Any: ...


@dataclass
class Progress:
    """How far a training is: what the loop counts. ``best`` is None before the first evaluation."""

    step: int = 0
    evaluated: int = 0
    best: float | None = None
    best_step: int = 0
    last_score: float | None = None
    since_best: int = 0
    stopped: bool = False


class Training:
    """Trains ``layer`` in place.

    ``layer.loss(batch)`` gives a mean loss []. Where a step has several parts, ``layer.divisors(batch)`` says over what each part of the loss is
    a mean, and ``layer.loss(batch, divisors)`` divides by these numbers instead of the batch's own. R-Drop wants ``layer.examine(batch, divisors)``
    (loss and outputs) and ``layer.divergence(outputs, outputs, batch, divisors)``; FGM and the penalty ``layer.embedding``; random
    replacement ``layer.replaceable(batch)`` (segment ids and what is real, for :class:`shared.robust.RandomReplacement`).

    ``lengths`` [n]: tokens of every row, with special ones; ``collate(rows, epoch=)`` makes a batch, the same for the same rows and epoch;
    ``evaluate()`` gives scores and the one number to maximise, with the layer in evaluation mode (and the averages in place, with EMA).
    ``ranks``: the processes that share each step; every one has the same layer, lengths and settings. ``teachers``: models that it learns from as
    well, by ``examine`` and ``divergence`` as in R-Drop; their rows are those of ``lengths``. ``settled``: no step is half done, as
    it is when one was interrupted, so that the state is one to keep.
    Raises ValueError when there is nothing to train on or the optimizer cannot be as the settings say.
    """

    def __init__(
        self,
        layer: nn.Layer,
        *,
        lengths: np.ndarray,
        collate: Collate,
        evaluate: Callable[[], tuple[Mapping[str, Any], float]] | None,
        settings: LoopSettings,
        ranks: Ranks | None = None,
        teachers: Teachers | None = None,
    ):
        self.layer, self.settings, self.ranks, self.teachers = layer, settings, ranks or Ranks(), teachers
        self.order = DataOrder(lengths, settings)
        self._collate, self._evaluate = collate, evaluate
        self.parameters = [parameter for parameter in layer.parameters() if not parameter.stop_gradient]
        self.optimizer = make_optimizer(layer, settings)
        if settings.amp == "O2":
            layer, self.optimizer = paddle.amp.decorate(
                layer, self.optimizer, level="O2", dtype=settings.amp_dtype, master_weight=True, master_grad=True
            )
        self.ema = None if settings.ema_decay is None else EMA(layer, settings.ema_decay)
        groups = 0 if teachers is None else len(teachers.groups)
        self.gradients = Gradients(layer, self.parameters, settings, self.ranks, teacher_groups=groups)
        self.progress = Progress()
        self.settled = True
        self.evaluations = frozenset(self.order.evaluation_steps(settings.evaluations_per_epoch) if evaluate is not None else ())
        self._warmup = int(settings.warmup * self.order.total_steps)
        self.ranks.share_weights(layer)

    @property
    def evaluates(self) -> bool:
        return self._evaluate is not None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        done = self.progress.step >= self.order.total_steps
        return self.progress.stopped or (done and not self._evaluation_due)

    @property
    def _evaluation_due(self) -> bool:
        return self.progress.step in self.evaluations and self.progress.evaluated != self.progress.step

    def run(self) -> Iterator[Event]:
        """Yields a :class:`Step` after every step and an :class:`Evaluated` after every evaluation, from where the state stands.

        Closing the generator stops between two of them; another call goes on. It catches no signal: whoever iterates raises between two
        events, or inside ``evaluate``, which then is done again. Raises WorkError when the loss or its gradient is no longer finite; the
        weights are then still those of the last good step.
        """
        self.layer.train()
        while not self.finished:
            if not self._evaluation_due:
                yield self._step()
            if self._evaluation_due:
                yield self._evaluated()
        self.layer.eval()

    @contextmanager
    def averages(self) -> Iterator[None]:
        """A context in which the weights are those that evaluations see: the moving averages, if there are any.

        An interruption while they come or go leaves a training that is not ``settled``.
        """
        if self.ema is None or not self.ema.updates:
            yield
            return
        settled, self.settled = self.settled, False
        self.ema.apply()
        try:
            yield
        finally:
            self.ema.restore()
            self.settled = settled

    def parts(self, rows: np.ndarray, *, epoch: int) -> list[Any]:
        """This rank's share of the step over ``rows`` [b], as the batches in which it is computed; perhaps none.

        With teachers, lessons: a part whose rows are taught by several groups is one for each of them.
        """
        share, count = share_of(rows, self.ranks.rank, self.ranks.world), self.settings.accumulation  # [b']
        parts = [part for number in range(count) if len(part := share_of(share, number, count))]
        if self.teachers is None:
            return [self._collate(part, epoch=epoch) for part in parts]
        return [Lesson(self._collate(own, epoch=epoch), by) for part in parts for own, by in self.teachers.split(part)]

    # -- one step --------------------------------------------------------------------------------------------------

    def _step(self) -> Step:
        index, settings, lengths = self.progress.step, self.settings, self.order.lengths
        self.settled = False
        rows, epoch = self.order.batch(index), self.order.epoch_of(index)
        seed_everything(settings.seed, index, self.ranks.rank)
        parts = self.parts(rows, epoch=epoch)
        factor = linear_schedule(index, total_steps=self.order.total_steps, warmup_steps=self._warmup)
        self.optimizer.set_lr(settings.learning_rate * factor)
        found = self.gradients.of(parts, step=index)
        scale = self.gradients.scale
        norm = clip_gradients(self.parameters, settings.clip_norm, scale=scale.value)
        finite = math.isfinite(norm)
        self._refuse_divergence(found["loss"], norm, index + 1)
        if finite:
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update()
        scale.update(finite)
        self.optimizer.clear_grad(set_to_zero=False)  # zeros would move a parameter that a later step does not reach, until a resume
        self.progress.step, self.settled = index + 1, True
        return Step(
            index + 1,
            self.order.total_steps,
            self._epoch(),
            found.pop("loss"),
            settings.learning_rate * factor,
            norm,
            int(lengths[rows].sum()),
            int(lengths[rows].max()) * len(rows),
            len(rows),
            found,
            skipped=not finite,
        )

    def _refuse_divergence(self, loss: float, norm: float, step: int) -> None:
        scale = self.gradients.scale
        overflowed = scale.dynamic and scale.value > SMALLEST_SCALE
        if not math.isfinite(loss) and not overflowed:
            raise work_error(
                "LIC-N001",
                found=f"a loss of {loss} at step {step}",
                expected="a finite loss",
                remedy="Lower training.learning_rate or training.clip_norm.",
            )
        if not math.isfinite(norm) and not overflowed:  # one such step would turn every weight into NaN
            raise work_error(
                "LIC-N002",
                found=f"a gradient of norm {norm} at step {step}",
                expected="a finite gradient",
                remedy="Lower training.learning_rate.",
            )

    # -- evaluation ------------------------------------------------------------------------------------------------

    def _evaluated(self) -> Evaluated:
        assert self._evaluate is not None
        self.layer.eval()
        try:
            with self.averages():
                scores, found = self._evaluate()
        finally:
            self.layer.train()
        progress, score = self.progress, float(found)
        best = progress.best is None or score > progress.best
        progress.evaluated, progress.last_score = progress.step, score
        progress.since_best = 0 if best else progress.since_best + 1
        if best:
            progress.best, progress.best_step = score, progress.step
        patience = self.settings.patience
        progress.stopped = patience is not None and progress.since_best >= patience and progress.step < self.order.total_steps
        return Evaluated(progress.step, self._epoch(), scores, score, best, progress.stopped)

    def _epoch(self) -> float:
        return self.progress.step / self.order.total_steps * self.settings.epochs


def train(
    layer: nn.Layer,
    *,
    lengths: np.ndarray,
    collate: Collate,
    evaluate: Callable[[], tuple[Mapping[str, Any], float]] | None,
    settings: LoopSettings,
) -> Iterator[Event]:
    """The events of a whole :class:`Training` in one process."""
    return Training(layer, lengths=lengths, collate=collate, evaluate=evaluate, settings=settings).run()


def seed_everything(seed: int, step: int, rank: int = 0) -> None:
    """Sets the generators of Paddle, NumPy and Python to a state that (seed, step, rank) decides.

    So no random state needs to be kept: a training that goes on at a step draws what it would have drawn.
    """
    first, second, third = np.random.SeedSequence([seed, step, rank]).generate_state(3)
    paddle.seed(int(first))
    np.random.seed(int(second))  # noqa: NPY002 (layers may draw from the global generator)
    random.seed(int(third))


def make_optimizer(layer: nn.Layer, settings: LoopSettings) -> paddle.optimizer.Optimizer:
    """The optimizer of ``settings`` over ``layer``, at the peak rate and without clipping. Raises ValueError for what cannot be."""
    groups = parameter_groups(
        layer,
        head_ratio=settings.head_learning_rate / settings.learning_rate,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
    )
    if settings.optimizer == "adamw":
        return AdamW(learning_rate=settings.learning_rate, parameters=groups, weight_decay=0.0)
    kinds = {"adax": AdaX, "adax_l2": AdaXL2, "adax_w": AdaXW}
    return kinds[settings.optimizer](settings.learning_rate, groups, check_finite=False)  # the loop checks the norm


def clip_gradients(parameters: Sequence[paddle.Tensor], limit: float, *, scale: float = 1.0) -> float:
    """Divides all gradients by ``scale`` and makes their joint L2 norm at most ``limit``; returns the norm before clipping.

    Where the norm is not finite they stay as they are.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return 0.0
    norm = joint_norm(gradients) / scale
    factor = min(1.0, limit / norm if norm else 1.0) / scale
    if math.isfinite(norm) and factor != 1.0:
        scale_gradients(gradients, factor)
    return norm
