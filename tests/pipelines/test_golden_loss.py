"""Twenty steps of ``quick`` on the sample data give these losses, with any number of threads.

A change of model, features, vocabulary, batches, schedule or initialisation moves them. When it is meant to, print the new ones with

    python tests/pipelines/test_golden_loss.py

in a checkout that is installed (``make install``), and put them into GOLDEN, under the Paddle line they were made with, in the same
commit, saying there why they moved.
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
GOLDEN = {
    "3": [
        65.941719,
        472.45581,
        437.56561,
        156.55692,
        146.50607,
        105.4712,
        179.50996,
        320.51666,
        107.9958,
        123.00918,
        68.077049,
        103.32906,
        73.764648,
        92.705757,
        66.7089,
        119.0572,
        82.744888,
        101.37117,
        63.138218,
        83.993073,
    ],
    "2": [
        65.821678,
        468.53326,
        430.68097,
        155.08267,
        145.89177,
        104.8046,
        178.22948,
        314.55252,
        107.81572,
        122.70617,
        67.887604,
        103.43795,
        73.602615,
        92.786743,
        66.700188,
        118.82768,
        82.885368,
        101.22935,
        63.217983,
        84.228683,
    ],
}
"""By Paddle's major version: the two draw the encoder's first weights differently (TruncatedNormal's default bounds)."""
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
    import paddle

    found, golden_losses = losses(tmp_path), GOLDEN[paddle.__version__.split(".")[0]]
    assert len(found) == len(golden_losses) == 20
    for step, (loss, golden) in enumerate(zip(found, golden_losses, strict=True), 1):
        assert loss == pytest.approx(golden, rel=TOLERANCE, abs=TOLERANCE), f"step {step}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(sys.stderr):
        values = losses(Path(place))
    print("".join(f"        {value:.8g},\n" for value in values), end="")
