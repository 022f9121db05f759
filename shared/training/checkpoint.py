"""Weights on disk: safetensors, atomically, with a checksum and what belongs to them in the file's metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import input_error
from ..files import atomic_write

ABOUT, CHECKSUM = "lic", "sha256"
_HALF = (paddle.float16, paddle.bfloat16)


def arrays_of(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Tensors as NumPy arrays in their own precision; bfloat16, which NumPy lacks, as float32, which holds it exactly."""
    found = {}
    for name, value in tensors.items():
        tensor = value.astype("float32") if value.dtype == paddle.bfloat16 else value  # [...]
        found[name] = np.ascontiguousarray(tensor.numpy()).reshape(tuple(tensor.shape))
    return found


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes named arrays as one safetensors file, whole or absent. The same arrays and metadata give the same bytes."""
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # the library writes memory as it lies
    about = json.dumps({**(metadata or {}), CHECKSUM: _checksum(ordered)}, ensure_ascii=False, sort_keys=True)
    with atomic_write(path) as file:
        file.write(save(ordered, metadata={ABOUT: about}))  # one entry: the library writes several in a random order


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and metadata of a file of :func:`save_arrays`. Raises InputError for a damaged one."""
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = dict(json.loads((file.metadata() or {}).get(ABOUT, "{}")))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise input_error(
            "LIC-K001", file=path, found=f"an unreadable weights file ({error})", expected="safetensors", remedy="Train the run again."
        ) from error
    if CHECKSUM in metadata and metadata[CHECKSUM] != _checksum(arrays):
        raise input_error(
            "LIC-K003",
            file=path,
            found="numbers that are not those that were written (the checksum differs)",
            expected="a file as it was saved",
            remedy="Copy it again from where it was sound, or train the run again.",
        )
    return arrays, metadata


def save_weights(layer: nn.Layer, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes every parameter and persistent buffer of ``layer``; the file is whole or absent."""
    save_arrays(path, arrays_of(layer.state_dict()), metadata=metadata)


def load_weights(layer: nn.Layer, path: str | Path) -> dict[str, str]:
    """Loads a file of :func:`save_weights` and returns its metadata.

    Raises InputError when it is damaged or does not fit the layer, naming the tensors.
    """
    arrays, metadata = load_arrays(path)
    set_weights(layer, arrays, path)
    return metadata


def set_weights(layer: nn.Layer, arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Puts arrays into the parameters and buffers of ``layer``. Raises InputError, naming ``path`` and the tensors, where they do not fit."""
    state = layer.state_dict()
    faults = [f"{name} missing" for name in state if name not in arrays]
    faults += [f"{name} unexpected" for name in arrays if name not in state]
    faults += [
        f"{name} {list(arrays[name].shape)} instead of {list(state[name].shape)}"
        for name in state
        if name in arrays and list(arrays[name].shape) != list(state[name].shape)
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
        loaded = paddle.to_tensor(arrays[name])  # [...]
        value.set_value(loaded if loaded.dtype == value.dtype else loaded.astype(value.dtype))


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    state = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype} {array.shape}\n".encode())
        state.update(array.data if array.size else b"")
    return state.hexdigest()
