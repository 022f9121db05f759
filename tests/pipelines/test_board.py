"""Event files are read back record by record with the library's own checksums, and as TensorBoard takes them: a restart drops what it repeats."""

import json
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from pipelines.board import Board, write_board
from pipelines.runs import app
from shared.errors import InputError

WIDTH = struct.calcsize("<Q")


def records(path):
    """The events of a file up to one that is torn."""
    data = path.read_bytes()
    while data:
        header, rest = data[:WIDTH], data[WIDTH + 4 :]
        if len(data) < WIDTH + 4 or len(rest) < struct.unpack("<Q", header)[0] + 4:
            return
        assert struct.unpack("<I", data[WIDTH : WIDTH + 4])[0] == masked_crc32c(header)
        (size,) = struct.unpack("<Q", header)
        body, check, data = rest[:size], rest[size : size + 4], rest[size + 4 :]
        assert struct.unpack("<I", check)[0] == masked_crc32c(body)
        yield Event.FromString(body)


def points(folder):
    """{tag: [(step, value)]} as TensorBoard shows a folder: files by name, and a start drops its step and all later ones from before."""
    found = {}
    for path in sorted(folder.iterdir()):
        assert "tfevents" in path.name
        events = list(records(path))
        assert events[0].file_version == "brain.Event:2"
        for event in events:
            if event.session_log.status == SessionLog.START:
                found = {tag: [point for point in kept if point[0] < event.step] for tag, kept in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, pytest.approx(value.simple_value, rel=1e-6)))
    return {tag: kept for tag, kept in found.items() if kept}


def step(number, loss=None):
    return {"step": number, "epoch": 0.1, "loss": 1.0 / number if loss is None else loss, "rate": 1e-5, "grad_norm": 2.0, "skipped": True}


def test_steps_scores_and_times_come_back(tmp_path):
    with Board(tmp_path / "deep" / "board") as board:
        for number in (1, 2):
            board.event({**step(number), "penalty": 0.25})
            board.event({"step": number, "seconds": 0.5, "tokens": 100, "padded_tokens": 120})
        board.event({"step": 2, "epoch": 1.0, "dev": {"f1": 0.5, "note": "x"}})
        board.event({"step": 2, "evaluation_seconds": 3.0, "peak_memory_mib": 512})
        board.event({"resumed_at": 1})
    found = points(tmp_path / "deep" / "board")
    assert {tag: kept for tag, kept in found.items() if tag.startswith("train/")} == {
        "train/loss": [(1, 1.0), (2, 0.5)],
        "train/rate": [(1, 1e-5), (2, 1e-5)],
        "train/grad_norm": [(1, 2.0), (2, 2.0)],
        "train/penalty": [(1, 0.25), (2, 0.25)],
    }
    assert found["dev/f1"] == [(2, 0.5)] and "dev/note" not in found
    assert found["speed/tokens_per_second"] == [(1, 200), (2, 200)] and found["speed/padded_tokens_per_second"] == [(1, 240), (2, 240)]
    assert found["speed/evaluation_seconds"] == [(2, 3)] and found["speed/peak_memory_mib"] == [(2, 512)]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=5))
def test_no_step_stands_twice_however_often_a_training_is_killed(tmp_path_factory, attempts):
    """Each attempt goes on from a step that was reached, writes some more, and dies in the middle of a record."""
    folder, reached = tmp_path_factory.mktemp("board"), 0
    for back, forth in [*attempts, (0, 3)]:
        begin = max(reached - back, 0)
        board = Board(folder, after=begin)
        for number in range(begin + 1, begin + forth + 1):
            board.event(step(number))
        board.flush()
        board.event(step(begin + forth + 1, loss=-1.0))
        board.close()
        last = max(folder.iterdir(), key=lambda path: path.name)
        last.write_bytes(last.read_bytes()[:-9])
        reached = begin + forth
    assert points(folder)["train/loss"] == [(number, 1.0 / number) for number in range(1, reached + 1)]


def test_a_clock_that_was_set_back_does_not_change_the_order(tmp_path, monkeypatch):
    names = []
    for now, after in ((2e9, 0), (1e9, 2), (2e9, 3)):
        monkeypatch.setattr("pipelines.board.time.time", lambda now=now: now)
        with Board(tmp_path, after=after) as board:
            board.event(step(after + 1))
        (new,) = {path.name for path in tmp_path.iterdir()} - {*names}
        names.append(new)
    assert names == sorted(names)


def test_nothing_is_made_before_the_first_event(tmp_path):
    with Board(tmp_path / "board") as board:
        board.flush()
    board.close()
    assert not (tmp_path / "board").exists()


def test_what_was_flushed_is_on_the_disk_while_the_board_is_open(tmp_path):
    board = Board(tmp_path)
    board.event(step(1))
    board.flush()
    assert points(tmp_path)["train/loss"] == [(1, 1.0)]
    board.event(step(2))
    board.event({"step": 2, "dev": {"f1": 0.5}})
    assert points(tmp_path)["train/loss"] == [(1, 1.0), (2, 0.5)]
    board.close()


def test_a_trained_run_becomes_a_board_afterwards_once(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "event" / "small"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('[run]\ntrack = "event"\n[run.data]\nfolder = "x"\n[recipe]\n', encoding="utf-8")
    timing = [{"step": 1, "seconds": 1.0, "tokens": 10}, {"step": 2, "seconds": 1.0, "tokens": 10}, {"resumed_at": 1}]
    timing.append({"step": 2, "seconds": 0.5, "tokens": 10})
    for name, rows in (("metrics.jsonl", [step(1), step(2), {"step": 2, "dev": {"f1": 0.5}}]), ("timing.jsonl", timing)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert write_board(folder) == folder / "board"
    app(["board", "event/small"], standalone_mode=False)
    assert capfd.readouterr().out.splitlines() == ["runs/event/small/board"] and len(list((folder / "board").iterdir())) == 2
    found = points(folder / "board")
    assert found["train/loss"] == [(1, 1.0), (2, 0.5)] and found["speed/tokens_per_second"] == [(1, 10), (2, 20)] and found["dev/f1"] == [(2, 0.5)]
    (folder / "metrics.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match="LIC-U031"):
        write_board(folder)


def test_without_the_library_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match="LIC-U032") as caught:
        Board(tmp_path / "board")
    assert "\n" not in str(caught.value) and not (tmp_path / "board").exists()
