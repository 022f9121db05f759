"""Twenty steps of ``quick`` on each track's sample data give these losses, with any number of threads.

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

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SETTINGS = ("training.warmup=1", "training.learning_rate=1e-4", "training.head_learning_rate=3e-4")
STEPS = {
    "relation": ("training.epochs=0.54",),
    "event": ("training.epochs=1.4",),
    "reading": ("training.epochs=0.34",),
}
"""Twenty steps each."""
GOLDEN = {
    "relation": [],
    "event": [
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
    ],
    "reading": [],
}
TOLERANCE = 1e-5


def losses(track: str, folder: Path) -> list[float]:
    """Trains in ``folder`` and reads the losses from metrics.jsonl."""
    arguments = ["train", track, "--recipe", "quick", "--data", str(SAMPLES / track), "--run", str(folder / "run")]
    arguments += [word for setting in (*SETTINGS, *STEPS[track]) for word in ("--set", setting)]
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert run(arguments) == 0
    finally:
        os.chdir(before)
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("track", GOLDEN)
def test_twenty_steps(track, tmp_path):
    found, golden = losses(track, tmp_path), GOLDEN[track]
    assert len(found) == len(golden) == 20
    for step, (loss, wanted) in enumerate(zip(found, golden, strict=True), 1):
        assert loss == pytest.approx(wanted, rel=TOLERANCE, abs=TOLERANCE), f"step {step}"


if __name__ == "__main__":
    for name in GOLDEN:
        with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(sys.stderr):
            values = losses(name, Path(place))
        print(f"    {name!r}: [")
        print("".join(f"        {value:.8g},\n" for value in values), end="    ],\n")
