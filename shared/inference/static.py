"""Graphs recorded by ``paddle.jit`` and run by ``paddle.inference``: oneDNN's kernels on a CPU, no Python between two operations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.utils.dlpack import from_dlpack

from .network import CPU_BATCH_TOKENS, finite
from .recorded import read_manifest

KIND = "static"


def program_of(folder: Path, name: str) -> Path:
    """The file of a recorded graph: JSON by paddle 3, a protocol buffer by paddle 2."""
    newer = folder / f"{name}.json"
    return newer if newer.is_file() else folder / f"{name}.pdmodel"


class StaticEngine:
    """Runs what :func:`shared.inference.recording.record` wrote, on the device that paddle is set to. Raises InputError for a damaged folder."""

    name = KIND
    together = 1

    def __init__(self, folder: Path, *, threads: int | None = None):
        self.recorded = read_manifest(folder, KIND)
        self._on_cpu = paddle.device.get_device() == "cpu"
        self._predictors = {name: _predictor(folder, name, threads) for name in self.recorded.graphs}

    @property
    def batch_tokens(self) -> int | None:
        return CPU_BATCH_TOKENS if paddle.device.get_device() == "cpu" else None

    @property
    def constants(self) -> Mapping[str, np.ndarray]:
        return self.recorded.constants

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.recorded.facts

    def run(self, graph: str, inputs: Mapping[str, Any], *, keep: Collection[str] = ()) -> dict[str, Any]:
        """As :class:`Engine`; a kept value is an array like any other."""
        predictor, found = self._predictors[graph], self.recorded.graphs[graph]
        shared = []
        for name, kind in found.inputs.items():
            handle, value = predictor.get_input_handle(name), np.ascontiguousarray(inputs[name], dtype=kind)
            if kind == "float32" and self._on_cpu:  # the large ones: keys and values, whose copies cost as much as what is done with them
                shared.append(from_dlpack(np.require(value, requirements="W").__dlpack__()))
                handle.share_external_data(shared[-1])
            else:
                handle.copy_from_cpu(value)
        predictor.run()
        outputs = (predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names())
        return finite(graph, dict(zip(found.outputs, outputs, strict=True)))


def _predictor(folder: Path, name: str, threads: int | None) -> Any:
    from paddle import inference

    from ..environment import usable_cores

    config = inference.Config(str(program_of(folder, name)), str(folder / f"{name}.pdiparams"))
    if paddle.device.get_device().startswith("gpu"):
        config.enable_use_gpu(256, int(paddle.device.get_device().partition(":")[2] or 0))
    else:
        config.disable_gpu()
        config.enable_mkldnn()
        config.set_cpu_math_library_num_threads(threads or usable_cores())
    config.switch_ir_optim(True)
    config.delete_pass("inplace_pass")  # paddle 3.3.1 takes the cosine of angles in place and then the sine of the cosines
    if program_of(folder, name).suffix == ".pdmodel":  # paddle 3 does so for its own programs, and refuses to be asked
        config.enable_memory_optim()
    config.disable_glog_info()
    return inference.create_predictor(config)
