"""``lic evaluate``: a trained run against a labelled split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error, system_problem
from tasks.registry import NAMES

from .console import emit_json, progress, say, say_problems
from .mistakes import show_faults
from .score import show_scores

if TYPE_CHECKING:
    from tasks.base import Task


def evaluate(
    track: str,
    *,
    run: Path | None = None,
    split: str = "dev",
    data: Path | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    mistakes: Path | None = None,
    paraphrases: Path | None = None,
    decode: Sequence[str] = (),
) -> dict[str, Any]:
    """Official scores of a run (default: the track's latest) on a split of the data it was trained on, or of ``data``.

    Its mistakes are written to the file ``mistakes``, by default to ``mistakes-SPLIT.jsonl`` in the run folder. ``paraphrases``: of the
    reading track, a file of ``lic data paraphrase``; ``over_sensitivity`` then says how answers change with the words of a question.
    ``decode``: ``decode.KEY=VALUE`` in place of the recipe's.
    """
    from shared.training.parallel import join
    from tasks.official import find_split

    from .data_files import data_folder, read_split
    from .decode_overrides import with_decode
    from .device import choose_device
    from .ensemble_folder import open_run
    from .predict import predict_records
    from .run_folder import find_run

    folder = find_run(track, run)
    choose_device(device)
    loaded = with_decode(open_run(folder, track), decode)
    path = find_split(track, data_folder(track, data or loaded.data), split)
    records = read_split(loaded.task, path, loaded.schema, labelled=True, skip_bad=skip_bad)
    with progress(f"evaluate {track}") as advance:
        predictions = predict_records(loaded, records, advance, source=path)
    result = _scored(loaded.task, str(folder), split, records, predictions)
    if paraphrases is not None:
        from .sensitivity import over_sensitivity

        result["over_sensitivity"] = over_sensitivity(loaded, records, predictions, paraphrases)
    if not join().first:
        return {**result, "mistakes": {"file": None, "count": 0, "faults": []}}  # the first process writes and shows them
    return _with_mistakes(result, loaded.task.mistakes(records, predictions), mistakes, folder / f"mistakes-{split}.jsonl")


def _scored(task: Task, run: str, split: str, records: Sequence[Any], predictions: Sequence[Any]) -> dict[str, Any]:
    return {"track": task.name, "run": run, "split": split, "records": len(records), **task.score(records, predictions)}


def _with_mistakes(result: dict[str, Any], found: Sequence[dict[str, Any]], file: Path | None, usual: Path | None) -> dict[str, Any]:
    """``result`` with ``mistakes``: their ``count``, the counts by fault, and the ``file`` they were written to.

    ``file`` must be writable; where the ``usual`` one is not, that is said, since the scores are worth having without it.
    """
    from .mistakes import faults_frame, write_mistakes

    target = file or usual
    if target is not None:
        try:
            write_mistakes(target, found)
        except OSError as error:
            if file is not None:
                raise
            say_problems([system_problem(error)])
            say("The scores go on without the file of mistakes; name another with --mistakes.")
            target = None
    faults = faults_frame(found).to_dict("records")
    return {**result, "mistakes": {"file": None if target is None else str(target), "count": len(found), "faults": faults}}


def evaluate_baseline(
    track: str, *, split: str = "dev", data: Path | None = None, skip_bad: bool = False, mistakes: Path | None = None
) -> dict[str, Any]:
    """Official scores of what takes no learning (:meth:`tasks.base.Task.baseline`) on a split; it remembers the training file of ``data``.

    Its mistakes are written to the file ``mistakes``, if one is named.
    """
    from tasks.official import find_split
    from tasks.registry import get_task

    from .data_files import data_folder, open_schema, read_split

    task, folder = get_task(track), data_folder(track, data)
    schema = open_schema(task, folder)
    train, records = (
        read_split(task, find_split(track, folder, name), schema, labelled=True, skip_bad=skip_bad) for name in ("train", split)
    )
    predictions = task.baseline(train, records)
    result = _scored(task, "baseline", split, records, predictions)
    return _with_mistakes(result, task.mistakes(records, predictions), mistakes, None)


def command(
    track: Annotated[str | None, typer.Argument(help=f"{NAMES}; default every track that has a trained run")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    split: Annotated[str, typer.Option(help="train, dev or another labelled split")] = "dev",
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    baseline: Annotated[bool, typer.Option("--baseline", help="score what takes no learning instead of a run; needs TRACK")] = False,
    mistakes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="where to write the mistakes; default mistakes-SPLIT.jsonl in the run folder")
    ] = None,
    paraphrases: Annotated[
        Path | None, typer.Option(metavar="FILE", help="reading: also say how often the answer changes when a question is asked in these other words")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="decode.KEY=VALUE in place of the run's own; repeatable")] = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Score a trained run by the official metric, and write every mistake as a JSON line."""
    from .run_folder import tracks_to_do

    if baseline and (track is None or run is not None):
        found = "--baseline with --run" if track else "--baseline without a track"
        raise input_error("LIC-U010", found=found, expected="lic evaluate TRACK --baseline", remedy="A baseline belongs to a track, not a run.")
    if baseline and set_:
        raise input_error("LIC-U010", found="--baseline with --set", expected="lic evaluate TRACK --baseline", remedy="A baseline has no settings.")
    if data is not None and track is None and run is None:
        raise input_error("LIC-U007", found="--data for several tracks", expected="one track", remedy="Name the track.")
    names = tracks_to_do(track, run)
    if mistakes is not None and len(names) > 1:
        remedy = f"Name the track: one of {', '.join(names)}."
        raise input_error("LIC-U007", found="--mistakes for several tracks", expected="one track", remedy=remedy)
    if mistakes is not None and mistakes.is_dir():
        raise input_error("LIC-U016", file=mistakes, found="a folder", expected="a file for the mistakes", remedy="Name a file in it.")
    if paraphrases is not None and (baseline or names != ["reading"]):
        found = "--paraphrases with --baseline" if baseline else f"--paraphrases for {' and '.join(names)}"
        raise input_error("LIC-X024", found=found, expected="lic evaluate reading --paraphrases FILE", remedy="Leave it out.")
    results = {}
    for name in names:
        if baseline:
            results[name] = evaluate_baseline(name, split=split, data=data, skip_bad=skip_bad, mistakes=mistakes)
        else:
            results[name] = evaluate(
                name, run=run, split=split, data=data, device=device, skip_bad=skip_bad, mistakes=mistakes, paraphrases=paraphrases, decode=set_ or ()
            )
    if json:
        emit_json(results[track] if track is not None else results)
        return
    for name, result in results.items():
        show_scores(name, f"{name}: {result['run']} on {split}", result)
        if result["records"] > result.get("ids", result["records"]):
            say(f"{result['records'] - result['ids']} records repeat a text: the last of each counts, as for the leaderboard")
        show_faults(result["mistakes"]["faults"])
        if "over_sensitivity" in result:
            from .sensitivity import show_sensitivity

            show_sensitivity(result["over_sensitivity"])
        if result["mistakes"]["file"] is not None:
            typer.echo(f"{result['mistakes']['file']}\t{result['mistakes']['count']} mistakes, one a line")
    if track is None:
        say(f"tracks with a trained run: {', '.join(names)}")
