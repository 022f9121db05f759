"""``lic data check``: is this an official file or folder, complete and sound?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks.registry import NAMES

if TYPE_CHECKING:
    from tasks.profile import Profile

SHOWN = 100


def check_data(track: str, path: str | Path, *, schema: str | Path | None = None) -> dict[str, Any]:
    """Reads every official file at ``path`` (a file or a folder) and says what is in it.

    ``files``: per split its counts, md5, what md5 or line count are known as, skipped records and number of problems; ``missing``: splits
    the folder lacks; ``shared_ids``: ids (or texts, where the track has none) that two splits have in common; ``notes``: what is worth
    knowing yet no fault; ``problems``: every fault (a dictionary of :class:`shared.errors.Problem` each); ``ok``: no problem; ``complete``:
    train, dev, a test file and the schema are there; ``tables``: what :mod:`pipelines.data_report` makes of the records, which changes
    nothing of the others. ``schema`` names the schema file when it lies elsewhere. Raises InputError when there is nothing to check.
    """
    from shared.errors import input_error
    from tasks.official import SPLIT_FILES, present_splits, split_of
    from tasks.registry import get_task

    from .data_report import data_report

    task = get_task(track)
    path = Path(path)
    if not path.exists():
        raise input_error(
            "LIC-F004", file=path, found="no such file or folder", expected="an official file or folder", remedy="Check the path."
        )
    if path.is_dir():
        present = present_splits(track, path)
        if not present:
            there = ", ".join(sorted(entry.name for entry in path.iterdir())[:20]) or "nothing"
            names = ", ".join(name for names in SPLIT_FILES[track].values() for name in names)
            remedy = f"Name the right folder, or `lic data import {track} ARCHIVE`."
            raise input_error("LIC-F004", file=path, found=f"no official file among: {there}", expected=names, remedy=remedy)
        beside = present
    else:
        present = {split_of(track, path.name) or path.stem: path}
        schemas = [path.parent / name for name in SPLIT_FILES[track].get("schema", ()) if (path.parent / name).is_file()]
        beside = {"schema": schemas[0]} if schemas else {}
        beside |= present
    report: dict[str, Any] = {"track": track, "path": str(path), "files": {}, "missing": [], "shared_ids": [], "notes": [], "problems": []}
    schema_path = Path(schema) if schema is not None else beside.get("schema")
    read_schema = None
    if "schema" in SPLIT_FILES[track]:
        read_schema = _check_schema(task, schema_path, report)
    ids: dict[str, set[str]] = {}
    profiles: dict[str, Any] = {}
    for split, file in present.items():
        if split != "schema":
            ids[split], profiles[split] = _check_records(task, split, file, read_schema, report)
    _compare(ids, report)
    report["tables"] = data_report(profiles, {split: file.name for split, file in present.items()})
    if path.is_dir():
        wanted = [split for split in ("train", "dev", "schema") if split in SPLIT_FILES[track] and split not in present]
        if not {"test1", "test2"} & present.keys():
            wanted.append("test")
        others = sorted(file.name for file in path.glob("*.json") if file not in present.values())
        if others:
            report["notes"].append(f"not checked, since the {track} track has no official file of that name: {', '.join(others)}")
        report["missing"] = wanted
        report["complete"] = not wanted
    report["ok"] = not report["problems"]
    return report


def _check_schema(task: Any, path: Path | None, report: dict[str, Any]) -> Any:
    if path is None:
        report["notes"].append("no schema beside it: names of types and roles were not checked")
        return None
    schema, problems = task.inspect_schema(path)
    report["problems"] += [problem.as_dict() for problem in problems]
    entry = _identify(task.name, "schema", path)
    if schema is not None:
        entry |= schema.counts()
    report["files"]["schema"] = entry | {"problems": len(problems)}
    return schema


def _identify(track: str, split: str, path: Path) -> dict[str, Any]:
    from shared.files import digest
    from tasks.official import KNOWN_LINES, KNOWN_MD5

    entry: dict[str, Any] = {"file": str(path)}
    if path.is_file():
        md5 = digest(path, "md5")
        entry |= {"md5": md5, "md5_known_as": KNOWN_MD5[track].get(md5)}
        if KNOWN_LINES[track]:  # a file of the reading track is one JSON value
            data = path.read_bytes()
            lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
            known_lines = KNOWN_LINES[track].get(split, {})
            entry |= {"lines": lines, "lines_known_as": known_lines.get(lines), "official_lines": sorted(known_lines) or None}
    return entry


def _check_records(task: Any, split: str, path: Path, schema: Any, report: dict[str, Any]) -> tuple[set[str], Profile]:
    labelled = True if split in ("train", "dev", "sample") else None
    result = task.read_records(path, schema, labelled=labelled)
    report["problems"] += [problem.as_dict() for problem in result.problems]
    report["files"][split] = {
        **_identify(task.name, split, path),
        **task.describe(result.records),
        "skipped": result.skipped,
        "problems": len(result.problems),
    }
    return {task.identity_of(record) for record in result.records}, task.profile(result.records, schema)


def _compare(ids: dict[str, set[str]], report: dict[str, Any]) -> None:
    splits = list(ids)
    for index, left in enumerate(splits):
        for right in splits[index + 1 :]:
            shared = sorted(ids[left] & ids[right])
            if not shared or {left, right} == {"test1", "test2"}:
                continue
            report["shared_ids"].append({"splits": [left, right], "count": len(shared), "first": shared[:5]})
            some = ", ".join(_short(name) for name in shared[:3])
            report["notes"].append(f"{left} and {right} share {len(shared)} records ({some}): scores on the later one flatter")
    for split, entry in report["files"].items():
        official = entry.get("official_lines")
        if official and entry["lines_known_as"] is None:
            sizes = " or ".join(f"{count:,}" for count in official)
            report["notes"].append(f"{split} has {entry['lines']:,} lines where the official file has {sizes}: a part or another edition")


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    path: Annotated[Path, typer.Argument(help="an official file, or a folder of them")],
    schema: Annotated[Path | None, typer.Option(help="the schema, when it does not lie beside the file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Is this an official file or folder, complete and sound? Counts, known md5, every problem with its line; tables of lengths, labels,
    overlaps and everything suspicious."""
    report = check_data(track, path, schema=schema)
    if as_json:
        from .console import emit_json

        emit_json(report)
    else:
        _show(report)
    if not report["ok"]:
        raise typer.Exit(2)


def _show(report: dict[str, Any]) -> None:
    from shared.errors import Problem

    from .console import say, say_problems, table
    from .data_report import show_report

    files = report["files"]
    keys = list(dict.fromkeys(key for entry in files.values() for key in entry if key not in ("file", "official_lines")))
    rows = [[_label(key), *(_cell(key, entry.get(key)) for entry in files.values())] for key in keys]
    table(f"{report['track']}: {report['path']}", ["", *files], rows)
    show_report(report["tables"])
    for note in report["notes"]:
        say(f"note: {note}")
    if report["missing"]:
        say(f"missing: {', '.join(report['missing'])}")
    say_problems([Problem(**problem) for problem in report["problems"]], limit=SHOWN, rest="--json lists all")
    skipped = sum(entry.get("skipped", 0) for entry in files.values())
    verdict = "sound" if report["ok"] else f"problems: {len(report['problems'])}, unusable records: {skipped}"
    say(f"{report['path']}: {verdict}")


def _label(key: str) -> str:
    return "% " + key[6:].replace("_", " ") if key.startswith("share_") else key.replace("_", " ")


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "unknown" if key.endswith("known_as") else ""
    if key.startswith("share_"):
        return f"{value:.2%}"
    if key == "md5":
        return f"{value[:8]}…"  # --json has it whole
    return f"{value:,}" if isinstance(value, int) else str(value)
