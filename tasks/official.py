"""The official files of the tracks: their names under both naming schemes, known checksums and sizes, and how they are found and imported.

Names and sums come from the organisers' READMEs (LIC2020 pages, PaddlePaddle Research, PaddleNLP examples). A new track is a new row.
Codes: F001 unknown track, F002 two different files for one split, F003 unknown split, F004 nothing found, F005 content of another track,
F007 another file in place, F008 damaged archive, F009 a member path that leaves the folder, F011 a destination that is a file;
D003 an empty file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem, input_error
from shared.files import atomic_write, digest

SPLIT_FILES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "relation": {
        "train": ("train_data.json", "duie_train.json", "train.json"),
        "dev": ("dev_data.json", "duie_dev.json", "dev.json"),
        "test1": ("test1_data.json", "duie_test1.json", "test1.json"),
        "test2": ("test2_data.json", "duie_test2.json", "test2.json"),
        "schema": ("schema.json", "duie_schema.json"),
        "sample": ("sample_data.json", "duie_sample.json"),
    },
    "event": {
        "train": ("train.json", "duee_train.json"),
        "dev": ("dev.json", "duee_dev.json"),
        "test1": ("test1.json", "duee_test1.json"),
        "test2": ("test2.json", "duee_test2.json"),
        "schema": ("event_schema.json", "duee_event_schema.json", "schema.json"),
        "sample": ("sample_data.json", "duee_sample.json"),
    },
    "reading": {
        "train": ("train.json", "dureader_robust_train.json"),
        "dev": ("dev.json", "dureader_robust_dev.json"),
        "test1": ("test1.json", "dureader_robust_test1.json"),
        "test2": ("test2.json", "dureader_robust_test2.json"),
        "demo_train": ("demo_train.json",),
        "demo_dev": ("demo_dev.json",),
    },
    "title": {
        "train": ("train.jsonl", "csl_title_train.json"),
        "dev": ("dev.jsonl", "csl_title_dev.json"),
        "test1": ("test.jsonl", "csl_title_test.json"),
    },
    "paraphrase": {
        "train": ("train.jsonl",),
        "dev": ("dev.jsonl",),
        "test1": ("test.jsonl",),
    },
}
"""Track to split to file names: LIC2020's name first (imports take it), then Qianyan's, then other spellings that are met."""

KNOWN_MD5: Mapping[str, Mapping[str, str]] = {
    "relation": {
        "c31b9c53382b29688867ff0cfdc57ec6": "DuIE 2.0 train",
        "05b4ac0336b0a5ff402115a5d2060331": "DuIE 2.0 dev",
    },
    "event": {},
    "reading": {
        "020b26396f1b5932e451dba84d0b3dc8": "DuReader-robust, dureader_robust-data.tar.gz",
        "82f3d191a115ec17808856866787606e": "DuReader-robust, PaddleNLP's archive",
        "800a3dcb742f9fdf9b11e0a83433d4be": "DuReader-robust train",
        "ae73cec081eaa28a735204c4898a2222": "DuReader-robust dev",
    },
    "title": {},
    "paraphrase": {},
}
"""Track to md5 to what it is. None was published for DuEE and CSL."""

KNOWN_LINES: Mapping[str, Mapping[str, Mapping[int, str]]] = {
    "relation": {
        "dev": {20674: "DuIE 2.0 dev"},
        "test1": {10468: "LIC2020 test1"},
        "schema": {48: "DuIE 2.0"},
        "sample": {10010: "LIC2020 sample"},
    },
    "event": {
        "train": {11958: "DuEE 1.0 train"},
        "dev": {1498: "DuEE 1.0 dev", 1492: "the dev variant with 6 ids fewer"},
        "test1": {1489: "LIC2020 test1", 15000: "LIC2021 test1, with confusion data"},
        "schema": {65: "DuEE 1.0"},
        "sample": {500: "LIC2020 sample"},
    },
    "reading": {},
    "title": {},
    "paraphrase": {},
}
"""Track to split to number of lines to what has so many."""

_DEPTH, _LARGEST = 3, 1 << 30


def require_track(track: str) -> None:
    """Raises :class:`InputError` unless the track has official files."""
    if track not in SPLIT_FILES:
        expected = f"one of {', '.join(SPLIT_FILES)}"
        raise input_error("LIC-F001", found=f"the track “{track}”", expected=expected, remedy="Name one of these.")


def has_schema(track: str) -> bool:
    """Whether the track's official files have a schema among them."""
    return "schema" in SPLIT_FILES[track]


def split_of(track: str, name: str) -> str | None:
    """The split that a file name stands for, or None."""
    return next((split for split, names in SPLIT_FILES[track].items() if name in names), None)


def present_splits(track: str, folder: str | Path) -> dict[str, Path]:
    """Split to file, for every official name present in ``folder``.

    Raises :class:`InputError` when two files of different content stand for one split (equal ones: the first name is taken).
    """
    found: dict[str, Path] = {}
    problems = []
    for split, names in SPLIT_FILES[track].items():
        files = [Path(folder) / name for name in names if (Path(folder) / name).is_file()]
        if not files:
            continue
        found[split] = files[0]
        if len(files) > 1 and len({digest(file, "md5") for file in files}) > 1:
            both = " and ".join(file.name for file in files)
            remedy = "Move all but one away; which is right can not be guessed."
            problems.append(Problem("LIC-F002", f"{both} with different content", f"one file for {split}", remedy, str(folder)))
    if problems:
        raise InputError(*problems)
    return found


def find_split(track: str, folder: str | Path, split: str) -> Path:
    """The file of ``split`` (``test``: test2 if present, else test1); a name that the track does not know is that of a JSON file in ``folder``.

    Raises :class:`InputError` saying what is there and what is looked for.
    """
    require_track(track)
    folder = Path(folder)
    wanted = ("test2", "test1") if split == "test" else (split,)
    if split not in (*SPLIT_FILES[track], "test"):
        own = folder / f"{split}{Path(SPLIT_FILES[track]['train'][0]).suffix}"
        if own.is_file() and own.parent == folder:
            return own
        expected = f"one of {', '.join(SPLIT_FILES[track])}, test, or the name of a JSON file in {folder}"
        raise input_error("LIC-F003", found=f"the split “{split}”", expected=expected, remedy="Name one of these.")
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        remedy = f"Give the folder with the official files, or import them: `lic data import {track} ARCHIVE`."
        raise input_error("LIC-F004", found=found, expected="a data folder", remedy=remedy, file=folder)
    present = present_splits(track, folder)
    for name in wanted:
        if name in present:
            return present[name]
    there = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    found = f"no file of {split} among: {', '.join(there[:20]) or 'nothing'}{' …' if len(there) > 20 else ''}"
    names = " or ".join(file for name in wanted for file in SPLIT_FILES[track][name])
    remedy = f"Put it there under one of these names, or `lic data import {track} ARCHIVE`."
    raise input_error("LIC-F004", found=found, expected=names, remedy=remedy, file=folder)


def sniff(data: bytes) -> str | None:
    """The track that a file's content belongs to, told by the keys of its first object; None when they do not tell.

    An unlabelled event line (``text``, ``id``) and a relation line (``text``) differ by the id.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)
    try:
        first = json.loads(lines[0])
    except (ValueError, RecursionError):
        return "reading" if data.lstrip()[:400].replace(b" ", b"").replace(b"\n", b"").startswith(b'{"data":[') else None
    if not isinstance(first, dict):
        return None
    if "spo_list" in first or "predicate" in first:
        return "relation"
    if "event_list" in first or "role_list" in first:
        return "event"
    if "abst" in first:
        return "title"
    if isinstance(first.get("data"), list):
        return "reading"
    if "text" in first:
        return "event" if "id" in first else "relation"
    return None


@dataclass(frozen=True)
class Imported:
    """One file brought in.

    ``state``: ``new``, ``same`` (the same bytes were there) or ``replaced``; ``known``: what its md5 is known to be.
    """

    split: str
    source: str
    file: str
    bytes: int
    md5: str
    known: str | None
    state: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def import_files(track: str, source: str | Path, destination: str | Path, *, replace: bool = False) -> list[Imported]:
    """Copies the official files found in a zip, tar (gz, bz2, xz), folder or single file to ``destination`` under LIC2020's names.

    Folders inside and archives inside archives are searched; other files are left alone. Nothing is written unless everything is sound.
    Raises :class:`InputError` for a source without an official file, member paths that leave the folder, a damaged archive, two different
    files for one split, content of another track, or (without ``replace``) a different file already in place.
    """
    require_track(track)
    source, destination = Path(source), Path(destination)
    if not source.exists():
        raise input_error(
            "LIC-F004", found="no such file or folder", expected="an archive or folder", remedy="Check the path.", file=source
        )
    if destination.exists() and not destination.is_dir():
        raise input_error("LIC-F011", found="a file", expected="a folder to import into", remedy="Name another with --to.", file=destination)
    chosen: dict[str, tuple[str, bytes]] = {}
    problems: list[Problem] = []
    seen: list[str] = []
    inside = source if source.is_dir() else source.parent
    unpacking: list[Problem] = []
    for name, data in _leaves(source, unpacking):
        base = name.rsplit("/", 1)[-1]
        seen.append(name)
        split = split_of(track, base)
        if split is None:
            continue
        if not data:
            problems.append(Problem("LIC-D003", "an empty file", f"the {split} file", "Download it again.", str(inside / name)))
            continue
        other = sniff(data[: 1 << 20])
        if other is not None and other != track:
            remedy = f"Import it as that: `lic data import {other} …`."
            problems.append(Problem("LIC-F005", f"the content of a {other} file", f"a {track} file", remedy, str(inside / name)))
        elif split in chosen and chosen[split][1] != data:
            remedy = "Import the right one by itself."
            problems.append(
                Problem("LIC-F002", f"{chosen[split][0]} and {name}, which differ", f"one file for {split}", remedy, str(source))
            )
        else:
            chosen.setdefault(split, (name, data))
    problems += [replace_fields(problem, file=str(inside / (problem.file or ""))) for problem in unpacking]
    if not chosen and not problems:
        names = ", ".join(file for files in SPLIT_FILES[track].values() for file in files)
        found = f"no official file among: {', '.join(seen[:10]) or 'nothing'}{' …' if len(seen) > 10 else ''}"
        problems.append(Problem("LIC-F004", found, names, "Rename the files, or check that this is the track's archive.", str(source)))
    plan = []
    for split, (name, data) in chosen.items():
        target = destination / SPLIT_FILES[track][split][0]
        same = target.is_file() and target.read_bytes() == data
        state = "same" if same else "replaced" if target.exists() else "new"
        if state == "replaced" and not replace:
            remedy = "Move it away, or replace it with --replace."
            problems.append(Problem("LIC-F007", "a different file already there", f"none, or the bytes of {name}", remedy, str(target)))
        md5 = hashlib.md5(data).hexdigest()
        plan.append((target, data, Imported(split, name, str(target), len(data), md5, KNOWN_MD5[track].get(md5), state)))
    if problems:
        raise InputError(*problems)
    with contextlib.ExitStack() as files:  # a disk that fills up leaves none of them
        for target, data, imported in plan:
            if imported.state != "same":
                file = files.enter_context(atomic_write(target))
                file.write(data)
                file.flush()
    return [imported for _, _, imported in plan]


def _leaves(source: Path, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every file in a folder, archive or archive within it."""
    if not source.is_dir():
        yield from _unpack(source.name, source.read_bytes(), 0, problems)
        return
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__MACOSX" and not name.startswith("."))
        for name in sorted(files):
            path = Path(folder) / name
            if name.startswith(".") or not path.is_file() or not _wanted(name):
                continue
            yield from _unpack(path.relative_to(source).as_posix(), path.read_bytes(), 0, problems)


def _wanted(name: str) -> bool:
    return name.lower().endswith((".json", ".jsonl", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"))


def _unpack(name: str, data: bytes, depth: int, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    if not name.lower().endswith((".json", ".jsonl")) and depth < _DEPTH:
        try:
            if data.startswith(b"PK"):
                yield from _from_zip(name, data, depth, problems)
                return
            if name.lower().endswith((".tar", ".tgz", ".gz", ".bz2", ".xz")):
                yield from _from_tar(name, data, depth, problems)
                return
            if name.lower().endswith(".zip"):
                raise zipfile.BadZipFile("it does not begin like one" if data else "the file is empty")
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, OSError, RuntimeError, NotImplementedError) as error:
            remedy = "Download it again; encrypted archives are to be unpacked by hand."
            problems.append(Problem("LIC-F008", f"an archive that can not be unpacked: {error}", "a whole zip or tar", remedy, name))
            return
    yield name, data


def _from_zip(name: str, data: bytes, depth: int, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if not info.is_dir() and _sound(name, info.filename, info.file_size, problems):
                yield from _unpack(f"{name}/{info.filename}", archive.read(info), depth + 1, problems)


def _from_tar(name: str, data: bytes, depth: int, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            if info.isfile() and _sound(name, info.name, info.size, problems):
                member = archive.extractfile(info)
                assert member is not None  # it is for links and folders only
                yield from _unpack(f"{name}/{info.name}", member.read(), depth + 1, problems)


def _sound(archive: str, member: str, size: int, problems: list[Problem]) -> bool:
    """Whether a member is to be read; a path that leaves the folder and a giant are problems, the litter of file managers is not."""
    parts = member.replace("\\", "/").split("/")
    if member.startswith(("/", "\\")) or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":"):
        remedy = "Do not trust this archive: get the official one."
        problems.append(Problem("LIC-F009", f"the member path “{member}”", "paths that stay inside the folder", remedy, archive))
        return False
    if "__MACOSX" in parts or parts[-1].startswith(".") or not _wanted(parts[-1]):
        return False
    if size > _LARGEST:
        problems.append(Problem("LIC-F008", f"{member} of {size} bytes", f"at most {_LARGEST}", "Unpack it by hand.", archive))
        return False
    return True
