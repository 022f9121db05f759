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
    "relation": ("training.epochs=0.083",),
    "event": ("training.epochs=0.12",),
    "reading": ("training.epochs=0.06",),
}
"""Twenty steps each."""

GOLDEN = {
    "relation": [
        0.58017862,
        0.4324325,
        0.61380869,
        0.41792127,
        0.71073115,
        0.5877136,
        0.53320855,
        0.76407951,
        0.54531497,
        0.58712417,
        0.65023988,
        0.53904068,
        0.56270963,
        0.40910846,
        0.46382338,
        0.46163169,
        0.38859653,
        0.41361958,
        0.74188125,
        0.46171194,
    ],
    "event": [
        372.19073,
        280.1572,
        286.77838,
        251.5097,
        200.13461,
        218.58641,
        274.32889,
        273.41339,
        218.24245,
        651.95557,
        223.0166,
        168.49585,
        134.22462,
        224.99864,
        172.27834,
        184.60696,
        231.75227,
        122.12742,
        88.617439,
        148.88589,
    ],
    "reading": [
        4.0686011,
        4.1826434,
        6.8326097,
        6.6202993,
        3.3167078,
        6.7037454,
        3.7634251,
        3.9593344,
        5.8762221,
        4.1391559,
        4.073523,
        3.7379818,
        3.568743,
        3.8272085,
        3.9057205,
        3.9242594,
        4.0341148,
        3.6601839,
        4.067759,
        3.6109338,
    ],
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
