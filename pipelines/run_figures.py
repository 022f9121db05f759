"""What a run folder says of its own training: settings, figures and times, read for people, damage and all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.errors import InputError
from tasks.recipe import tomllib

from .run_folder import CONFIG, DECISION, ENSEMBLE, FIGURES, RUNS, WEIGHTS, track_of

TIMING = "timing.jsonl"
MEMBER = re.compile(r"(fold|seed)-\d+")
"""Names of the folders of folds and seeds."""


@dataclass(frozen=True)
class Lines:
    """The objects of a file of JSON lines. ``fault``: what is wrong with the first line that is none, from where on nothing was read."""

    rows: list[dict[str, Any]]
    fault: str | None = None


def read_lines(path: Path) -> Lines:
    """Reads a log of a run; one that is not there is empty. A last line without an end was being written and does not count."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return Lines([])
    except OSError as error:
        return Lines([], f"{path.name} cannot be read ({error.strerror})")
    lines = whole.split(b"\n")[:-1]
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")  # ten times as fast as line by line
        if len(rows) == len(lines) and all(isinstance(row, dict) for row in rows):
            return Lines(rows)
    except ValueError:
        pass
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            return Lines(rows, f"{path.name}:{number} is no JSON object")
        rows.append(row)
    return Lines(rows)


NUMBERS = frozenset({int, float})
"""Types of what can be drawn or summed; a set to look into, since a long log has a million values."""


@dataclass(frozen=True)
class Figures:
    """``steps`` and ``evaluations`` of ``metrics.jsonl``, all lines of ``timing.jsonl``, and the ``faults`` of both files."""

    steps: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    timing: list[dict[str, Any]]
    faults: list[str]


def read_figures(folder: Path) -> Figures:
    """The figures of a run; lines that lack a step are left out and said among the faults."""
    metrics, timing = read_lines(folder / FIGURES), read_lines(folder / TIMING)
    placed = [row for row in metrics.rows if type(row.get("step")) is int]
    steps = [row for row in placed if type(row.get("loss")) in NUMBERS]
    evaluations = [row for row in placed if "loss" not in row and scores_of(row)]
    faults = [log.fault for log in (metrics, timing) if log.fault]
    if other := len(metrics.rows) - len(steps) - len(evaluations):
        faults.append(f"{FIGURES} holds {other} lines that are neither a step nor an evaluation")
    return Figures(steps, evaluations, timing.rows, faults)


def scores_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The scores under ``dev``; the last is the one that decides (:attr:`tasks.base.Task.shown_scores`)."""
    dev = row.get("dev")
    return {name: value for name, value in dev.items() if type(value) in NUMBERS} if isinstance(dev, dict) else {}


def read_config(folder: Path) -> dict[str, Any]:
    """The run's ``config.toml``. Raises InputError where it is missing or damaged."""
    track_of(folder)
    config: dict[str, Any] = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return config


def read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object of a run; None where there is no such file. Raises ValueError, naming the file, for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return value


def run_folders(root: Path = RUNS) -> Iterator[tuple[str, str, Path]]:
    """(track, name, folder) of everything under ``root`` that is or should be a run, sorted.

    A run straight under ``root`` has its track from its settings; folds and seeds are named ``NAME/fold-1``.
    """
    for place in _folders(root):
        if is_run(place):
            yield "", place.name, place
            continue
        for folder in _folders(place):
            for member in members_of(folder) or [folder]:
                yield place.name, member.relative_to(place).as_posix(), member


def members_of(folder: Path) -> list[Path]:
    """The runs inside a folder of folds, seeds or other runs, however deep; none for a run of its own."""
    if is_run(folder):
        return []
    inside = [inner for inner in _folders(folder) if MEMBER.fullmatch(inner.name) or is_run(inner)]
    return [member for inner in inside for member in members_of(inner) or [inner]]


def is_run(folder: Path) -> bool:
    """Whether a folder has settings; one that may not be looked into has none."""
    return os.path.isfile(folder / CONFIG)


def _folders(folder: Path) -> list[Path]:
    found = []
    with suppress(OSError):  # one that may not be looked into is reported as no run
        found = [entry for entry in folder.iterdir() if os.path.isdir(entry) and not entry.name.startswith(".")]
    return sorted(found, key=lambda entry: in_order(entry.name))


def in_order(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts names as people count: ``fold-2`` before ``fold-10``."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"([0-9]+)", name)]


def describe_run(folder: Path, track: str = "", name: str = "", *, figures: Figures | None = None) -> dict[str, Any]:
    """The row of :func:`pipelines.runs.list_runs` for one folder, however damaged.

    ``track`` is what its place says, for settings that do not; ``figures``, if they have been read.
    """
    problems: list[str] = []
    config: dict[str, Any] = {}
    if (folder / ENSEMBLE).is_file():
        return _describe_ensemble(folder, track, name)
    if not is_run(folder):
        problems.append(f"no {CONFIG}: not a run, or one that was cut off before its first step")
    else:
        try:
            config = read_config(folder)
        except InputError as error:
            problems.append(f"{CONFIG} cannot be read ({error.problems[0].found})")
    objects: dict[str, dict[str, Any]] = {}
    for file in ("best.json", "finished.json"):
        try:
            objects[file] = read_object(folder / file) or {}
        except ValueError as error:
            problems.append(str(error))
    best, finished = (objects.get(file, {}) for file in ("best.json", "finished.json"))
    figures = figures or read_figures(folder)
    problems += figures.faults
    last: Mapping[str, Any] = figures.evaluations[-1] if figures.evaluations else {}
    if best and not scores_of(best) and best.get("dev") != {}:  # nothing is evaluated where dev is trained on
        problems.append("best.json holds no score")
    if figures.evaluations and "best.json" in objects and not best:
        problems.append("no best.json beside its evaluations")
    if scores_of(best) and not (folder / WEIGHTS).is_file():
        problems.append(f"no {WEIGHTS} of its best evaluation")
    group, _, last_name = name.rpartition("/")
    scores = scores_of(best)
    score_name = list(scores)[-1] if scores else None
    training = table_of(config, "recipe", "training")
    steps = figures.steps[-1]["step"] if figures.steps else 0
    state = "damaged" if problems else "finished" if finished else "unfinished" if steps else "not started"
    return {
        "track": str(table_of(config, "run").get("track", track)),
        "name": name or folder.name,
        "group": group if group and MEMBER.fullmatch(last_name) else None,
        "state": state,
        "steps": steps,
        "planned": _whole(finished.get("steps")) or _planned(figures.steps, training.get("epochs")),
        "score_name": score_name,
        "score": scores.get(score_name) if score_name else None,
        "best_step": _whole(best.get("step")),
        "best": scores,
        "final_step": last.get("step"),
        "final": scores_of(last),
        "seed": training.get("seed"),
        "date": _date(folder),
        **_times(figures.timing),
        "folder": str(folder),
        "problems": problems,
    }


def _describe_ensemble(folder: Path, track: str, name: str) -> dict[str, Any]:
    """Its row has the state ``ensemble`` and the score that :mod:`pipelines.ensemble` reported."""
    problems: list[str] = []
    scores: dict[str, float] = {}
    with suppress(InputError):
        track = track_of(folder)
    try:
        fitted = table_of(read_object(folder / DECISION) or {}, "fitted")
        scores = {key: value for key, value in table_of(fitted, "after").items() if type(value) in NUMBERS}
    except ValueError as error:
        problems.append(str(error))
    score_name = list(scores)[-1] if scores else None
    nothing = dict.fromkeys(("group", "planned", "best_step", "final_step", "seed", "minutes", "tokens_per_second"))
    return {
        **nothing,
        "track": track,
        "name": name or folder.name,
        "state": "damaged" if problems else "ensemble",
        "steps": 0,
        "score_name": score_name,
        "score": scores[score_name] if score_name else None,
        "best": scores,
        "final": {},
        "date": _date(folder),
        "folder": str(folder),
        "problems": problems,
    }


def table_of(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The table of that dotted name, empty where there is none."""
    inner: Any = config
    for name in names:
        inner = inner.get(name, {}) if isinstance(inner, Mapping) else {}
    return inner if isinstance(inner, Mapping) else {}


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _planned(steps: Sequence[Mapping[str, Any]], epochs: Any) -> int | None:
    """Steps of the whole run, where the last step's epoch, which is rounded to four digits, fixes them."""
    epoch = steps[-1].get("epoch") if steps else None
    if type(epoch) not in NUMBERS or type(epochs) not in NUMBERS or not epoch or min(epoch, epochs) <= 0:
        return None
    planned = steps[-1]["step"] * epochs / epoch
    return round(planned) if planned * 0.00005 / epoch < 0.5 else None


def _date(folder: Path) -> str | None:
    for place in (folder / CONFIG, folder):
        try:
            return datetime.fromtimestamp(place.stat().st_mtime).isoformat(sep=" ", timespec="minutes")
        except OSError:
            continue
    return None


def _times(timing: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    steps = [row for row in timing if type(row.get("seconds")) in NUMBERS and type(row.get("tokens")) in NUMBERS]
    stepping = sum(row["seconds"] for row in steps)
    evaluating = sum(row["evaluation_seconds"] for row in timing if type(row.get("evaluation_seconds")) in NUMBERS)
    return {
        "minutes": round((stepping + evaluating) / 60, 2) if timing else None,
        "tokens_per_second": round(sum(row["tokens"] for row in steps) / stepping, 1) if stepping > 0 else None,
    }
