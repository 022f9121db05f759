"""The engine that calls the layer itself: what training evaluates with, and what the others are measured against."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import paddle

from .network import CPU_BATCH_TOKENS, Network, finite


class EagerEngine:
    """Runs the graphs of ``network`` as they stand, with the weights as they are at the call and in the layer's own mode of training or not."""

    name = "eager"
    together = 1

    def __init__(self, network: Network):
        self.network = network

    @property
    def batch_tokens(self) -> int | None:
        return CPU_BATCH_TOKENS if paddle.device.get_device() == "cpu" else None

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        return self.network.constants

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.network.facts

    def run(self, graph: str, inputs: Mapping[str, Any], *, keep: Collection[str] = ()) -> dict[str, Any]:
        """As :class:`Engine`; a kept value is a tensor."""
        found = self.network.graphs[graph]
        with paddle.no_grad():
            given = (inputs[name] for name in found.inputs)
            outputs = found.function(*(value if paddle.is_tensor(value) else paddle.to_tensor(value) for value in given))
        return finite(graph, {name: value if name in keep else value.numpy() for name, value in zip(found.outputs, outputs, strict=True)})
