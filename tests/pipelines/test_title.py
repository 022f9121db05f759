"""The auxiliary task title through every verb, as a track goes, on its sample with a tiny model; and what is done for all tracks leaves it out."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.cli import run

DATA = Path(__file__).parents[2] / "data" / "samples" / "title"
TINY = ["--recipe", "quick", "--data", str(DATA)]
SMALLER = ("encoder.num_layers=1", "encoder.hidden_size=32", "encoder.intermediate_size=64", "model.max_target=16")
for one in (*SMALLER, "training.epochs=2", "training.max_records=48"):
    TINY += ["--set", one]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a barely trained run."""
    folder = tmp_path_factory.mktemp("title")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["train", "title", *TINY]) == 0
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


def test_files_are_checked_and_imported(report, tmp_path):
    told = report("data", "check", "title", DATA)
    assert told["ok"] and told["complete"] and told["files"]["train"]["labelled"] == 600 and told["files"]["test1"]["labelled"] == 0
    with zipfile.ZipFile(tmp_path / "csl.zip", "w") as archive:
        for name in ("train", "dev"):
            archive.write(DATA / f"{name}.jsonl", f"csl/csl_title_{name}.json")
        archive.write(DATA / "test.jsonl", "csl/test.jsonl")
    made = report("data", "import", "title", tmp_path / "csl.zip", "--to", tmp_path / "there")
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"train.jsonl", "dev.jsonl", "test.jsonl"} and not made["missing"]


def test_training_kept_the_best_by_bleu(place):
    best = json.loads((place / "runs" / "title" / "quick" / "best.json").read_text(encoding="utf-8"))
    assert list(best["dev"]) == ["rouge_1", "rouge_2", "rouge_l", "bleu"] and all(0 <= score <= 1 for score in best["dev"].values())


def test_predicted_checked_and_scored(report):
    told = report("predict", "title", "--split", "test")
    assert told["records"] == 60 and told["zip"] == "submissions/title.zip"
    with zipfile.ZipFile("submissions/title.zip") as archive:
        assert archive.namelist() == ["title.json"]
        lines = archive.read("title.json").decode("utf-8").splitlines()
    texts = [json.loads(line)["abst"] for line in (DATA / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [json.loads(line)["abst"] for line in lines] == texts
    code = run(["submit", "check", "title", "submissions/title.zip", "--against", str(DATA / "test.jsonl")])
    assert code == (2 if any(not json.loads(line)["title"] for line in lines) else 0)
    scored = report("score", "title", DATA / "test_gold.jsonl", "submissions/title.zip")
    evaluated = report("evaluate", "title", "--split", "test_gold")
    assert scored["bleu"] == pytest.approx(evaluated["bleu"], abs=1e-12) and scored["records"] == 60


def test_beams_of_one_run_by_decode_settings(report):
    scores = [report("evaluate", "title", "--set", f"decode.beam={beam}") for beam in (1, 3)]
    assert all(0 <= one["bleu"] <= 1 for one in scores) and len({json.dumps(one["rouge_1"]) for one in scores}) > 1


def test_a_text_gets_a_title_and_no_question(report, capfd):
    (found,) = report("extract", "title", "为提高海螺湾灯塔的巡检效率,提出一种排班方法.")["found"]
    assert set(found) == {"text", "probability"} and 0 <= found["probability"] <= 1
    assert run(["extract", "title", "灯塔", "--question", "什么"]) == 2 and "LIC-X004" in capfd.readouterr().err


def test_gold_comes_back_and_the_beginning_is_the_baseline(report):
    told = report("data", "roundtrip", "title", DATA / "dev.jsonl")
    assert told["bleu"] >= 0.995
    assert 0.1 < report("evaluate", "title", "--baseline", "--data", DATA)["bleu"] < 0.3


def test_what_is_done_for_every_track_leaves_it_out(tmp_path, capfd):
    assert run(["demo", "title", "--folder", str(tmp_path / "demo")]) == 2 and not list(tmp_path.iterdir())
    assert "LIC-T001" in capfd.readouterr().err
    for verb in ("predict", "evaluate"):
        assert run([verb]) == 2
        assert "LIC-U003" in capfd.readouterr().err


def test_tuning_keeps_the_titles_and_a_reranker_is_refused(report, place, tmp_path, monkeypatch, capfd):
    shutil.copytree(place / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    before = report("evaluate", "title")
    assert run(["tune", "runs/title/quick"]) == 0
    assert report("evaluate", "title")["bleu"] == pytest.approx(before["bleu"], abs=1e-9)
    capfd.readouterr()
    assert run(["tune", "runs/title/quick", "--rerank"]) == 2
    assert "LIC-T002" in capfd.readouterr().err


def test_an_exported_model_writes_the_same(report, tmp_path):
    assert run(["export", "title", "--out", str(tmp_path / "model")]) == 0
    text = json.loads((DATA / "dev.jsonl").read_text(encoding="utf-8").splitlines()[0])["abst"]
    done = subprocess.run([sys.executable, str(tmp_path / "model" / "predict.py"), text], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    (theirs,), (ours,) = json.loads(done.stdout)["found"], report("extract", "title", text)["found"]
    assert theirs["text"] == ours["text"] and theirs["probability"] == pytest.approx(ours["probability"], abs=1e-4)


def test_the_remedies_against_exposure_bias_train_by_recipe(tmp_path):
    chosen = ("max_records=8", "epochs=1", "replacement_rows=0.5", "replacement_pool=all", "penalty_epsilon=1")
    settings = [word for one in chosen for word in ("--set", f"training.{one}")]
    assert run(["train", "title", *TINY, *settings, "--run", str(tmp_path / "run")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("bleu" in json.dumps(row) for row in rows) and all(row["penalty"] > 0 for row in rows if "loss" in row)
