"""``lic evaluate``: a trained run against a labelled split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shared.errors import input_error

from .console import emit_json, progress, say
from .score import show_scores


def evaluate(
    track: str,
    *,
    run: Path | None = None,
    split: str = "dev",
    data: Path | None = None,
    device: str = "auto",
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Official scores of a run (default: the track's latest) on a split of the data it was trained on, or of ``data``."""
    from tasks.official import find_split

    from .data_files import data_folder, read_split
    from .device import choose_device
    from .predict import predict_records
    from .run_folder import find_run, load_run

    folder = find_run(track, run)
    choose_device(device)
    loaded = load_run(folder, track)
    path = find_split(track, data_folder(track, data or loaded.data), split)
    records = read_split(loaded.task, path, loaded.schema, labelled=True, skip_bad=skip_bad)
    with progress(f"evaluate {track}") as advance:
        predictions = predict_records(loaded, records, advance)
    scores = loaded.task.score(records, predictions)
    return {"track": track, "run": str(folder), "split": split, "records": len(records), **scores}


def evaluate_baseline(track: str, *, split: str = "dev", data: Path | None = None, skip_bad: bool = False) -> dict[str, Any]:
    """Official scores of what takes no learning (:meth:`tasks.base.Task.baseline`) on a split; it remembers the training file of ``data``."""
    from tasks.official import find_split
    from tasks.registry import get_task

    from .data_files import data_folder, open_schema, read_split

    task, folder = get_task(track), data_folder(track, data)
    schema = open_schema(task, folder)
    train, records = (
        read_split(task, find_split(track, folder, name), schema, labelled=True, skip_bad=skip_bad) for name in ("train", split)
    )
    scores = task.score(records, task.baseline(train, records))
    return {"track": track, "run": "baseline", "split": split, "records": len(records), **scores}


def command(
    track: Annotated[str | None, typer.Argument(help="relation, event or reading; default every track that has a trained run")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    split: Annotated[str, typer.Option(help="train, dev or another labelled split")] = "dev",
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    baseline: Annotated[bool, typer.Option("--baseline", help="score what takes no learning instead of a run; needs TRACK")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Score a trained run by the official metric."""
    from .run_folder import tracks_to_do

    if baseline and (track is None or run is not None):
        found = "--baseline with --run" if track else "--baseline without a track"
        raise input_error("LIC-U010", found=found, expected="lic evaluate TRACK --baseline", remedy="A baseline belongs to a track, not a run.")
    if data is not None and track is None and run is None:
        raise input_error("LIC-U007", found="--data for several tracks", expected="one track", remedy="Name the track.")
    names = tracks_to_do(track, run)
    results = {}
    for name in names:
        if baseline:
            results[name] = evaluate_baseline(name, split=split, data=data, skip_bad=skip_bad)
        else:
            results[name] = evaluate(name, run=run, split=split, data=data, device=device, skip_bad=skip_bad)
    if json:
        emit_json(results[track] if track is not None else results)
        return
    for name, result in results.items():
        show_scores(name, f"{name}: {result['run']} on {split}", result)
    if track is None:
        say(f"tracks with a trained run: {', '.join(names)}")
