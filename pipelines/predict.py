"""``lic predict``: a zip for the leaderboard, checked as the leaderboard would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks.registry import NAMES

from .console import Advance, emit_json, say

if TYPE_CHECKING:
    from .ensemble_folder import LoadedEnsemble
    from .predict_file import Asked, Found
    from .run_folder import LoadedRun

SUBMISSIONS = Path("submissions")
N_BEST = 20


def predict_records(
    loaded: LoadedRun | LoadedEnsemble, records: list[Any], advance: Advance | None = None, *, source: Path | None = None
) -> list[Any]:
    """Predictions for every record of the file ``source``, in order; of several processes each does its share, and all get the whole."""
    from shared.training.parallel import join

    from .decisions import Predictor

    ranks = join()
    return ranks.merge(Predictor(loaded, source)(records[ranks.rank :: ranks.world], advance))


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
    n_best: int = N_BEST,
    n_best_file: Path | None = None,
    decode: Sequence[str] = (),
    engine: str = "auto",
    resume: bool = False,
    shard: tuple[int, int] | None = None,
    merge: Sequence[Path] = (),
    workers: int = 1,
) -> dict[str, Any]:
    """Predicts a split (``test``: test2 if there, else test1) or the file ``input``; writes the zip and the bare file beside it.

    Both come into place only when the zip has passed its check. Other predictions that stand at the default place are kept under the next
    free name; ``out`` is replaced. Raises WorkError when the zip would not be accepted: that is a fault of this program.
    Under ``paddle.distributed.launch`` every process predicts its share, and the first writes.

    A large file is predicted in parts, in a folder ``ZIP.parts`` beside the zip that goes when the zip is there; with ``resume`` an interrupted
    prediction goes on from them. ``shard`` (i, n), i from 0: only every n-th part from the i-th is predicted, and no zip is written. ``merge``:
    the folders of all shards; nothing is predicted, their parts become the zip, if every part is there once.

    ``n_best_file``: also the ``n_best`` answers of a reading run to every question, to one JSON object by id. Empty answers pass the check
    where the recipe's ``decode.no_answer_threshold`` asks for them. ``decode``: ``decode.KEY=VALUE`` in place of the recipe's.
    ``engine``: what runs the model, see :func:`pipelines.engines.engine_of`. ``workers``: processes, which share out the cores.
    """
    from shared.errors import input_error
    from shared.training.parallel import join
    from tasks.official import find_split

    from .data_files import data_folder
    from .engines import check_engine, engine_name
    from .predict_file import Asked, found_at_once, found_in_parts, found_merged
    from .predict_workers import Opening
    from .run_folder import find_run
    from .submission_place import check_out

    check_engine(engine)
    if n_best_file is not None and n_best_file.is_dir():
        raise input_error("LIC-U016", file=n_best_file, found="a folder", expected="a file for the answers", remedy="Name a file in it.")
    if out is not None:
        check_out(out)
    folder = find_run(track, run)
    how = Opening(folder, track, tuple(decode), engine, device, n_best if n_best_file else None)
    loaded = how.open()
    path = input or find_split(track, data_folder(track, data or loaded.data), split)
    target = out or SUBMISSIONS / Path(loaded.task.member).with_suffix(".zip")
    asked, ranks = Asked(how, loaded, path, target, skip_bad=skip_bad), join()
    if merge:
        found = found_merged(asked, merge)
    elif shard is not None or resume or ranks.world > 1 or workers > 1 or asked.large:
        found = found_in_parts(asked, shard or (ranks.rank, ranks.world), whole=shard is None, resume=resume, workers=workers)
    else:
        found = found_at_once(asked)
    ranks.wait()
    about = {"track": track, "run": str(folder), "input": str(path), "engine": engine_name(loaded)}
    if shard is not None:
        return {**about, "records": found.totals.records, "shard": f"{shard[0] + 1}/{shard[1]}", "parts": str(found.folder)}
    if ranks.first:
        _write(asked, found, keep=out is None, n_best_file=n_best_file)
        found.done()
    ranks.wait()
    return {
        **about,
        "records": found.totals.records,
        "predictions": found.totals.predictions,
        "records_without_prediction": found.totals.empty,
        "zip": str(target),
        "file": str(target.with_suffix(".json")),
        **({} if n_best_file is None else {"n_best_file": str(n_best_file)}),
    }


def _write(asked: Asked, found: Found, *, keep: bool, n_best_file: Path | None) -> None:
    """Zip, bare file and file of answers, from the predictions as they come."""
    from shared.files import write_json

    from .submission_place import aside, put, require_sound

    task, answers = asked.task, {}

    def rows() -> Iterator[tuple[Any, Any]]:
        for record, row in found.rows():
            if n_best_file is not None:
                answers[task.identity_of(record)] = task.as_rows(row)
            yield record, row

    with aside(asked.target) as made:
        records, predictions = tee(rows())  # both are read in step, so neither waits for the other
        task.write_submission(made, (record for record, _ in records), (row for _, row in predictions), asked.schema)
        problems = task.check_submission(made, schema=asked.schema, against=None if asked.skip_bad else asked.path)
        spared = {"LIC-D012"} if _may_be_empty(asked.loaded) else set()
        require_sound(asked.target, [problem for problem in problems if problem.code not in spared])
        put(made, asked.target, keep=keep)
    if n_best_file is not None:
        write_json(n_best_file, answers)


def _may_be_empty(loaded: LoadedRun | LoadedEnsemble) -> bool:
    """Whether the recipe asks for empty answers where there seems to be none."""
    recipe = getattr(loaded, "recipe", None)
    return recipe is not None and recipe.decode.get("no_answer_threshold") is not None


def _share(given: str) -> tuple[int, int]:
    """``2/3`` as (1, 3)."""
    from shared.errors import input_error

    left, _, right = given.partition("/")
    if not (left.isdecimal() and right.isdecimal() and 1 <= int(left) <= int(right)):
        remedy = "Give e.g. --shard 1/3, --shard 2/3 and --shard 3/3."
        raise input_error("LIC-X032", found=f"--shard {given}", expected="i/n with 1 <= i <= n", remedy=remedy)
    return int(left) - 1, int(right)


def command(
    track: Annotated[str | None, typer.Argument(help=f"{NAMES}; default every track that has a trained run")] = None,
    split: Annotated[str, typer.Option(help="test (test2 if present, else test1), test1, test2 or dev")] = "test",
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    input: Annotated[Path | None, typer.Option(help="predict this file instead of a split")] = None,
    out: Annotated[Path | None, typer.Option(help="the zip to write; default under submissions/")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    n_best_file: Annotated[
        Path | None, typer.Option("--n-best-file", metavar="FILE", help="reading: also write the --n-best answers to each question, as JSON")
    ] = None,
    n_best: Annotated[int, typer.Option("--n-best", min=1, help="how many of them")] = N_BEST,
    set_: Annotated[list[str] | None, typer.Option("--set", help="decode.KEY=VALUE in place of the run's own; repeatable")] = None,
    engine: Annotated[str, typer.Option(help="what runs the model: auto, eager, static or onnx")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted prediction of a large file")] = False,
    shard: Annotated[str | None, typer.Option(metavar="i/n", help="predict only the i-th of n shares, to be merged later")] = None,
    merge: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="make the zip from the parts of all shares, in these folders; repeatable")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that predict; they share out the cores")] = 1,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Predict a test set and write a checked submission zip."""
    from shared.errors import InputError, input_error

    from .run_folder import tracks_to_do

    names = tracks_to_do(track, run)
    if track is None and len(names) > 1 and (input or out or data or n_best_file):
        raise input_error(
            "LIC-U007",
            found="--input, --out, --data or --n-best-file for several tracks",
            expected="one track",
            remedy=f"Name the track: one of {', '.join(names)}.",
        )
    if track is None and len(names) > 1 and (shard or merge):
        raise input_error("LIC-U007", found="--shard or --merge for several tracks", expected="one track", remedy="Name the track.")
    share = None if shard is None else _share(shard)
    if merge and (resume or shard):
        raise input_error("LIC-X032", found="--merge with --resume or --shard", expected="one of them", remedy="Merge when all shares are there.")
    results, failed = {}, []
    options: dict[str, Any] = {"split": split, "run": run, "data": data, "input": input, "out": out, "device": device, "skip_bad": skip_bad}
    for name in names:
        try:
            more: dict[str, Any] = {"n_best": n_best, "n_best_file": n_best_file, "decode": set_ or (), "merge": merge or ()}
            results[name] = predict(name, **options, **more, engine=engine, resume=resume, shard=share, workers=workers)
        except InputError as error:  # one track's missing file keeps no other from its zip
            failed.append(error)
    if failed and not results:
        raise InputError(*(problem for error in failed for problem in error.problems))
    if json:
        emit_json(results[track] if track is not None else results)
    for name, result in results.items() if not json else ():
        if "parts" in result:
            typer.echo(f"{result['parts']}\tshard {result['shard']} of {result['records']} records; merge all with --merge")
            continue
        say(
            f"{name}: {result['predictions']} predictions for {result['records']} records of {result['input']} "
            f"({result['records_without_prediction']} without any), by {result['run']}"
        )
        typer.echo(f"{result['zip']}\tchecked, ready to upload\n{result['file']}\tthe same, bare")
    if failed:
        raise InputError(*(problem for error in failed for problem in error.problems))
