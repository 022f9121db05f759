"""Graphs on disk: ``graphs.json`` says what they are, ``constants.safetensors`` holds what decoding needs. Needs numpy only.

A folder of recorded graphs is the same for every engine but for the files of the graphs themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import input_error
from ..files import digest, write_json

if TYPE_CHECKING:
    from .network import Network

MANIFEST = "graphs.json"
CONSTANTS = "constants.safetensors"
VERSION = 1
"""Of the folder's form; another one is refused."""


@dataclass(frozen=True)
class RecordedGraph:
    """``inputs``: dtypes by name, in order; ``outputs``: names, in order."""

    inputs: Mapping[str, str]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Recorded:
    """What the manifest of a folder says."""

    folder: Path
    kind: str
    graphs: Mapping[str, RecordedGraph]
    constants: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    about: Mapping[str, str]


def write_manifest(folder: Path, network: Network, kind: str, *, about: Mapping[str, str]) -> None:
    """Writes what :func:`read_manifest` reads, last of all: it holds the checksums of the other files of ``folder``, constants among them.

    ``about``: where the graphs come from, so that a later reader can tell whether they are still those.
    """
    graphs = {
        name: {"inputs": {key: given.dtype for key, given in graph.inputs.items()}, "outputs": list(graph.outputs)}
        for name, graph in network.graphs.items()
    }
    files = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    made = {"version": VERSION, "kind": kind, "about": dict(about), "graphs": graphs, "facts": dict(network.facts), "sha256": files}
    write_json(folder / MANIFEST, made)


def read_manifest(folder: Path, kind: str) -> Recorded:
    """Raises InputError: LIC-I001 for a folder that is none or damaged, LIC-I002 for one of another version or engine, LIC-I003 for a file that is
    missing or not as it was written."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version, own = found["version"], found["kind"]
        graphs = {name: RecordedGraph(graph["inputs"], tuple(graph["outputs"])) for name, graph in found["graphs"].items()}
        facts, about, files = found["facts"], found["about"], dict(found["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "Export the model again, and keep all files of a folder together."
        raise input_error("LIC-I001", file=path, found=f"no recorded graphs ({error})", expected="what lic export wrote", remedy=remedy) from error
    if version != VERSION or own != kind:
        raise input_error(
            "LIC-I002",
            file=path,
            found=f"graphs of version {version} for {own}",
            expected=f"version {VERSION} for {kind}",
            remedy="Export the model again with this program.",
        )
    check_files(folder, files)
    return Recorded(folder, kind, graphs, read_arrays(folder / CONSTANTS), facts, about)


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raises InputError (LIC-I003) for the first of ``files``, checksums by name, that is missing in ``folder`` or is not as it was written."""
    for name, expected in files.items():
        own = digest(folder / name) if (folder / name).is_file() else None
        if own != expected:
            raise input_error(
                "LIC-I003",
                file=folder / name,
                found="no such file" if own is None else "other bytes than were written (the checksum differs)",
                expected="the file as it was exported",
                remedy="Copy the whole folder again, or export the model again.",
            )


_KINDS = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "<i1", "U8": "<u1", "BOOL": "|b1"}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file. Raises ValueError for a file that is none, OSError where it cannot be read."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 + size:
        raise ValueError(f"{path.name} ends within its header")
    header = json.loads(data[8 : 8 + size])
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        kind = np.dtype(_KINDS[entry["dtype"]])
        if end + 8 + size > len(data) or (end - begin) != kind.itemsize * int(np.prod(entry["shape"])):
            raise ValueError(f"{path.name} ends within {name}")
        arrays[name] = np.frombuffer(data, kind, count=(end - begin) // kind.itemsize, offset=8 + size + begin).reshape(entry["shape"])
    return arrays
