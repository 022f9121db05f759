"""Rows of different lengths in one flat array, memory-mapped from a folder of plain ``.npy`` files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import input_error
from ..files import digest, whole_folder, write_json

FORMAT = 2
"""Of the folder; raised whenever an older version could not read it. Whoever keeps such folders under a key makes it a part of the key."""

MANIFEST = "manifest.json"


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

    def joined(self, other: Ragged) -> Ragged:
        """The rows of both, in memory."""
        offsets = np.concatenate([self.offsets, np.asarray(other.offsets[1:]) + self.offsets[-1]])  # [rows + other rows + 1]
        return Ragged(np.concatenate([self.values, other.values]), offsets)


def id_type(size: int) -> type[np.uint16] | type[np.int32]:
    """The type that keeps ids below ``size``: two bytes where they are enough."""
    return np.uint16 if size <= 1 << 16 else np.int32


def save_arrays(folder: str | Path, arrays: Mapping[str, Ragged | np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a feature folder: one ``.npy`` an array and a manifest with their checksums. Whole or absent: made aside, then renamed.

    An existing feature folder of that name is replaced only after the new one is complete; ValueError for anything else of that name.
    """
    with whole_folder(folder, marker=MANIFEST) as aside:
        write_arrays(aside, arrays, meta)


def write_arrays(folder: Path, arrays: Mapping[str, Ragged | np.ndarray], meta: Mapping[str, Any], *, durable: bool = True) -> None:
    """Writes the files of a feature folder into ``folder``, which is there. ``durable``: flushed to the disk, each."""
    listing: dict[str, Any] = {}
    for name, array in arrays.items():
        parts = {"values": array.values, "offsets": array.offsets} if isinstance(array, Ragged) else {"values": array}
        listing[name] = {}
        for part, value in parts.items():
            with ArrayFile(folder / f"{name}.{part}.npy", value.shape, value.dtype, durable=durable) as file:
                file.write(value)
            listing[name][part] = file.entry
    write_manifest(folder, listing, meta)


def write_manifest(folder: Path, listing: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> None:
    """Completes a feature folder. ``listing``: :attr:`ArrayFile.entry` by name and part (``values``, and ``offsets`` of a Ragged)."""
    write_json(folder / MANIFEST, {"format": FORMAT, "arrays": listing, "meta": dict(meta)})


class ArrayFile:
    """A ``.npy`` file written a block at a time, with the checksum of all its bytes; what ``np.save`` writes, which hides the system's error.

    ``shape`` is that of the whole array; ValueError for objects, or when the blocks do not fill it.
    """

    def __init__(self, path: Path, shape: Sequence[int], dtype: Any, *, durable: bool = True):
        self.shape, self.dtype, self.durable = tuple(shape), np.dtype(dtype), durable
        if self.dtype.hasobject:
            raise ValueError(f"an array of {self.dtype} is no array of numbers")
        self.path = path
        self._sum = hashlib.sha256()
        self._rows = self._bytes = 0
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115
        np.lib.format.write_array_header_1_0(self, {"descr": self.dtype.str, "fortran_order": False, "shape": self.shape})

    def write(self, block: np.ndarray | bytes) -> None:
        """Appends rows of the array."""
        data: Any = block
        if isinstance(block, np.ndarray):
            self._rows += len(block) if block.ndim else 1
            data = np.ascontiguousarray(block, dtype=self.dtype).data if block.size else b""
        self._file.write(data)
        self._sum.update(data)
        self._bytes += memoryview(data).nbytes

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest says of the file."""
        return {"shape": list(self.shape), "bytes": self._bytes, "sha256": self._sum.hexdigest()}

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *exception: Any) -> None:
        with self._file:
            if exception[0] is None:
                if self.shape and self._rows != self.shape[0]:
                    raise ValueError(f"{self.path.name}: {self._rows} rows written of {self.shape[0]}")
                self._file.flush()
                if self.durable:
                    os.fsync(self._file.fileno())


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest alone. Raises OSError, ValueError or KeyError where there is none of this format."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(manifest, dict) or manifest["format"] != FORMAT:
        raise ValueError(f"a manifest of another format; this version reads {FORMAT}")
    return manifest


def load_arrays(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Memory-maps a feature folder: its arrays (Ragged or plain, as saved) and its meta data.

    Sizes and checksums are verified first, through plain reads, so that the pages of the map stay out of memory until they are needed.
    Raises InputError for a damaged or foreign folder.
    """
    folder = Path(folder)
    try:
        manifest = read_manifest(folder)
        arrays: dict[str, Ragged | np.ndarray] = {}
        for name, parts in manifest["arrays"].items():
            loaded = {part: _load(folder / f"{name}.{part}.npy", entry) for part, entry in parts.items()}
            arrays[name] = Ragged(loaded["values"], loaded["offsets"]) if "offsets" in loaded else loaded["values"]
        return arrays, manifest["meta"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise input_error(
            "LIC-A001",
            file=folder,
            found=f"a damaged feature folder ({error})",
            expected="a folder written by lic preprocess",
            remedy="Delete the folder; what it held is made again.",
        ) from error


def _load(path: Path, entry: Mapping[str, Any]) -> np.ndarray:
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise ValueError(f"{path.name} has {size} bytes, the manifest says {entry['bytes']}")
    if digest(path) != entry["sha256"]:
        raise ValueError(f"{path.name} has another checksum than the manifest says")
    empty = 0 in entry["shape"]  # an empty array cannot be mapped
    array: np.ndarray = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    if list(array.shape) != entry["shape"]:
        raise ValueError(f"{path.name} has shape {list(array.shape)}, the manifest says {entry['shape']}")
    return array
