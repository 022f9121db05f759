"""``lic score``: the official score of a prediction against a labelled file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


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
    track: Annotated[str, typer.Argument(help="relation, event or reading")],
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
    _show(track, report)
    if report.get("missing_ids"):
        say(f"{report['missing_ids']} of {report['ids']} gold ids have no line in the prediction: they count as not found")
    if report.get("unknown_ids"):
        say(f"{report['unknown_ids']} predicted ids are not in the gold file: left out of the score")


def _show(track: str, report: dict[str, Any]) -> None:
    from .console import table

    shares = ("precision", "recall", "f1")
    rows = [["official", *(report[key] for key in shares)]]
    if "strict" in report:
        rows.append(["strict", *(report["strict"][key] for key in shares)])
    table(f"{track}: {report['gold']:,} gold, {report['predicted']:,} predicted", ["", *shares], rows)
    if report.get("per_type"):
        ranked = sorted(report["per_type"].items(), key=lambda item: (-item[1]["gold"], item[0]))
        rows = [[name, *(figures[key] for key in shares), figures["gold"], figures["predicted"]] for name, figures in ranked]
        table("by type", ["type", *shares, "gold", "predicted"], rows)
