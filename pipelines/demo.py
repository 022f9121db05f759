"""``lic demo``: the three tracks on the bundled sample, from official files to accepted zips, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.errors import input_error, work_error

from .console import emit_json, say, table

GOALS = {"relation": 0.80, "event": 0.80, "reading": 0.60}
"""F1 that the sample and its recipe are made to reach on Test A."""
TESTS = {"test_a": "new names, known frames", "test_b": "new names, new frames"}
FOLDER = Path("lic-demo")


def samples_folder() -> Path:
    """The bundled sample: beside the code in a checkout, inside the package when installed."""
    here = Path(__file__).parent
    found = [folder for folder in (here / "samples", here.parent / "data" / "samples") if (folder / "event" / "train.json").is_file()]
    if not found:
        raise work_error(
            "LIC-P002", file=here, found="no bundled sample beside it", expected="data/samples", remedy="Install lic again, or clone it whole."
        )
    return found[0]


def demo(tracks: Sequence[str] = (), *, folder: Path | None = None, overrides: tuple[str, ...] = (), device: str = "auto") -> dict[str, Any]:
    """Runs ``tracks`` (default: every one) on the sample inside ``folder`` (default: the next free ``lic-demo``) and returns what came of it.

    The folder is laid out as a user's own: data/, runs/, submissions/. Per track ``tests`` has the official scores of the zip on both labelled
    tests, ``without_learning`` that of the baseline on Test A, ``goal`` what Test A should reach, ``seconds`` the time of everything.
    """
    from shared.files import write_json
    from tasks.registry import AUXILIARY, TRACKS, get_task

    if other := next((name for name in tracks if name in AUXILIARY), None):
        remedy = f"Train it on its sample: lic train {other} --recipe quick --data {samples_folder() / other}."
        raise input_error("LIC-T001", found=f"the auxiliary task {other!r}", expected=f"tracks: {', '.join(TRACKS)}", remedy=remedy)
    chosen = [get_task(name).name for name in tracks] or list(TRACKS)
    target = _new_folder(folder)
    samples = samples_folder().resolve()
    began = time.perf_counter()
    results: dict[str, Any] = {}
    with _inside(target):
        try:
            for number, track in enumerate(chosen, 1):
                say(f"\n[{number}/{len(chosen)}] {track}")
                started = time.perf_counter()
                shutil.copytree(samples / track, Path("data") / track)
                results[track] = _run_track(track, overrides, device) | {"seconds": time.perf_counter() - started}
        except BaseException:
            say(f"the demo did not come to its end; what it made so far stays in {target}")
            raise
        report = {"folder": str(target), "seconds": time.perf_counter() - began, "tracks": results}
        write_json("demo.json", report)
    return report


def _run_track(track: str, overrides: tuple[str, ...], device: str) -> dict[str, Any]:
    """One track with the functions behind the commands, which are said as a user would type them."""
    from tasks.registry import get_task

    from .evaluate import evaluate
    from .predict import predict
    from .preprocess import preprocess
    from .score import score_prediction
    from .submit_check import check_zip
    from .train import train

    data = Path("data") / track
    more = "".join(f" --set {setting}" for setting in overrides)
    say(f"$ lic preprocess {track} --recipe quick{more}")
    preprocess(track, recipe="quick", overrides=overrides)
    say(f"$ lic train {track} --recipe quick{more}")
    run = train(track, recipe="quick", overrides=overrides, device=device)
    say(f"$ lic evaluate {track}")
    dev = evaluate(track, run=run, device=device)
    say(f"$ lic predict {track} --split test")
    predicted = predict(track, run=run, device=device)
    say(f"$ lic submit check {track} {predicted['zip']} --against {data / 'test1.json'}")
    if check_zip(track, predicted["zip"], against=data / "test1.json")["problems"]:
        raise work_error(
            "LIC-P001", file=predicted["zip"], found="a zip with problems", expected="one that would be accepted", remedy="Please report it."
        )
    shown = get_task(track).shown_scores
    tests = {}
    for name in TESTS:
        say(f"$ lic score {track} {data / name}.json {predicted['zip']}")
        scores = score_prediction(track, data / f"{name}.json", predicted["zip"])
        tests[name] = {score: scores[score] for score in shown}
    return {
        "run": str(run),
        "zip": predicted["zip"],
        "records": predicted["records"],
        "score": shown[-1],
        "dev": {score: dev[score] for score in shown},
        "tests": tests,
        "without_learning": _without_learning(track, data),
        "goal": GOALS[track],
        "reached": tests["test_a"][shown[-1]] >= GOALS[track],
    }


def _without_learning(track: str, data: Path) -> dict[str, float]:
    """What Test A gives to who knows nothing but the answers' types, where the sample says them; else to who remembers the training file."""
    from tasks.registry import get_task

    from .evaluate import evaluate_baseline

    task = get_task(track)
    if (data / "candidates.json").is_file():
        from tasks.reading.baseline import type_only

        records = task.read_records(data / "test_a.json", None, labelled=True).records
        references = {record.id: [answer.text for answer in record.answers] for record in records}
        return type_only(json.loads((data / "candidates.json").read_text(encoding="utf-8")), references)
    scores = evaluate_baseline(track, split="test_a", data=data)
    return {score: scores[score] for score in task.shown_scores}


def _new_folder(folder: Path | None) -> Path:
    if folder is None:
        folder, number = FOLDER, 2
        while folder.exists():
            folder, number = FOLDER.with_name(f"{FOLDER.name}-{number}"), number + 1
    elif folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        found = "a folder that is not empty" if folder.is_dir() else "a file"
        raise input_error("LIC-U017", file=folder, found=found, expected="a new or empty folder", remedy="Name another with --folder.")
    return folder.resolve()


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Works in ``folder``, so that every default path lies in it."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def show(report: dict[str, Any]) -> None:
    """The table of scores, where things lie and what to do next."""
    columns = ["track", "score", "Test A", "Test B", "without learning", "goal for A", "time"]
    rows: list[list[Any]] = []
    for track, result in report["tracks"].items():
        score = result["score"]
        minutes, seconds = divmod(round(result["seconds"]), 60)
        tests = [result["tests"][name][score] for name in TESTS]
        rows.append([track, score.upper(), *tests, result["without_learning"][score], f"{result['goal']:.2f}", f"{minutes}:{seconds:02}"])
    folder = Path(report["folder"])
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    table("lic demo: official scores on the bundled sample", columns, rows, picture=folder / "demo.svg")
    meanings = "; ".join(f"{name.replace('_', ' ').title()}: {meaning}" for name, meaning in TESTS.items())
    print(f"{meanings}. {report['seconds'] / 60:.1f} minutes in all.\n")
    for track, result in report["tracks"].items():
        print(f"{track} zip, checked: {shown / result['zip']}")
    print(f"""
Look closer:
  cd {shown}
  lic extract event "昨晚，星桥科技宣布裁员300人。"
  lic evaluate event                      # by type; the mistakes as JSON lines
Next, with the official data (see README):
  lic data import event DuEE1.0.zip       # relation and reading likewise
  lic data check event data/event
  lic train event                         # a GPU; on a CPU: --recipe small --set encoder.source=FOLDER
  lic predict event --split test          # submissions/duee.zip, ready to upload""")


def command(
    tracks: Annotated[list[str] | None, typer.Argument(help="relation, event or reading; default all three")] = None,
    folder: Annotated[Path | None, typer.Option(help="folder to work in, new or empty; default the next free lic-demo")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for the recipe of every track, e.g. training.epochs=1")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="fail when a score stays below its goal")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """The tracks on the bundled sample: train, evaluate, predict, zip, check; one table of scores (some minutes of CPU)."""
    report = demo(tracks or (), folder=folder, overrides=tuple(set_ or ()), device=device)
    emit_json(report) if as_json else show(report)
    below = [track for track, result in report["tracks"].items() if not result["reached"]]
    if strict and below:
        raise work_error(
            "LIC-P003",
            file=Path(report["folder"]) / "demo.json",
            found=f"{', '.join(below)} below the goal on Test A",
            expected="every track at its goal",
            remedy="Look at that track's scores there; a change of the code or of the recipe made it worse.",
        )
