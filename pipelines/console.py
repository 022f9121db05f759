"""What a person sees while work goes on: lines and progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unicodedata import category

if TYPE_CHECKING:
    from rich.console import Console

    from shared.errors import Problem
    from shared.training.throughput import Rates


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
    def __call__(self, done: int, total: int, note: str = "", left: float | None = None) -> None: ...


@contextmanager
def progress(title: str, *, every: float = 15.0, done_before: int = 0) -> Iterator[Advance]:
    """Yields ``advance(done, total, note, left)``. A bar on a terminal; elsewhere a plain line every ``every`` seconds and one at the end.

    ``done_before``: what was done before this process began, as after a resume. ``left``: seconds to come, for a caller who knows them
    better than what has gone so far tells.
    """
    begun = time.monotonic()

    def estimate(done: int, total: int) -> float | None:
        own = done - done_before
        return (time.monotonic() - begun) / own * (total - done) if own > 0 else None

    if sys.stderr.isatty():
        with _bar(title, estimate) as drawn:
            yield drawn
        return
    last = begun

    def advance(done: int, total: int, note: str = "", left: float | None = None) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < every:
            return
        last = now
        left = estimate(done, total) if left is None else left
        gone = f"{_clock(now - begun)} gone{'' if left is None else f', {_clock(left)} left'}"
        say(f"{title}: {done}/{total}{'  ' + note if note else ''}  {gone}")

    yield advance


@contextmanager
def _bar(title: str, estimate: Callable[[int, int], float | None], console: Console | None = None) -> Iterator[Advance]:
    """The bar, and below it the note in a line of its own, cut at the terminal's edge."""
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Bars(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if note := task.fields["note"]:
                    yield Text(f"  {note}", no_wrap=True, overflow="ellipsis")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bars(*columns, console=console or Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None, note="", left="")

        def advance(done: int, total: int, note: str = "", left: float | None = None) -> None:
            left = estimate(done, total) if left is None else left
            bars.update(task, completed=done, total=total, note=note, left="" if left is None else f"{_clock(left)} left")

        yield advance


def training_note(*, loss: float, rate: float, rates: Rates | None = None, score: float | None = None) -> str:
    """What stands beside the progress of a training: the step's loss and learning rate, speed and its share of the measured
    matrix-product peak as far as they are known, and the last dev score. The time left goes to ``advance`` by itself."""
    parts = [f"loss {loss:#.4g}", f"rate {rate:.1e}"]
    if rates is not None and rates.tokens is not None and rates.padded_tokens is not None:
        parts.append(f"{rates.tokens:,.0f} tokens/s ({rates.padded_tokens:,.0f} padded)")
    if rates is not None and rates.share is not None:
        parts.append(f"{100 * rates.share:.0f} % of peak")
    if score is not None:
        parts.append(f"dev {score:.4f}")
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


WIDEST = 160
"""Columns of a table that no terminal limits."""


def table(title: str, columns: list[str], rows: list[list[Any]], *, picture: Path | None = None) -> None:
    """A table on standard output; numbers to the right; in a file or pipe up to :data:`WIDEST`. ``picture``: an SVG file to draw it to as well."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float)) for row in rows)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        drawn.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row))
    console = Console(markup=False, emoji=False)  # a text may hold brackets and colons of its own
    if not console.is_terminal:
        usual, console.width = console.width, 10_000  # to measure without folding
        console.width = max(usual, min(WIDEST, Measurement.get(console, console.options, drawn).maximum))
    console.print(drawn)
    if picture is not None:
        from .picture import draw_table

        draw_table(drawn, picture)


WIDE = 100
"""Columns of a listing that no terminal limits."""


def listing(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """A long table without frames on standard output; the columns numbered in ``right`` to the right. In a file or pipe a row that is
    wider than :data:`WIDE` stays one line."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # to measure without folding
        console.width = max(WIDE, Measurement.get(console, console.options, drawn).maximum)
    console.print(drawn)
