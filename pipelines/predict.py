"""``lic predict``: a zip for the leaderboard, checked as the leaderboard would."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Advance, emit_json, progress, say

if TYPE_CHECKING:
    from shared.errors import Problem

    from .ensemble_folder import LoadedEnsemble
    from .run_folder import LoadedRun

SUBMISSIONS = Path("submissions")
N_BEST = 20


def predict_records(
    loaded: LoadedRun | LoadedEnsemble, records: list[Any], advance: Advance | None = None, *, source: Path | None = None
) -> list[Any]:
    """Predictions for every record of the file ``source``, in order; of several processes each does its share, and all get the whole."""
    from shared.training.parallel import join

    from .decisions import predictions_of

    ranks = join()
    return ranks.merge(predictions_of(loaded, records[ranks.rank :: ranks.world], advance, source=source))


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
) -> dict[str, Any]:
    """Predicts a split (``test``: test2 if there, else test1) or the file ``input``; writes the zip and the bare file beside it.

    Both come into place only when the zip has passed its check. Other predictions that stand at the default place are kept under the next
    free name; ``out`` is replaced. Raises WorkError when the zip would not be accepted: that is a fault of this program.
    Under ``paddle.distributed.launch`` every process predicts its share, and the first writes.

    ``n_best_file``: also the ``n_best`` answers of a reading run to every question, to one JSON object by id. Empty answers pass the check
    where the recipe's ``decode.no_answer_threshold`` asks for them. ``decode``: ``decode.KEY=VALUE`` in place of the recipe's.
    ``engine``: what runs the model, see :func:`pipelines.engines.engine_of`.
    """
    from shared.errors import input_error
    from shared.files import write_json
    from shared.training.parallel import join
    from tasks.official import find_split

    from .data_files import data_folder, read_split
    from .decode_overrides import with_decode, with_n_best
    from .device import choose_device
    from .engines import check_engine, engine_name
    from .ensemble_folder import open_run
    from .run_folder import find_run

    check_engine(engine)
    if n_best_file is not None and n_best_file.is_dir():
        raise input_error("LIC-U016", file=n_best_file, found="a folder", expected="a file for the answers", remedy="Name a file in it.")
    if out is not None:
        _check_out(out)
    folder = find_run(track, run)
    choose_device(device)
    loaded = replace(with_decode(open_run(folder, track), decode), engine=engine)
    if n_best_file is not None:
        loaded = with_n_best(loaded, n_best)
    path = input or find_split(track, data_folder(track, data or loaded.data), split)
    records = read_split(loaded.task, path, loaded.schema, labelled=False, skip_bad=skip_bad)
    with progress(f"predict {track}") as advance:
        predictions = predict_records(loaded, records, advance, source=path)
    target = out or SUBMISSIONS / Path(loaded.task.member).with_suffix(".zip")
    if join().first:
        with _aside(target) as made:
            loaded.task.write_submission(made, records, predictions, loaded.schema)
            problems = loaded.task.check_submission(made, schema=loaded.schema, against=None if skip_bad else path)
            spared = {"LIC-D012"} if _may_be_empty(loaded) else set()
            _require_sound(target, [problem for problem in problems if problem.code not in spared])
            _put(made, target, keep=out is None)
        if n_best_file is not None:
            identities = map(loaded.task.identity_of, records)
            write_json(n_best_file, dict(zip(identities, map(loaded.task.as_rows, predictions), strict=True)))
    return {
        "track": track,
        "run": str(folder),
        "input": str(path),
        "records": len(records),
        "engine": engine_name(loaded),
        "predictions": sum(len(row) for row in predictions),
        "records_without_prediction": sum(not row for row in predictions),
        "zip": str(target),
        "file": str(target.with_suffix(".json")),
        **({} if n_best_file is None else {"n_best_file": str(n_best_file)}),
    }


def _may_be_empty(loaded: LoadedRun | LoadedEnsemble) -> bool:
    """Whether the recipe asks for empty answers where there seems to be none."""
    recipe = getattr(loaded, "recipe", None)
    return recipe is not None and recipe.decode.get("no_answer_threshold") is not None


def _check_out(out: Path) -> None:
    """Raises InputError for an output that cannot be a zip, or beside which the bare file would replace one that is not its own."""
    from shared.errors import input_error

    if out.suffix.lower() != ".zip" or out.is_dir():
        found = "a folder" if out.is_dir() else "an output that is no zip"
        raise input_error("LIC-U008", file=out, found=found, expected="a path ending in .zip", remedy="Correct --out.")
    bare = out.with_suffix(".json")
    if bare.exists() and not _is_member(bare, out):
        raise input_error(
            "LIC-U012",
            file=bare,
            found="a file that is not in the zip of that name, where the bare predictions would go",
            expected=f"none, or the predictions that {out.name} holds",
            remedy="Name another zip with --out, or move this file away.",
        )


def _is_member(bare: Path, path: Path) -> bool:
    """Whether the file ``bare`` is what the zip ``path`` holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            return len(names) == 1 and bare.is_file() and archive.read(names[0]) == bare.read_bytes()
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError):
        return False


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A path of the same name in a folder of its own beside ``target``, which is removed in the end."""
    from shared.files import whole_or_absent

    with whole_or_absent(target):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent))
        try:
            yield folder / target.name
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _require_sound(target: Path, problems: Sequence[Problem]) -> None:
    """Raises WorkError unless the zip would be accepted."""
    from shared.errors import Problem, WorkError

    if problems:
        found = f"a zip with {len(problems)} problems, which is not kept"
        fault = Problem("LIC-P001", found, "one that would be accepted", "This is a fault of lic: please report it.", str(target))
        raise WorkError(fault, *problems[:10])


def _put(made: Path, target: Path, *, keep: bool) -> None:
    """Moves the zip ``made`` and its bare file to ``target``; with ``keep``, another pair that stands there gets the next free name.

    Killed at any moment, it leaves a whole zip at ``target``, the earlier or the new one, and beside it that one's bare file or none; what
    is kept is copied first, so a later call keeps it once.
    """
    from shared.files import atomic_write, fsync_folder

    bare, old_bare = made.with_suffix(".json"), target.with_suffix(".json")
    pairs = [(bare, old_bare), (made, target)]
    if keep and all(_same(new, old) for new, old in pairs):
        return
    earlier = [old for _, old in pairs if old.exists()]
    if keep and not all(_same(new, old) for new, old in pairs if old in earlier):
        number = 1
        while not all(_is_free(path, number, target) for path in (old_bare, target)):
            number += 1
        kept = [path.with_stem(f"{path.stem}-{number}") for path in earlier]
        for path, copy in zip(earlier, kept, strict=True):
            with atomic_write(copy) as file:
                file.write(path.read_bytes())
        say(f"{target}: the earlier predictions differ and are kept as {' and '.join(path.name for path in kept)}.")
    old_bare.unlink(missing_ok=True)  # a zip beside the bare file of another would be refused by the next call
    os.replace(made, target)
    os.replace(bare, old_bare)
    fsync_folder(target.parent)


def _is_free(path: Path, number: int, target: Path) -> bool:
    """Whether ``path`` may be kept under ``number``: nothing is there, or what an earlier call that was killed kept of this very pair."""
    place = path.with_stem(f"{path.stem}-{number}")
    return not place.exists() or _same(place, path) or (path != target and not path.exists() and _is_member(place, target))


def _same(new: Path, old: Path) -> bool:
    return old.is_file() and new.is_file() and new.read_bytes() == old.read_bytes()


def command(
    track: Annotated[str | None, typer.Argument(help="relation, event or reading; default every track that has a trained run")] = None,
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
    results, failed = {}, []
    options: dict[str, Any] = {"split": split, "run": run, "data": data, "input": input, "out": out, "device": device, "skip_bad": skip_bad}
    for name in names:
        try:
            results[name] = predict(name, **options, n_best=n_best, n_best_file=n_best_file, decode=set_ or (), engine=engine)
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
