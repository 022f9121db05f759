"""A short training loop that yields events. It knows no track, no file and no terminal.

Whoever iterates decides what to draw and what to write. Closing the generator stops between two steps: the state after the
last finished step stands in the layer and the optimizer. It catches no signal; whoever iterates raises between two events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from ..errors import work_error
from ..features.batches import token_budget_batches
from ..optim import AdaX, AdaXL2, AdaXW, linear_schedule, parameter_groups


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs to know. Rates are the peaks of the schedule; ``warmup`` is a share of all steps.

    ``optimizer``: ``adamw``, ``adax_w`` (decay apart from the gradient, as AdamW's), ``adax_l2`` (decay through the gradient), ``adax``
    (no decay; ``weight_decay`` must be 0).
    """

    epochs: float
    batch_tokens: int
    learning_rate: float
    head_learning_rate: float
    warmup: float
    weight_decay: float
    clip_norm: float
    evaluations_per_epoch: int
    seed: int
    optimizer: str = "adamw"


@dataclass(frozen=True)
class Step:
    """One finished step, from 1. ``loss`` is the batch's mean loss, ``tokens`` its real and ``padded_tokens`` all tokens."""

    step: int
    total_steps: int
    epoch: float
    loss: float
    rate: float
    grad_norm: float
    tokens: int
    padded_tokens: int


@dataclass(frozen=True)
class Evaluated:
    """Dev scores after ``step``; ``best`` when ``score`` is the highest so far."""

    step: int
    epoch: float
    scores: Mapping[str, Any]
    score: float
    best: bool


Event = Step | Evaluated


def plan(lengths: np.ndarray, settings: LoopSettings) -> list[tuple[int, np.ndarray]]:
    """Every batch of the whole run, in order, as (epoch from 0, rows). Depends on nothing but its arguments."""
    whole, part = int(settings.epochs), settings.epochs - int(settings.epochs)
    batches: list[tuple[int, np.ndarray]] = []
    for epoch in range(whole + (part > 0)):
        rows = token_budget_batches(lengths, settings.batch_tokens, seed=settings.seed, epoch=epoch)
        kept = rows if epoch < whole else rows[: math.ceil(part * len(rows))]
        batches.extend((epoch, batch) for batch in kept)
    return batches


def train(
    layer: nn.Layer,
    *,
    lengths: np.ndarray,
    collate: Callable[[np.ndarray], Any],
    evaluate: Callable[[], tuple[Mapping[str, Any], float]] | None,
    settings: LoopSettings,
) -> Iterator[Event]:
    """Trains ``layer`` in place and yields a :class:`Step` after every step and an :class:`Evaluated` after every evaluation.

    ``lengths`` [n]: tokens of every row, with special tokens; ``collate(rows)`` makes a batch for ``layer.loss(batch)``;
    ``evaluate()`` gives scores and the one number to maximise, with the layer in evaluation mode.
    Raises ValueError when there is nothing to train on or the optimizer cannot be as the settings say, WorkError when the loss or its
    gradient is no longer finite; the weights are then still those of the last good step.
    """
    batches = plan(lengths, settings)
    if not batches:
        raise ValueError("no batch to train on: the features hold no row")
    optimizer = make_optimizer(layer, settings)
    parameters = [parameter for parameter in layer.parameters() if not parameter.stop_gradient]
    warmup = int(settings.warmup * len(batches))
    evaluation_steps = _evaluation_steps(batches, settings.evaluations_per_epoch)
    best = -math.inf
    layer.train()
    for index, (_, rows) in enumerate(batches):
        factor = linear_schedule(index, total_steps=len(batches), warmup_steps=warmup)
        optimizer.set_lr(settings.learning_rate * factor)
        loss = layer.loss(collate(rows))  # []
        loss.backward()
        value = float(loss)
        if not math.isfinite(value):
            raise work_error(
                "LIC-N001",
                found=f"a loss of {value} at step {index + 1}",
                expected="a finite loss",
                remedy="Lower training.learning_rate or training.clip_norm.",
            )
        norm = clip_gradients(parameters, settings.clip_norm)
        if not math.isfinite(norm):  # one such step would turn every weight into NaN
            raise work_error(
                "LIC-N002",
                found=f"a gradient of norm {norm} at step {index + 1}",
                expected="a finite gradient",
                remedy="Lower training.learning_rate.",
            )
        optimizer.step()
        optimizer.clear_grad()
        done = (index + 1) / len(batches) * settings.epochs
        tokens = int(lengths[rows].sum())
        yield Step(index + 1, len(batches), done, value, settings.learning_rate * factor, norm, tokens, int(lengths[rows].max()) * len(rows))
        if evaluate is not None and index + 1 in evaluation_steps:
            layer.eval()
            scores, score = evaluate()
            layer.train()
            yield Evaluated(index + 1, done, scores, score, score > best)
            best = max(best, score)
    layer.eval()


def make_optimizer(layer: nn.Layer, settings: LoopSettings) -> paddle.optimizer.Optimizer:
    """The optimizer of ``settings`` over ``layer``, at the peak rate and without clipping. Raises ValueError for an unknown name."""
    groups = parameter_groups(layer, head_ratio=settings.head_learning_rate / settings.learning_rate, weight_decay=settings.weight_decay)
    if settings.optimizer == "adamw":
        return paddle.optimizer.AdamW(learning_rate=settings.learning_rate, parameters=groups, weight_decay=0.0)
    kinds = {"adax": AdaX, "adax_l2": AdaXL2, "adax_w": AdaXW}
    if settings.optimizer not in kinds:
        raise ValueError(f"the optimizer must be one of adamw, {', '.join(kinds)}, found {settings.optimizer!r}")
    return kinds[settings.optimizer](settings.learning_rate, groups, check_finite=False)  # the loop checks the norm


def clip_gradients(parameters: Sequence[paddle.Tensor], limit: float) -> float:
    """Scales all gradients so that their joint L2 norm is at most ``limit``; returns the norm before."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    with paddle.no_grad():
        squares = paddle.add_n([paddle.square(gradient.astype("float32")).sum() for gradient in gradients])  # []
    norm = math.sqrt(float(squares))
    if norm > limit:
        with paddle.no_grad():
            for gradient in gradients:
                gradient.scale_(limit / norm)
    return norm


def _evaluation_steps(batches: Sequence[tuple[int, np.ndarray]], per_epoch: int) -> set[int]:
    steps = {len(batches)}
    epochs = np.asarray([epoch for epoch, _ in batches])  # [steps]
    for epoch in range(int(epochs[-1]) + 1):
        inside = np.flatnonzero(epochs == epoch)  # [n]
        whole = len(inside) if epoch < epochs[-1] or epoch == 0 else max(len(inside), int((epochs == 0).sum()))
        for part in range(1, per_epoch + 1):
            at = round(whole * part / per_epoch)
            if at <= len(inside):
                steps.add(int(inside[0]) + at)
    return steps
