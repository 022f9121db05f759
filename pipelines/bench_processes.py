"""Candidates of a benchmark as child processes that work when they are told to, and wait while another one does."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, TypeVar

Own = TypeVar("Own", bound="Child")

SETTINGS_OF_A_SHELL = ("OMP_", "MKL_", "KMP_", "FLAGS_", "LIC_", "GLOG_", "MALLOC_")
"""What a candidate that is to run as installed does not inherit."""


def bare_environment() -> dict[str, str]:
    """This process's environment without what speeds up or slows down a numeric library."""
    return {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS_OF_A_SHELL)}


def tuned_environment(threads: int) -> dict[str, str]:
    """The bare environment with threads and MKL's path set, as :mod:`shared.environment` does for our own."""
    return {**bare_environment(), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "MKL_DEBUG_CPU_TYPE": "5"}


class Child:
    """A child process that measures when it is asked to; a context manager that ends it.

    It runs ``script`` under ``python`` with ``arguments``, reads a command a line and answers each with a JSON object a line; first, unasked, with
    what it is (``about``), or with a ``note`` why it cannot be. Raises WorkError (LIC-B009) when it does not start or ends without an answer.
    """

    def __init__(self, script: Path, arguments: list[str], *, name: str, python: str, environment: dict[str, str]):
        self.name, self.note = name, ""
        self.about: dict[str, Any] = {}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        command = [python, str(script), *arguments]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=environment, text=True, encoding="utf-8"
            )
        except OSError as error:
            self.errors.close()
            raise _failed(name, f"{python} does not start ({error.strerror})") from error

    def __enter__(self: Own) -> Own:
        return self

    def wait(self) -> None:
        """Until the process has warmed up, or has said why it cannot."""
        self.about = self._answer()
        self.note = self.about.get("note", "")

    def __exit__(self, *_: object) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.process.wait()
        self.errors.seek(0)
        last = self.errors.read().decode(errors="replace").strip().splitlines()[-1:]
        raise _failed(self.name, f"exit code {self.process.returncode}{': ' + last[0] if last else ''}")


def _failed(name: str, found: str) -> Exception:
    from shared.errors import work_error

    return work_error(
        "LIC-B009", found=f"{name}: {found}", expected="a process that measures", remedy="Mend it, or leave that peer out with --peer."
    )


def check_peers(given: list[str] | None, known: tuple[str, ...]) -> list[str]:
    """The peers that ``--peer`` names: all without it, none for ``none``. Raises InputError (LIC-B005) for one that is not ``known``."""
    from shared.errors import input_error

    chosen = list(known) if not given else [name for name in given if name != "none"]
    if not set(chosen) <= set(known):
        raise input_error("LIC-B005", found=f"--peer {' '.join(chosen)}", expected=f"{', '.join(known)} or none", remedy="Name one of these.")
    return chosen
