import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipelines.submit_check import check_zip, command
from shared.errors import InputError
from tasks.event.submission import write_submission

TEST = Path(__file__).parents[2] / "data" / "samples" / "event" / "test1.json"


@pytest.fixture
def rows():
    return [(json.loads(line)["id"], []) for line in TEST.read_text(encoding="utf-8").splitlines()]


def test_accepted(tmp_path, rows):
    write_submission(tmp_path / "event.zip", rows)
    report = check_zip("event", tmp_path / "event.zip", against=TEST)
    assert report["ok"] and report["schema"].endswith("schema.json")


def test_refused_with_every_reason(tmp_path, rows):
    rows[0] = (rows[0][0], [("人生-结婚", [("结婚双方", "不在文中的人"), ("新人", "甲")])])
    write_submission(tmp_path / "event.zip", rows[:-1])
    report = check_zip("event", tmp_path / "event.zip", against=TEST)
    assert [problem["code"] for problem in report["problems"]] == ["LIC-S007", "LIC-D014", "LIC-S007", "LIC-S005"]
    assert f"1 of {len(rows)} ids" in report["problems"][-1]["found"]
    assert [problem["code"] for problem in check_zip("event", tmp_path / "event.zip")["problems"]] == []


def test_a_test_file_that_is_not_there_is_told(tmp_path, rows):
    write_submission(tmp_path / "event.zip", rows)
    assert check_zip("event", tmp_path / "event.zip", against=tmp_path / "none.json")["problems"][0]["code"] == "LIC-D001"
    with pytest.raises(InputError):
        check_zip("event", tmp_path / "event.zip", schema=tmp_path / "none.json")
    with pytest.raises(InputError):
        check_zip("summary", tmp_path / "event.zip")


def test_the_command(tmp_path, rows):
    app = typer.Typer()
    app.command()(command)
    write_submission(tmp_path / "event.zip", rows)
    told = CliRunner().invoke(app, ["event", str(tmp_path / "event.zip"), "--against", str(TEST), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["ok"] is True
    write_submission(tmp_path / "event.zip", rows[1:])
    read = CliRunner().invoke(app, ["event", str(tmp_path / "event.zip"), "--against", str(TEST)])
    assert read.exit_code == 2 and "1 problem" in read.stdout
