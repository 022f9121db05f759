"""Where a submission goes: made aside, checked, put in its place without losing what stood there."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .console import say

if TYPE_CHECKING:
    from shared.errors import Problem


def check_out(out: Path) -> None:
    """Raises InputError for an output that cannot be a zip, or beside which the bare file would replace one that is not its own."""
    from shared.errors import input_error

    if out.suffix.lower() != ".zip" or out.is_dir():
        found = "a folder" if out.is_dir() else "an output that is no zip"
        raise input_error("LIC-U008", file=out, found=found, expected="a path ending in .zip", remedy="Correct --out.")
    bare = out.with_suffix(".json")
    if bare.exists() and not _is_member(bare, out):
        raise input_error(
            "LIC-U012",
            file=bare,
            found="a file that is not in the zip of that name, where the bare predictions would go",
            expected=f"none, or the predictions that {out.name} holds",
            remedy="Name another zip with --out, or move this file away.",
        )


def _is_member(bare: Path, path: Path) -> bool:
    """Whether the file ``bare`` is what the zip ``path`` holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1 or not bare.is_file() or archive.getinfo(names[0]).file_size != bare.stat().st_size:
                return False
            with archive.open(names[0]) as member, bare.open("rb") as own:
                return all(one == other for one, other in zip(_pieces(member), _pieces(own), strict=True))
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError):
        return False


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, 1 << 20), b"")


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A path of the same name in a folder of its own beside ``target``, which is removed in the end."""
    from shared.files import whole_or_absent

    with whole_or_absent(target):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent))
        try:
            yield folder / target.name
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def require_sound(target: Path, problems: Sequence[Problem]) -> None:
    """Raises WorkError unless the zip would be accepted."""
    from shared.errors import Problem, WorkError

    if problems:
        found = f"a zip with {len(problems)} problems, which is not kept"
        fault = Problem("LIC-P001", found, "one that would be accepted", "This is a fault of lic: please report it.", str(target))
        raise WorkError(fault, *problems[:10])


def put(made: Path, target: Path, *, keep: bool) -> None:
    """Moves the zip ``made`` and its bare file to ``target``; with ``keep``, another pair that stands there gets the next free name.

    Killed at any moment, it leaves a whole zip at ``target``, the earlier or the new one, and beside it that one's bare file or none; what
    is kept is copied first, so a later call keeps it once.
    """
    from shared.files import atomic_write, fsync_folder

    bare, old_bare = made.with_suffix(".json"), target.with_suffix(".json")
    pairs = [(bare, old_bare), (made, target)]
    if keep and all(_same(new, old) for new, old in pairs):
        return
    earlier = [old for _, old in pairs if old.exists()]
    if keep and not all(_same(new, old) for new, old in pairs if old in earlier):
        number = 1
        while not all(_is_free(path, number, target) for path in (old_bare, target)):
            number += 1
        kept = [path.with_stem(f"{path.stem}-{number}") for path in earlier]
        for path, copy in zip(earlier, kept, strict=True):
            with atomic_write(copy) as file, path.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        say(f"{target}: the earlier predictions differ and are kept as {' and '.join(path.name for path in kept)}.")
    old_bare.unlink(missing_ok=True)  # a zip beside the bare file of another would be refused by the next call
    os.replace(made, target)
    os.replace(bare, old_bare)
    fsync_folder(target.parent)


def _is_free(path: Path, number: int, target: Path) -> bool:
    """Whether ``path`` may be kept under ``number``: nothing is there, or what an earlier call that was killed kept of this very pair."""
    place = path.with_stem(f"{path.stem}-{number}")
    return not place.exists() or _same(place, path) or (path != target and not path.exists() and _is_member(place, target))


def _same(new: Path, old: Path) -> bool:
    return old.is_file() and new.is_file() and filecmp.cmp(new, old, shallow=False)
