"""Distillation: a student learns from the soft outputs of teachers beside its own labels (Hinton and others, arXiv 1503.02531).

The target is the arithmetic mean of the teachers' outputs (logits), field by field, and the distance to it the model's own ``divergence``,
which R-Drop takes between two passes: so nothing here knows what a model gives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from ..losses import full_precision


@dataclass(frozen=True)
class Lesson:
    """A batch and the models whose mean outputs are its soft targets; none: it is learnt from its labels alone."""

    batch: Any
    teachers: Sequence[nn.Layer] = ()


class Teachers:
    """Trained models that teach another, in evaluation mode; no part of its weights, its optimizer or its checkpoints.

    ``groups``: the models that teach together. ``group_of`` [n]: the group that teaches each row, so that a row can be kept from models that were
    trained on it; None where there is one group for all.
    Raises ValueError for no model, an empty group, or a row of a group that there is not.
    """

    def __init__(self, groups: Sequence[Sequence[nn.Layer]], group_of: np.ndarray | None = None):
        self.groups = [list(group) for group in groups]
        if not self.groups or not all(self.groups):
            raise ValueError(f"{len(self.groups)} groups of {[len(group) for group in self.groups]} teachers: every group needs one")
        if group_of is None and len(self.groups) > 1:
            raise ValueError(f"{len(self.groups)} groups of teachers: say which group teaches each row")
        self.group_of = None if group_of is None else np.asarray(group_of, dtype=np.int64)  # [n]
        if self.group_of is not None and len(self.group_of) and not 0 <= self.group_of.min() <= self.group_of.max() < len(self.groups):
            raise ValueError(f"rows of group {self.group_of.min()} to {self.group_of.max()}, but there are {len(self.groups)} groups from 0")
        for layer in self.layers:
            layer.eval()
            for parameter in layer.parameters():
                parameter.stop_gradient = True

    @property
    def layers(self) -> list[nn.Layer]:
        """All teachers, each once."""
        return list({id(layer): layer for group in self.groups for layer in group}.values())

    def split(self, rows: np.ndarray) -> list[tuple[np.ndarray, Sequence[nn.Layer]]]:
        """``rows`` [b] by who teaches them, in the order of the groups and otherwise in their own; no empty part."""
        if self.group_of is None:
            return [(rows, self.groups[0])]
        own = self.group_of[rows]  # [b]
        return [(rows[own == number], self.groups[number]) for number in np.unique(own).tolist()]


def taught_outputs(lesson: Lesson, divisors: Mapping[str, float] | None = None) -> Any:
    """The mean of what the lesson's teachers give for its batch, without gradients, in float32."""
    with paddle.no_grad():
        return mean_outputs([teacher.examine(lesson.batch, divisors)[1] for teacher in lesson.teachers])


@full_precision
def mean_outputs(outputs: Sequence[Any]) -> Any:
    """The arithmetic mean of several models' outputs: tensors, None, or tuples, lists, tables and dataclasses of these, all of one form.

    Floating point tensors are averaged in float32, whatever they came in; anything else must be equal in all and is taken as it is.
    Raises ValueError, naming the place, where forms, shapes or such values differ.
    """
    for other in outputs[1:]:
        difference = find_difference(outputs[0], other)
        if difference:
            raise ValueError(f"outputs of teachers that differ at {difference}: teach with models of one kind")
    return _mean(outputs)


def _mean(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, paddle.Tensor):
        if not first.is_floating_point():
            return first
        total = first.astype("float32")  # [...]
        for value in values[1:]:
            total = total + value.astype("float32")  # [...]
        return total / len(values) if len(values) > 1 else total  # [...]
    fields = _fields(first)
    if fields is None:
        return first
    parts = [_fields(value) or {} for value in values]
    means = {name: _mean([part[name] for part in parts]) for name in fields}
    if isinstance(first, Mapping):
        return {name: means[name] for name in fields}
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        return dataclasses.replace(first, **means)
    if hasattr(first, "_fields"):
        return type(first)(**means)
    return type(first)(means[name] for name in fields)


def find_difference(first: Any, second: Any, place: str = "outputs") -> str | None:
    """Where and how two outputs are of another form or shape, in words; None where they can stand for each other."""
    if isinstance(first, paddle.Tensor) or isinstance(second, paddle.Tensor):
        left, right = _said(first), _said(second)
        if left != right:
            return f"{place}: {left} and {right}"
        if first.is_floating_point() or bool((first == second).all()):
            return None
        return f"{place}: whole numbers that are not equal"
    if type(first) is not type(second):
        return f"{place}: {type(first).__name__} and {type(second).__name__}"
    fields, others = _fields(first), _fields(second)
    if fields is None or others is None:
        return None if np.array_equal(first, second) else f"{place}: values that are not equal"
    if list(fields) != list(others):
        return f"{place}: {len(fields)} and {len(others)} parts ({', '.join(map(str, fields))} and {', '.join(map(str, others))})"
    found = (find_difference(fields[name], others[name], f"{place}.{name}") for name in fields)
    return next((difference for difference in found if difference), None)


def _fields(value: Any) -> dict[Any, Any] | None:
    """The parts of an output that is made of several, by name or number; None for a single value."""
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return dict(zip(getattr(value, "_fields", range(len(value))), value, strict=True))
    return None


def _said(value: Any) -> str:
    if not isinstance(value, paddle.Tensor):
        return type(value).__name__
    kind = "numbers" if value.is_floating_point() else str(value.dtype).rpartition(".")[2]
    return f"{kind} {list(value.shape)}"
