"""What a person sees while work goes on: lines and progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unicodedata import category

if TYPE_CHECKING:
    from shared.errors import Problem


def say(message: str) -> None:
    """One line to the person, on standard error."""
    print(message, file=sys.stderr, flush=True)


CHINESE = "  中文："
"""Begins the line in Chinese below a message."""


def say_problems(problems: Sequence[Problem], *, limit: int | None = None, rest: str = "") -> None:
    """Each problem in one line; below the last of neighbours of one code what it means in Chinese.

    ``limit``: say no more than that and count the others; ``rest`` tells where those are to be found.
    """
    from .catalogue import chinese

    shown = problems[:limit]
    for index, problem in enumerate(shown):
        say(_one_line(str(problem)))
        if (index + 1 == len(shown) or shown[index + 1].code != problem.code) and (meaning := chinese(problem.code)):
            say(CHINESE + meaning)
    if len(problems) > len(shown):
        say(f"… and {len(problems) - len(shown)} more problems{'; ' + rest if rest else ''}.")


def _one_line(text: str) -> str:
    """Without line ends, and with control characters (which could steer a terminal) as escapes."""
    return "".join(f"\\x{ord(character):02x}" if category(character) == "Cc" else character for character in " ".join(text.splitlines()))


def emit_json(value: Any) -> None:
    """The one JSON object that ``--json`` promises on standard output."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


class Advance(Protocol):
    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress(title: str, *, every: float = 15.0) -> Iterator[Advance]:
    """Yields ``advance(done, total, note)``. A bar on a terminal; elsewhere a plain line every ``every`` seconds and one at the end."""
    if sys.stderr.isatty():
        with _bar(title) as drawn:
            yield drawn
        return
    began = last = time.monotonic()

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < every:
            return
        last = now
        left = (now - began) / max(done, 1) * (total - done)
        say(f"{title}: {done}/{total}{'  ' + note if note else ''}  {_clock(now - began)} gone, {_clock(left)} left")

    yield advance


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None, note="")
        yield lambda done, total, note="": bars.update(task, completed=done, total=total, note=note)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def table(title: str, columns: list[str], rows: list[list[Any]], *, picture: Path | None = None) -> None:
    """A table on standard output; numbers to the right. ``picture``: an SVG file to draw it to as well."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float)) for row in rows)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        drawn.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(markup=False, emoji=False).print(drawn)  # a text may hold brackets and colons of its own
    if picture is not None:
        from .picture import draw_table

        draw_table(drawn, picture)
