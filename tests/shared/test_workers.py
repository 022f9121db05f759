"""Several processes: results in order, errors said, nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.errors import WorkError
from shared.workers import run_in_order

ROOT = Path(__file__).parents[2]


class Power:
    """Must be importable by a new process, as everything here."""

    def __init__(self, exponent):
        self.exponent = exponent

    def __call__(self, job):
        if job == "die":
            os._exit(9)
        if job == "fail":
            raise OSError(28, "no room", "some/file")
        if job == "imported":
            return sorted({"paddle", "numpy", "shared"} & set(sys.modules)), os.getpid()
        return job**self.exponent


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers):
    assert list(run_in_order(Power, (2,), range(40), workers=workers)) == [number**2 for number in range(40)]
    assert list(run_in_order(Power, (2,), [], workers=workers)) == []


def test_jobs_are_made_when_they_are_needed():
    taken = []

    def jobs():
        for number in range(100):
            taken.append(number)
            yield number

    results = run_in_order(Power, (1,), jobs(), workers=2)
    assert next(results) == 0 and len(taken) <= 5
    results.close()


def test_a_worker_is_another_process_without_paddle():
    (imported, process), *_ = run_in_order(Power, (1,), ["imported", 1], workers=2)
    assert "paddle" not in imported and process != os.getpid()


def test_an_error_of_a_job_comes_through():
    with pytest.raises(OSError, match="no room") as caught:
        list(run_in_order(Power, (1,), [1, "fail", 2], workers=2))
    assert (caught.value.errno, caught.value.filename) == (28, "some/file")


def test_a_process_that_dies_is_said():
    with pytest.raises(WorkError, match="LIC-A002"):
        list(run_in_order(Power, (1,), [1, "die", 2], workers=2))


CHILD = """
import sys, time
from shared.workers import run_in_order
from tests_workers_of_a_script import Slow

if __name__ == "__main__":
    for line in run_in_order(Slow, (), range(100), workers=2):
        print(line, flush=True)
"""
SLOW = """
import os, time

class Slow:
    def __call__(self, job):
        if job > 1:
            time.sleep(0.2)
        return os.getpid()
"""


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_when_their_parent_does(tmp_path, number):
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "tests_workers_of_a_script.py").write_text(SLOW)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    child = subprocess.Popen([sys.executable, str(tmp_path / "child.py")], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    workers = {int(child.stdout.readline()), int(child.stdout.readline())}
    child.send_signal(number)
    err = child.communicate(timeout=60)[1]
    assert err.count("Traceback") == (number == signal.SIGINT)  # the parent's alone
    patience = time.monotonic() + 60
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < patience
        time.sleep(0.05)
