"""A lab at work: its settings, a folder of steps that are done once, trainings that go on where they stopped, figures, and the report."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from pydantic import Field

from shared.errors import input_error
from tasks.recipe import Settings

from ..console import say, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS, METRICS, TIMING, REPORT = "settings.json", "metrics.json", "timing.json", "README.md"
STEPS, RUNS = "steps", "runs"


class LabSettings(Settings):
    """What every lab can be told with ``--set``."""

    seed: int = Field(42, ge=0)


Kind = TypeVar("Kind", bound=LabSettings)
Steps = Mapping[str, Any]
"""JSON values and NumPy arrays by name."""


@dataclass(frozen=True)
class Lab(Generic[Kind]):
    """A lab as its module says it: ``quick`` are the settings of the form that takes seconds; ``run`` does it all on a :class:`Work`."""

    settings: type[Kind]
    quick: Mapping[str, Any]
    run: Callable[[Work[Kind]], None]


@dataclass(frozen=True)
class Training:
    """A finished run. ``best``: dev scores of the weights kept; ``dev``: every evaluation, ``(step, scores)``; ``loss``: ``(step, loss)``."""

    folder: Path
    best: Mapping[str, float]
    dev: Sequence[tuple[int, Mapping[str, float]]]
    loss: Sequence[tuple[int, float]]
    spent: Sequence[float]
    """Seconds of all steps up to each evaluation of ``dev``, evaluations not counted."""
    seconds: float
    """Of all steps, evaluations not counted."""

    @property
    def score(self) -> float:
        """Of the dev scores of the weights kept the one that decides."""
        return list(self.best.values())[-1]


@dataclass
class Work(Generic[Kind]):
    """What a lab's ``run`` is given. ``data``: a folder with one folder a track or task.

    A lab calls :meth:`step` and :meth:`train` for everything that takes time, then :meth:`figure` for pictures, and ends with
    :meth:`report`. Called again in the same folder, steps that were done are read, and trainings go on where they stopped.
    """

    name: str
    settings: Kind
    data: Path
    folder: Path
    quick: bool = False
    pictures: list[tuple[str, str]] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    """Tracks whose data was asked for."""

    def step(self, name: str, make: Callable[[], Steps]) -> dict[str, Any]:
        """What ``make`` returns, computed once: JSON values, and arrays, which are kept as safetensors.

        The generators are seeded from the lab's seed and ``name``.
        """
        from shared.files import atomic_write, write_json

        place = self.folder / STEPS / f"{name}.json"
        if place.is_file():
            return self._read(place)
        say(f"lab {self.name}: {name}")
        self.seed(name)
        made = make()
        arrays = {key: np.ascontiguousarray(value) for key, value in made.items() if isinstance(value, np.ndarray)}
        if arrays:
            from safetensors.numpy import save

            with atomic_write(place.with_suffix(".safetensors")) as file:
                file.write(save(arrays))
        write_json(place, {"values": {key: value for key, value in made.items() if key not in arrays}, "arrays": sorted(arrays)})
        return self._read(place)

    def _read(self, place: Path) -> dict[str, Any]:
        import json

        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            kept = json.loads(place.read_text(encoding="utf-8"))
            found = load_file(place.with_suffix(".safetensors")) if kept["arrays"] else {}
            return {**kept["values"], **{key: found[key] for key in kept["arrays"]}}
        except (ValueError, KeyError, TypeError, FileNotFoundError, SafetensorError) as error:
            raise input_error(
                "LIC-L003",
                file=place,
                found=f"a step that cannot be read ({str(error) or type(error).__name__})",
                expected="what this lab wrote",
                remedy="Remove that file, and the lab does the step again; or begin anew with --fresh.",
            ) from error

    def seed(self, name: str) -> int:
        """Seeds Paddle, NumPy and Python for the part ``name``, whatever was drawn before; returns the seed."""
        import paddle

        number = int.from_bytes(hashlib.sha256(f"{self.settings.seed} {name}".encode()).digest()[:4], "big")
        paddle.seed(number)
        np.random.seed(number)  # noqa: NPY002 (what libraries below may draw from)
        random.seed(number)
        return number

    def train(self, name: str, track: str, *, recipe: str, overrides: Sequence[str] = ()) -> Training:
        """A run of ``lic train`` in this lab's folder, begun, gone on with, or read if it is finished."""
        from ..run_folder import is_begun
        from ..train import train

        target = self.folder / RUNS / name
        train(track, data=self.data_of(track), recipe=recipe, overrides=tuple(overrides), run=target, resume=is_begun(target))
        return read_training(target)

    def data_of(self, track: str) -> Path:
        """The track's folder of data. Raises InputError when there is none."""
        found = self.data / track
        if track not in self.used:
            self.used.append(track)
        if not found.is_dir():
            raise input_error(
                "LIC-L002",
                file=found,
                found="no such folder",
                expected=f"the files of {track} that the lab {self.name} trains on",
                remedy="Give with --data a folder that holds one folder a track (event, relation, reading, title, paraphrase).",
            )
        return found

    @contextmanager
    def figure(
        self, name: str, finding: str, *, rows: int = 1, columns: int = 1, size: tuple[float, float] = (9.0, 4.6)
    ) -> Iterator[tuple[Figure, Any]]:
        """Yields a figure and its axes [rows, columns], to be written to ``NAME.png``; ``finding`` is its title, and says what is to be seen."""
        from .figures import draw

        shown = f"{finding} (quick form)" if self.quick else finding
        with draw(self.folder / f"{name}.png", shown, rows=rows, columns=columns, size=size) as drawn:
            yield drawn
        self.pictures.append((f"{name}.png", finding))

    def report(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        metrics: Mapping[str, Any],
        findings: Sequence[str],
        timing: Mapping[str, Any] | None = None,
        more: Sequence[tuple[str, Sequence[str], Sequence[Sequence[Any]]]] = (),
    ) -> None:
        """Writes metrics.json, timing.json (what no seed decides) and README.md, and prints the tables; ``more`` are title, columns and rows."""
        from shared.files import write_json, write_text

        write_json(self.folder / METRICS, metrics)
        if timing:
            write_json(self.folder / TIMING, timing)
        form = " Quick form: it shows that the lab works, not what the article claims." if self.quick else ""
        data = f" Data: {', '.join(self.used)} of {self.data}." if self.used else ""
        lines = [f"# lic lab {self.name}", "", f"{title}.{data}{form}", "", *_markdown(columns, rows), ""]
        for name, head, body in more:
            lines += [f"{name}.", "", *_markdown(head, body), ""]
        lines += [text for finding in findings for text in (f"- {finding}",)]
        for file, finding in self.pictures:
            lines += ["", f"![{finding}]({file})"]
        told = ", ".join(f"{key} = {value}" for key, value in self.settings.model_dump().items())
        lines += ["", f"Settings: {told}. Figures: [{METRICS}]({METRICS}){f', times: [{TIMING}]({TIMING})' if timing else ''}.", ""]
        write_text(self.folder / REPORT, "\n".join(lines))
        for name, head, body in ((title, columns, rows), *more):
            table(name, list(head), [list(row) for row in body])
        for finding in findings:
            print(f"- {finding}")


def open_work(name: str, lab: Lab[Any], settings: LabSettings, *, data: Path, folder: Path, quick: bool, fresh: bool) -> Work[Any]:
    """A lab's folder, which is there and locked, new or gone on with; ``fresh`` empties it first.

    Raises InputError for a folder of another lab, of other settings or data, or of something else.
    """
    import json

    from shared.files import write_json
    from shared.locks import LOCK

    place = folder / SETTINGS
    there = [entry for entry in folder.iterdir() if entry.name != LOCK]
    asked = {"lab": name, "quick": quick, "data": str(data.resolve()), "settings": settings.model_dump(mode="json")}
    try:
        own: Any = json.loads(place.read_text(encoding="utf-8")) if there else asked
    except (OSError, ValueError):
        own = None
    if not (isinstance(own, dict) and own.keys() == asked.keys()):  # never emptied, whatever --fresh says
        found = "a folder that no lab wrote"
        raise input_error("LIC-L001", file=folder, found=found, expected="a new or empty folder", remedy="Give another folder with --out.")
    if fresh:
        for entry in there:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    elif own != asked:
        flat = {**own, **own["settings"]} if isinstance(own.get("settings"), dict) else own
        wanted = {**asked, **settings.model_dump(mode="json")}
        names = [key for key in wanted if key != "settings" and flat.get(key) != wanted[key]]
        told = "; ".join(f"{key} = {flat.get(key)}, asked for {wanted[key]}" for key in names[:5])
        remedy = "Give another folder with --out, or begin anew with --fresh, which empties it."
        raise input_error("LIC-L001", file=folder, found=f"a lab with other settings: {told}", expected="the ones asked for", remedy=remedy)
    write_json(place, asked)
    return Work(name, settings, data, folder, quick)


def spread(values: Sequence[float]) -> float:
    """Standard deviation of the seeds' figures, n - 1 in its divisor; 0 for one seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def read_training(folder: Path) -> Training:
    """What a finished run's figures say."""
    import json

    from ..run_figures import read_figures, scores_of
    from ..run_folder import BEST

    figures = read_figures(folder)
    best = json.loads((folder / BEST).read_text(encoding="utf-8"))["dev"]
    seconds = {row["step"]: row["seconds"] for row in figures.timing if "seconds" in row}  # a step done again after a resume counts once
    dev = [(row["step"], scores_of(row)) for row in figures.evaluations]
    return Training(
        folder,
        best,
        dev,
        [(row["step"], row["loss"]) for row in figures.steps],
        [sum(taken for step, taken in seconds.items() if step <= end) for end, _ in dev],
        sum(seconds.values()),
    )


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A table; columns of numbers to the right."""
    right = [all(isinstance(row[place], (int, float)) for row in rows) for place in range(len(columns))]

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join((f"{cell:.4f}" if isinstance(cell, float) else str(cell)).replace("|", "\\|") for cell in cells) + " |"

    return [line(columns), "|" + "|".join("---:" if number else "---" for number in right) + "|", *map(line, rows)]
