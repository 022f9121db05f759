"""``lic candidates``: everything that runs hold for somewhat probable, kept in files from which thresholds and ensembles are fitted.

``candidates-SPLIT.jsonl`` in a run folder: first what it was made of, then a line for every record with its identity, what the run predicts
by itself, and its candidates. The split ``oof`` (out of fold) is what a fold's run says of the training records that it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import InputError, Problem, input_error

from .console import Advance, emit_json, progress, say
from .engines import engine_of
from .run_folder import CONFIG, WEIGHTS, find_run, load_run, stored_run

if TYPE_CHECKING:
    from tasks.base import Task

    from .run_folder import LoadedRun

FORMAT = 1
OUT_OF_FOLD = "oof"


@dataclass(frozen=True)
class Kept:
    """Labelled or unlabelled ``records`` of ``file``; of each what the run predicts (``plain``) and its ``candidates``."""

    file: Path
    records: list[Any]
    plain: list[list[Any]]
    candidates: list[list[Any]]


def features_of(loaded: LoadedRun, records: Sequence[Any]) -> Any:
    """What a run reads of the records."""
    return loaded.task.make_features(records, loaded.schema, loaded.tokenizer, loaded.recipe.features)


def predict_run(
    loaded: LoadedRun, records: Sequence[Any], advance: Advance | None = None, *, floor: float | None = None, features: Any = None
) -> list[list[Any]]:
    """What a run finds in every record, by its own ``[decode]`` or everything of at least about the probability ``floor``.

    ``features``: :func:`features_of` them, made here if they are not given.
    """
    if not records:
        return []
    features = features_of(loaded, records) if features is None else features
    for remark in loaded.task.remarks(features):
        say(f"note: {remark}.")
    engine = engine_of(loaded, len(records))
    return loaded.task.predict(
        loaded.model, features, records, loaded.schema, loaded.vocabulary, loaded.recipe, engine=engine, floor=floor, progress=advance
    )


def find_candidates(loaded: LoadedRun, records: Sequence[Any], advance: Advance | None = None, *, features: Any = None) -> list[list[Any]]:
    """Candidates of every record. ``features``: see :func:`predict_run`."""
    from tasks.candidates import FLOOR

    if not records:
        return []
    features = features_of(loaded, records) if features is None else features
    found = predict_run(loaded, records, advance, floor=FLOOR, features=features)
    return with_plain(loaded.task, found, predict_run(loaded, records, advance, features=features)) if loaded.task.candidates.with_plain else found


def with_plain(task: Task, found: list[list[Any]], plain: list[list[Any]]) -> list[list[Any]]:
    """Candidates of every record, from what decoding finds with a floor and without."""
    from tasks.candidates import joined

    kind = task.candidates
    if not kind.with_plain:
        return found
    return [joined(more, own, kind.key) for more, own in zip(found, plain, strict=True)]


def run_marks(folder: Path) -> dict[str, str]:
    """Checksums of what decides a run's predictions."""
    from shared.files import digest

    return {"weights": digest(folder / WEIGHTS), "config": digest(folder / CONFIG)}


def keep_candidates(
    folder: Path, split: str = "dev", *, track: str | None = None, data: Path | None = None, device: str = "auto", skip_bad: bool = False
) -> Kept:
    """Candidates of a run for a split (labelled: train, dev or ``oof``; else test), from its file or made now.

    A file that was made of other weights, settings, data or floor is not used: it is made again, which is said.
    """
    from tasks.candidates import FLOOR
    from tasks.registry import get_task

    from .run_folder import track_of

    task = get_task(track or track_of(folder))
    stored = stored_run(folder, task.name)
    _require_weights(folder)
    path, records = _records(task, folder, split, data or stored.data, skip_bad)
    target = folder / f"candidates-{split}.jsonl"
    header = _header(task, folder, split, path, len(records), FLOOR)
    kept = _read(target, header, task, path, records)
    if kept is not None:
        return kept
    from .device import choose_device

    choose_device(device)
    loaded = load_run(folder, task.name)
    with progress(f"candidates {folder}, {split}") as advance:
        plain = predict_run(loaded, records, advance)
        found = with_plain(task, predict_run(loaded, records, advance, floor=FLOOR), plain)
    _write(target, header, task, records, plain, found)
    return Kept(path, records, plain, found)


def _require_weights(folder: Path) -> None:
    if not (folder / WEIGHTS).is_file():
        raise input_error(
            "LIC-U006", file=folder, found="no weights.safetensors", expected="a trained run", remedy="Let lic train reach its first evaluation."
        )


def _records(task: Task, folder: Path, split: str, data: Path, skip_bad: bool) -> tuple[Path, list[Any]]:
    from tasks.official import find_split, has_schema

    from .data_files import data_folder, read_split
    from .train_setup import Fold

    data = data_folder(task.name, data)
    schema = task.read_schema(folder / "schema.json") if has_schema(task.name) else None
    if split != OUT_OF_FOLD:
        path = find_split(task.name, data, split)
        return path, read_split(task, path, schema, labelled=split in ("train", "dev"), skip_bad=skip_bad)
    stored = stored_run(folder, task.name)
    if stored.fold is None:
        raise input_error(
            "LIC-U050",
            file=folder,
            found="a run that was trained on every record",
            expected="a run of lic train --folds, which has records that it has not seen",
            remedy="Name the folds' runs or their folder, or take --split dev.",
        )
    path = find_split(task.name, data, "train")
    _require_same_train(folder, stored.checksums.get("train", ""), path)
    records = read_split(task, path, schema, labelled=True, skip_bad=skip_bad)[: stored.recipe.training.max_records]
    fold = Fold(*map(int, stored.fold.split("/")))
    return path, [record for record in records if fold.holds(task.text_of(record))]


def _require_same_train(folder: Path, checksum: str, path: Path) -> None:
    """Raises InputError where ``path`` is not what the fold was trained on: its held-out records would be others."""
    from shared.files import digest

    own = checksum.partition("sha256:")[2]
    if own and own != digest(path):
        raise input_error(
            "LIC-U051",
            file=path,
            found=f"another training file than {folder} was trained on",
            expected=f"the one of sha256 {own[:12]}…",
            remedy="Name that file's folder with --data, or train the folds again.",
        )


def _header(task: Task, folder: Path, split: str, path: Path, count: int, floor: float) -> dict[str, Any]:
    from shared.files import digest

    return {
        "candidates": FORMAT,
        "track": task.name,
        "run": str(folder),
        "split": split,
        "floor": floor,
        "records": count,
        "sha256": {"file": digest(path), **run_marks(folder)},
    }


def _read(target: Path, header: dict[str, Any], task: Task, path: Path, records: list[Any]) -> Kept | None:
    """What ``target`` holds; None where it is not there or not of this very ``header`` and records, which is said."""
    from tasks.json_lines import read_json_lines

    if not target.is_file():
        return None
    try:
        read = read_json_lines(target)
        (_, own), *rows = read.rows
        same = {name: value for name, value in own.items() if name != "run"} == {name: value for name, value in header.items() if name != "run"}
        if read.problems or not same or [row["record"] for _, row in rows] != [task.identity_of(record) for record in records]:
            raise ValueError("of other weights, settings, data or code")
        kind = task.candidates
        plain, found = ([[kind.from_row(one) for one in row[name]] for _, row in rows] for name in ("plain", "candidates"))
    except (InputError, ValueError, TypeError, KeyError, IndexError) as error:
        said = "damaged" if not isinstance(error, ValueError) or "of other" not in str(error) else str(error)
        say(f"{target}: {said}; it is made again.")
        return None
    return Kept(path, records, plain, found)


def _write(target: Path, header: dict[str, Any], task: Task, records: list[Any], plain: list[list[Any]], found: list[list[Any]]) -> None:
    from tasks.json_lines import write_json_lines

    kind = task.candidates
    lines = (
        {
            "record": task.identity_of(record),
            "plain": [kind.as_row(one) for one in own],
            "candidates": [kind.as_row(one) for one in more],
        }
        for record, own, more in zip(records, plain, found, strict=True)
    )
    write_json_lines(target, (row for rows in ([header], lines) for row in rows))


def members_to_use(folder: Path) -> list[Path]:
    """The run in ``folder``, or all runs in a folder of folds, seeds or other runs. Raises InputError where there is none."""
    from .run_figures import is_run, members_of

    if is_run(folder):
        return [folder]
    members = members_of(folder) if folder.is_dir() else []
    if not members:
        find_run("", folder)  # says what is missing
    return members


def out_of_fold(folder: Path, *, track: str, data: Path | None = None, device: str = "auto", skip_bad: bool = False) -> Kept:
    """The whole training file, every record with the candidates of the one run of ``folder`` that has not seen it.

    Raises InputError for a folder that does not hold every fold of one training file once.
    """
    members = members_to_use(folder)
    folds: dict[int, Path] = {}
    counts, files = set(), set()
    problems: list[Problem] = []
    for member in members:
        stored = stored_run(member, track)
        if stored.fold is None:
            problems.append(_no_folds(member, "a run that was trained on every record"))
            continue
        number, count = map(int, stored.fold.split("/"))
        counts.add(count)
        files.add(stored.checksums.get("train"))
        if number in folds:
            problems.append(_no_folds(member, f"fold {stored.fold} again, as {folds[number]}"))
        folds[number] = member
    if not problems and (len(counts) > 1 or len(files) > 1):
        problems.append(_no_folds(folder, "folds of several trainings: their number or their training file differs"))
    missing = sorted(set(range(1, max(counts, default=1) + 1)) - set(folds))
    if not problems and missing:
        problems.append(_no_folds(folder, f"no fold {', '.join(map(str, missing))} of {max(counts)}"))
    if problems:
        raise InputError(*problems)
    parts = [
        keep_candidates(folds[number], OUT_OF_FOLD, track=track, data=data, device=device, skip_bad=skip_bad) for number in sorted(folds)
    ]
    return Kept(
        parts[0].file,
        [record for part in parts for record in part.records],
        [row for part in parts for row in part.plain],
        [row for part in parts for row in part.candidates],
    )


def _no_folds(folder: Path, found: str) -> Problem:
    remedy = "Train them by lic train --folds K, and name their folder."
    return Problem("LIC-U052", found, "every fold of one training, once", remedy, str(folder))


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders, or folders of folds or seeds")],
    split: Annotated[str, typer.Option(help="dev, train, test, or oof: the records that a fold's run has not seen")] = "dev",
    data: Annotated[Path | None, typer.Option(help="data folder; default the one each run was trained on")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Keep everything that runs hold for somewhat probable, for lic tune and lic ensemble."""
    made = []
    for folder in [member for given in runs for member in members_to_use(given)]:
        kept = keep_candidates(folder, split, data=data, device=device, skip_bad=skip_bad)
        count = sum(map(len, kept.candidates))
        made.append({"run": str(folder), "file": str(folder / f"candidates-{split}.jsonl"), "records": len(kept.records), "candidates": count})
    if json:
        emit_json({"split": split, "files": made})
        return
    for one in made:
        typer.echo(f"{one['file']}\t{one['candidates']} candidates for {one['records']} records")
