"""The paraphrase task through the pipelines: a tiny training, its zip, its threshold, its refusals."""

import json
from pathlib import Path

import pytest

from pipelines.evaluate import evaluate
from pipelines.export import export
from pipelines.extract import extract
from pipelines.predict import predict
from pipelines.train import train
from pipelines.train_setup import _require_whole_batches
from pipelines.tune import tune
from shared.errors import InputError
from shared.training.parallel import Ranks
from tasks.paraphrase.records import ParaphraseRecord, read_records, write_records
from tasks.registry import get_task

TASK = get_task("paraphrase")
SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "paraphrase"
SMALL = ("encoder.hidden_size=16", "encoder.num_heads=2", "encoder.intermediate_size=16", "encoder.vocab_size=400", "features.window=16")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data and a trained run."""
    folder = tmp_path_factory.mktemp("paraphrase")
    (folder / "data").mkdir()
    rows = read_records(SAMPLE / "train.jsonl").records
    write_records(folder / "data" / "train.jsonl", rows[:120])
    write_records(folder / "data" / "dev.jsonl", rows[120:160])
    write_records(folder / "data" / "test.jsonl", [ParaphraseRecord(row.text, row.pair) for row in rows[160:190]])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("paraphrase", data=folder / "data", recipe="quick", overrides=(*SMALL, "training.epochs=2"), run=folder / "run")
    return folder


@pytest.fixture
def inside(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def test_a_run_predicts_by_the_threshold_that_was_best_on_dev(inside):
    best = json.loads((inside / "run" / "best.json").read_text(encoding="utf-8"))["dev"]
    told = evaluate("paraphrase", run=inside / "run")
    assert told["spearman"] == pytest.approx(best["spearman"], abs=1e-6) and told["accuracy"] == told["best_accuracy"]
    rows = [json.loads(line) for line in (inside / "run" / "mistakes-dev.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == round((1 - told["accuracy"]) * 40) and {row["fault"] for row in rows} <= {"missing", "extra"}
    assert sum(part["pairs"] for part in told["per_source"].values()) == 40
    everything = evaluate("paraphrase", run=inside / "run", decode=("decode.threshold=-1",))
    assert everything["accuracy"] == everything["alike"] / 40 and everything["spearman"] == told["spearman"]


def test_its_zip_is_accepted_and_scored(inside):
    made = predict("paraphrase", run=inside / "run", out=inside / "p.zip")
    assert (made["records"], made["records_without_prediction"]) == (30, 0)
    assert TASK.check_submission(inside / "p.zip", against=inside / "data" / "test.jsonl") == []
    write_records(inside / "gold.jsonl", read_records(SAMPLE / "train.jsonl").records[160:190])
    told = TASK.score_files(inside / "gold.jsonl", inside / "p.zip")
    records = read_records(inside / "gold.jsonl").records
    assert told["pairs"] == 30 and told["alike"] == sum(row.label for row in records)
    with pytest.raises(TypeError, match="unexpected keyword"):
        TASK.score_files(inside / "gold.jsonl", inside / "p.zip", credit="f1")


def test_one_pair(inside):
    (row,) = extract("paraphrase", "甲乙丙丁", question="甲乙丙丁", run=inside / "run")
    assert row["score"] == pytest.approx(1) and row["alike"] and 0.5 < row["probability"] <= 1
    with pytest.raises(InputError) as error:
        extract("paraphrase", "甲乙丙丁", run=inside / "run")
    assert error.value.problems[0].code == "LIC-X002"


def test_what_has_no_meaning_here_is_one_clear_line(inside):
    for call, code in (
        (lambda: export("paraphrase", out=inside / "out", run=inside / "run", format="static"), "LIC-I007"),
        (lambda: train("paraphrase", data=inside / "data", recipe="quick", overrides=("training.accumulation=3",), run=inside / "no"), "LIC-R006"),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert [problem.code for problem in error.value.problems] == [code]
    assert not (inside / "out").exists() and not (inside / "no").exists()


def test_pairs_of_two_meanings_alone_teach_nothing(inside, tmp_path):
    rows = read_records(inside / "data" / "train.jsonl").records
    write_records(tmp_path / "train.jsonl", [row for row in rows if row.label == 0])
    write_records(tmp_path / "dev.jsonl", rows[:9])
    with pytest.raises(InputError) as error:
        train("paraphrase", data=tmp_path, recipe="quick", overrides=(*SMALL, "model.pair_weight=0.0"), run=tmp_path / "run")
    assert error.value.problems[0].code == "LIC-X033" and not (tmp_path / "run").exists()


def test_a_batch_is_not_shared_among_processes():
    with pytest.raises(InputError) as error:
        _require_whole_batches(type("Layer", (), {"divisible": False})(), Ranks(0, 2))
    assert error.value.problems[0].code == "LIC-M006"


def test_tuning_maps_confidence_and_leaves_the_scores(inside):
    before = evaluate("paraphrase", run=inside / "run")
    told = tune(inside / "run", calibration="platt")
    assert told["after"] == told["before"] and told["kept"] is not None
    after = evaluate("paraphrase", run=inside / "run")
    assert {name: after[name] for name in TASK.shown_scores} == {name: before[name] for name in TASK.shown_scores}
    (inside / "run" / "decision.json").unlink()
    pytest.importorskip("xgboost")
    with pytest.raises(InputError) as error:
        tune(inside / "run", rerank=True)
    assert error.value.problems[0].code == "LIC-U069"
