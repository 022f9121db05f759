"""A submission as the leaderboards take it: one member inside a zip. Written, and opened with everything that is wrong around the member.

Codes: S001 no zip, S002 damaged zip, S003 members beside the one that counts, S004 wrong member name, S009 several files and none of the
right name, S010 no file; D003 an empty member.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import Problem
from shared.files import atomic_write

from .json_lines import file_problem, quote

LARGEST = 1 << 29
"""Bytes a member may unpack to before it is taken for a zip bomb; a real one has a few million."""

PACKING_FAULTS = frozenset({"LIC-S001", "LIC-S003", "LIC-S004"})
"""Codes of faults that a leaderboard may refuse, and yet leave no doubt about what was predicted."""


@dataclass
class Opened:
    """``data``: the member's bytes, None when there is none to read; ``where`` names it in problems."""

    data: bytes | None
    where: str
    problems: list[Problem] = field(default_factory=list)


def pack(path: str | Path, member: str, pieces: Iterable[bytes]) -> None:
    """Writes the zip ``path`` and the bare file beside it (``event.zip``, ``event.json``), each atomically; equal data give equal bytes.

    ``pieces`` are written as they come. Raises ValueError for another suffix than ``.zip``.
    """
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise ValueError(f"the submission's path is {str(path)!r}; expected one ending in .zip")
    bare = path.with_suffix(".json")
    with atomic_write(bare) as file:
        for piece in pieces:
            file.write(piece)
    info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    info.file_size = bare.stat().st_size
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive, bare.open("rb") as source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def member_lines(path: str | Path, member: str) -> Iterator[bytes]:
    """The lines of the member of a zip that holds nothing else, piece by piece. Raises ValueError, OSError or what zipfile raises for another."""
    with zipfile.ZipFile(path) as archive:
        if archive.namelist() != [member]:
            raise ValueError(f"{path} holds {archive.namelist()}; expected {member} alone")
        with archive.open(member) as lines:
            yield from lines


def open_member(path: str | Path, member: str) -> Opened:
    """The member that counts of a zip, or a bare file (which is a fault: leaderboards want the zip)."""
    path = Path(path)
    name = str(path)
    problem = file_problem(path, what=f"a zip with {member} in it")
    if problem:
        return Opened(None, name, [problem])
    with open(path, "rb") as file:
        signature = file.read(4)
    if not signature.startswith(b"PK"):
        if path.suffix.lower() == ".zip":
            found = f"a file that starts with {quote(signature.decode('latin-1'))}" if signature.isascii() else "a file of another format"
            return Opened(None, name, [Problem("LIC-S001", found, "a zip", f"Pack {member} with a zip program, or predict again.", name)])
        remedy = f"Upload the zip written beside it, or pack it: `zip FILE.zip {member}`."
        return Opened(path.read_bytes(), name, [Problem("LIC-S001", "a bare file", "a zip", remedy, name)])
    try:
        with zipfile.ZipFile(path) as archive:
            return _open_archive(archive, name, member)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        remedy = "Write or download it again; an upload cut short looks like this. Use plain deflate and no password."
        found = f"a zip that can not be unpacked: {error}"
        return Opened(None, name, [Problem("LIC-S002", found, "a whole, unencrypted zip", remedy, name)])


def _open_archive(archive: zipfile.ZipFile, name: str, member: str) -> Opened:
    problems: list[Problem] = []
    files = []
    for info in archive.infolist():
        base = info.filename.rsplit("/", 1)[-1]
        if info.is_dir():
            found, remedy = f"a folder entry {quote(info.filename)}", "Pack the file itself, not its folder: `zip -D`."
        elif "__MACOSX" in info.filename.split("/") or base.startswith("._") or base == ".DS_Store":
            found, remedy = f"the member {quote(info.filename)}", "Finder adds it: pack with `zip -X`, or `zip -d FILE.zip '__MACOSX/*'`."
        else:
            files.append(info)
            continue
        problems.append(Problem("LIC-S003", found, f"{member} alone", f"{remedy} Scorers read every member.", name))
    if not files:
        return Opened(None, name, [*problems, Problem("LIC-S010", "no file in the zip", member, "Predict again.", name)])
    named = [info for info in files if info.filename == member] or [info for info in files if info.filename.rsplit("/", 1)[-1] == member]
    if len(files) > 1 and not named:
        found = f"{len(files)} files, none of them {member}: {', '.join(quote(info.filename) for info in files[:6])}"
        problems.append(Problem("LIC-S009", found, f"{member} alone", "Pack only the predictions, under this name.", name))
        return Opened(None, name, problems)
    chosen = (named or files)[0]
    if len(files) > 1:
        found = f"{len(files)} files: {', '.join(quote(info.filename) for info in files[:6])}"
        problems.append(Problem("LIC-S003", found, f"{member} alone", "Pack only that one: scorers read every member.", name))
    if chosen.filename != member:
        found = f"the member name {quote(chosen.filename)}"
        problems.append(Problem("LIC-S004", found, quote(member), "Rename it before packing; the leaderboard asks for this name.", name))
    if chosen.file_size > LARGEST:
        found = f"a member of {chosen.file_size} bytes unpacked"
        return Opened(None, name, [*problems, Problem("LIC-S002", found, f"at most {LARGEST}", "Look at what was packed.", name)])
    data = archive.read(chosen)
    where = f"{name}/{chosen.filename}"
    if not data:
        return Opened(None, where, [*problems, Problem("LIC-D003", "an empty file", "the predictions", "Predict again.", where)])
    return Opened(data, where, problems)
