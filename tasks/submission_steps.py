"""A submission held against its test file in step, both read piece by piece. It can only say that all is well: whatever is not, or merely comes in
another order, is for the whole check, which holds both files and names every problem."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import Problem

from .chunks import Source, stream
from .json_lines import JsonLines, parse_chunk
from .packing import member_lines
from .seen import Seen, blocks

if TYPE_CHECKING:
    from .base import Task

Rows = Callable[[JsonLines, str, dict[str, str]], tuple[list[str], list[Problem]]]
"""Takes lines, the name of their file, and the texts that they should be about by identity; gives the lines' identities and their problems."""
LINES = 2048


def sound_in_step(task: Task, path: Path, rows: Rows, against: Path | None) -> bool:
    """Whether the zip is fine, as far as that can be told in one pass over it and the test file ``against``.

    Memory holds some thousand lines of both, and 16 bytes an identity.
    """
    wanted = None if against is None else _wanted(task, against)
    seen, count = Seen(), 0
    try:
        for block in blocks(member_lines(path, task.member), LINES):
            parsed, facts = parse_chunk(b"".join(block), str(path), first=count + 1, last=False)
            texts = {} if wanted is None else dict(islice(wanted, len(block)))
            identities, problems = rows(parsed, str(path), texts)
            if parsed.problems or problems or facts.foreign or facts.returns or facts.byte_order_mark:
                return False
            if (seen.repeated(identities, count) >= 0).any() or (wanted is not None and identities != list(texts)):
                return False
            count += len(block)
        return count > 0 and (wanted is None or next(wanted, None) is None)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return False


def _wanted(task: Task, path: Path) -> Iterator[tuple[str, str]]:
    """Identity and text of every record of the test file, each identity once. Raises ValueError at the end of a file with problems."""
    seen, count = Seen(), 0
    for block in blocks(_records(task, path), LINES):
        earlier = seen.repeated([task.identity_of(record) for record in block], count)  # [k]
        count += len(block)
        yield from ((task.identity_of(record), record.text) for record, first in zip(block, earlier.tolist(), strict=True) if first < 0)


def _records(task: Task, path: Path) -> Iterator:
    result = yield from stream(Source(task, path, None, False))
    if result.problems:
        raise ValueError(f"{path} has {len(result.problems)} problems")
