"""What the tests of several verbs need."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli import run

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
TINY = ["--recipe", "quick", "--set", "training.epochs=1", "--set", "training.max_records=40"]


@pytest.fixture
def report(capfd):
    """Runs a command with --json and gives the one object that it prints."""

    def ask(*arguments):
        capfd.readouterr()
        assert run([*map(str, arguments), "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    return ask


@pytest.fixture
def press_ctrl_c(tmp_path):
    """Runs a command in a process of its own inside ``tmp_path``, sends SIGINT once ``when()`` holds, and gives its standard error."""
    if os.name != "posix":
        pytest.skip("sends SIGINT")

    def press(*arguments, when):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            patience = time.monotonic() + 120
            while not when():
                assert process.poll() is None and time.monotonic() < patience
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=60)[1]
        finally:
            process.kill()
        assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err
        return err

    return press


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A working folder with a barely trained run of a track, made once: ``trained(track)``. Copy what is to be changed."""
    made = {}

    def give(track="event"):
        if track not in made:
            made[track] = tmp_path_factory.mktemp(f"trained-{track}")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(made[track])
                assert run(["train", track, "--data", str(SAMPLES / track), *TINY]) == 0
        return made[track]

    return give


@pytest.fixture
def fault(capfd):
    """Runs a command that must fail, and gives (exit code, codes, standard error) of its one clear complaint."""

    def ask(*arguments):
        capfd.readouterr()
        code = run([*map(str, arguments)])
        err = capfd.readouterr().err
        assert "Traceback" not in err
        lines = err.splitlines()
        coded = [index for index, line in enumerate(lines) if "[LIC-" in line]
        assert not coded or lines[coded[-1] + 1].startswith("  中文：")
        return code, [lines[index].partition("[")[2].partition("]")[0] for index in coded], err

    return ask
