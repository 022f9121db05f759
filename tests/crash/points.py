"""Counts what a process does to its files, and strikes there: before, within and after each write, flush to the disk, rename and removal.

Only what lies under one folder counts, so that the same work gives the same points. Nothing of the product knows of this: the
functions of the standard library that it calls are wrapped, in a child process.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("replace", "rename", "link", "unlink", "remove", "rmdir", "mkdir")


class Points:
    """``signals``: number of a point, from 1, to the signal that this process sends itself there. ``full_from``: the first point from
    which on the disk is full: half of what is written arrives, and nothing new can be made. ``seen``: every point as ``phase kind name``.
    """

    def __init__(self, folder: Path, *, signals: dict[int, int] | None = None, full_from: int | None = None):
        self.folder = str(folder.resolve())
        self.signals, self.full_from = signals or {}, full_from
        self.seen: list[str] = []
        self._open = builtins.open

    def install(self) -> None:
        """Wraps what writes, for the rest of this process's life."""
        for name in NAMES:
            setattr(os, name, self._around(getattr(os, name), name))
        os.fsync = self._fsync(os.fsync)  # type: ignore[assignment]
        builtins.open = io.open = self._opener  # type: ignore[assignment]

    def reach(self, phase: str, kind: str, name: str) -> bool:
        """Passes a point; True when the disk is full there."""
        self.seen.append(f"{phase} {kind} {name}")
        number = len(self.seen)
        if number in self.signals:
            os.kill(os.getpid(), self.signals[number])
            signal.getsignal(signal.SIGTERM)  # a bytecode boundary: Python runs its handlers here
        return self.full_from is not None and number >= self.full_from

    # -- names -----------------------------------------------------------------------------------------------------

    def _around(self, call: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            name = self._inside(arguments[0], options.get("dir_fd"))
            if name is None or (kind == "mkdir" and os.path.isdir(arguments[0])):
                return call(*arguments, **options)
            if self.reach("before", kind, name) and kind in ("mkdir", "link"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
            done = call(*arguments, **options)
            self.reach("after", kind, name)
            return done

        return wrapped

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def wrapped(descriptor: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            name = self._inside(path, None)
            if name is None:
                return call(descriptor)
            kind = "fsync-folder" if os.path.isdir(path) else "fsync"
            self.reach("before", kind, name)
            call(descriptor)
            self.reach("after", kind, name)
            return None

        return wrapped

    def _inside(self, path: Any, folder: int | None) -> str | None:
        """The path under the folder that counts, without what is random in it; None outside."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        base = os.getcwd() if folder is None else os.readlink(f"/proc/self/fd/{folder}")
        whole = os.path.normpath(os.path.join(base, os.fsdecode(path)))
        if not whole.startswith(self.folder + "/"):
            return None
        return re.sub(r"\.[a-z0-9_]{8}\.part(?=/|$)", ".part", whole.removeprefix(self.folder + "/"))

    # -- files -----------------------------------------------------------------------------------------------------

    def _opener(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        name = self._inside(file, None) if set(mode) & set("wax+") else None
        if name is not None and not isinstance(file, int):
            full = self.reach("before", "open", name)
            if full and not os.path.exists(file):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        opened = self._open(file, mode, *arguments, **options)
        return opened if name is None else Watched(opened, name, self)


class Watched:
    """An open file whose writes are points. What was written before a point has reached the file there."""

    def __init__(self, file: Any, name: str, points: Points):
        self._file, self._name, self._points = file, name, points

    def write(self, data: Any) -> Any:
        points, file, name = self._points, self._file, self._name
        units = len(data) if isinstance(data, str) else memoryview(data).nbytes
        file.flush()
        points.reach("before", "write", name)
        half = data[: units // 2] if isinstance(data, str) else memoryview(data).cast("B")[: units // 2]
        rest = data[units // 2 :] if isinstance(data, str) else memoryview(data).cast("B")[units // 2 :]
        file.write(half)
        file.flush()
        if points.reach("within", "write", name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(rest)
        file.flush()
        points.reach("after", "write", name)
        return units

    def truncate(self, *arguments: Any) -> Any:
        self._points.reach("before", "truncate", self._name)
        done = self._file.truncate(*arguments)
        self._points.reach("after", "truncate", self._name)
        return done

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
