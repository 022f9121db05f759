"""lic demo's refusals, and what an interrupted one leaves; that it runs is tried in tests/test_packaging.py, from the wheel."""

import json
from pathlib import Path

import pytest

from pipelines.cli import run
from pipelines.demo import show


@pytest.mark.parametrize("made", ["a full folder", "a file"])
def test_a_place_that_is_taken_is_refused_and_left_alone(made, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "place"
    if made == "a file":
        target.write_text("mine", encoding="utf-8")
    else:
        target.mkdir()
        (target / "mine.txt").write_text("mine", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    assert run(["demo", "--folder", str(target)]) == 2
    assert "LIC-U017" in capfd.readouterr().err and sorted(tmp_path.rglob("*")) == before


def test_a_wrong_setting_of_any_track_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(["demo", "--set", "training.epoch=1"]) == 2
    said = capfd.readouterr().err
    assert "LIC-R004" in said and "'epochs'" in said and "stays in" in said


def test_strict_fails_below_the_goal_and_the_next_takes_another_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    short = [word for setting in ("training.epochs=0.2", "training.max_records=40") for word in ("--set", setting)]
    assert run(["demo", "relation", "event", "--strict", *short]) == 1
    out, err = capfd.readouterr()
    assert "LIC-P003" in err and "relation, event below the goal" in err and "Test A" in out
    report = json.loads(Path("lic-demo/demo.json").read_text(encoding="utf-8"))
    assert not any(result["reached"] for result in report["tracks"].values())
    show(report)
    assert capfd.readouterr().out == out
    Path("lic-demo-2").mkdir()
    assert run(["demo", "--set", "training.epoch=1"]) == 2
    assert "lic-demo-3" in capfd.readouterr().err


def test_another_track_is_refused_before_anything_is_made(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(["demo", "event", "title"]) == 2
    assert "LIC-T001" in capfd.readouterr().err and not list(tmp_path.iterdir())


def test_ctrl_c_says_what_stays(tmp_path, press_ctrl_c):
    err = press_ctrl_c("demo", when=(tmp_path / "lic-demo/runs/relation/quick/metrics.jsonl").is_file)
    assert str(tmp_path / "lic-demo") in err and not list(tmp_path.rglob("*.part"))
