"""What an engine runs, and what it answers: functions of arrays under names. Needs numpy only.

A model gives a :class:`Network`: its graphs, each a function of tensors with named inputs and outputs, and what decoding needs beside them. An
:class:`Engine` answers for one network, wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import work_error

if TYPE_CHECKING:
    import paddle
    from paddle import nn


@dataclass(frozen=True)
class Input:
    """``axes``: a size, or a letter for one that a call decides; the same letter means the same size. ``dtype`` as NumPy names it."""

    axes: tuple[str | int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Graph:
    """``function`` takes the inputs' tensors in order and gives a tensor for every name of ``outputs``."""

    function: Callable[..., tuple[paddle.Tensor, ...]]
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """``layer`` holds the weights of all ``graphs``. ``constants``: arrays that decoding needs; ``facts``: JSON values that it needs."""

    layer: nn.Layer
    graphs: Mapping[str, Graph]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


CPU_BATCH_TOKENS = 1024
"""See :attr:`Engine.batch_tokens`; measured for six layers of 384 on two cores, where 512 to 1024 are alike and 8192 take twice the time."""


class Engine(Protocol):
    """Answers for one network."""

    @property
    def name(self) -> str:
        """``eager``, ``static`` or ``onnx``."""
        ...

    @property
    def together(self) -> int:
        """How many threads may call :meth:`run` at once, and had better where there is so much to run."""
        ...

    @property
    def batch_tokens(self) -> int | None:
        """Padded tokens of a batch beyond which it gets slower here: on a CPU its cache decides. None: the more the better."""
        ...

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        """Those of the network."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Those of the network."""
        ...

    def run(self, graph: str, inputs: Mapping[str, Any], *, keep: Collection[str] = ()) -> dict[str, Any]:
        """The outputs of a graph by name: NumPy arrays, or for names in ``keep`` whatever the engine takes as an input again.

        ``inputs``: a NumPy array, or such a kept value, for every input of the graph. Raises WorkError as :func:`finite`.
        """
        ...


def finite(graph: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """``outputs`` themselves. Raises WorkError (LIC-I008) where an array holds what is no number: weights that are none give such."""
    for name, value in outputs.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise work_error(
                "LIC-I008",
                found=f"no numbers (NaN or infinity) in {name} of the graph {graph}",
                expected="finite scores",
                remedy="The weights are damaged or the training diverged: train again, or export from a sound run.",
            )
    return outputs
