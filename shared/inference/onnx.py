"""Graphs as ONNX files, run by ONNX Runtime. Needs numpy and onnxruntime only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .network import CPU_BATCH_TOKENS, finite
from .recorded import read_manifest

KIND = "onnx"


class OnnxEngine:
    """Runs what :func:`shared.inference.recording.convert` wrote. Raises InputError for a damaged folder.

    ``threads`` share out one call, ``together`` calls may run at once: one text comes back soonest with many of the first, many texts with one
    of the first and as many of the second as there are cores, since no thread then waits for another after every operation.
    """

    name = KIND

    def __init__(self, folder: Path, *, threads: int | None = None, together: int = 2):
        import onnxruntime

        self.together = together

        self.recorded = read_manifest(folder, KIND)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # workers that spin between two operations take the core from the thread that decodes, and from whatever else runs
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in onnxruntime.get_available_providers()]
        self._sessions = {
            name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=self._providers) for name in self.recorded.graphs
        }

    @property
    def batch_tokens(self) -> int | None:
        return None if "CUDAExecutionProvider" in self._providers else CPU_BATCH_TOKENS

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        return self.recorded.constants

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.recorded.facts

    def run(self, graph: str, inputs: Mapping[str, Any], *, keep: Collection[str] = ()) -> dict[str, Any]:
        """As :class:`Engine`; a kept value is an array like any other."""
        found = self.recorded.graphs[graph]
        given = {name: np.ascontiguousarray(inputs[name], dtype=kind) for name, kind in found.inputs.items()}
        return finite(graph, dict(zip(found.outputs, self._sessions[graph].run(None, given), strict=True)))
