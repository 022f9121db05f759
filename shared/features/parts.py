"""One feature folder out of many that were made of successive parts of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .ragged import ArrayFile, read_manifest, write_manifest


def join_parts(parts: Sequence[Path], target: Path, meta: Mapping[str, Any], *, shifts: Mapping[str, Sequence[int]] | None = None) -> None:
    """Writes the feature folder ``target``, which is there and empty: every array of ``parts`` one after the other.

    Equal to what the whole data would have given at once. Offsets are shifted by the values before them. ``shifts``: for an array [n, c]
    whose first column counts things of the data, what to add to that column in each part. The files of the parts are used up: each is
    removed once it is copied, so that the disk never holds everything twice, and no more than one part of one array is in memory.
    Raises ValueError when the parts do not fit together.
    """
    if not parts:
        raise ValueError("no parts: a feature folder needs at least one")
    listings = [read_manifest(part)["arrays"] for part in parts]
    if any({name: set(kinds) for name, kinds in one.items()} != {name: set(kinds) for name, kinds in listings[0].items()} for one in listings):
        raise ValueError(f"the parts of {target} hold different arrays")
    made: dict[str, dict[str, Any]] = {}
    for name, kinds in listings[0].items():
        lengths = [listing[name]["values"]["shape"][0] for listing in listings]
        made[name] = {"values": _join(parts, target, f"{name}.values.npy", sum(lengths), (shifts or {}).get(name))}
        if "offsets" in kinds:
            made[name]["offsets"] = _join_offsets(parts, target, f"{name}.offsets.npy", lengths)
    write_manifest(target, made, meta)


def _join(parts: Sequence[Path], target: Path, name: str, rows: int, shifts: Sequence[int] | None) -> dict[str, Any]:
    first = np.load(parts[0] / name, allow_pickle=False)  # [n, ...]
    with ArrayFile(target / name, (rows, *first.shape[1:]), first.dtype) as file:
        for number, part in enumerate(parts):
            array = np.load(part / name, allow_pickle=False)  # [n, ...]
            if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
                raise ValueError(f"{name} of {part} is {array.dtype} {array.shape[1:]}, in the first part {first.dtype} {first.shape[1:]}")
            if shifts is not None:
                array[:, 0] += shifts[number]
            file.write(array)
            (part / name).unlink()
    return file.entry


def _join_offsets(parts: Sequence[Path], target: Path, name: str, lengths: Sequence[int]) -> dict[str, Any]:
    rows = sum(len(np.load(part / name, mmap_mode="r", allow_pickle=False)) - 1 for part in parts)
    before = 0
    with ArrayFile(target / name, (rows + 1,), np.int64) as file:
        file.write(np.zeros(1, dtype=np.int64))  # [1]
        for part, length in zip(parts, lengths, strict=True):
            file.write(np.load(part / name, allow_pickle=False)[1:] + before)  # [rows of the part]
            before += length
            (part / name).unlink()
    return file.entry
