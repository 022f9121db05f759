import json
import os
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipelines.data_check import check_data, command
from shared.errors import InputError

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "event"
LINES = {split: (SAMPLES / f"{split}.json").read_bytes().count(b"\n") for split in ("schema", "train", "dev", "test1")}


@pytest.fixture
def app():
    made = typer.Typer()
    made.command()(command)
    return made


def test_a_sound_folder():
    report = check_data("event", SAMPLES)
    assert report["ok"] and report["complete"] and report["missing"] == [] and report["problems"] == []
    assert {split: entry["lines"] for split, entry in report["files"].items()} == LINES
    assert report["files"]["train"]["records"] == LINES["train"] and report["files"]["test1"]["labelled"] == 0
    assert any("11,958" in note for note in report["notes"])
    assert any("test_a.json, test_b.json" in note for note in report["notes"])


def test_a_single_file_takes_the_schema_beside_it():
    report = check_data("event", SAMPLES / "dev.json")
    assert set(report["files"]) == {"schema", "dev"} and report["ok"] and "complete" not in report


def test_faults_missing_files_and_shared_ids(tmp_path):
    for name in ("dev.json", "schema.json"):
        shutil.copy(SAMPLES / name, tmp_path / name)
    lines = (SAMPLES / "dev.json").read_text(encoding="utf-8").splitlines()[:5]
    lines[1] = lines[1].replace('"role": "', '"role": "无', 1)
    (tmp_path / "duee_train.json").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    report = check_data("event", tmp_path)
    assert not report["ok"] and report["missing"] == ["test"] and not report["complete"]
    assert [(problem["code"], problem["line"]) for problem in report["problems"]] == [("LIC-D014", 2), ("LIC-D007", 6)]
    assert (report["files"]["train"]["skipped"], report["files"]["train"]["records"]) == (1, 4)
    assert report["shared_ids"][0]["splits"] == ["train", "dev"] and report["shared_ids"][0]["count"] == 4


def test_without_a_schema_names_go_unchecked_and_that_is_said(tmp_path):
    shutil.copy(SAMPLES / "dev.json", tmp_path / "mine.json")
    report = check_data("event", tmp_path / "mine.json")
    assert report["files"]["mine"]["records"] == LINES["dev"] and "not checked" in report["notes"][0]
    checked = check_data("event", tmp_path / "mine.json", schema=SAMPLES / "schema.json")
    assert not any("not checked" in note for note in checked["notes"]) and checked["ok"]


def test_nothing_to_check(tmp_path):
    for track, path in (("event", tmp_path), ("event", tmp_path / "none"), ("paraphrase", SAMPLES)):
        with pytest.raises(InputError):
            check_data(track, path)


def test_the_command(tmp_path, app):
    told = CliRunner().invoke(app, ["event", str(SAMPLES), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["files"]["dev"]["events"] > LINES["dev"]
    read = CliRunner().invoke(app, ["event", str(SAMPLES)])
    assert read.exit_code == 0 and f"{LINES['train']:,}" in read.stdout
    (tmp_path / "dev.json").write_text("{}\n")
    bad = CliRunner().invoke(app, ["event", str(tmp_path), "--json"])
    assert bad.exit_code == 2 and {problem["code"] for problem in json.loads(bad.stdout)["problems"]} == {"LIC-D010"}


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_files():
    report = check_data("event", Path(os.environ["LIC_REAL_DATA"]) / "event")
    assert report["ok"] and report["complete"]
    train = report["files"]["train"]
    assert (train["records"], train["events"], train["events_without_argument"], train["text_length_max"]) == (11958, 13915, 437, 378)
    assert (train["rarest_type_events"], train["types"]) == (26, 65)
    assert round(train["share_several_events"], 3) == 0.130 and round(train["share_several_roles_on_one_span"], 3) == 0.065
    assert report["shared_ids"] == []
