"""A track's data folder, read for work: bad records stop it, or are counted under ``--skip-bad``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import InputError, Problem, input_error
from tasks.base import Task

from .console import progress, say, say_problems

if TYPE_CHECKING:
    from tasks.recipe import Recipe

SHOWN = 20


@dataclass(frozen=True)
class LabelledData:
    """A track with a checked recipe and its labelled splits: the start of everything that trains.

    ``paths`` of ``train`` and ``dev``; ``dev``: the sound records of dev. Those of train are not held: they may be more than memory.
    """

    task: Task
    recipe: Recipe
    folder: Path
    schema: Any
    paths: dict[str, Path]
    dev: list[Any]
    skip_bad: bool
    workers: int | None = None

    @property
    def texts(self) -> Iterable[str]:
        """The texts of the training records in use, for a vocabulary of their own; read anew each time they are gone through."""
        return _Texts(self)

    def train_records(self, indices: Iterable[int]) -> list[Any]:
        """The training records numbered ``indices``, ascending, from 0 as in ``record_index`` of their features: what a fold is scored on."""
        wanted = set(indices)
        return [record for number, record in enumerate(self._train(max(wanted, default=-1) + 1)) if number in wanted]

    def records_in_use(self) -> Iterator[Any]:
        """The training records, in order: the first ``training.max_records``."""
        return self._train(self.recipe.training.max_records)

    @property
    def files(self) -> dict[str, Path]:
        """Every file that decides a training, by what a run's ``config.toml`` calls it."""
        from .extra_data import extra_paths

        return {**self.paths, **extra_paths(self.recipe)}

    def _train(self, limit: int | None, *, texts: bool = False) -> Iterator[Any]:
        return _stream(
            self.task,
            self.paths["train"],
            self.schema,
            labelled=True,
            skip_bad=self.skip_bad,
            limit=limit,
            quiet=True,
            texts=texts,
            workers=self.workers,
        )


@dataclass(frozen=True)
class _Texts:
    opened: LabelledData

    def __iter__(self) -> Iterator[str]:
        return self.opened._train(self.opened.recipe.training.max_records, texts=True)


def open_labelled(
    track: str, *, data: Path | None, recipe: str | Recipe, overrides: tuple[str, ...], skip_bad: bool, workers: int | None = None
) -> LabelledData:
    """Checks the recipe (a name, a file or a checked one), then reads schema and dev.

    Train is left to :func:`pipelines.preprocess.features_of_file`, which also says what is left out.

    ``workers``: processes that read large files; default: a usable core each.
    """
    from tasks.official import find_split
    from tasks.recipe import load_recipe
    from tasks.registry import get_task

    from .extra_data import check_extra

    task = get_task(track)
    settings = load_recipe(task.recipes, recipe, overrides, check=task.check_recipe) if isinstance(recipe, str) else recipe
    check_extra(track, settings)
    folder = data_folder(track, data)
    schema = open_schema(task, folder)
    paths = {split: find_split(track, folder, split) for split in ("train", "dev")}
    dev = read_split(task, paths["dev"], schema, labelled=True, skip_bad=skip_bad, quiet=True)
    return LabelledData(task, settings, folder, schema, paths, dev, skip_bad, workers)


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


def read_split(task: Task, path: Path, schema: Any, *, labelled: bool | None, skip_bad: bool, quiet: bool = False) -> list[Any]:
    """Records of one file. Raises InputError with every problem unless ``skip_bad``, which goes on with the sound records and says the count.

    ``quiet``: somebody else says it.
    """
    result = task.read_records(path, schema, labelled=labelled)
    check_read(task, path, result.problems, result.skipped, len(result.records), skip_bad=skip_bad, quiet=quiet)
    return result.records


def stream_records(
    task: Task, path: Path, schema: Any, *, labelled: bool | None, skip_bad: bool, limit: int | None = None, quiet: bool = False
) -> Iterator[Any]:
    """The same one after the other, at most ``limit``; memory does not grow with a file of JSON lines.

    Problems are known, and raised or said, where the file ends: an InputError may come after sound records; a file whose first ``limit`` records
    are all that is asked for is not read to its end.
    """
    return _stream(task, path, schema, labelled=labelled, skip_bad=skip_bad, limit=limit, quiet=quiet)


def _stream(
    task: Task,
    path: Path,
    schema: Any,
    *,
    labelled: bool | None,
    skip_bad: bool,
    limit: int | None,
    quiet: bool,
    texts: bool = False,
    workers: int | None = 1,
) -> Iterator[Any]:
    from shared.environment import usable_cores
    from tasks.chunks import Source, in_chunks, stream

    count, many = 0, workers or usable_cores()
    with (
        progress(f"{'texts' if texts else 'records'} of {path.name}, lines") if in_chunks(task, path) else nullcontext() as advance,
        closing(stream(Source(task, path, schema, labelled), texts=texts, workers=many, progress=advance)) as records,
    ):
        while limit is None or count < limit:
            try:
                yield next(records)
            except StopIteration as end:
                check_read(task, path, end.value.problems, end.value.skipped, count, skip_bad=skip_bad, quiet=quiet)
                return
            count += 1


def check_read(
    task: Task, path: Path, problems: Sequence[Problem], skipped: int, sound: int, *, skip_bad: bool, quiet: bool = False
) -> None:
    """Raises InputError for a file with ``problems`` unless ``skip_bad``, which says them; and for one without a ``sound`` record."""
    if problems and not skip_bad:
        raise InputError(*problems)
    if problems and not quiet:
        say_problems(problems, limit=SHOWN, rest=f"lic data check {task.name} {path} lists all")
        say_skipped(path, skipped, sound)
    if not sound:
        raise input_error("LIC-D031", file=path, found="no sound record", expected="at least one", remedy=f"See lic data check {task.name}.")


def say_skipped(path: Path, skipped: int, sound: int) -> None:
    say(f"{path}: went on without {skipped} bad records; {sound} are left.")
