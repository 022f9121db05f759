"""Weights on disk: safetensors, atomically, with what belongs to them in the file's metadata."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..errors import input_error


def save_weights(layer: nn.Layer, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes every parameter and persistent buffer of ``layer``; the file is whole or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value.numpy()) for name, value in layer.state_dict().items()}
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, aside, metadata=dict(metadata or {}))
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(aside, 0o666 & ~umask)
        os.replace(aside, path)
    except BaseException:
        if os.path.exists(aside):
            os.unlink(aside)
        raise


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
