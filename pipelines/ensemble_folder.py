"""The folder of an ensemble: ``ensemble.toml`` names its members, their weights and checksums; ``decision.json`` says what their votes decide."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from shared.errors import InputError, Problem, input_error
from shared.files import write_text
from tasks.official import has_schema
from tasks.recipe import tomllib
from tasks.registry import get_task

from .run_folder import CONFIG, ENSEMBLE, WEIGHTS, LoadedRun, load_run

if TYPE_CHECKING:
    from tasks.base import Task


@dataclass(frozen=True)
class LoadedEnsemble:
    """An ensemble that is ready to predict. Its members are loaded one after the other, when they are asked."""

    folder: Path
    task: Task
    schema: Any
    data: Path
    members: tuple[Path, ...]
    weights: tuple[float, ...]
    marks: tuple[dict[str, str], ...]
    """Checksums of each member's weights and settings."""
    engine: str = "eager"
    """Which engine its members are to predict with."""


def write_ensemble(
    folder: Path, *, place: Path, track: str, data: Path, members: Sequence[Path], weights: Sequence[float], marks: Sequence[dict[str, str]]
) -> None:
    """``place``: what ``folder`` will be called; members are written relative to it, so that a folder of runs may be moved as a whole."""
    rows = [
        {"run": _relative(member, place), "weight": float(weight), **{f"{name}_sha256": value for name, value in mark.items()}}
        for member, weight, mark in zip(members, weights, marks, strict=True)
    ]
    write_text(folder / ENSEMBLE, tomli_w.dumps({"ensemble": {"track": track, "data": str(data.resolve())}, "members": rows}))


def _relative(member: Path, place: Path) -> str:
    try:
        return Path(os.path.relpath(member.resolve(), place.resolve())).as_posix()
    except ValueError:  # on another drive
        return str(member.resolve())


def open_run(folder: Path, track: str | None = None) -> LoadedRun | LoadedEnsemble:
    """A run or an ensemble, ready to predict. Raises InputError as :func:`pipelines.run_folder.load_run` does, and for every member of an
    ensemble that is missing or not what it was."""
    if not (folder / ENSEMBLE).is_file():
        return load_run(folder, track)
    values = read_ensemble(folder)
    own = values["ensemble"]["track"]
    if track is not None and own != track:
        raise input_error(
            "LIC-U005",
            file=folder,
            found=f"an ensemble of track {own}",
            expected=f"a run of track {track}",
            remedy="Give another folder with --run.",
        )
    task = get_task(own)
    members = tuple(folder / row["run"] for row in values["members"])
    marks = tuple({name: row[f"{name}_sha256"] for name in ("weights", "config")} for row in values["members"])
    problems = [problem for member, mark in zip(members, marks, strict=True) if (problem := _changed(folder, member, mark)) is not None]
    if problems:
        raise InputError(*problems)
    schema = task.read_schema(members[0] / "schema.json") if has_schema(own) else None
    weights = tuple(float(row["weight"]) for row in values["members"])
    return LoadedEnsemble(folder, task, schema, Path(values["ensemble"]["data"]), members, weights, marks)


def read_ensemble(folder: Path) -> dict[str, Any]:
    """Raises InputError for an ``ensemble.toml`` that is none."""
    from tasks.candidates import active_members

    path = folder / ENSEMBLE
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        (values["ensemble"]["track"], values["ensemble"]["data"])
        rows = [(str(row["run"]), float(row["weight"]), row["weights_sha256"], row["config_sha256"]) for row in values["members"]]
        active_members([weight for _, weight, *_ in rows])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        fault = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise input_error(
            "LIC-U055", file=path, found=fault, expected="an ensemble.toml as lic ensemble writes it", remedy="Run lic ensemble again."
        ) from error
    return values


def _changed(folder: Path, member: Path, mark: dict[str, str]) -> Problem | None:
    from .candidates import run_marks

    if not all((member / name).is_file() for name in (CONFIG, WEIGHTS)):
        return Problem(
            "LIC-U056",
            f"no trained run in {member}, which is a member",
            "every member where it was",
            "Put it back, or run lic ensemble again without it.",
            str(folder / ENSEMBLE),
        )
    if run_marks(member) != mark:
        return Problem(
            "LIC-U057",
            f"other weights or settings in {member} than when it became a member",
            "the very runs that the votes were weighed for",
            "Run lic ensemble again.",
            str(folder / ENSEMBLE),
        )
    return None
