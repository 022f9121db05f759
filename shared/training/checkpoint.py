"""Weights on disk: safetensors, atomically, with what belongs to them in the file's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ..errors import input_error
from ..files import atomic_write


def save_weights(layer: nn.Layer, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes every parameter and persistent buffer of ``layer``; the file is whole or absent."""
    tensors = {name: np.ascontiguousarray(value.numpy()) for name, value in layer.state_dict().items()}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=dict(metadata or {})))


def load_weights(layer: nn.Layer, path: str | Path) -> None:
    """Loads a file of :func:`save_weights`. Raises InputError when it is damaged or does not fit the layer, naming the tensors."""
    try:
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise input_error(
            "LIC-K001", file=path, found=f"an unreadable weights file ({error})", expected="safetensors", remedy="Train the run again."
        ) from error
    state = layer.state_dict()
    faults = [f"{name} missing" for name in state if name not in tensors]
    faults += [f"{name} unexpected" for name in tensors if name not in state]
    faults += [
        f"{name} {list(tensors[name].shape)} instead of {list(state[name].shape)}"
        for name in state
        if name in tensors and list(tensors[name].shape) != list(state[name].shape)
    ]
    if faults:
        raise input_error(
            "LIC-K002",
            file=path,
            found=f"tensors that do not fit the model: {'; '.join(faults[:5])}{' …' if len(faults) > 5 else ''}",
            expected="the weights of this run's own model",
            remedy="Keep config.toml, encoder.json, schema.json and weights.safetensors of one run together.",
        )
    for name, value in state.items():
        value.set_value(paddle.to_tensor(tensors[name]))
