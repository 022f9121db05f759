"""A track's data folder, read for work: bad records stop it, or are counted under ``--skip-bad``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import InputError, input_error
from tasks.base import Task

from .console import say, say_problems

if TYPE_CHECKING:
    from tasks.recipe import Recipe

SHOWN = 20


@dataclass(frozen=True)
class LabelledData:
    """A track with a checked recipe and its labelled splits, ``train`` and ``dev``: the start of everything that trains."""

    task: Task
    recipe: Recipe
    folder: Path
    schema: Any
    paths: dict[str, Path]
    records: dict[str, list[Any]]

    @property
    def texts(self) -> list[str]:
        """The training texts, for a vocabulary of their own."""
        return [self.task.text_of(record) for record in self.records["train"]]


def open_labelled(track: str, *, data: Path | None, recipe: str, overrides: tuple[str, ...], skip_bad: bool) -> LabelledData:
    """Checks the recipe, then reads schema, train and dev; the first ``training.max_records`` of train, saying so."""
    from tasks.official import find_split
    from tasks.recipe import load_recipe
    from tasks.registry import get_task

    task = get_task(track)
    settings = load_recipe(task.recipes, recipe, overrides, check=task.check_recipe)
    folder = data_folder(track, data)
    schema = open_schema(task, folder)
    paths = {split: find_split(track, folder, split) for split in ("train", "dev")}
    records = {split: read_split(task, path, schema, labelled=True, skip_bad=skip_bad) for split, path in paths.items()}
    limit = settings.training.max_records
    if limit is not None and limit < len(records["train"]):
        say(f"training.max_records = {limit}: the first {limit} of {len(records['train'])} training records are used.")
        records["train"] = records["train"][:limit]
    return LabelledData(task, settings, folder, schema, paths, records)


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


def open_schema(task: Task, folder: Path, path: Path | None = None) -> Any | None:
    """The schema of a data folder, or that of ``path``; None for a track without one."""
    from tasks.official import find_split, has_schema

    if has_schema(task.name):
        return task.read_schema(path or find_split(task.name, folder, "schema"))
    if path is not None:
        raise input_error(
            "LIC-D032", file=path, found="a schema", expected=f"none: the {task.name} track has no schema", remedy="Leave --schema out."
        )
    return None


def read_split(task: Task, path: Path, schema: Any, *, labelled: bool | None, skip_bad: bool) -> list[Any]:
    """Records of one file. Raises InputError with every problem unless ``skip_bad``, which goes on with the sound records and says the count."""
    result = task.read_records(path, schema, labelled=labelled)
    if result.problems and not skip_bad:
        raise InputError(*result.problems)
    if result.problems:
        say_problems(result.problems, limit=SHOWN, rest=f"lic data check {task.name} {path} lists all")
        say(f"{path}: went on without {result.skipped} bad records; {len(result.records)} are left.")
    if not result.records:
        raise input_error("LIC-D031", file=path, found="no sound record", expected="at least one", remedy=f"See lic data check {task.name}.")
    return result.records
