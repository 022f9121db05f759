"""``lic data import``: official archives, under either naming scheme, into ``data/TRACK/``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.registry import NAMES


def import_data(track: str, source: str | Path, *, destination: str | Path | None = None, replace: bool = False) -> dict[str, Any]:
    """Imports what is official in ``source`` into ``destination`` (default ``data/TRACK``) and says what came and what is still missing.

    Raises InputError, before anything is written, for whatever :func:`tasks.official.import_files` refuses.
    """
    from tasks.official import SPLIT_FILES, import_files, present_splits, require_track

    require_track(track)
    destination = Path("data") / track if destination is None else Path(destination)
    imported = import_files(track, source, destination, replace=replace)
    present = present_splits(track, destination)
    missing = [split for split in ("train", "dev", "schema") if split in SPLIT_FILES[track] and split not in present]
    if not {"test1", "test2"} & present.keys():
        missing.append("test")
    return {
        "track": track,
        "source": str(source),
        "destination": str(destination),
        "imported": [file.as_dict() for file in imported],
        "missing": missing,
    }


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    source: Annotated[Path, typer.Argument(metavar="ARCHIVE_OR_FOLDER", help="zip, tar.gz, folder or a single official file")],
    to: Annotated[Path | None, typer.Option(help="the folder to import into (default data/TRACK)")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="replace different files already there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Bring official archives (both naming schemes) into data/TRACK."""
    from .console import emit_json, say

    report = import_data(track, source, destination=to, replace=replace)
    if as_json:
        emit_json(report)
        return
    words = {"new": "imported", "same": "already there", "replaced": "replaced"}
    for file in report["imported"]:
        known = file["known"] or "not a published checksum"
        print(f"{words[file['state']]}: {file['source']} -> {file['file']}  {file['bytes']:,} bytes, md5 {file['md5']} ({known})")
    if report["missing"]:
        say(f"still missing in {report['destination']}: {', '.join(report['missing'])}")
    if track in _checkable():
        say(f"next: lic data check {track} {report['destination']}")


def _checkable() -> list[str]:
    from tasks.registry import AUXILIARY, TRACKS

    return [*TRACKS, *AUXILIARY]
