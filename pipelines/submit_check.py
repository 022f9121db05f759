"""``lic submit check``: would the leaderboard take this zip?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.registry import NAMES

SHOWN = 100


def check_zip(track: str, path: str | Path, *, against: str | Path | None = None, schema: str | Path | None = None) -> dict[str, Any]:
    """``ok`` and every ``problems`` (a dictionary of :class:`shared.errors.Problem` each) of a submission zip.

    ``against``: the official test file. ``schema``: the schema file; without it, one beside ``against`` is used if there is one. Raises
    InputError for a schema that can not be read.
    """
    from tasks.official import has_schema, present_splits
    from tasks.registry import get_task

    from .data_files import open_schema

    task = get_task(track)
    if schema is None and against is not None and has_schema(track) and Path(against).parent.is_dir():
        schema = present_splits(track, Path(against).parent).get("schema")
    read = None if schema is None else open_schema(task, Path(schema).parent, Path(schema))
    problems = task.check_submission(Path(path), schema=read, against=None if against is None else Path(against))
    return {
        "track": track,
        "path": str(path),
        "against": None if against is None else str(against),
        "schema": None if schema is None else str(schema),
        "ok": not problems,
        "problems": [problem.as_dict() for problem in problems],
    }


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    path: Annotated[Path, typer.Argument(metavar="ZIP", help="the submission")],
    against: Annotated[Path | None, typer.Option(metavar="TEST_JSON", help="the official test file: ids and texts are compared")] = None,
    schema: Annotated[Path | None, typer.Option(help="the schema (default: the one beside --against)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Would the leaderboard take it? Every reason why not, with its remedy."""
    from tasks.official import has_schema

    from .console import emit_json, say, say_problems

    report = check_zip(track, path, against=against, schema=schema)
    if as_json:
        emit_json(report)
    else:
        from shared.errors import Problem

        say_problems([Problem(**problem) for problem in report["problems"]], limit=SHOWN, rest="--json lists all")
        if report["against"] is None:
            say("note: records were not compared with a test file; give --against.")
        if report["schema"] is None and has_schema(track):
            say("note: names were not compared with a schema; give --schema.")
        verdict = "accepted" if report["ok"] else f"{len(report['problems'])} problem{'s' * (len(report['problems']) != 1)}"
        print(f"{path}: {verdict}")
    if not report["ok"]:
        raise typer.Exit(2)
