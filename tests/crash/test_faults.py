"""Damaged checkpoints, locks, clocks that jump, and resumes of runs in every condition, of a toy training (see child.py)."""

import json
import os
import re
import shutil
import socket

import pytest

from shared.files import digest
from shared.locks import FolderLock

from .rounds import KILL, differing, outcome, train_to_the_end

TRAIN = ["train", "event", "--run", "run"]
RESUME = [*TRAIN, "--resume"]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def killed_run(servers, reference, tmp_path_factory):
    """A run that was killed late, with two checkpoints."""
    place = tmp_path_factory.mktemp("killed")
    late = [number for number, point in enumerate(reference[1], 1) if point == "after write run/timing.jsonl"][11]
    told = servers[0].ask(place, TRAIN, toy=True, signals={late: KILL})
    assert told["signal"] == KILL and told["kept"] == 10 and len(list((place / "run" / "checkpoints").iterdir())) == 2
    return place / "run"


@pytest.fixture
def killed(killed_run, tmp_path):
    shutil.copytree(killed_run, tmp_path / "run")
    return tmp_path


def checkpoints(place):
    return sorted((place / "run" / "checkpoints").iterdir())


# -- damaged checkpoints -------------------------------------------------------------------------------------------


def half(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize(
    ("name", "damage"),
    [("weights.safetensors", half), ("optimizer.safetensors", flipped), ("metrics.jsonl", flipped), ("manifest.json", half)],
)
def test_a_damaged_checkpoint_is_named_and_passed_over_and_the_end_is_the_same(name, damage, killed, servers, reference):
    newest, older = checkpoints(killed)[-1], checkpoints(killed)[-2]
    (newest / name).write_bytes(damage((newest / name).read_bytes()))
    damaged = contents(newest)
    told = servers[0].ask(killed, RESUME, toy=True)
    assert told["code"] == 0, told["err"]
    assert told["err"].count("[LIC-K006]") == 1 and f"run/checkpoints/{newest.name}: [LIC-K006]" in told["err"]
    assert f"from run/checkpoints/{older.name}" in told["err"]
    assert contents(newest) == damaged  # never deleted
    assert not (different := differing(outcome(killed / "run"), reference[0])), different


def test_a_run_without_a_sound_checkpoint_names_them_all_and_is_left_alone(killed, servers):
    for folder in checkpoints(killed):
        (folder / "state.json").unlink()
    before = contents(killed / "run")
    told = servers[0].ask(killed, RESUME, toy=True)
    assert told["code"] == 2 and told["err"].count("[LIC-K006]") == 2
    assert all(f"run/checkpoints/{folder.name}: " in told["err"] for folder in checkpoints(killed))
    after = contents(killed / "run")
    lock = next(path for path in before if path.name == "run.lock")
    before.pop(lock), after.pop(lock, None)
    assert after == before


def test_a_checkpoint_of_another_format(killed, servers):
    for folder in checkpoints(killed):
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        (folder / "state.json").write_text(json.dumps({**state, "format": 0}), encoding="utf-8")
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        manifest["files"]["state.json"] = {"bytes": (folder / "state.json").stat().st_size, "sha256": digest(folder / "state.json")}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    told = servers[0].ask(killed, RESUME, toy=True)
    assert told["code"] == 2 and "[LIC-K004]" in told["err"] and "format 0" in told["err"] and "format 1" in told["err"]


# -- one writer a folder -------------------------------------------------------------------------------------------


def test_two_trainings_on_one_folder(killed, servers, reference):
    with FolderLock(killed / "run"):
        before = contents(killed / "run")
        told = servers[0].ask(killed, RESUME, toy=True)
        assert told["code"] == 2 and "[LIC-U020]" in told["err"]
        assert f"process {os.getpid()} on {socket.gethostname()}" in told["err"]
        assert contents(killed / "run") == before
    told = servers[0].ask(killed, RESUME, toy=True)
    assert told["code"] == 0 and not differing(outcome(killed / "run"), reference[0])


def test_the_lock_of_a_dead_owner_is_taken_over(killed, servers):
    owner = json.loads((killed / "run" / "run.lock").read_text(encoding="utf-8"))["pid"]
    told = servers[0].ask(killed, RESUME, toy=True)
    assert told["code"] == 0 and f"process {owner} on {socket.gethostname()} left its lock behind and is gone" in told["err"]
    assert not (killed / "run" / "run.lock").exists()


# -- clocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_clock_that_jumps_changes_nothing_but_timing(seed, servers, reference, tmp_path):
    told = train_to_the_end(servers[0], tmp_path, [], [{"signals": {500: KILL}}], toy=True, clock=seed)
    assert [one["signal"] for one in told] == [KILL, None]
    assert not (different := differing(outcome(tmp_path / "run"), reference[0])), different
    rows = [json.loads(line) for line in (tmp_path / "run" / "timing.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(row["seconds"] >= 0 for row in rows if "seconds" in row)
    assert not re.search(r"-\d+:|nan|inf", told[-1]["err"].partition("train event: ")[2].partition("\n")[0])


# -- runs in every condition ---------------------------------------------------------------------------------------


def test_resume_of_a_finished_run_does_nothing(servers, reference, tmp_path):
    shutil.copytree(reference[3], tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    told = servers[0].ask(tmp_path, RESUME, toy=True)
    assert told["code"] == 0 and "run is finished: nothing is left to do." in told["err"] and told["out"] == "run\n"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_folder_that_holds_a_run_is_refused_without_resume(killed, servers):
    before = contents(killed / "run")
    told = servers[0].ask(killed, TRAIN, toy=True)
    assert told["code"] == 2 and "[LIC-U001]" in told["err"] and "--resume" in told["err"]
    assert contents(killed / "run") == before


def test_resume_of_nothing_begins_and_says_so(servers, reference, tmp_path):
    told = servers[0].ask(tmp_path, RESUME, toy=True)
    assert told["code"] == 0 and "no run to resume in run: training begins there." in told["err"]
    assert not differing(outcome(tmp_path / "run"), reference[0])


def test_resume_before_the_first_checkpoint_begins_anew_and_says_so(servers, reference, tmp_path):
    first = reference[1].index("before mkdir run/checkpoints") + 1
    told = train_to_the_end(servers[0], tmp_path, [], [{"signals": {first: KILL}}], toy=True)
    assert "run has no checkpoint: training begins anew." in told[1]["err"]
    assert not differing(outcome(tmp_path / "run"), reference[0])
