"""Figures of a run as TensorBoard event files, written with tensorboardX: ``tensorboard --logdir runs`` shows them.

A resumed training starts a new file whose first words are TensorBoard's own "started again at step s": its reader then drops every point
at s or later from the files before (what SummaryWriter calls ``purge_step``), so that no step stands twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.errors import input_error
from shared.files import whole_or_absent

from .run_figures import NUMBERS, TIMING, read_lines
from .run_folder import FIGURES

BOARD = "board"
FLUSH_SECONDS = 10.0
_FILE = re.compile(r"events\.out\.tfevents\.(\d+)\..*")


class Board:
    """An event file in ``folder``, begun with the first event: a context manager, or call :meth:`close`.

    ``after``: the step that the training goes on from; points after it that earlier files of the folder hold no longer count. 0 for a new
    training. One record a step, written without a thread; it reaches the disk every ten seconds, with every evaluation, and with
    :meth:`flush`, which belongs before every checkpoint: then nothing before the step of a resume is missing.
    Raises InputError when tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path, *, after: int = 0):
        try:
            from tensorboardX import RecordWriter  # type: ignore[import-untyped]
            from tensorboardX.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
        except ImportError as error:
            raise input_error(
                "LIC-U032",
                found=f"no tensorboardX ({error})",
                expected="tensorboardX 2.6 or later",
                remedy='Install it (pip install "tensorboardX>=2.6"), or leave the board out; curves.png needs nothing.',
            ) from error
        self.folder = Path(folder)
        self._event, self._writer = Event, RecordWriter
        self._start = Event(step=after + 1, session_log=SessionLog(status=SessionLog.START))
        self._records: Any = None
        self._flushed = time.monotonic()

    def event(self, values: Mapping[str, Any]) -> None:
        """One line of ``metrics.jsonl`` or ``timing.jsonl``. Numbers of a step become ``train/NAME``, dev scores ``dev/NAME``, times
        ``speed/NAME`` (with real and padded tokens a second); a line without a step is passed over."""
        step = values.get("step")
        tags = dict(_tags(values))
        if type(step) not in NUMBERS or not tags:
            return
        if self._records is None:
            self._open()
        event = self._event(step=int(step), wall_time=time.time())  # type: ignore[arg-type]
        for tag, value in tags.items():
            event.summary.value.add(tag=tag, simple_value=value)
        self._records.write(event.SerializeToString())
        if "dev" in values or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def _open(self) -> None:
        path = self._new_file()
        with whole_or_absent(path):
            self._records = self._writer(str(path))
            self._records.write(self._event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            self._records.write(self._start.SerializeToString())

    def _new_file(self) -> Path:
        """A name after all others there: readers take the files in the order of their names, also when the clock was set back."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        numbers = [int(match[1]) for entry in entries if (match := _FILE.fullmatch(entry.name))]
        return self.folder / f"events.out.tfevents.{max([int(time.time()), *(number + 1 for number in numbers)]):010d}.lic"

    def flush(self) -> None:
        """Brings everything to the disk."""
        self._flushed = time.monotonic()
        if self._records is not None:
            self._records.flush()

    def close(self) -> None:
        """Flushes and closes; a second call does nothing."""
        if self._records is not None:
            records, self._records = self._records, None
            try:
                records.flush()
            finally:
                records.close()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _tags(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    timed = "seconds" in values or "evaluation_seconds" in values
    for name, value in values.items():
        if name == "dev" and isinstance(value, Mapping):
            yield from ((f"dev/{inner}", float(score)) for inner, score in value.items() if type(score) in NUMBERS)
        elif name not in ("step", "epoch", "dev") and type(value) in NUMBERS:
            yield f"{'speed' if timed else 'train'}/{name}", float(value)
    seconds = values.get("seconds")
    if type(seconds) in NUMBERS and seconds > 0:  # type: ignore[operator]
        for name in ("tokens", "padded_tokens"):
            if type(values.get(name)) in NUMBERS:
                yield f"speed/{name}_per_second", values[name] / seconds


def write_board(run_folder: str | Path, target: str | Path | None = None) -> Path:
    """The figures of a run as one event file in ``target`` (default ``board/`` in the run folder), which is returned; points of earlier
    files there no longer count. Raises InputError for a run without a step."""
    folder = Path(run_folder)
    place = folder / BOARD if target is None else Path(target)
    metrics, timing = read_lines(folder / FIGURES), read_lines(folder / TIMING)
    if not any("loss" in row for row in metrics.rows):
        raise input_error(
            "LIC-U031",
            file=folder / FIGURES,
            found=metrics.fault or "no step",
            expected="the figures of at least one step",
            remedy="Let lic train make a step, or give another run.",
        )
    latest = {(row.get("step"), "seconds" in row): row for row in timing.rows}  # a step made again after a resume has two times
    with Board(place) as board:
        for row in (*metrics.rows, *latest.values()):
            board.event(row)
    return place
