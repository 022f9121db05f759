"""``lic predict``: a zip for the leaderboard, checked as the leaderboard would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Advance, emit_json, progress, say

if TYPE_CHECKING:
    from .run_folder import LoadedRun

SUBMISSIONS = Path("submissions")


def predict_records(loaded: LoadedRun, records: list[Any], advance: Advance | None = None) -> list[Any]:
    """Predictions for every record, in order."""
    features = loaded.task.make_features(records, loaded.schema, loaded.tokenizer, loaded.recipe.features)
    return loaded.task.predict(loaded.model, features, records, loaded.schema, loaded.vocabulary, loaded.recipe, progress=advance)


def predict(
    track: str,
    *,
    split: str = "test",
    run: Path | None = None,
    data: Path | None = None,
    input: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Predicts a split (``test``: test2 if there, else test1) or the file ``input``; writes the zip and the bare file, then checks the zip.

    Raises WorkError when the zip would not be accepted: that is a fault of this program.
    """
    from shared.errors import WorkError, input_error
    from tasks.official import find_split

    from .data_files import data_folder, read_split
    from .device import choose_device
    from .run_folder import find_run, load_run

    if out is not None and out.suffix.lower() != ".zip":
        raise input_error("LIC-U008", file=out, found="an output that is no zip", expected="a path ending in .zip", remedy="Correct --out.")
    folder = find_run(track, run)
    choose_device(device)
    loaded = load_run(folder, track)
    path = input or find_split(track, data_folder(track, data or loaded.data), split)
    records = read_split(loaded.task, path, loaded.schema, labelled=False, skip_bad=skip_bad)
    with progress(f"predict {track}") as advance:
        predictions = predict_records(loaded, records, advance)
    target = out or SUBMISSIONS / Path(loaded.task.member).with_suffix(".zip")
    loaded.task.write_submission(target, records, predictions, loaded.schema)
    problems = loaded.task.check_submission(target, schema=loaded.schema, against=None if skip_bad else path)
    if problems:
        shown = "\n".join(str(problem) for problem in problems[:10])
        raise WorkError(f"{target} would not be accepted ({len(problems)} problems); please report this:\n{shown}")
    return {
        "track": track,
        "run": str(folder),
        "input": str(path),
        "records": len(records),
        "predictions": sum(len(row) for row in predictions),
        "records_without_prediction": sum(not row for row in predictions),
        "zip": str(target),
        "file": str(target.with_suffix(".json")),
    }


def command(
    track: Annotated[str | None, typer.Argument(help="relation, event or reading; default every track that has a trained run")] = None,
    split: Annotated[str, typer.Option(help="test (test2 if present, else test1), test1, test2 or dev")] = "test",
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    input: Annotated[Path | None, typer.Option(help="predict this file instead of a split")] = None,
    out: Annotated[Path | None, typer.Option(help="the zip to write; default under submissions/")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Predict a test set and write a checked submission zip."""
    from shared.errors import InputError, input_error

    from .run_folder import tracks_to_do

    names = tracks_to_do(track, run)
    if track is None and len(names) > 1 and (input or out or data):
        raise input_error(
            "LIC-U007",
            found="--input, --out or --data for several tracks",
            expected="one track",
            remedy=f"Name the track: one of {', '.join(names)}.",
        )
    results, failed = {}, []
    for name in names:
        try:
            results[name] = predict(name, split=split, run=run, data=data, input=input, out=out, device=device, skip_bad=skip_bad)
        except InputError as error:  # one track's missing file keeps no other from its zip
            failed.append(error)
    if failed and not results:
        raise InputError(*(problem for error in failed for problem in error.problems))
    if json:
        emit_json(results[track] if track is not None else results)
    for name, result in results.items() if not json else ():
        say(
            f"{name}: {result['predictions']} predictions for {result['records']} records of {result['input']} "
            f"({result['records_without_prediction']} without any), by {result['run']}"
        )
        typer.echo(f"{result['zip']}\tchecked, ready to upload\n{result['file']}\tthe same, bare")
    if failed:
        raise InputError(*(problem for error in failed for problem in error.problems))
