"""Graphs out of a layer: recorded by ``paddle.jit``, and turned into ONNX by paddle2onnx."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import paddle
from paddle import nn

from ..training.checkpoint import save_arrays
from . import onnx, static
from .network import Graph, Network
from .recorded import CONSTANTS, write_manifest

OPSET = 17
"""The first with LayerNormalization in one operation."""


class _Recorded(nn.Layer):
    """One graph as a layer, which is what ``paddle.jit`` records."""

    def __init__(self, layer: nn.Layer, function: Callable[..., tuple[paddle.Tensor, ...]]):
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, inputs: list[paddle.Tensor]) -> tuple[paddle.Tensor, ...]:
        return self.function(*inputs)


def record(network: Network, folder: Path, *, about: Mapping[str, str] | None = None) -> None:
    """Writes the graphs of ``network`` to ``folder``, with the weights as they are. The layer must not be training.

    ``about``: see :func:`write_manifest`.
    """
    record_graphs(network, folder)
    save_arrays(folder / CONSTANTS, network.constants)
    write_manifest(folder, network, static.KIND, about=about or {})


def record_graphs(network: Network, folder: Path) -> dict[str, tuple[Path, Path]]:
    """The graphs alone: under each name the file of the program and that of its weights."""
    if network.layer.training:
        raise ValueError("the layer is in training: call eval() before its graphs are recorded")
    return {name: _record(network.layer, name, graph, folder) for name, graph in network.graphs.items()}


def _record(layer: nn.Layer, name: str, graph: Graph, folder: Path) -> tuple[Path, Path]:
    specs = [
        paddle.static.InputSpec([axis if isinstance(axis, int) else None for axis in given.axes], given.dtype, key)
        for key, given in graph.inputs.items()
    ]
    wrapped = _Recorded(layer, graph.function)
    wrapped.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # paddle asks a graph's tensors for their place, which they do not have
        paddle.jit.save(paddle.jit.to_static(wrapped, input_spec=[specs], full_graph=True), str(folder / name))
    return static.program_of(folder, name), folder / f"{name}.pdiparams"


def convert(network: Network, folder: Path, *, about: Mapping[str, str] | None = None, int8: bool = False) -> None:
    """Writes the graphs of ``network`` to ``folder`` as NAME.onnx, with the weights as they are. The layer must not be training.

    ``about``: see :func:`write_manifest`. ``int8``: weights of most matrix products in eight bits, what they are multiplied with at run time too.
    """
    import paddle2onnx

    with tempfile.TemporaryDirectory(prefix="lic-") as aside:
        for name, (program, weights) in record_graphs(network, Path(aside)).items():
            with _quiet():  # its own optimizers are left out: ONNX Runtime has better ones, and one of them installs packages by itself
                paddle2onnx.export(str(program), str(weights), str(folder / f"{name}.onnx"), opset_version=OPSET, optimize_tool="None")
            _simplify(folder / f"{name}.onnx")
            if int8:
                _quantise(folder / f"{name}.onnx")
    save_arrays(folder / CONSTANTS, network.constants)
    write_manifest(folder, network, onnx.KIND, about=about or {})


def _simplify(path: Path) -> None:
    """Folds constants and drops what does nothing; nothing in it depends on the machine."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path.with_suffix(".simple"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    path.with_suffix(".simple").replace(path)


def _narrows(size: tuple[int, ...]) -> bool:
    return len(size) == 2 and size[0] > size[1]


def _quantise(path: Path) -> None:
    """Matrix products with weights, but for those that follow an activation function: its few large values cost all others their bits.

    Weights are unsigned: without VNNI the products of signed ones with unsigned inputs saturate.
    """
    import onnx as onnx_files
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx_files.load(str(path)).graph
    sizes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    narrowing = [node.name for node in graph.node if node.op_type == "MatMul" and _narrows(sizes.get(node.input[1], ()))]
    aside = path.with_suffix(".float32")
    path.rename(aside)
    try:
        with _quiet():  # it recommends a preparation that is for images
            quantize_dynamic(
                aside, path, weight_type=QuantType.QUInt8, op_types_to_quantize=["MatMul"], per_channel=True, nodes_to_exclude=narrowing
            )
    finally:
        aside.unlink()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the converters' own lines, some of which C++ writes, off standard output."""
    logging.disable(logging.WARNING)
    sys.stdout.flush()
    saved, void = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(void, 1)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(void)
        logging.disable(logging.NOTSET)
