"""``lic score``: the official score of a prediction against a labelled file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.registry import NAMES


def score_prediction(
    track: str, gold: str | Path, prediction: str | Path, *, alias: str | Path | None = None, **options: str
) -> dict[str, Any]:
    """The track's official score. ``options`` are the metric's open choices (event: credit, overlap, matching, duplicates).

    Raises InputError for files that can not be read whole, and for an option or value that the track's metric does not have.
    """
    from shared.errors import input_error
    from tasks.registry import get_task

    task = get_task(track)
    try:
        return task.score_files(Path(gold), Path(prediction), alias=None if alias is None else Path(alias), **options)
    except TypeError as error:
        given = ", ".join(f"--{name}" for name in options)
        if not options or "unexpected keyword" not in str(error):
            raise
        raise input_error("LIC-F010", found=given, expected="options of this track's metric", remedy=f"{error}. Leave it out.") from error
    except ValueError as error:
        if "expected one of" not in str(error) or type(error) is not ValueError:
            raise
        raise input_error("LIC-F010", found=str(error), expected="a choice that exists", remedy="See lic score --help.") from error


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    gold: Annotated[Path, typer.Argument(help="a labelled file in the official format")],
    prediction: Annotated[Path, typer.Argument(help="the submission: zip or the bare file")],
    alias: Annotated[Path | None, typer.Option(metavar="TSV", help="relation: table of aliases")] = None,
    credit: Annotated[str | None, typer.Option(help="event: what a pair adds, precision_recall (default) or f1")] = None,
    overlap: Annotated[str | None, typer.Option(help="event: shared characters, multiset (default) or lcs")] = None,
    matching: Annotated[str | None, typer.Option(help="event: one_to_one (default) or best")] = None,
    duplicates: Annotated[str | None, typer.Option(help="event: exact repetitions count once (default) or keep")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Score a prediction file by the official rule."""
    from .console import emit_json, say

    given = {"credit": credit, "overlap": overlap, "matching": matching, "duplicates": duplicates}
    report = score_prediction(track, gold, prediction, alias=alias, **{name: value for name, value in given.items() if value is not None})
    if as_json:
        emit_json(report)
        return
    show_scores(track, f"{track}: {prediction}", report)
    for key, meaning in REMARKS.items():
        if report.get(key):
            say(f"{report[key]} {meaning}")


REMARKS = {
    "missing_ids": "gold records have no prediction: they count as not found",
    "unknown_ids": "predicted records are not in the gold file: left out of the score",
    "repeated_ids": "predicted lines repeat a text: the last of each counts, as for the leaderboard",
    "empty_answers": "answers are empty",
}


def show_scores(track: str, title: str, report: dict[str, Any]) -> None:
    """The official scores as a table, and one for each way they are divided (keys ``per_...`` of the report)."""
    from tasks.registry import get_task

    from .console import table

    shown = get_task(track).shown_scores
    counts = [key for key in ("records", "pairs", "questions", "gold", "predicted") if key in report]
    columns = [*shown, *counts]
    rows = [[report[key] for key in columns]]
    views = [name for name in ("strict", "exact_events") if name in report]
    if views:
        columns = ["", *columns]
        rows = [["official", *rows[0]]]
        rows += [[view.replace("_", " "), *(report[view][key] for key in shown), *(report[view].get(key, "") for key in counts)] for view in views]
    table(title, columns, rows)
    for key, parts in report.items():
        if not key.startswith("per_") or not parts:
            continue
        parts = {part: {**figures.get("strict", {}), **figures} for part, figures in parts.items()}
        keys = [count for count in ("pairs", "questions", "gold", "predicted", "correct") if count in next(iter(parts.values()))]
        ranked = list(parts.items()) if keys == ["questions"] else sorted(parts.items(), key=lambda part: (-part[1][keys[0]], part[0]))
        name = key.removeprefix("per_").replace("_", " ")
        table(f"by {name}", [name, *shown, *keys], [[part, *(figures[score] for score in (*shown, *keys))] for part, figures in ranked])
