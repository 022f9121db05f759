"""Checkpoints of a run on disk: each a folder that appears whole or not at all, with checksums inside; the newest whole one counts.

``checkpoints/0000007-step-1200/`` holds ``manifest.json`` (sizes and SHA-256 of the others), ``state.json`` (counters), ``weights``,
``optimizer`` and perhaps ``ema.safetensors``, and ``metrics.jsonl``, the figures written so far. The first number only grows, so that
nothing is ever written over; ``….part`` folders are what a killed process left of writing or pruning, and nobody reads them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, input_error
from ..files import atomic_write, digest, fsync_folder, whole_or_absent, write_json
from .checkpoint import load_arrays, save_arrays
from .run_state import RunState

MANIFEST, COUNTERS, FIGURES = "manifest.json", "state.json", "metrics.jsonl"
_NAME = re.compile(r"(\d{7,})-step-(\d+)")
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Found:
    """The newest whole checkpoint: its folder, state and figures. ``passed_over``: what was wrong with newer ones."""

    folder: Path
    state: RunState
    figures: bytes
    passed_over: tuple[InputError, ...] = ()


def save_snapshot(root: str | Path, state: RunState, figures: bytes, *, keep: int) -> Path:
    """Writes a checkpoint under ``root`` and then removes whole ones until the newest ``keep`` are left; returns its folder.

    Damaged folders are neither counted nor removed: checksums of the older ones are computed for that. What fails leaves nothing of the
    new one, and the older ones as they were.
    """
    root = Path(root)
    listed = _listed(root)
    step = int(state.counters["progress"]["step"])
    folder = root / f"{listed[-1][0] + 1 if listed else 1:07}-step-{step}"
    with whole_or_absent(folder):
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=root))
        try:
            for name, arrays in state.arrays.items():
                save_arrays(aside / f"{name}.safetensors", arrays)
            write_json(aside / COUNTERS, dict(state.counters))
            with atomic_write(aside / FIGURES) as file:
                file.write(figures)
            entries = {path.name: {"bytes": path.stat().st_size, "sha256": digest(path)} for path in sorted(aside.iterdir())}
            write_json(aside / MANIFEST, {"files": entries})
            os.replace(aside, folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    fsync_folder(root)
    whole = [path for _, path in _listed(root) if path == folder or _is_whole(path)]
    for path in whole[: max(0, len(whole) - keep)]:
        _remove(path)
    return folder


def newest_snapshot(root: str | Path, *, accept: Callable[[RunState, Path], None] | None = None) -> Found | None:
    """The newest checkpoint under ``root`` whose checksums hold; None when there is none. ``accept`` may refuse one by an InputError."""
    refused: list[InputError] = []
    for _, path in reversed(_listed(Path(root))):
        try:
            found = _read(path)
            if accept is not None:
                accept(found.state, path)
            return Found(found.folder, found.state, found.figures, tuple(refused))
        except InputError as error:
            refused.append(error)
    if refused:
        raise InputError(*(problem for error in refused for problem in error.problems))
    return None


def clear_leftovers(root: str | Path) -> int:
    """Removes what killed processes left half-written under ``root``; only for who holds the run's lock. Returns how many."""
    left = list(Path(root).glob(".*.part"))
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    return len(left)


def _listed(root: Path) -> list[tuple[int, Path]]:
    """Checkpoint folders by their number, ascending."""
    if not root.is_dir():
        return []
    return sorted((int(match[1]), path) for path in root.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir())


def _remove(folder: Path) -> None:
    """First out of the way in one step, so that half of it is never taken for a checkpoint."""
    aside = folder.with_name(f".{folder.name}.part")
    os.replace(folder, aside)
    shutil.rmtree(aside)


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    return entries


def _is_whole(folder: Path) -> bool:
    try:
        _checked(folder)
    except _DAMAGE:
        return False
    return True


def _checked(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest's entries; raises one of ``_DAMAGE`` where the files are not what it says."""
    entries = _entries(folder)
    for name, entry in entries.items():
        if (folder / name).stat().st_size != entry["bytes"] or digest(folder / name) != entry["sha256"]:
            raise ValueError(f"{name} is not what was written")
    return entries


def _read(folder: Path) -> Found:
    try:
        entries = _checked(folder)
        counters = json.loads((folder / COUNTERS).read_text(encoding="utf-8"))
        names = [name for name in entries if name.endswith(".safetensors")]
        arrays = {name.removesuffix(".safetensors"): load_arrays(folder / name)[0] for name in names}
        figures = (folder / FIGURES).read_bytes()
    except _DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise input_error(
            "LIC-K006",
            file=folder,
            found=f"a damaged checkpoint ({error})",
            expected="a checkpoint as it was written",
            remedy="It is passed over and left alone; look at the disk.",
        ) from error
    return Found(folder, RunState(arrays, counters), figures)
