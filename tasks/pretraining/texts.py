"""What pretraining reads: passages, one a line of plain or compressed text, and groups of texts with one meaning, as JSON lines.

Codes: D001 missing, D002 a folder, D003 empty, D004 not UTF-8, D008 to D012 and D019, D020 of JSON lines, M001 a damaged compressed file.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from shared.errors import InputError, Problem, input_error
from shared.similarity.batcher import group_pairs

from ..json_lines import file_problem, parse_json_lines, quote, visible

_SHOWN = 100
_PASSAGES = "passages, one a line, UTF-8; .xz and .gz are opened"


@dataclass(frozen=True)
class Passages:
    """The lines of files in order, each without its line end; read anew each time they are gone through, a line at a time.

    A line ends at a line feed alone, as text may hold U+2028. ``limit``: the first so many. ``skip_bad`` leaves out lines that are not UTF-8,
    which else raise InputError, at most 100 of a file at once, where the file ends.
    """

    paths: Sequence[Path]
    skip_bad: bool = False
    limit: int | None = None

    def __iter__(self) -> Iterator[str]:
        count = 0
        for path in self.paths:
            problems: list[Problem] = []
            for text in self._lines(path, problems):
                if self.limit is not None and count >= self.limit:
                    break
                count += 1
                yield text
            if problems and not self.skip_bad:
                raise InputError(*problems)

    def count(self) -> tuple[int, int]:
        """Lines that are passed on, and lines that are not UTF-8. Takes a pass over the files."""
        good = bad = 0
        for path in self.paths:
            problems: list[Problem] = []
            for _ in self._lines(path, problems, most=None):
                good += 1
            bad += len(problems)
        return good if self.limit is None else min(good, self.limit), bad

    def _lines(self, path: Path, problems: list[Problem], most: int | None = _SHOWN) -> Iterator[str]:
        with opened(path, what=_PASSAGES) as file:
            for number, line in enumerate(file, 1):
                data = line.removesuffix(b"\n").removesuffix(b"\r")
                try:
                    yield data.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    found = f"the byte {data[error.start]:02X} at byte {error.start + 1} of the line, which is not UTF-8"
                    remedy = "Convert it, e.g. `iconv -f GB18030 -t UTF-8 FILE > NEW`, or leave such lines out with --skip-bad."
                    problems.append(Problem("LIC-D004", found, "UTF-8", remedy, str(path), number))
                    if most is not None and len(problems) >= most and not self.skip_bad:
                        return


@contextmanager
def opened(path: Path, *, what: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where its name ends in ``.xz`` or ``.gz``. Raises InputError where it is missing, empty or damaged."""
    problem = file_problem(path, what=what)
    if problem:
        raise InputError(problem)
    kinds: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open}
    try:
        with kinds.get(path.suffix, open)(path, "rb") as file:
            yield file
    except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise input_error(
            "LIC-M001",
            file=path,
            found=f"a file that cannot be unpacked ({error})",
            expected=f"a whole {path.suffix} file",
            remedy="Copy it again, or unpack it by hand.",
        ) from error


@dataclass
class Groups:
    """Groups of texts with one meaning. ``different``: pairs that their label says mean different things, left out; ``skipped``: bad lines."""

    groups: list[list[str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    different: int = 0
    skipped: int = 0

    def split(self, share: float) -> tuple[list[list[str]], list[list[str]]]:
        """Groups to train on and about ``share`` of them held out. Groups that share a text, directly or through others, stay together."""
        from .features import is_held_out

        links = [pair for group in self.groups for pair in zip(group[:1] * (len(group) - 1), group[1:], strict=True)]
        family = {text: members[0] for members in group_pairs(links) for text in members}
        held = [is_held_out(family.get(group[0], group[0]), share) for group in self.groups]
        return tuple([group for group, out in zip(self.groups, held, strict=True) if out == wanted] for wanted in (False, True))  # type: ignore[return-value]


def read_groups(paths: Sequence[Path]) -> Groups:
    """Groups of JSON lines: ``{"text": …, "synonyms": […]}``, or ``{"text": …, "pair": …}`` with perhaps a ``label`` of 1 (one meaning) or 0.

    Raises InputError for a file that cannot be read at all; what is wrong with its lines is in ``problems``.
    """
    found = Groups()
    for path in paths:
        with opened(path, what="groups of texts with one meaning, one JSON object a line") as file:
            data = file.read()
        lines = parse_json_lines(data, str(path))
        found.problems += lines.problems
        found.skipped += lines.skipped
        for number, row in lines.rows:
            problem = _wrong(row)
            if problem is not None:
                expected = '"text" and "synonyms", or "text" and "pair" with perhaps "label" 0 or 1; texts with something visible'
                found.problems.append(Problem("LIC-M005", problem, expected, "Mend the line.", str(path), number))
                found.skipped += 1
            elif row.get("label", 1) == 0:
                found.different += 1
            else:
                found.groups.append([row["text"], *(row["synonyms"] if "synonyms" in row else [row["pair"]])])
    return found


def _wrong(row: dict[str, Any]) -> str | None:
    if "text" not in row or ("synonyms" in row) == ("pair" in row):
        return f"the keys {', '.join(sorted(row)) or '(none)'}"
    others = row["synonyms"] if "synonyms" in row else [row["pair"]]
    if not isinstance(others, list) or not all(isinstance(text, str) and visible(text) for text in [row["text"], *others]):
        return f"a text that is none: {quote([row['text'], others], 80)}"
    if row.get("label", 1) not in (0, 1):
        return f"the label {quote(row['label'])}"
    return None
