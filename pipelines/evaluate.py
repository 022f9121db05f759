"""``lic evaluate``: a trained run against a labelled split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import emit_json, progress, say, table


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


def command(
    track: Annotated[str | None, typer.Argument(help="relation, event or reading; default every track that has a trained run")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    split: Annotated[str, typer.Option(help="train, dev or another labelled split")] = "dev",
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Score a trained run by the official metric."""
    from tasks.registry import get_task

    from .run_folder import tracks_to_do

    names = tracks_to_do(track, run)
    results = {name: evaluate(name, run=run, split=split, data=data, device=device, skip_bad=skip_bad) for name in names}
    if json:
        emit_json(results[track] if track is not None else results)
        return
    for name, result in results.items():
        shown = get_task(name).shown_scores
        table(f"{name}: {result['run']} on {split}", ["records", *shown], [[result["records"], *(result[score] for score in shown)]])
        parts = result.get("per_type") or {}
        rows = [[part, scores["gold"], scores["predicted"], *(scores[score] for score in shown)] for part, scores in parts.items()]
        if rows:
            table("by type", ["type", "gold", "predicted", *shown], sorted(rows, key=lambda row: -row[1]))
    if track is None:
        say(f"tracks with a trained run: {', '.join(names)}")
