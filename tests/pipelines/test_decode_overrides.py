"""--set of a trained run: other decode settings for one call, and nothing else."""

import json

import pytest

from pipelines.cli import run
from tasks.recipe import tomllib


@pytest.fixture
def place(trained, monkeypatch):
    folder = trained("event")
    monkeypatch.chdir(folder)
    return folder


def test_evaluation_goes_by_the_settings_given_and_leaves_the_run_alone(place, report, tmp_path):
    config = place / "runs/event/quick/config.toml"
    before = config.read_bytes()
    mistakes = ("--mistakes", tmp_path / "mistakes.jsonl")
    own = report("evaluate", "event", *mistakes)
    eager = report("evaluate", "event", *mistakes, "--set", "decode.outside_shift=30.0")
    assert eager["predicted"] > own["predicted"]
    given = tomllib.loads(before.decode())["recipe"].get("decode", {}).get("outside_shift", 0.0)
    assert report("evaluate", "event", *mistakes, "--set", f"decode.outside_shift={given}") == own
    assert config.read_bytes() == before


def test_prediction_and_extraction_take_them_too(place, capfd, tmp_path):
    text = ["extract", "event", "昨晚，星桥科技宣布裁员300人。", "--json"]
    counts = []
    for more in ([], ["--set", "decode.outside_shift=30.0"]):
        assert run([*text, *more]) == 0
        counts.append(len(json.loads(capfd.readouterr().out)["found"]))
    assert counts[1] > counts[0]
    assert run(["predict", "event", "--split", "dev", "--out", str(tmp_path / "all.zip"), "--set", "decode.outside_shift=30.0", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["predictions"] > 0


@pytest.mark.parametrize(
    ("settings", "code"),
    [("training.epochs=2", "LIC-R003"), ("decode", "LIC-R003"), ("decode.shift=1", "LIC-R004"), ("decode.outside_shift=far", "LIC-R006")],
)
def test_other_settings_are_refused(place, fault, settings, code):
    for command in (["evaluate", "event"], ["extract", "event", "公司裁员"]):
        assert fault(*command, "--set", settings)[:2] == (2, [code])


def test_a_baseline_has_none(place, fault):
    assert fault("evaluate", "event", "--baseline", "--set", "decode.outside_shift=1.0")[:2] == (2, ["LIC-U010"])
