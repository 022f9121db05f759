"""Twenty steps of ``quick`` on each task's sample data give these losses, with any number of threads.

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
    "title": ("training.epochs=0.32",),
}
"""Twenty steps each."""

GOLDEN = {
    "relation": [
        0.57939869,
        0.4351058,
        0.61599386,
        0.41610217,
        0.71696436,
        0.58476025,
        0.53412575,
        0.76345652,
        0.54763126,
        0.58550817,
        0.65047956,
        0.53942329,
        0.56704402,
        0.40890512,
        0.45887285,
        0.45758206,
        0.38994789,
        0.4100512,
        0.7441653,
        0.46141815,
    ],
    "event": [
        366.62369,
        279.62238,
        297.33603,
        246.94919,
        195.91521,
        220.06877,
        271.556,
        271.22,
        209.67094,
        650.30225,
        218.06807,
        167.40088,
        136.42996,
        225.81277,
        169.57037,
        184.77679,
        227.58243,
        122.10596,
        88.367897,
        150.88055,
    ],
    "reading": [
        4.0529289,
        4.1614647,
        6.7069273,
        6.6794453,
        3.3426867,
        6.6941137,
        3.747205,
        3.9570062,
        5.9570446,
        4.1159267,
        4.0689406,
        3.7541656,
        3.5645399,
        3.8101676,
        3.9112947,
        3.9285693,
        4.0023417,
        3.6803827,
        4.0726786,
        3.591023,
    ],
    "title": [
        7.0116005,
        7.1203032,
        7.0792179,
        7.0375385,
        7.0079098,
        6.8493943,
        7.0440912,
        6.9598465,
        6.9686294,
        6.9646101,
        6.9411206,
        6.8210568,
        6.8850608,
        6.8745003,
        6.7951441,
        6.8034725,
        6.67381,
        6.6356821,
        6.6647873,
        6.6213212,
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
