"""Graphs as ONNX files, run by ONNX Runtime. Running them needs numpy and onnxruntime only; making them needs paddle2onnx."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .network import Network
from .recorded import CONSTANTS, read_manifest, write_manifest

KIND = "onnx"
OPSET = 17
"""The first with LayerNormalization in one operation."""


def convert(network: Network, folder: Path, *, about: Mapping[str, str] | None = None) -> None:
    """Writes the graphs of ``network`` to ``folder`` as NAME.onnx, with the weights as they are. The layer must not be training.

    ``about``: see :func:`write_manifest`.
    """
    import paddle2onnx

    from ..training.checkpoint import save_arrays
    from .static import record_graphs

    with tempfile.TemporaryDirectory(prefix="lic-") as aside:
        for name, (program, weights) in record_graphs(network, Path(aside)).items():
            with _quiet():  # its own optimizers are left out: ONNX Runtime has better ones, and one of them installs packages by itself
                paddle2onnx.export(str(program), str(weights), str(folder / f"{name}.onnx"), opset_version=OPSET, optimize_tool="None")
    save_arrays(folder / CONSTANTS, network.constants)
    write_manifest(folder, network, KIND, about=about or {})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the converter's own lines, which its C++ writes, off the terminal."""
    logging.disable(logging.WARNING)
    saved, void = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(void, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(void)
        logging.disable(logging.NOTSET)


class OnnxEngine:
    """Runs what :func:`convert` wrote. Raises InputError for a damaged folder."""

    name = KIND

    def __init__(self, folder: Path, *, threads: int | None = None):
        import onnxruntime

        self.recorded = read_manifest(folder, KIND)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in onnxruntime.get_available_providers()]
        self._sessions = {
            name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=providers) for name in self.recorded.graphs
        }

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
        return dict(zip(found.outputs, self._sessions[graph].run(None, given), strict=True))
