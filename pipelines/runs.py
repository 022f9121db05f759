"""``lic runs``: every run with its score; ``lic runs compare``: two of them side by side."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.registry import NAMES

app = typer.Typer(help="Runs: list them, compare two, draw their curves.", invoke_without_command=True)


def list_runs(root: str | Path | None = None, *, track: str | None = None) -> list[dict[str, Any]]:
    """Every run (of ``track``) under ``root``, which is ``runs`` by default, sorted by track and name.

    Of each: ``track``, ``name``, ``group`` (the folder of folds or seeds it belongs to, or None), ``state`` (``finished``, ``unfinished``,
    ``not started`` or ``damaged``), ``steps`` done and ``planned`` (None unless known), ``score_name``, ``score``, ``best_step`` and
    ``best`` (all scores) of the best evaluation on dev, ``final_step`` and ``final`` of the last one, ``seed``, ``date`` (when it was
    begun, local time), ``minutes`` spent, real ``tokens_per_second`` of its steps, ``folder``, and ``problems``: what is wrong with it.
    Nothing of a damaged run raises. Raises InputError for an unknown track.
    """
    from tasks.registry import get_task

    from .run_figures import describe_run, in_order, run_folders
    from .run_folder import RUNS

    if track is not None and track != "pretraining":
        get_task(track)
    rows = [describe_run(folder, place, name) for place, name, folder in run_folders(Path(root or RUNS))]
    kept = [row for row in rows if track is None or row["track"] == track]
    return sorted(kept, key=lambda row: (row["track"], in_order(row["name"])))


def summaries(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of every folder of folds or seeds: its ``members``, how many are ``scored``, and ``mean`` and sample ``deviation`` of the best scores.

    ``deviation`` is None for fewer than two scores, ``mean`` for none.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["group"]:
            groups.setdefault((row["track"], row["group"]), []).append(row)
    found = []
    for (track, name), members in groups.items():
        scores = [row["score"] for row in members if row["score"] is not None]
        found.append(
            {
                "track": track,
                "name": name,
                "members": len(members),
                "scored": len(scores),
                "score_name": next((row["score_name"] for row in members if row["score_name"]), None),
                "mean": statistics.fmean(scores) if scores else None,
                "deviation": statistics.stdev(scores) if len(scores) > 1 else None,
            }
        )
    return found


def find_named_run(name: str | Path, root: str | Path | None = None) -> Path:
    """The folder of a run: a path, or what :func:`list_runs` calls it (``event/small``). Raises InputError when there is none."""
    from shared.errors import input_error

    from .run_figures import is_run, members_of
    from .run_folder import RUNS

    places = [Path(name), Path(root or RUNS) / name]
    for place in places:
        if is_run(place):
            return place
    for place in places:
        if members := members_of(place):
            raise input_error(
                "LIC-U004",
                file=place,
                found=f"a folder of {len(members)} runs",
                expected="one run",
                remedy=f"Name one of them, e.g. {members[0]}.",
            )
    raise input_error(
        "LIC-U004", found=f"{str(name)!r}, which is no run", expected=f"the folder of a run, or its name under {root or RUNS}", remedy="See lic runs."
    )


def compare_runs(a: str | Path, b: str | Path, *, root: str | Path | None = None) -> dict[str, Any]:
    """Two runs of a track beside each other; every pair is [of a, of b], None where one lacks it.

    ``a`` and ``b``: their rows of :func:`list_runs`; ``config``: dotted settings that differ, as ``--set`` names them, ``run.`` before what
    no recipe says; ``data``: checksums of all files; ``packages``: versions, device and threads that differ; ``best`` and ``final``: every
    score. Raises InputError for a name that is no run, damaged settings, and runs of different tracks.
    """
    from shared.errors import input_error

    from .run_figures import describe_run, read_config, table_of
    from .run_folder import RUNS

    folders = [find_named_run(name, root) for name in (a, b)]
    configs = [read_config(folder) for folder in folders]
    tracks = [config["run"]["track"] for config in configs]
    if tracks[0] != tracks[1]:
        raise input_error(
            "LIC-U030",
            found=f"{folders[0]} of track {tracks[0]} and {folders[1]} of track {tracks[1]}",
            expected="two runs of one track",
            remedy="Name two that were trained on the same track.",
        )
    rows = [describe_run(folder, tracks[0], _name_under(folder, Path(root or RUNS))) for folder in folders]
    data = [table_of(config, "run", "data") for config in configs]
    settings = [
        {**_flat(config["recipe"]), **_flat({name: value for name, value in config["run"].items() if name not in ("data", "track")}, "run.")}
        for config in configs
    ]
    return {
        "track": tracks[0],
        "a": rows[0],
        "b": rows[1],
        "config": _pairs(*settings, all_of_them=False),
        "data": _pairs(*data),
        "packages": _pairs(*map(_environment, folders), all_of_them=False),
        "best": _pairs(rows[0]["best"], rows[1]["best"]),
        "final": _pairs(rows[0]["final"], rows[1]["final"]),
    }


def _name_under(folder: Path, root: Path) -> str:
    """``small/fold-1`` of ``runs/event/small/fold-1``; for a run elsewhere the folder's own name."""
    try:
        inside = folder.resolve().relative_to(root.resolve()).parts
    except ValueError:
        return folder.name
    return "/".join(inside[1:]) or folder.name


def _flat(table: Mapping[str, Any], under: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        found.update(_flat(value, f"{under}{name}.") if isinstance(value, Mapping) else {f"{under}{name}": value})
    return found


def _environment(folder: Path) -> dict[str, Any]:
    from .run_figures import read_object

    try:
        return {name.removeprefix("packages."): value for name, value in _flat(read_object(folder / "environment.json") or {}).items()}
    except ValueError:
        return {}


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any], *, all_of_them: bool = True) -> dict[str, list[Any]]:
    names = [*a, *(name for name in b if name not in a)]
    return {name: [a.get(name), b.get(name)] for name in names if all_of_them or a.get(name) != b.get(name)}


# -- what people see ---------------------------------------------------------------------------------------------


def show_runs(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table a track on standard output, 100 columns wide where names are short; below it means of folds and seeds, and what is damaged."""
    from .console import listing

    groups = summaries(rows)
    for index, track in enumerate(dict.fromkeys(row["track"] for row in rows)):
        if index:
            typer.echo()
        own = [row for row in rows if row["track"] == track]
        score = next((row["score_name"] for row in own if row["score_name"]), "score")
        listing(
            f"{track or 'track unknown'}: {len(own)} {'run' if len(own) == 1 else 'runs'}",
            ["run", "state", "steps", f"dev {score}", "at step", "seed", "begun", "minutes", "tokens/s"],
            [_cells(row) for row in own],
            right=(2, 3, 4, 5, 7, 8),
        )
        for group in groups:
            if group["track"] == track:
                typer.echo(_summary(group))
        for row in own:
            for problem in row["problems"]:
                typer.echo(f"{row['name']}: {problem}")


def _cells(row: Mapping[str, Any]) -> list[str]:
    steps = f"{row['steps']}/{row['planned']}" if row["planned"] else str(row["steps"])
    score, minutes, speed = row["score"], row["minutes"], row["tokens_per_second"]
    return [
        row["name"],
        row["state"],
        steps,
        _said(score),
        _said(row["best_step"]),
        _said(row["seed"]),
        (row["date"] or "–").partition(" ")[0],
        "–" if minutes is None else f"{minutes:.1f}" if minutes < 100 else f"{minutes:,.0f}",
        "–" if speed is None else f"{speed:,.0f}",
    ]


def _summary(group: Mapping[str, Any]) -> str:
    members = f"{group['name']}: {group['members']} {'run' if group['members'] == 1 else 'runs'}"
    if group["mean"] is None:
        return f"{members}, none evaluated"
    spread = "" if group["deviation"] is None else f" ± {group['deviation']:.4f}"
    scored = "" if group["scored"] == group["members"] else f" of {group['scored']}"
    return f"{members}, dev {group['score_name']} {group['mean']:.4f}{spread} (mean{' ± standard deviation' if spread else ''}{scored})"


def show_comparison(report: Mapping[str, Any]) -> None:
    """Scores, settings, data and packages of :func:`compare_runs`, side by side on standard output."""
    from .console import listing

    a, b = report["a"], report["b"]
    names = [a["name"], b["name"]] if a["name"] != b["name"] else [a["folder"], b["folder"]]
    scores = [
        [f"{when} {name}", *map(_said, pair), "" if None in pair else f"{pair[1] - pair[0]:+.4f}"]
        for when in ("best", "final")
        for name, pair in report[when].items()
    ]
    for name, key in (("best at step", "best_step"), ("steps", "steps"), ("minutes", "minutes"), ("tokens/s", "tokens_per_second")):
        scores.append([name, *(f"{row[key]:,}" if row[key] is not None else "–" for row in (a, b)), ""])
    scores.append(["state", a["state"], b["state"], ""])
    listing(f"{report['track']}: scores on dev", ["", *names, "difference"], scores, right=(1, 2, 3))
    for title, pairs, same in (
        ("settings that differ", report["config"], "the same settings"),
        ("data", {name: pair for name, pair in report["data"].items() if pair[0] != pair[1]}, f"the same data: {', '.join(report['data'])}"),
        ("packages and machine that differ", report["packages"], "the same packages and machine"),
    ):
        typer.echo()
        if pairs:
            listing(title, ["", *names], [[name, *map(_exactly, pair)] for name, pair in pairs.items()])
        else:
            typer.echo(same)
    for row in (a, b):
        for problem in row["problems"]:
            typer.echo(f"{row['name']}: {problem}")


def _said(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else _exactly(value)


def _exactly(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.callback()
def command(
    context: typer.Context,
    track: Annotated[str | None, typer.Option(help=NAMES)] = None,
    root: Annotated[Path, typer.Option(help="the folder of runs")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """List every run with its score; compare two; draw their curves."""
    if context.invoked_subcommand is not None:
        return
    from .console import emit_json, say

    rows = list_runs(root, track=track)
    if as_json:
        emit_json({"runs": rows, "groups": summaries(rows)})
    elif rows:
        show_runs(rows)
    else:
        say(f"no run{f' of track {track}' if track else ''} under {root}; train one: lic train {track or 'TRACK'}")


@app.command("compare")
def compare_command(
    a: Annotated[str, typer.Argument(help="a run's folder, or its name under runs/, e.g. event/small")],
    b: Annotated[str, typer.Argument(help="another run of that track")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Say in what two runs of a track differ, and their scores side by side."""
    from .console import emit_json

    report = compare_runs(a, b)
    if as_json:
        emit_json(report)
    else:
        show_comparison(report)


@app.command("curves")
def curves_command(
    run: Annotated[str, typer.Argument(help="a run's folder, or its name under runs/")],
    out: Annotated[Path | None, typer.Option(help="PNG file; default curves.png in the run folder")] = None,
) -> None:
    """Draw loss, rate, gradient norm and dev scores of a run."""
    from .curves import draw_curves

    typer.echo(str(draw_curves(find_named_run(run), out)))


@app.command("board")
def board_command(
    run: Annotated[str, typer.Argument(help="a run's folder, or its name under runs/")],
    out: Annotated[Path | None, typer.Option(help="folder for the event file; default board/ in the run folder")] = None,
) -> None:
    """Write the figures of a run as a TensorBoard event file."""
    from .board import write_board

    typer.echo(str(write_board(find_named_run(run), out)))
