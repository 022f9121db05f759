"""Files that are whole or absent: written aside, flushed to disk, then renamed into place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "wb", **options: Any) -> Iterator[IO]:
    """Opens a temporary file beside ``path``; on a clean exit it is fsynced and renamed to ``path``, else removed.

    What fails leaves no file, and no folder that was made for it. An OSError about the temporary file names ``path``.
    """
    path = Path(path)
    if "b" not in mode:
        options = {"encoding": "utf-8", "newline": "\n", **options}
    aside = None
    with whole_or_absent(path):
        try:
            handle, aside = tempfile.mkstemp(prefix=f".{path.name[:200]}.", suffix=".part", dir=path.parent)
            with os.fdopen(handle, mode, **options) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(aside, 0o666 & ~umask)
            os.replace(aside, path)
        except BaseException:
            if aside is not None:
                with contextlib.suppress(OSError):
                    os.unlink(aside)
            raise
    fsync_folder(path.parent)


@contextlib.contextmanager
def whole_or_absent(path: Path) -> Iterator[None]:
    """Makes the parents of ``path`` for a body that writes it aside (as ``.NAME….part``) and renames it.

    When the body fails, the parents that were made are removed if nothing else came into them, and an OSError that names no file or the
    one aside is raised as one that names ``path``.
    """
    missing = [folder for folder in path.parents if not folder.exists()]  # the innermost first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and error.errno is not None and (error.filename is None or _is_aside(error.filename)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _is_aside(name: Any) -> bool:
    return any(part.endswith(".part") for part in Path(str(name)).parts)


@contextlib.contextmanager
def whole_folder(folder: str | Path, *, marker: str) -> Iterator[Path]:
    """Yields a folder aside to write into; on a clean exit it becomes ``folder``, else it is removed.

    An older folder of that name is replaced if it is empty or holds a file ``marker``, which says that it is of the same kind, and only
    once the new one is complete. Raises ValueError for any other folder or file of that name.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / marker).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and holds no {marker}, so it is something else and is left alone: give another folder")
    aside = None
    with whole_or_absent(folder):
        try:
            aside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:200]}.", suffix=".part", dir=folder.parent))
            new, old = aside / "new", aside / "old"
            new.mkdir()
            yield new
            if not folder.exists():
                os.replace(new, folder)
                return
            os.replace(folder, old)
            try:
                os.replace(new, folder)
            except BaseException:
                os.replace(old, folder)
                raise
        finally:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)


class LineLog:
    """A file of JSON lines, each whole or absent even when the disk fills up; written through at once.

    It begins anew, or with ``append`` goes on behind the whole lines that are there; what a killed process left of another is cut off.
    """

    def __init__(self, path: str | Path, *, append: bool = False):
        self.path = Path(path)
        self._file = open(self.path, "ab" if append else "wb", buffering=0)  # noqa: SIM115
        if append:
            self._file.seek(self._file.truncate(self.path.read_bytes().rfind(b"\n") + 1))

    def write(self, **values: Any) -> None:
        """Appends one object."""
        data = (json.dumps(values, ensure_ascii=False) + "\n").encode()
        begin = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except BaseException as error:
            with contextlib.suppress(OSError):
                self._file.truncate(begin)
                self._file.seek(begin)
            if isinstance(error, OSError):
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            raise

    def __enter__(self) -> LineLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def fsync_folder(folder: Path) -> None:
    """Makes the names in ``folder`` last, where the file system can."""
    with contextlib.suppress(OSError):  # not every file system lets a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: str | Path, value: Any) -> None:
    """Writes ``value`` as readable JSON, atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal checksum of a file's bytes."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()
