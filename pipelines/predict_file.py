"""Predictions for all records of one file: at once, in parts on disk, or from the parts of several shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import input_error
from shared.workers import one_ahead

from .console import progress, say
from .decisions import Predictor
from .predict_parts import PARTS, SIZE, Plan, Totals, gather, open_parts, part_path, read_part, write_part
from .predict_workers import Opening, predict_parts

if TYPE_CHECKING:
    from tasks.base import Task

    from .ensemble_folder import LoadedEnsemble
    from .run_folder import LoadedRun


@dataclass
class Asked:
    """What is to be predicted: the file ``path`` by ``loaded``, opened by ``how``, for the zip ``target``."""

    how: Opening
    loaded: LoadedRun | LoadedEnsemble
    path: Path
    target: Path
    skip_bad: bool

    @property
    def task(self) -> Task:
        return self.loaded.task

    @property
    def schema(self) -> Any:
        return self.loaded.schema

    @cached_property
    def large(self) -> bool:
        """Whether the file is read piece by piece; a smaller one is held whole."""
        from tasks.chunks import in_chunks

        return in_chunks(self.task, self.path)

    @cached_property
    def _held(self) -> list[Any]:
        from .data_files import read_split

        return read_split(self.task, self.path, self.schema, labelled=False, skip_bad=self.skip_bad)

    def records(self, *, quiet: bool = True) -> Iterator[Any]:
        """The sound records, in order. Raises InputError for bad ones, of a large file at its end. ``quiet``: what is left out was said."""
        from .data_files import stream_records

        if not self.large:
            yield from self._held
            return
        yield from stream_records(self.task, self.path, self.schema, labelled=False, skip_bad=self.skip_bad, quiet=quiet)

    @cached_property
    def count(self) -> int:
        """How many there are. Raises InputError for every bad one, before anything is predicted."""
        return sum(1 for _ in self.records(quiet=False))

    def plan(self, size: int = SIZE) -> Plan:
        """How the file is cut, and what decides its predictions."""
        from shared import __version__
        from shared.files import digest

        settings = [*sorted(self.how.decode), *([] if self.how.n_best is None else [f"n_best={self.how.n_best}"])]
        marks = {"file": digest(self.path), "skip_bad": self.skip_bad, "settings": settings, "lic": __version__, **self._run_marks()}
        return Plan(self.task.name, marks, self.count, size)

    def _run_marks(self) -> dict[str, Any]:
        from shared.files import digest

        from .candidates import run_marks
        from .ensemble_folder import LoadedEnsemble
        from .run_folder import DECISION

        decision = self.loaded.folder / DECISION
        marks: dict[str, Any] = {"decision": digest(decision) if decision.is_file() else None}
        if isinstance(self.loaded, LoadedEnsemble):
            return {**marks, "members": list(self.loaded.marks), "weights_of_members": list(self.loaded.weights)}
        return {**marks, **run_marks(self.loaded.folder)}

    def parts(self, size: int) -> Iterator[tuple[int, list[Any]]]:
        """The records, ``size`` at a time, with the number of the part."""
        records, number = self.records(), 0
        while part := list(islice(records, size)):
            yield number, part
            number += 1


@dataclass
class Found:
    """``rows()`` yields every record with its predictions, in order, once; ``totals`` counts what was yielded, or of a shard what it has.

    ``folder`` holds the parts; ``done()`` says that they are not needed any more.
    """

    source: Callable[[], Iterator[tuple[Any, list[Any]]]]
    totals: Totals = field(default_factory=Totals)
    folder: Path | None = None
    own_folder: bool = False

    def rows(self) -> Iterator[tuple[Any, list[Any]]]:
        self.totals = Totals()
        for record, row in self.source():
            self.totals = self.totals.plus(Totals(1, len(row), not row))
            yield record, row

    def done(self) -> None:
        if self.folder is not None and self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def found_at_once(asked: Asked) -> Found:
    """Predictions for a file that memory holds."""
    records = list(asked.records(quiet=False))
    with progress(f"predict {asked.task.name}") as advance:
        predictions = Predictor(asked.loaded, asked.path)(records, advance)
    return Found(lambda: zip(records, predictions, strict=True))


def found_in_parts(asked: Asked, share: tuple[int, int], *, whole: bool, resume: bool, workers: int = 1) -> Found:
    """Predicts every n-th part of the file from the i-th, ``share`` (i, n), in a folder beside the zip.

    ``whole``: all parts are made by this call or its fellow processes, and the folder is of no use afterwards. Parts that are there already
    stay with ``resume``, and always for a shard. With one of ``workers`` the next part is read and tokenised while one is in the model.
    Raises InputError as :func:`open_parts`.
    """
    index, of = share
    folder = asked.target.with_name(f"{asked.target.name}.parts")
    plan = asked.plan(max(1, min(SIZE, -(-asked.count // (of * PARTS)))))
    there = _open(folder, plan, resume=resume or not whole)
    own = range(index, plan.count, of)
    kept, total = there.intersection(own), _records_of(plan, own)
    done = _records_of(plan, kept)
    if kept:
        say(f"{folder}: {len(kept)} of {len(own)} parts are there already.")
    predictor = Predictor(asked.loaded, asked.path)
    left = ((number, records) for number, records in asked.parts(plan.size) if number in own and number not in there)
    if workers > 1 and len(own) - len(kept) > 1:
        predictor.open_engines(total - done)
        made = predict_parts(asked.how, asked.path, folder, left, workers=min(workers, len(own) - len(kept)))
    else:
        made = _one_after_the_other(asked, predictor, folder, left)
    with progress(f"predict {asked.task.name}", done_before=done) as advance:
        for records in made:
            done += records
            advance(done, total)
    if not whole:
        return Found(lambda: iter(()), Totals(total), folder)
    return Found(lambda: _rows(asked, plan, {number: part_path(folder, number) for number in range(plan.count)}), folder=folder, own_folder=True)


def _records_of(plan: Plan, parts: Iterable[int]) -> int:
    return sum(min(plan.size, plan.records - number * plan.size) for number in parts)


def _one_after_the_other(asked: Asked, predictor: Predictor, folder: Path, parts: Iterator[tuple[int, list[Any]]]) -> Iterator[int]:
    """Writes the parts here; yields the number of records of each."""
    for number, records, features in one_ahead((number, records, predictor.prepare(records)) for number, records in parts):
        write_part(folder, number, asked.task, records, predictor(records, features=features))
        yield len(records)


def _open(folder: Path, plan: Plan, *, resume: bool) -> set[int]:
    """:func:`open_parts`, of several processes the first before all others."""
    from shared.training.parallel import join

    ranks = join()
    there = open_parts(folder, plan, resume=resume) if ranks.first else set()
    ranks.wait()
    return there if ranks.first else open_parts(folder, plan, resume=True)


def found_merged(asked: Asked, folders: Sequence[Path]) -> Found:
    """What the shards in ``folders`` found. Raises InputError as :func:`gather`, and for parts of another file, run or setting than asked."""
    plan, places = gather(folders)
    if asked.plan(plan.size) != plan:
        raise input_error(
            "LIC-X027",
            file=folders[0],
            found="parts of another prediction",
            expected=f"parts for {asked.path} by {asked.loaded.folder}",
            remedy="Name the file, run and settings that the shards were predicted with.",
        )
    return Found(lambda: _rows(asked, plan, places))


def _rows(asked: Asked, plan: Plan, places: dict[int, Path]) -> Iterator[tuple[Any, list[Any]]]:
    for number, records in asked.parts(plan.size):
        yield from zip(records, read_part(places[number], asked.task, records), strict=True)
