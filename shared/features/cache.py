"""Folders kept under a key: the newest sound one of ``KEY``, ``KEY-2``, … is used, a damaged one is left alone and passed over."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from ..files import fsync_folder, whole_or_absent

Loaded = TypeVar("Loaded")


def newest_sound(folder: Path, load: Callable[[Path], Loaded]) -> tuple[Loaded | None, Path, list[InputError]]:
    """What ``load`` makes of the newest of ``folder``, ``folder-2``, … that it does not refuse with an InputError.

    Returns it (None: there is none), its place (else the one where it belongs), and the refusals of newer ones.
    """
    numbered = _numbered(folder)
    refused: list[InputError] = []
    for number in sorted(numbered, reverse=True):
        try:
            return load(numbered[number]), numbered[number], refused
        except InputError as error:
            refused.append(error)
    return None, _name(folder, max(numbered, default=0) + 1), refused


def _numbered(folder: Path) -> dict[int, Path]:
    found = {1: folder} if folder.exists() else {}
    for path in folder.parent.glob(f"{folder.name}-*"):
        ending = path.name[len(folder.name) + 1 :]
        if ending.isdecimal() and int(ending) > 1:
            found[int(ending)] = path
    return found


def _name(folder: Path, number: int) -> Path:
    return folder if number == 1 else folder.with_name(f"{folder.name}-{number}")


@contextlib.contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` (``.NAME….part``) to make something in; removed at the end with what is then in it.

    Nobody reads such folders: one that a killed process left behind costs room only, and another process may still be writing to it.
    """
    with whole_or_absent(folder):
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def move_in(made: Path, folder: Path) -> Path:
    """Renames the complete folder ``made`` to the next free of ``folder``, ``folder-2``, … in one step, and returns it.

    Flushed to the disk before and after. Nothing that is there is replaced, whatever other processes do at the same time.
    """
    fsync_folder(made)
    number = max(_numbered(folder), default=0) + 1
    while True:
        place = _name(folder, number)
        if not place.exists():
            try:
                os.rename(made, place)
            except OSError:
                if not place.exists():
                    raise
            else:
                fsync_folder(place.parent)
                return place
        number += 1
