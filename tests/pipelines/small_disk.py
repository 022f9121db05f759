"""Runs lic on small disks: ``unshare -rm PYTHON small_disk.py`` with a JSON list of cases on standard input, a JSON list of results out.

A case: ``copy`` (folder whose content the disk begins with), ``arguments`` of lic, ``free`` (KiB left, the rest is filled up) or
``read_only``, and perhaps ``then`` (arguments of a second lic, when room was made). A result: ``code``, ``err``, ``files`` (path to
SHA-256 of every file but the filler), and with ``then`` these three of the second as ``then``.
"""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path


def case(place: Path, copy: str, arguments: list[str], free: int | None = None, read_only: bool = False, then: list[str] | None = None) -> dict:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "lic", str(place)], check=True)
    try:
        subprocess.run(["cp", "-r", f"{copy}/.", str(place)], check=True)
        if free is not None:
            disk = os.statvfs(place)
            with open(place / "filler", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - free * 1024)
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        os.chdir(place)
        result = told(place, arguments)
        if then is not None:
            (place / "filler").unlink(missing_ok=True)
            result["then"] = told(place, then)
        return result
    finally:
        os.chdir("/")
        subprocess.run(["umount", "-l", str(place)], check=True)  # features may still be mapped


def told(place: Path, arguments: list[str]) -> dict:
    from pipelines.cli import run

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run(arguments)
    files = {str(path.relative_to(place)): path for path in place.rglob("*") if path.name != "filler"}
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder" for name, path in files.items()}
    return {"code": code, "err": said.getvalue(), "files": sums}


def main() -> None:
    given = json.load(sys.stdin)
    place = Path(given["place"])
    print(json.dumps([case(place, **one) for one in given["cases"]]))


if __name__ == "__main__":
    main()
