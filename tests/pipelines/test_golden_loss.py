"""Twenty steps of ``quick`` on the sample data give these losses, with any number of threads.

A change of model, features, vocabulary, batches, schedule or initialisation moves them. When it is meant to, print the new ones with

    python tests/pipelines/test_golden_loss.py

in a checkout that is installed (``make install``), and put them into GOLDEN in the same commit, saying there why they moved.
Paddle 3.3.1 and 2.6.2 give the same.
The rates are a tenth of the recipe's, and rise over all steps: at the recipe's own, Adam's first steps magnify the last bit of a sum
(another number of threads) to more than the tolerance.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.cli import run

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "event"
SETTINGS = ("training.epochs=1.4", "training.warmup=1", "training.learning_rate=1e-4", "training.head_learning_rate=3e-4")
GOLDEN = [
    65.821678,
    469.81061,
    434.5954,
    156.6329,
    148.05815,
    107.20987,
    184.15376,
    343.79453,
    113.09071,
    130.87383,
    72.859489,
    112.0763,
    80.364578,
    101.47788,
    73.759666,
    132.41225,
    91.2938,
    151.15839,
    70.013802,
    92.727386,
]
TOLERANCE = 1e-5


def losses(folder: Path) -> list[float]:
    """Trains in ``folder`` and reads the losses from metrics.jsonl."""
    arguments = ["train", "event", "--recipe", "quick", "--data", str(SAMPLES), "--run", str(folder / "run")]
    arguments += [word for setting in SETTINGS for word in ("--set", setting)]
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert run(arguments) == 0
    finally:
        os.chdir(before)
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_twenty_steps(tmp_path):
    found = losses(tmp_path)
    assert len(found) == len(GOLDEN) == 20
    for step, (loss, golden) in enumerate(zip(found, GOLDEN, strict=True), 1):
        assert loss == pytest.approx(golden, rel=TOLERANCE, abs=TOLERANCE), f"step {step}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(sys.stderr):
        values = losses(Path(place))
    print("".join(f"    {value:.8g},\n" for value in values), end="")
