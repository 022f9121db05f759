"""Ctrl-C and SIGTERM at each stage: exit 130 or 143, one line, nothing half-written, nothing of before touched (see interrupted.py)."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import run

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "samples" / "event"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")

TRAIN = ["train", "event", "--recipe", "quick", "--data", "tall", "--set", "training.epochs=1"]
PREPROCESS = ["preprocess", "event", "--recipe", "quick", "--data", "tall"]
STAGES = {
    "data check, while reading": (["data", "check", "event", "tall"], "read_records"),
    "data import": (["data", "import", "event", "tall"], "import_files"),
    "preprocess, while counting words": (PREPROCESS, "_count_words"),
    "preprocess, while other processes make features": (PREPROCESS, "make_features_in_chunks"),
    "preprocess, while making features": ([*PREPROCESS, "--workers", "1"], "make_features"),
    "preprocess, while joining them": (PREPROCESS, "join_parts"),
    "train, before the run folder": (TRAIN, "make_features_in_chunks"),
    "train, before the first step": ([*TRAIN, "--set", "training.max_records=40"], "write_run"),
    "train, in a step": ([*TRAIN, "--set", "training.max_records=40"], "clip_gradients"),
    "train, in evaluation": ([*TRAIN, "--set", "training.max_records=40"], "decode_batch"),
    "train, terminated in a step": ([*TRAIN, "--set", "training.max_records=40"], "clip_gradients"),
    "predict": (["predict", "event", "--input", "tall/test1.json"], "decode_batch"),
    "predict, while writing": (["predict", "event", "--input", "tall/test1.json"], "write_submission"),
    "evaluate": (["evaluate", "event", "--data", "tall"], "decode_batch"),
    "extract": (["extract", "event", "-"], "predict_records"),
    "score": (["score", "event", "tall/dev.json", "submissions/duee.zip"], "read_records"),
    "submit check": (["submit", "check", "event", "submissions/duee.zip", "--against", "tall/test1.json"], "read_records"),
}
LEAVES_A_RUN = {"train, in a step", "train, in evaluation", "train, terminated in a step"}
TERMINATED = {"train, terminated in a step"}


def tall(source, target, count):
    """The rows of a sample file again and again, each with an id of its own."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()[:50]]
    made = ({**rows[number % len(rows)], "id": f"{number}"} for number in range(count))
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")


@pytest.fixture(scope="module")
def base(tmp_path_factory, trained):
    """A working folder with a run, large data and an earlier submission."""
    folder = tmp_path_factory.mktemp("interrupts") / "base"
    shutil.copytree(trained() / "runs", folder / "runs")
    (folder / "tall").mkdir()
    shutil.copy(DATA / "schema.json", folder / "tall")
    for split, count in (("train", 4000), ("dev", 600), ("test1", 1500)):
        tall(DATA / f"{split}.json", folder / "tall" / f"{split}.json", count)
    (folder / "submissions").mkdir()
    (folder / "submissions" / "duee.json").write_text("earlier", encoding="utf-8")
    (folder / "submissions" / "duee.zip").write_bytes(b"earlier")
    return folder


@pytest.fixture(scope="module")
def results(base):
    """Stage to what Ctrl-C did there; all in one process, since paddle takes seconds to start."""
    cases = []
    for number, (stage, (arguments, inside)) in enumerate(STAGES.items()):
        place = base.with_name(f"stage{number}")
        shutil.copytree(base, place)
        sent = signal.SIGTERM if stage in TERMINATED else signal.SIGINT
        text = "温青禾出任《纸鸢》导演。" * 2000
        cases.append({"place": str(place), "arguments": arguments, "inside": inside, "text": text, "sent": sent})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("interrupted.py"))],
        input=json.dumps(cases),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(STAGES, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("stage", STAGES)
def test_a_signal(stage, results, base):
    result = results[stage]
    code, last = (143, "lic: terminated") if stage in TERMINATED else (130, "lic: interrupted")
    assert result["pressed"] and result["code"] == code, result["err"]
    said = [line for line in result["err"].splitlines() if line.strip()]
    assert said[-1] == last and "Traceback" not in result["err"] and "[LIC-" not in result["err"]
    there = {str(path.relative_to(base)) for path in base.rglob("*")}
    new = {name for name in result["files"] if name not in there}
    assert not any(".part" in name for name in new)
    assert {name: result["files"][name] for name in there if name.endswith(("duee.json", "duee.zip"))} == {
        name: results["score"]["files"][name] for name in ("submissions/duee.json", "submissions/duee.zip")
    }
    beyond = {name for name in new if not name.startswith("data/cache") and name != "data"}
    if stage in LEAVES_A_RUN:
        own = {name.removeprefix("runs/event/quick-2/"): result["files"][name] for name in beyond - {"runs/event/quick-2"}}
        checkpoint = next(name for name in own if name.startswith("checkpoints/0000001-step-") and "/" not in name[12:])
        assert set(own) == {
            *("config.toml", "encoder.json", "vocab.txt", "schema.json", "environment.json", "checkpoints", checkpoint),
            *("weights.safetensors", "metrics.jsonl", "timing.jsonl", "curves.png"),
            *(f"{checkpoint}/{name}" for name in ("manifest.json", "metrics.jsonl", "optimizer.safetensors", "state.json", "weights.safetensors")),
        }
        assert all(own[name] == own[f"{checkpoint}/{name}"] for name in ("weights.safetensors", "metrics.jsonl"))
        assert "go on with the same command and --resume" in result["err"] and "the last ones, not evaluated" in result["err"]
    else:
        assert beyond == set()
    if stage.startswith(("preprocess", "train, before the run")):
        assert new == set()  # not even the folder of the cache


def test_weights_of_an_interrupted_training_predict(results, base, monkeypatch, tmp_path):
    number = list(STAGES).index("train, in evaluation")
    monkeypatch.chdir(base.with_name(f"stage{number}"))
    arguments = ["predict", "event", "--run", "runs/event/quick-2", "--input", str(DATA / "test1.json"), "--out", str(tmp_path / "a.zip")]
    assert results["train, in evaluation"]["pressed"] and run(arguments) == 0
    assert run(["submit", "check", "event", str(tmp_path / "a.zip"), "--against", str(DATA / "test1.json")]) == 0
