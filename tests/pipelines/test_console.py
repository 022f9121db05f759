"""Progress as a person sees it: plain lines in a file, a bar and a note under it on a terminal."""

import io
import re

import pytest
from rich.console import Console

from pipelines import console
from pipelines.console import _bar, progress, table, training_note
from shared.training.throughput import Rates


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pipelines.console.time.monotonic", lambda: now[0])
    return now


def test_plain_lines_where_there_is_no_terminal(clock, capfd):
    with progress("train event") as advance:
        for done in range(1, 41):
            clock[0] += 1.0
            advance(done, 40, f"loss {done}")
    assert capfd.readouterr().err.splitlines() == [
        "train event: 15/40  loss 15  0:15 gone, 0:25 left",
        "train event: 30/40  loss 30  0:30 gone, 0:10 left",
        "train event: 40/40  loss 40  0:40 gone, 0:00 left",
    ]


def test_what_was_done_before_a_resume_is_no_speed_of_this_process(clock, capfd):
    with progress("train", every=0.0, done_before=900) as advance:
        clock[0] += 10.0
        advance(910, 1000)
        advance(910, 1000, left=3725.0)
    assert capfd.readouterr().err.splitlines() == [
        "train: 910/1000  0:10 gone, 1:30 left",
        "train: 910/1000  0:10 gone, 1:02:05 left",
    ]


def test_nothing_done_yet_has_no_time_left(clock, capfd):
    with progress("train", every=0.0, done_before=5) as advance:
        advance(5, 10)
    assert capfd.readouterr().err == "train: 5/10  0:00 gone\n"


def drawn(width, calls):
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=width, color_system=None)
    with _bar("train event", lambda done, total: 61.0, terminal) as advance:
        for call in calls:
            advance(*call)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n").splitlines()


def test_a_bar_with_its_note_below():
    lines = drawn(80, [(3, 10, "loss 0.5  rate 1.0e-05"), (4, 10, "loss 0.4  rate 1.0e-05", 125.0)])
    bar, note = lines[-2:]
    assert re.search(r"train event .* 4/10 +\d:\d\d:\d\d 2:05 left", bar) and note.strip() == "loss 0.4  rate 1.0e-05"


def test_a_long_note_is_cut_at_the_edge_of_a_narrow_terminal():
    note = training_note(loss=0.5, rate=1e-5, rates=Rates(1234.5, 1300.0, 0.61, 60.0), score=0.7)
    lines = drawn(60, [(3, 10, note)])
    assert max(map(len, lines)) <= 60 and lines[-1].endswith("…")
    assert "1:01 left" in lines[-2]


def test_no_note_takes_no_line():
    lines = drawn(80, [(3, 10)])
    assert "3/10" in lines[-1]


def test_the_note_of_a_training():
    assert training_note(loss=12.5476, rate=2e-5) == "loss 12.55  rate 2.0e-05"
    assert training_note(loss=0.00123456, rate=0.0, rates=Rates(), score=0.0) == "loss 0.001235  rate 0.0e+00  dev 0.0000"
    full = training_note(loss=1.0, rate=3e-4, rates=Rates(1143.2, 1200.0, 0.614, 9.0), score=0.74312)
    assert full == "loss 1.000  rate 3.0e-04  1,143 tokens/s (1,200 padded)  61 % of peak  dev 0.7431"
    assert "peak" not in training_note(loss=1.0, rate=3e-4, rates=Rates(1143.2, 1200.0, None, 9.0))


def test_numbers_of_a_wide_table_are_not_cut_in_a_file(capfd):
    columns = [f"a column with the number {number}" for number in range(5)]
    table("wide", ["kind", *columns], [["x", *[0.12345] * 5]])
    shown = capfd.readouterr().out
    assert shown.count("0.1235") + shown.count("0.1234") == 5 and all(column in shown for column in columns)


def test_a_listing_in_a_narrow_terminal_keeps_every_character(monkeypatch, capfd):
    console.listing("runs", ["run", "steps"], [["甲[bold]乙", "10"], ["b", "7"]], right=(1,))
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].strip() == "runs" and lines[2].startswith("甲[bold]乙") and lines[3].rstrip().endswith(" 7")
