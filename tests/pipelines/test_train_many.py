"""Folds, seeds, training on everything, and the plan of a dry run."""

import json
from pathlib import Path

import pytest

from pipelines.cli import run
from pipelines.train_setup import Fold
from tasks.registry import get_task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
DATA = SAMPLES / "event"
TRAIN = ["train", "event", "--recipe", "quick", "--data", str(DATA), "--set", "training.max_records=60", "--set", "training.epochs=1"]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- folds ---------------------------------------------------------------------------------------------------------


def test_every_text_is_held_out_once_and_equal_texts_together():
    task = get_task("event")
    texts = [record.text for record in task.read_records(DATA / "train.json", task.read_schema(DATA / "schema.json")).records]
    for count in (2, 5):
        held = [[text for text in texts if Fold(number, count).holds(text)] for number in range(1, count + 1)]
        assert sum(map(len, held)) == len(texts)
        assert all(not set(a) & set(b) for i, a in enumerate(held) for b in held[:i])
        assert all(0.7 * len(texts) / count < len(part) < 1.3 * len(texts) / count for part in held)


def test_folds_train_on_the_others_and_are_scored_on_their_own(place, capfd):
    assert run([*TRAIN, "--folds", "2"]) == 0
    out, err = capfd.readouterr()
    folders = [place / "runs" / "event" / "quick" / f"fold-{number}" for number in (1, 2)]
    assert out.split() == [str(folder.relative_to(place)) for folder in folders]
    assert "2 runs:" in err and "±" in err
    task = get_task("event")
    records = task.read_records(DATA / "train.json", task.read_schema(DATA / "schema.json")).records[:60]
    trained = []
    for number, folder in enumerate(folders, 1):
        assert f'fold = "{number}/2"' in (folder / "config.toml").read_text(encoding="utf-8")
        assert (folder / "finished.json").is_file() and "dev" in lines(folder / "metrics.jsonl")[-1]
        held = [record for record in records if Fold(number, 2).holds(record.text)]
        trained.append(sum(row["tokens"] for row in lines(folder / "timing.jsonl") if "tokens" in row))
        assert 0 < len(held) < 60
    assert run([*TRAIN, "--set", "training.evaluations_per_epoch=1", "--run", "whole"]) == 0
    everything = sum(row["tokens"] for row in lines(place / "whole" / "timing.jsonl") if "tokens" in row)
    assert sum(trained) == everything  # with two folds each text is trained on once


def test_one_fold_resumes_in_its_place(place, capfd):
    assert run([*TRAIN, "--folds", "3", "--fold", "2", "--run", "cv"]) == 0
    assert [path.name for path in (place / "cv").iterdir()] == ["fold-2"]
    (place / "cv" / "fold-2" / "finished.json").unlink()
    assert run([*TRAIN, "--folds", "5", "--fold", "2", "--run", "cv", "--resume"]) == 2
    assert "fold 2/3" in capfd.readouterr().err
    assert run(["train", "event", "--run", "cv/fold-2", "--resume"]) == 0
    (place / "cv" / "fold-2" / "finished.json").unlink()
    before = (place / "cv" / "fold-2" / "weights.safetensors").read_bytes()
    assert run([*TRAIN, "--folds", "3", "--fold", "2", "--run", "cv", "--resume"]) == 0
    assert (place / "cv" / "fold-2" / "weights.safetensors").read_bytes() == before
    assert run([*TRAIN, "--folds", "3", "--fold", "2", "--run", "cv"]) == 2
    assert "LIC-U001" in capfd.readouterr().err


# -- seeds ---------------------------------------------------------------------------------------------------------


def test_seeds_differ_and_are_summed_up(place, capfd):
    assert run([*TRAIN, "--seeds", "1, 2"]) == 0
    assert "2 runs:" in capfd.readouterr().err
    first, second = (lines(place / "runs" / "event" / "quick" / f"seed-{seed}" / "metrics.jsonl") for seed in (1, 2))
    assert [row.get("loss") for row in first] != [row.get("loss") for row in second]
    assert run(["runs", "--json"]) == 0


# -- everything ----------------------------------------------------------------------------------------------------


def test_training_on_everything_sees_dev_and_predicts(place, report, capfd):
    everything = [*TRAIN, "--set", "training.train_on=train+dev"]
    assert report(*everything, "--dry-run")["records"] == 60 + 120 and report(*TRAIN, "--dry-run")["records"] == 60
    assert run([*everything, "--run", "all"]) == 0
    assert not any("dev" in row for row in lines(place / "all" / "metrics.jsonl"))
    assert json.loads((place / "all" / "best.json").read_text())["dev"] == {}
    predict = ["predict", "event", "--run", "all", "--input", str(DATA / "test1.json"), "--out", "a.zip"]
    assert run(predict) == 0 and (place / "a.zip").is_file()
    capfd.readouterr()
    assert run([*everything, "--set", "training.patience=2"]) == 2
    assert "nothing is left to evaluate on" in capfd.readouterr().err


# -- options that do not go together -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--fold", "1"],
        ["--folds", "3", "--fold", "4"],
        ["--folds", "3", "--seeds", "1,2"],
        ["--seeds", "1,1"],
        ["--seeds", "a"],
        ["--dry-run", "--resume"],
    ],
)
def test_options_that_do_not_go_together(place, options, capfd):
    assert run([*TRAIN, *options]) == 2
    assert "LIC-U023" in capfd.readouterr().err and not (place / "runs").exists()


# -- the plan ------------------------------------------------------------------------------------------------------


def test_the_plan_is_what_training_then_does(place, report):
    plan = report(*TRAIN, "--dry-run")
    assert not (place / "runs").exists()
    assert run([*TRAIN, "--run", "run"]) == 0
    steps = [row for row in lines(place / "run" / "timing.jsonl") if "tokens" in row]
    assert plan["steps"] == len(steps) and plan["tokens_an_epoch"] == sum(row["tokens"] for row in steps)
    padded = sum(row["padded_tokens"] for row in steps)
    assert plan["padding"] == pytest.approx(1 - plan["tokens_an_epoch"] / padded)
    assert plan["largest_step"]["padded_tokens"] == max(row["padded_tokens"] for row in steps)
    assert plan["records"] == 60 and plan["evaluations"] == 1
    kept = sum(path.stat().st_size for path in (place / "run" / "checkpoints").rglob("*.safetensors")) / 2**20
    assert plan["memory_mib"]["checkpoint"] == pytest.approx(kept, rel=0.02)
    assert plan["largest_step"]["loss"] > 0 and plan["minutes"] > 0


def test_frozen_layers_do_not_learn(place, report):
    plan = report(*TRAIN, "--dry-run", "--set", "encoder.frozen_layers=1")
    assert 0 < plan["trained_parameters"] < plan["parameters"]
    assert run([*TRAIN, "--dry-run", "--set", "encoder.frozen_layers=9"]) == 2
