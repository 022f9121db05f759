"""From official files to an accepted zip, as a person would go, on the sample data with the tiny recipe."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.cli import run

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples" / "event"
RECORDS = {split: (SAMPLES / f"{split}.json").read_bytes().count(b"\n") for split in ("train", "dev", "test1")}
RUN = Path("runs") / "event" / "quick"
CONTENTS = {
    "config.toml",
    "encoder.json",
    "vocab.txt",
    "schema.json",
    "environment.json",
    "weights.safetensors",
    "best.json",
    "metrics.jsonl",
    "timing.jsonl",
    "checkpoints",
    "curves.png",
    "finished.json",
}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def train(*settings, data=SAMPLES, more=()):
    overrides = [word for setting in settings for word in ("--set", setting)]
    return run(["train", "event", "--recipe", "quick", "--data", str(data), *overrides, *more])


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder in which ``quick`` was trained for a few epochs."""
    folder = tmp_path_factory.mktemp("journey")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train("training.epochs=4", "training.max_records=600") == 0
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


# -- the run -----------------------------------------------------------------------------------------------------


def test_the_run_folder_is_whole():
    assert {path.name for path in RUN.iterdir()} == CONTENTS
    assert not list(Path(".").rglob("*.part"))
    environment = json.loads((RUN / "environment.json").read_text(encoding="utf-8"))
    assert environment["device"] == "cpu" and environment["threads"] >= 1 and "numpy" in environment["packages"]
    config = (RUN / "config.toml").read_text(encoding="utf-8")
    assert str(SAMPLES) in config and "epochs = 4" in config and "sha256:" in config


def test_figures_have_no_clock_and_learning_shows():
    rows = lines(RUN / "metrics.jsonl")
    steps = [row for row in rows if "loss" in row]
    evaluations = [row for row in rows if "dev" in row]
    assert all(set(row) == {"step", "epoch", "loss", "rate", "grad_norm"} for row in steps)
    assert all(set(row) == {"step", "epoch", "dev"} and set(row["dev"]) == {"precision", "recall", "f1"} for row in evaluations)
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    assert [round(row["epoch"]) for row in evaluations] == [1, 2, 3, 4]
    assert sum(row["loss"] for row in steps[-5:]) < 0.5 * sum(row["loss"] for row in steps[:5])
    timing = lines(RUN / "timing.jsonl")
    assert [row["step"] for row in timing] == [row["step"] for row in rows]
    assert all(row["padded_tokens"] >= row["tokens"] > 0 for row in timing if "tokens" in row)


def test_best_is_the_best_evaluation():
    scores = [row["dev"]["f1"] for row in lines(RUN / "metrics.jsonl") if "dev" in row]
    best = json.loads((RUN / "best.json").read_text(encoding="utf-8"))
    assert best["dev"]["f1"] == max(scores) > 0.1


def test_evaluate_gives_the_scores_that_training_saw(report):
    told = report("evaluate", "event")
    assert {"precision", "recall", "f1"} <= set(told) and told["records"] == RECORDS["dev"]
    best = json.loads((RUN / "best.json").read_text(encoding="utf-8"))["dev"]
    assert {name: told[name] for name in best} == pytest.approx(best, abs=1e-6)
    assert report("evaluate")["event"] == told
    assert report("evaluate", "event", "--run", RUN, "--data", SAMPLES) == told


def test_evaluate_reads_as_a_table(capfd):
    assert run(["evaluate", "event"]) == 0
    out = capfd.readouterr().out
    assert "precision" in out and "by type" in out


def test_evaluate_needs_labels(capfd):
    assert run(["evaluate", "event", "--split", "test1"]) == 2
    assert "event_list" in capfd.readouterr().err


def test_a_run_moved_elsewhere_is_the_same_run(report, tmp_path):
    text = json.loads((SAMPLES / "dev.json").read_text(encoding="utf-8").splitlines()[0])["text"]
    shutil.copytree(RUN, tmp_path / "elsewhere")
    assert report("extract", "event", text, "--run", tmp_path / "elsewhere") == report("extract", "event", text)


# -- predictions -------------------------------------------------------------------------------------------------


def test_predict_writes_what_the_leaderboard_takes(report, capfd):
    told = report("predict", "event")
    assert (told["zip"], told["file"]) == (str(Path("submissions/duee.zip")), str(Path("submissions/duee.json")))
    assert told["records"] == RECORDS["test1"] and told["predictions"] > 0
    with zipfile.ZipFile("submissions/duee.zip") as archive:
        assert archive.namelist() == ["duee.json"]
        assert archive.read("duee.json") == Path("submissions/duee.json").read_bytes()
    texts = {row["id"]: row["text"] for row in lines(SAMPLES / "test1.json")}
    rows = lines(Path("submissions/duee.json"))
    assert [row["id"] for row in rows] == list(texts)
    for row in rows:
        assert all(argument["argument"] in texts[row["id"]] for event in row["event_list"] for argument in event["arguments"])
    checked = report("submit", "check", "event", "submissions/duee.zip", "--against", SAMPLES / "test1.json")
    assert checked["ok"] and checked["problems"] == []
    assert run(["submit", "check", "event", "submissions/duee.zip", "--against", str(SAMPLES / "dev.json")]) == 2


def test_predict_without_a_track_does_every_trained_one(report, capfd):
    named = report("predict", "event", "--out", "a.zip")
    every = report("predict")
    assert list(every) == ["event"] and every["event"]["predictions"] == named["predictions"]
    assert Path("a.json").read_bytes() == Path("submissions/duee.json").read_bytes()
    assert Path("a.zip").read_bytes() == Path("submissions/duee.zip").read_bytes()
    assert run(["predict", "event"]) == 0
    assert "submissions" in capfd.readouterr().out


def test_the_score_of_a_prediction_file_is_that_of_evaluate(report):
    told = report("predict", "event", "--split", "dev", "--out", "dev.zip")
    by_file = report("predict", "event", "--input", SAMPLES / "dev.json", "--out", "again.zip")
    assert told["predictions"] == by_file["predictions"] and Path("dev.zip").read_bytes() == Path("again.zip").read_bytes()
    evaluated = report("evaluate", "event")
    for file in ("dev.zip", "dev.json"):
        scored = report("score", "event", SAMPLES / "dev.json", file)
        assert {name: scored[name] for name in ("precision", "recall", "f1")} == pytest.approx(
            {name: evaluated[name] for name in ("precision", "recall", "f1")}, abs=1e-12
        )


def test_extract_gives_verbatim_findings(report, capfd, monkeypatch):
    found = 0
    for row in lines(SAMPLES / "dev.json")[:6]:
        told = report("extract", "event", row["text"])
        assert told["track"] == "event" and told["text"] == row["text"]
        for finding in told["found"]:
            assert row["text"][finding["start"] : finding["end"]] == finding["text"] != ""
            assert 0 <= finding["probability"] <= 1
        found += len(told["found"])
    assert found > 0
    assert run(["extract", "event", "😀"]) == 0
    assert "nothing found" in capfd.readouterr().out


def test_extract_reads_standard_input():
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "extract", "event", "-", "--json"],
        input="　星桥科技昨天裁员300人\n",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    told = json.loads(done.stdout)
    assert all(told["text"][finding["start"] : finding["end"]] == finding["text"] for finding in told["found"])


# -- what goes wrong ---------------------------------------------------------------------------------------------


def test_a_run_is_never_overwritten(capfd):
    before = files(RUN)
    assert train("training.epochs=1", more=["--run", str(RUN)]) == 2
    assert "LIC-U001" in capfd.readouterr().err
    assert files(RUN) == before


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda run: (run / "weights.safetensors").unlink(), "LIC-U006"),
        (lambda run: (run / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes()[:-100]), "LIC-K001"),
        (lambda run: (run / "encoder.json").unlink(), "LIC-U009"),
        (lambda run: (run / "encoder.json").write_text('{"lower_case": true}'), "LIC-U009"),
        (lambda run: (run / "schema.json").unlink(), "LIC-D001"),
        (lambda run: (run / "vocab.txt").unlink(), "LIC-V"),
        (lambda run: _replace(run / "config.toml", 'track = "event"', 'track = "reading"'), "LIC-U005"),
        (lambda run: _replace(run / "config.toml", "epochs", "epoch"), "LIC-R004"),
        (lambda run: _replace(run / "config.toml", 'tagging = "per_role"', 'tagging = "flat"'), "LIC-K002"),
    ],
)
def test_a_damaged_run_is_said_so(damage, code, tmp_path, capfd):
    shutil.copytree(RUN, tmp_path / "run")
    damage(tmp_path / "run")
    assert run(["predict", "event", "--run", str(tmp_path / "run")]) == 2
    err = capfd.readouterr().err
    assert code in err and str(tmp_path / "run") in err and "Traceback" not in err


def _replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_windows_longer_than_the_encoder_reads(tmp_path, capfd):
    assert train("features.window=511") == 2
    err = capfd.readouterr().err
    assert "LIC-E002" in err and "features.window=510" in err


@pytest.fixture
def broken(tmp_path):
    """The samples with three bad lines among forty in train."""
    folder = tmp_path / "broken"
    shutil.copytree(SAMPLES, folder)
    rows = (folder / "train.json").read_text(encoding="utf-8").splitlines()[:40]
    bad = json.loads(rows[7])
    bad["event_list"][0]["arguments"][0]["argument_start_index"] += 1
    rows[7] = json.dumps(bad, ensure_ascii=False)
    rows[20] = "{"
    rows[30] = json.dumps({**json.loads(rows[30]), "id": json.loads(rows[0])["id"]}, ensure_ascii=False)
    (folder / "train.json").write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return folder


def test_bad_records_stop_the_work_or_are_counted(broken, capfd):
    assert train("training.epochs=1", data=broken) == 2
    err = capfd.readouterr().err
    assert [f"train.json:{line}:" in err for line in (8, 21, 31)] == [True] * 3 and err.count("[LIC-") == 3
    assert not Path("runs/event/quick-2").exists()
    assert run(["preprocess", "event", "--recipe", "quick", "--data", str(broken), "--skip-bad"]) == 0
    out, err = capfd.readouterr()
    assert "went on without 3 bad records; 37 are left" in err and "train.json:21:" in err
    manifest = json.loads((Path(out.splitlines()[0].partition(": ")[2]) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["meta"]["records"] == 37


def test_features_are_made_once(capfd):
    def state():
        return {path: path.stat().st_mtime_ns for path in Path("data/cache").rglob("*")}

    before = state()
    assert before
    assert run(["preprocess", "event", "--recipe", "quick", "--data", str(SAMPLES), "--set", "training.max_records=600"]) == 0
    out, err = capfd.readouterr()
    folders = {Path(line.partition(": ")[2]) for line in out.splitlines()}
    assert len(folders) == 2 and state() == before and folders <= set(before)
    assert "features in" not in err
    assert run(["preprocess", "event", "--recipe", "quick", "--data", str(SAMPLES), "--set", "features.window=100"]) == 0
    assert "features in" in capfd.readouterr().err and len(state()) > len(before)


# -- the same again, and stopping --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_bit_for_bit(tmp_path):
    settings = ["training.epochs=1.5", "training.max_records=90", "encoder.dropout=0.1", "encoder.attention_dropout=0.1"]
    for name in ("first", "second"):
        assert train(*settings, more=["--run", str(tmp_path / name)]) == 0
    assert train(*settings, "training.seed=43", more=["--run", str(tmp_path / "other")]) == 0
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    kept = [name for name in files(first) if name.startswith("checkpoints")]
    assert len(kept) >= 4
    for name in ("metrics.jsonl", "weights.safetensors", "config.toml", "vocab.txt", *kept):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert (first / "metrics.jsonl").read_bytes() != (other / "metrics.jsonl").read_bytes()


def test_ctrl_c_keeps_the_last_weights(tmp_path, report, press_ctrl_c):
    target = tmp_path / "run"
    figures = target / "metrics.jsonl"
    arguments = ["train", "event", "--recipe", "quick", "--data", SAMPLES, "--run", target, "--set", "training.epochs=500"]
    press_ctrl_c(*arguments, when=lambda: figures.is_file() and figures.read_text().count("\n") >= 3)
    assert {path.name for path in target.iterdir()} == CONTENTS - {"best.json", "finished.json"}
    (kept,) = (target / "checkpoints").iterdir()
    assert (target / "weights.safetensors").read_bytes() == (kept / "weights.safetensors").read_bytes()
    steps = lines(target / "metrics.jsonl")
    assert len(steps) >= 3 and all("loss" in row for row in steps)
    assert report("evaluate", "event", "--run", target)["records"] == RECORDS["dev"]
