"""Two processes on the CPU (gloo) train, evaluate and predict as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import run
from pipelines.train_many import _without

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"
SETTINGS = [
    *("training.max_records=120", "training.epochs=1", "training.batch_tokens=256", "training.evaluations_per_epoch=2"),
    *("training.warmup=1", "training.learning_rate=1e-4", "training.head_learning_rate=3e-4", "model.head_dropout=0"),
]
TRAIN = ["train", "reading", "--recipe", "quick", "--data", str(SAMPLES / "reading"), *(w for s in SETTINGS for w in ("--set", s))]


def two(*arguments, folder):
    """Runs lic by ``paddle.distributed.launch`` in two processes; the first one's output."""
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", str(folder / "log")]
    done = subprocess.run(
        [*command, str(ROOT / "pipelines" / "__main__.py"), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PADDLE_DISTRI_BACKEND": "gloo", "LIC_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    logs = [path.read_text(encoding="utf-8") for path in sorted((folder / "log").glob("workerlog.*"))]
    assert done.returncode == 0, "\n".join([done.stderr[-2000:], *(log[-2000:] for log in logs)])
    return logs


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``one``: trained by one process; ``both``: by two, through ``lic train --devices``; in one folder."""
    folder = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*TRAIN, "--run", "one"]) == 0
        arguments = [*TRAIN, "--run", "both", "--devices", "0,1", "--backend", "gloo"]
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_loss_curve_is_that_of_one_process_with_the_doubled_batch(runs):
    one, both = lines(runs / "one" / "metrics.jsonl"), lines(runs / "both" / "metrics.jsonl")
    assert len(one) == len(both) > 20
    for left, right in zip(one, both, strict=True):
        assert left.keys() == right.keys() and left["step"] == right["step"]
        for key in left.keys() & {"loss", "rate", "grad_norm"}:
            assert right[key] == pytest.approx(left[key], rel=1e-5), (left["step"], key)
        if "dev" in left:
            assert right["dev"] == pytest.approx(left["dev"], abs=0.02)


def test_only_the_first_process_writes(runs):
    assert {path.name for path in (runs / "one").iterdir()} == {path.name for path in (runs / "both").iterdir()}
    assert not list(runs.rglob("*.part")) and not (runs / "both" / "run.lock").exists()


def test_prediction_and_evaluation_are_those_of_one_process(runs, monkeypatch, capfd):
    monkeypatch.chdir(runs)
    predict = ["predict", "reading", "--run", "both", "--input", str(SAMPLES / "reading" / "test1.json"), "--out"]
    assert run([*predict, "alone.zip"]) == 0
    two(*predict, "shared.zip", folder=runs)
    assert (runs / "alone.json").read_bytes() == (runs / "shared.json").read_bytes()
    assert (runs / "alone.zip").read_bytes() == (runs / "shared.zip").read_bytes()
    evaluate = ["evaluate", "reading", "--run", "both", "--mistakes", "mistakes.jsonl", "--json"]
    capfd.readouterr()
    assert run(evaluate) == 0
    alone = json.loads(capfd.readouterr().out)
    first, second = two(*evaluate, folder=runs)
    assert json.loads(first[first.index('{"track"') :].splitlines()[0]) == alone
    assert '"file": null' in second


def test_resuming_with_another_number_of_processes_is_said(runs, monkeypatch, capfd):
    monkeypatch.chdir(runs)
    (runs / "both" / "finished.json").unlink()
    newest = sorted((runs / "both" / "checkpoints").iterdir())[-1]
    newest.rename(newest.with_name("aside"))
    assert run([*TRAIN, "--run", "both", "--resume"]) == 0
    err = capfd.readouterr().err
    assert "written by 2 processes and 1 go on" in err and "the rows of every step are the same" in err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--devices", "0,0"], "LIC-U024"),
        (["--devices", "a"], "LIC-U024"),
        (["--devices", "0,1", "--backend", "mpi"], "LIC-U024"),
        (["--devices", "97"], "LIC-G002"),
        (["--devices", "0,1", "--dry-run"], "LIC-U023"),
    ],
)
def test_devices_that_cannot_be(options, code, capfd):
    assert run([*TRAIN, *options]) == 2
    assert code in capfd.readouterr().err


def test_a_failing_process_ends_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "train", "reading", "--data", str(tmp_path / "nowhere"), "--devices", "0,1", "--backend", "gloo"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and "LIC-N003" in done.stderr and "LIC-D030" in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_passed_on():
    given = ["train", "event", "--devices", "0,1", "--set", "a=1", "--backend=gloo", "--device", "cpu", "--resume"]
    assert _without(given, ("--devices", "--backend", "--device")) == ["train", "event", "--set", "a=1", "--resume"]
