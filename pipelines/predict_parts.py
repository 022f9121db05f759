"""Predictions of a large file in parts on disk: what an interrupted prediction goes on from, and what several machines share out.

A folder of parts belongs to one file and one run. ``parts.json`` says which, and how the file is cut: every ``size`` sound records are a part.
``part-0000012.jsonl`` is there whole or not at all, so whoever makes parts, in whatever order and wherever, cannot spoil another's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import InputError, Problem, input_error
from shared.files import atomic_write, write_json

if TYPE_CHECKING:
    from tasks.base import Task

FORMAT = 1
SIZE = 2048
"""Records of a part, at most."""
PARTS = 8
"""Parts of a process, at least, of a file with as many records."""
MANIFEST = "parts.json"
_NAME = re.compile(r"part-(\d{7})\.jsonl")


@dataclass(frozen=True)
class Plan:
    """``marks``: what decides the predictions (file, run, settings); ``records``: sound ones of the file."""

    track: str
    marks: Mapping[str, Any]
    records: int
    size: int = SIZE

    @property
    def count(self) -> int:
        """How many parts there are."""
        return -(-self.records // self.size)

    def as_dict(self) -> dict[str, Any]:
        return {"parts": FORMAT, "track": self.track, "marks": dict(self.marks), "records": self.records, "size": self.size}


@dataclass(frozen=True)
class Totals:
    """Of a part or of all: ``records``, their ``predictions``, and records without any."""

    records: int = 0
    predictions: int = 0
    empty: int = 0

    def plus(self, other: Totals) -> Totals:
        return Totals(self.records + other.records, self.predictions + other.predictions, self.empty + other.empty)


def part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:07d}.jsonl"


def parts_there(folder: Path) -> set[int]:
    """Numbers of the parts that a folder holds."""
    return {int(match.group(1)) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))} if folder.is_dir() else set()


def open_parts(folder: Path, plan: Plan, *, resume: bool) -> set[int]:
    """Makes the folder ready for ``plan`` and gives the parts that are there already.

    Without ``resume`` parts of an earlier prediction are thrown away. Raises InputError (LIC-X027) where they are to be gone on from and are of
    another file, run or setting.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        if resume:
            if (own := read_plan(folder).as_dict()) != plan.as_dict():
                raise input_error(
                    "LIC-X027",
                    file=folder,
                    found=f"parts of another prediction ({_difference(own, plan.as_dict())})",
                    expected="parts of this very file, run and settings",
                    remedy="Predict anew without --resume, or with what it was begun with.",
                )
            return parts_there(folder)
        manifest.unlink()  # first: without it the parts are nobody's
        for number in parts_there(folder):
            part_path(folder, number).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(manifest, plan.as_dict())
    return set()


def read_plan(folder: Path) -> Plan:
    """What a folder of parts says of itself. Raises InputError (LIC-X028) for a folder that holds none."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if said["parts"] != FORMAT:
            raise ValueError(f"of format {said['parts']!r}")
        return Plan(str(said["track"]), dict(said["marks"]), int(said["records"]), int(said["size"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise input_error(
            "LIC-X028",
            file=folder,
            found=f"no parts of a prediction ({error})",
            expected="a folder that lic predict --shard wrote",
            remedy="Name the folders ending in .parts.",
        ) from error


def _difference(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    left, right = ({**given, **given["marks"]} for given in (own, other))
    return "another " + ", ".join(name for name in sorted({*left, *right} - {"marks"}) if left.get(name) != right.get(name))


def write_part(folder: Path, number: int, task: Task, records: Sequence[Any], predictions: Sequence[Any]) -> None:
    """Writes one part, whole or absent."""
    kind = task.candidates
    with atomic_write(part_path(folder, number)) as file:
        for record, row in zip(records, predictions, strict=True):
            line = [task.identity_of(record), [kind.as_row(one) for one in row]]
            file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")


def read_part(path: Path, task: Task, records: Sequence[Any]) -> Iterator[list[Any]]:
    """The predictions of a part. Raises InputError (LIC-X029) where it is damaged or is not about ``records``."""
    kind, number = task.candidates, 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                identity, rows = json.loads(line)
                if number > len(records) or identity != task.identity_of(records[number - 1]):
                    raise ValueError("it is about another record")
                yield [kind.from_row(row) for row in rows]
        if number != len(records):
            raise ValueError(f"it has {number} lines for {len(records)} records")
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise input_error(
            "LIC-X029",
            file=path,
            line=number or None,
            found=f"a damaged part ({error})",
            expected="a part as lic predict wrote it",
            remedy="Delete it, and predict again with --resume.",
        ) from error


def gather(folders: Sequence[Path]) -> tuple[Plan, dict[int, Path]]:
    """The one plan of all folders, and where each part lies.

    Raises InputError with every reason why they are no whole: parts that no folder has, that two have, and folders of another prediction.
    """
    plans = [(folder, read_plan(folder)) for folder in folders]
    plan, problems = plans[0][1], []
    places: dict[int, Path] = {}
    for folder, own in plans:
        if own != plan:
            found = f"parts of another prediction than {folders[0]} ({_difference(own.as_dict(), plan.as_dict())})"
            problems.append(Problem("LIC-X027", found, "shards of one prediction", "Leave the folder out, or predict its shard again.", str(folder)))
            continue
        for number in sorted(parts_there(folder)):
            if number in places:
                found, expected = f"part {number}, which {places[number].parent} has too", "every part once"
                remedy = "Leave out one of the folders, or delete the part in one."
                problems.append(Problem("LIC-X030", found, expected, remedy, str(folder)))
            places.setdefault(number, part_path(folder, number))
    beyond = sorted(set(places) - set(range(plan.count)))
    missing = sorted(set(range(plan.count)) - set(places))
    if beyond:
        where, expected = str(places[beyond[0]]), f"parts 0 to {plan.count - 1}"
        problems.append(Problem("LIC-X030", f"part {beyond[0]} of {plan.count}", expected, "Delete it.", where))
    if missing:
        which = ", ".join(map(str, missing[:8])) + (" …" if len(missing) > 8 else "")
        found = f"{len(missing)} of {plan.count} parts missing: {which}"
        remedy = "Predict the shards that are missing, or name their folders too."
        problems.append(Problem("LIC-X031", found, "all parts", remedy, str(folders[0])))
    if problems:
        raise InputError(*problems)
    return plan, places
