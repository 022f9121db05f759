"""A track's data folder, read for work: bad records stop it, or are counted under ``--skip-bad``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import InputError, input_error
from tasks.base import Task

from .console import say

SHOWN = 20


def data_folder(track: str, folder: Path | None) -> Path:
    """``folder``, or ``data/<track>`` where ``lic data import`` puts the official files."""
    folder = folder or Path("data") / track
    if not folder.is_dir():
        raise input_error(
            "LIC-D030",
            file=folder,
            found="no such folder" if not folder.exists() else "a file",
            expected=f"a folder with the {track} track's files",
            remedy=f"Import the official archive: lic data import {track} ARCHIVE; or name a folder with --data.",
        )
    return folder


def read_split(task: Task, path: Path, schema: Any, *, labelled: bool | None, skip_bad: bool) -> list[Any]:
    """Records of one file. Raises InputError with every problem unless ``skip_bad``, which goes on with the sound records and says the count."""
    result = task.read_records(path, schema, labelled=labelled)
    if result.problems and not skip_bad:
        raise InputError(*result.problems)
    if result.problems:
        for problem in result.problems[:SHOWN]:
            say(str(problem))
        if len(result.problems) > SHOWN:
            say(f"… and {len(result.problems) - SHOWN} more problems; lic data check {task.name} {path} lists all.")
        say(f"{path}: went on without {result.skipped} bad records; {len(result.records)} are left.")
    if not result.records:
        raise input_error("LIC-D031", file=path, found="no sound record", expected="at least one", remedy=f"See lic data check {task.name}.")
    return result.records
