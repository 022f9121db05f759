"""Candidates, thresholds and ensembles of barely trained runs, from the command line."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.candidates import keep_candidates
from pipelines.cli import run
from pipelines.decisions import parts_of
from pipelines.run_folder import load_run
from pipelines.train_setup import Fold
from shared.files import digest
from shared.training.checkpoint import save_weights
from tasks.registry import get_task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
LINES = {"train": 16, "dev": 10, "test1": 4}


def eager(folder, target, shift):
    """A copy of an event run that finds more: ``shift`` is taken from the score of tag O, its weights are otherwise the same."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("checkpoints", "candidates-*", "mistakes-*", "weights.safetensors"))
    model = load_run(folder).model
    bias = model.emit.bias.numpy()
    bias.reshape(-1, 3)[:, 0] -= shift
    model.emit.bias.set_value(bias)
    save_weights(model, target / "weights.safetensors")


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    """A working folder with two event runs and two reading runs on a few lines of the samples."""
    place = tmp_path_factory.mktemp("ensembles")
    for track in ("event", "reading"):
        shutil.copytree(SAMPLES / track, place / "data" / track)
    for split, count in LINES.items():
        file = place / "data" / "event" / f"{split}.json"
        file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:count]), encoding="utf-8")
        file = place / "data" / "reading" / f"{split}.json"
        value = json.loads(file.read_text(encoding="utf-8"))
        value["data"] = value["data"][:1]
        value["data"][0]["paragraphs"] = value["data"][0]["paragraphs"][:count]
        file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    event = trained("event") / "runs" / "event" / "quick"
    eager(event, place / "runs" / "event" / "a", 4.0)
    eager(event, place / "runs" / "event" / "b", 3.7)
    reading = trained("reading") / "runs" / "reading" / "quick"
    for name in ("a", "b"):
        shutil.copytree(reading, place / "runs" / "reading" / name)
    for folder in place.glob("runs/*/*"):
        config = folder / "config.toml"
        words = config.read_text(encoding="utf-8").replace(str(SAMPLES), str(place / "data"))
        config.write_text("\n".join(line for line in words.splitlines() if "sha256:" not in line) + "\n", encoding="utf-8")
    return place


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "w")
    for config in (tmp_path / "w").glob("runs/*/*/config.toml"):
        config.write_text(config.read_text(encoding="utf-8").replace(str(made), str(tmp_path / "w")), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def shown(track, told):
    return {name: told[name] for name in get_task(track).shown_scores}


def test_candidates_are_kept_and_stale_ones_are_made_again(place, report, capfd):
    (told,) = report("candidates", "runs/event/a")["files"]
    assert told["records"] == LINES["dev"] and told["candidates"] > 10
    file = Path(told["file"])
    whole = file.read_bytes()
    kept = keep_candidates(Path("runs/event/a"))
    assert sum(map(len, kept.candidates)) == told["candidates"] and "made again" not in capfd.readouterr().err
    for spoil in (b"{}\n", whole[: len(whole) // 2], whole.replace(b'"floor": 0.05', b'"floor": 0.5')):
        file.write_bytes(spoil)
        report("candidates", "runs/event/a")
        assert file.read_bytes() == whole
    config = Path("runs/event/a/config.toml")
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    keep_candidates(Path("runs/event/a"))
    assert "made again" in capfd.readouterr().err


def test_tune_reports_what_evaluate_then_gives_and_dev_is_cross_fitted(place, report, fault, capfd):
    before = report("evaluate", "event", "--run", "runs/event/a")
    told = report("tune", "runs/event/a", "--always", "--calibration", "isotonic")
    assert told["before"] == shown("event", before) and told["kept"] and Path(told["picture"]).read_bytes().startswith(b"\x89PNG")
    after = report("evaluate", "event", "--run", "runs/event/a")
    assert shown("event", after) == pytest.approx(told["after"], abs=1e-12)
    capfd.readouterr()
    assert run(["evaluate", "--run", "runs/event/a"]) == 0
    assert "decision.json: fitted on dev; each record by what was fitted without it" in capfd.readouterr().err
    stored = json.loads(Path("runs/event/a/decision.json").read_text(encoding="utf-8"))
    task = get_task("event")
    records = keep_candidates(Path("runs/event/a")).records
    assert len(stored["parts"]) == 5 and len(set(parts_of(task, records, 5))) > 1
    report("predict", "event", "--run", "runs/event/a", "--out", "a.zip")  # other records: by the decision of all
    assert "without it" not in capfd.readouterr().err
    assert report("extract", "event", records[0].text, "--run", "runs/event/a")["found"] is not None
    Path("runs/event/a/decision.json").write_text("{}", encoding="utf-8")
    assert fault("evaluate", "--run", "runs/event/a")[:2] == (2, ["LIC-U053"])
    Path("runs/event/a/decision.json").write_text(json.dumps({**stored, "marks": {"weights": "", "config": ""}}), encoding="utf-8")
    assert fault("predict", "event", "--run", "runs/event/a")[:2] == (2, ["LIC-U054"])
    assert fault("tune", "runs/event/a", "--calibration", "linear")[:2] == (2, ["LIC-U060"])


def test_a_reranked_run_and_ensemble_predict_what_they_report(place, report, fault, monkeypatch):
    assert report("tune", "runs/event/a", "--rerank", "--always")["reranker"] == []  # too few candidates
    folder = Path("runs/reading/a")
    told = report("tune", folder, "--rerank", "--always")
    assert told["reranker"] and "reranked" in told["reliability"] and (folder / "reranker.json").is_file()
    assert shown("reading", report("evaluate", "reading", "--run", folder)) == pytest.approx(told["after"], abs=1e-12)
    zipped = report("predict", "reading", "--run", folder, "--out", "r.zip")
    assert report("submit", "check", "reading", zipped["zip"], "--against", "data/reading/test1.json")["ok"]
    together = report("ensemble", folder, "runs/reading/b", "--rerank")
    assert shown("reading", report("evaluate", "reading", "--run", together["ensemble"])) == pytest.approx(together["scores"], abs=1e-12)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.reranker_file.find_spec", lambda name: None)
        assert fault("tune", folder, "--rerank")[:2] == (2, ["LIC-U066"]) == fault("evaluate", "--run", folder)[:2]
    whole = (folder / "reranker.json").read_text(encoding="utf-8")
    (folder / "reranker.json").write_text(whole.replace('"evidence"', '"evidences"'), encoding="utf-8")
    assert fault("evaluate", "--run", folder)[:2] == (2, ["LIC-U067"])
    (folder / "reranker.json").unlink()
    assert fault("evaluate", "--run", folder)[:2] == (2, ["LIC-U067"])
    report("tune", folder, "--always")
    assert report("evaluate", "reading", "--run", folder)["records"] == told["records"]
    assert fault("tune", folder, "--rerank", "--folds", folder)[:2] == (2, ["LIC-U068"])
    assert fault("ensemble", folder, "runs/reading/b", "--rerank", "--split", "oof")[:2] == (2, ["LIC-U068"])


def test_an_ensemble_predicts_like_a_run(place, report, capfd):
    told = report("ensemble", "runs/event/a", "runs/event/b")
    folder = told["ensemble"]
    assert Path(folder) == Path("runs/event/ensemble") and len(told["members"]) == 2
    assert sum(one["weight"] for one in told["members"]) == pytest.approx(1)
    assert told["fitted_on"] == "dev"
    assert shown("event", report("evaluate", "event", "--run", folder)) == pytest.approx(told["scores"], abs=1e-12)
    zipped = report("predict", "event", "--run", folder, "--out", "e.zip")
    assert report("submit", "check", "event", zipped["zip"], "--against", "data/event/test1.json")["ok"]
    rows = {row["name"]: row for row in report("runs")["runs"]}
    assert rows["ensemble"]["state"] == "ensemble" and rows["ensemble"]["problems"] == []
    shutil.move("runs", "moved")
    text = get_task("event").read_records(Path("data/event/dev.json"), None).records[0].text
    report("extract", "event", text, "--run", "moved/event/ensemble")


@pytest.mark.parametrize(("track", "weights"), [("event", "2,0"), ("reading", "1")])
def test_one_member_alone_gives_its_own_result(track, weights, place, report):
    runs = ["runs/event/a", "runs/event/b"] if track == "event" else ["runs/reading/a"]
    told = report("ensemble", *runs, "--weights", weights)
    own, together = (report("evaluate", track, "--run", folder, "--mistakes", "m.jsonl") for folder in (runs[0], told["ensemble"]))
    assert told["scores"] == shown(track, own) == shown(track, together)
    assert own["mistakes"] == together["mistakes"]


def test_reading_answers_are_merged(place, report):
    told = report("ensemble", "runs/reading/a", "runs/reading/b")
    record = get_task("reading").read_records(Path("data/reading/dev.json")).records[0]
    (answer,) = report("extract", "reading", record.text, "--question", record.question, "--run", told["ensemble"])["found"]
    assert record.text[answer["start"] : answer["end"]] == answer["text"]
    assert shown("reading", report("evaluate", "reading", "--run", told["ensemble"])) == pytest.approx(told["scores"])


def test_members_that_do_not_go_together(place, fault, report):
    assert fault("ensemble", "runs/event/a", "runs/reading/a")[:2] == (2, ["LIC-U062"])
    assert fault("ensemble", "runs/event/a", "runs/event/a")[:2] == (2, ["LIC-U063"])
    assert fault("ensemble", "runs/event/a", "runs/event/none")[:2] == (2, ["LIC-U004"])
    for weights in ("1", "a,b", "0,0", "-1,2", "nan,1"):
        assert fault("ensemble", "runs/event/a", "runs/event/b", f"--weights={weights}")[:2] == (2, ["LIC-U064"])
    assert fault("ensemble", "runs/event/a", "runs/event/b", "--split", "oof")[:2] == (2, ["LIC-U052"])
    assert fault("candidates", "runs/event/a", "--split", "oof")[:2] == (2, ["LIC-U050"])
    assert not Path("runs/event/ensemble").exists()
    schema = Path("runs/event/b/schema.json")
    lines = schema.read_text(encoding="utf-8").splitlines(keepends=True)
    schema.write_text("".join([*lines[1:], lines[0]]), encoding="utf-8")
    assert fault("ensemble", "runs/event/a", "runs/event/b")[:2] == (2, ["LIC-U059"])
    schema.write_text("".join(lines), encoding="utf-8")
    folder = Path(report("ensemble", "runs/event/a", "runs/event/b", "--weights", "equal")["ensemble"])
    assert fault("tune", folder)[:2] == (2, ["LIC-U058"]) == fault("ensemble", folder, "runs/event/a")[:2]
    assert fault("predict", "reading", "--run", folder)[:2] == (2, ["LIC-U005"])
    config = Path("runs/event/b/config.toml")
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert fault("predict", "event", "--run", folder)[:2] == (2, ["LIC-U057"])
    shutil.rmtree("runs/event/b")
    assert fault("extract", "event", "x", "--run", folder)[:2] == (2, ["LIC-U056"])
    (folder / "ensemble.toml").write_text("[ensemble]", encoding="utf-8")
    assert fault("evaluate", "--run", folder)[:2] == (2, ["LIC-U055"])


def folds_of(folder, target, train):
    """The run in ``folder`` as if it were both folds of a training."""
    for number in (1, 2):
        shutil.copytree(folder, target / f"fold-{number}")
        config = target / f"fold-{number}" / "config.toml"
        sums = f'\ntrain = "train.json sha256:{digest(train)}"'
        words = config.read_text(encoding="utf-8").replace("[run]", f'[run]\nfold = "{number}/2"', 1).replace("[run.data]", f"[run.data]{sums}", 1)
        config.write_text(words, encoding="utf-8")


def test_folds_are_one_member_and_are_fitted_out_of_fold(place, report, fault):
    train = Path("data/event/train.json")
    for name in ("a", "b"):
        folds_of(Path("runs/event") / name, Path("runs/event") / f"cv-{name}", train)
    told = report("ensemble", "runs/event/cv-a", "runs/event/cv-b")
    assert told["fitted_on"] != "dev" and told["records"] == LINES["train"] and len(told["members"]) == 4
    assert told["members"][0]["weight"] == told["members"][1]["weight"]
    task = get_task("event")
    for number in (1, 2):
        kept = keep_candidates(Path(f"runs/event/cv-a/fold-{number}"), "oof")
        assert kept.records and all(Fold(number, 2).holds(task.text_of(record)) for record in kept.records)
    assert shown("event", report("evaluate", "event", "--run", told["ensemble"])) == pytest.approx(told["scores"], abs=1e-12)
    tuned = report("tune", "runs/event/a", "--folds", "runs/event/cv-a", "--always")
    assert tuned["records"] == LINES["train"]
    assert shown("event", report("evaluate", "event", "--run", "runs/event/a")) == pytest.approx(tuned["after"], abs=1e-12)
    shutil.rmtree("runs/event/cv-b/fold-2")
    assert fault("ensemble", "runs/event/cv-a", "runs/event/cv-b", "--split", "oof")[:2] == (2, ["LIC-U052"])
    train.write_text("".join(train.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    assert fault("candidates", "runs/event/cv-a", "--split", "oof")[:2] == (2, ["LIC-U051"])
