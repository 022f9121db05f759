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
    "relation": ("training.epochs=0.2",),
    "event": ("training.epochs=1.4",),
    "reading": ("training.epochs=0.26",),
}
"""Twenty steps each."""

GOLDEN = {
    "relation": [
        0.44664666,
        0.51995385,
        0.60015434,
        0.54234439,
        0.36707917,
        0.59540462,
        0.52038467,
        0.67662746,
        0.45698607,
        0.34305221,
        0.40415463,
        0.47980911,
        0.59836751,
        0.85240275,
        0.58917451,
        0.31699073,
        0.46624774,
        0.40951917,
        0.69218582,
        0.65084422,
    ],
    "event": [
        57.152679,
        382.83463,
        355.10318,
        144.16898,
        136.33492,
        101.24012,
        172.5282,
        305.11526,
        109.36781,
        124.66304,
        71.709877,
        111.19518,
        83.040482,
        102.37129,
        76.4561,
        130.03691,
        93.542992,
        140.75459,
        70.578644,
        94.82634,
    ],
    "reading": [
        4.5348892,
        5.035584,
        4.8419642,
        6.0814266,
        5.8210168,
        5.8192983,
        4.4920068,
        4.6240215,
        5.8787313,
        4.4540153,
        4.3115959,
        4.8693452,
        4.3885336,
        5.8602743,
        4.9880748,
        4.2265644,
        4.6010809,
        4.3457923,
        4.4391017,
        5.9306784,
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
