import json
import zipfile
from pathlib import Path

import typer
from typer.testing import CliRunner

from pipelines.data_import import command, import_data

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "event"


def archive(path):
    with zipfile.ZipFile(path, "w") as made:
        made.write(SAMPLES / "train.json", "DuEE/duee_train.json")
        made.write(SAMPLES / "schema.json", "DuEE/duee_event_schema.json")
    return path


def test_what_came_and_what_is_still_missing(tmp_path):
    report = import_data("event", archive(tmp_path / "DuEE.zip"), destination=tmp_path / "event")
    assert {Path(file["file"]).name: file["state"] for file in report["imported"]} == {"train.json": "new", "event_schema.json": "new"}
    assert report["missing"] == ["dev", "test"]
    assert (tmp_path / "event" / "train.json").read_bytes() == (SAMPLES / "train.json").read_bytes()
    report = import_data("event", SAMPLES, destination=tmp_path / "event")
    assert {file["split"]: file["state"] for file in report["imported"]} == {
        "train": "same",
        "dev": "new",
        "test1": "new",
        "schema": "same",
    }
    assert report["missing"] == []


def test_the_command_imports_into_data(tmp_path, monkeypatch):
    app = typer.Typer()
    app.command()(command)
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["event", str(archive(tmp_path / "DuEE.zip")), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["missing"] == ["dev", "test"]
    assert sorted(entry.name for entry in (tmp_path / "data" / "event").iterdir()) == ["event_schema.json", "train.json"]
    again = CliRunner().invoke(app, ["event", str(tmp_path / "DuEE.zip")])
    assert again.exit_code == 0 and again.stdout.count("already there") == 2
