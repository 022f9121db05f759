"""One writer a folder, whatever becomes of the writers."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from shared import locks
from shared.errors import InputError
from shared.locks import LOCK, FolderLock

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="no POSIX locks here")

HOLD = """
import sys
from shared.locks import FolderLock
with FolderLock(sys.argv[1]) as lock:
    print(lock.taken_over, flush=True)
    sys.stdin.read()
"""
RACE = """
import os, sys
from shared.errors import InputError
from shared.locks import FolderLock
folder, rounds, held = sys.argv[1], int(sys.argv[2]), 0
sys.stdin.readline()
while held < rounds:
    try:
        with FolderLock(folder) as lock:
            assert lock.taken_over is None
            os.close(os.open(folder + "/inside", os.O_CREAT | os.O_EXCL))
            os.unlink(folder + "/inside")
            held += 1
    except InputError:
        pass
print(held)
"""


def start(program, *arguments):
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    process = start(HOLD, tmp_path)
    assert process.stdout.readline() == "None\n"
    yield process
    process.kill()
    process.communicate()


def test_held_and_released(tmp_path):
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over is None
        assert json.loads((tmp_path / LOCK).read_text()) == {"pid": os.getpid(), "host": socket.gethostname()}
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="in the body"), FolderLock(tmp_path):
        raise RuntimeError("in the body")
    assert list(tmp_path.iterdir()) == []
    with lock:  # once more
        assert lock.taken_over is None


def test_a_second_one_in_the_same_process_is_refused(tmp_path):
    with FolderLock(tmp_path):
        with pytest.raises(InputError) as caught, FolderLock(tmp_path):
            pass
        (problem,) = caught.value.problems
        assert problem.code == "LIC-U020" and problem.file == str(tmp_path) and f"process {os.getpid()} on {socket.gethostname()}" in problem.found
        assert (tmp_path / LOCK).is_file()
        with FolderLock(make(tmp_path / "other")):  # another folder is another lock
            pass
    with FolderLock(tmp_path):
        pass


def make(folder):
    folder.mkdir()
    return folder


def test_a_second_process_is_refused_until_the_first_is_through(tmp_path, holder):
    with pytest.raises(InputError, match=f"process {holder.pid} on ") as caught, FolderLock(tmp_path):
        pass
    assert caught.value.problems[0].code == "LIC-U020"
    holder.communicate("")
    assert holder.returncode == 0 and list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over is None


def test_death_lets_go_and_the_dead_owner_is_named(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).is_file()
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over == f"process {holder.pid} on {socket.gethostname()}"
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "host": "y"}', '{"pid": 3}', "null", "\x00" * 40])
def test_a_lock_file_that_names_nobody(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over is None
        (tmp_path / LOCK).write_text(content)
        with pytest.raises(InputError, match="a run that another process is writing"), FolderLock(tmp_path):
            pass


def test_there_are_never_two_holders(tmp_path):
    processes = [start(RACE, tmp_path, 40) for _ in range(6)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[0] for process in processes] == ["40\n"] * 6
    assert [process.returncode for process in processes] == [0] * 6 and list(tmp_path.iterdir()) == []


def test_a_disk_without_room_leaves_nothing_held(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(locks.json, "dumps", full)
        with pytest.raises(OSError, match="No space"), FolderLock(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path) as lock:
        assert lock.taken_over is None


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), FolderLock(tmp_path / "nothing"):
        pass
    assert list(tmp_path.iterdir()) == []
