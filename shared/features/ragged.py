"""Rows of different lengths in one flat array, memory-mapped from a folder of plain ``.npy`` files."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import input_error
from ..files import whole_or_absent, write_json

FORMAT = 1
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Ragged:
    """``len(offsets) - 1`` rows: row i is ``values[offsets[i]:offsets[i + 1]]``. ``values`` [n, ...], ``offsets`` [rows + 1] int64."""

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence | np.ndarray], *, dtype: Any, width: int | None = None) -> Ragged:
        """Packs rows of scalars, or of ``width`` values each."""
        tail = () if width is None else (width,)
        arrays = [np.asarray(row, dtype=dtype).reshape((-1, *tail)) for row in rows]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)  # [rows + 1]
        np.cumsum([len(array) for array in arrays], out=offsets[1:])
        values = np.concatenate(arrays) if arrays else np.zeros((0, *tail), dtype=dtype)  # [n, ...]
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)} rows")
        index %= len(self)
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Row lengths, [rows] int64."""
        return np.diff(self.offsets)


def save_arrays(folder: str | Path, arrays: Mapping[str, Ragged | np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a feature folder: one ``.npy`` an array and a manifest. Whole or absent: made aside, then renamed.

    An existing folder of that name is replaced only after the new one is complete.
    """
    folder = Path(folder)
    aside = None
    with whole_or_absent(folder):
        try:
            aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
            listing: dict[str, Any] = {}
            for name, array in arrays.items():
                parts = {"values": array.values, "offsets": array.offsets} if isinstance(array, Ragged) else {"values": array}
                listing[name] = {part: list(value.shape) for part, value in parts.items()}
                for part, value in parts.items():
                    with open(aside / f"{name}.{part}.npy", "wb") as file:
                        _save(file, value)
                        file.flush()
                        os.fsync(file.fileno())
            write_json(aside / _MANIFEST, {"format": FORMAT, "arrays": listing, "meta": dict(meta)})
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(aside, folder)
        except BaseException:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)
            raise


def _save(file: IO[bytes], array: np.ndarray) -> None:
    """What ``np.save`` writes. That one hides the number of the system's error when the disk is full."""
    if array.dtype.hasobject:
        raise ValueError(f"an array of {array.dtype} is no array of numbers")
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data if array.size else b"")


def load_arrays(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Memory-maps a feature folder: its arrays (Ragged or plain, as saved) and its meta data. Raises InputError for a damaged or foreign folder."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, this version reads {FORMAT}")
        arrays: dict[str, Ragged | np.ndarray] = {}
        for name, parts in manifest["arrays"].items():
            loaded = {part: _load(folder / f"{name}.{part}.npy", shape) for part, shape in parts.items()}
            arrays[name] = Ragged(loaded["values"], loaded["offsets"]) if "offsets" in loaded else loaded["values"]
        return arrays, manifest["meta"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise input_error(
            "LIC-A001",
            file=folder,
            found=f"a damaged feature folder ({error})",
            expected="a folder written by lic preprocess",
            remedy="Delete the folder; it is made again.",
        ) from error


def _load(path: Path, shape: list[int]) -> np.ndarray:
    empty = 0 in shape  # an empty file cannot be mapped
    array: np.ndarray = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    if list(array.shape) != shape:
        raise ValueError(f"{path.name} has shape {list(array.shape)}, the manifest says {shape}")
    return array
