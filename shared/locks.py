"""One writer a folder: a lock that dies with its owner."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .errors import input_error

try:
    import fcntl
except ImportError:  # no POSIX: the owner is written down, but nothing keeps a second one out
    fcntl = None  # type: ignore[assignment]

LOCK = "run.lock"


class FolderLock:
    """Holds ``folder`` while the context lasts; the kernel lets go of it when the process dies, however it dies.

    ``run.lock`` in the folder names the owner. ``taken_over`` names a dead owner who left one behind, else it is None.
    Raises InputError (LIC-U020) when a living process holds the folder.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder) / LOCK
        self.taken_over: str | None = None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FolderLock:
        while True:
            file = open(self.path, "a+b", buffering=0)
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_there(file):
                    break
                file.close()  # its last owner removed it just now
            except BlockingIOError:
                owner = _owner(file)
                file.close()
                raise input_error(
                    "LIC-U020",
                    file=self.path.parent,
                    found=f"a run that {owner or 'another process'} is writing",
                    expected="a run that nobody works on",
                    remedy="Wait for it or stop it, or name another folder with --run.",
                ) from None
            except BaseException:
                file.close()
                raise
        self._file = file
        try:
            self.taken_over = _owner(file)
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        except BaseException:  # a full disk
            self._let_go()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._let_go()

    def _let_go(self) -> None:
        assert self._file is not None
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self._file.close()
            self._file = None

    def _is_there(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False


def _owner(file: IO[bytes]) -> str | None:
    file.seek(0)
    try:
        said: Any = json.loads(file.read())
        return f"process {int(said['pid'])} on {said['host']}"
    except (ValueError, KeyError, TypeError):
        return None
