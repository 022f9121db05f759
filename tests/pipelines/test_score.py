import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipelines.score import command, score_prediction
from shared.errors import InputError
from tasks.event.submission import write_submission

DEV = Path(__file__).parents[2] / "data" / "samples" / "event" / "dev.json"


@pytest.fixture
def prediction(tmp_path):
    """Gold with every second record's events left out."""
    rows = [json.loads(line) for line in DEV.read_text(encoding="utf-8").splitlines()]
    write_submission(
        tmp_path / "event.zip",
        (
            (
                row["id"],
                [] if number % 2 else [(e["event_type"], [(a["role"], a["argument"]) for a in e["arguments"]]) for e in row["event_list"]],
            )
            for number, row in enumerate(rows)
        ),
    )
    return tmp_path / "event.zip"


def test_zip_and_bare_file_score_the_same(prediction):
    report = score_prediction("event", DEV, prediction)
    assert report["precision"] == 1.0 and 0.4 < report["recall"] < 0.6
    assert report["recall"] == report["predicted"] / report["gold"] == report["strict"]["recall"]
    assert score_prediction("event", DEV, prediction.with_suffix(".json")) == report


def test_options_reach_the_metric(prediction, tmp_path):
    rows = [json.loads(line) for line in DEV.read_text(encoding="utf-8").splitlines()]
    arguments = rows[0]["event_list"][0]["arguments"]
    arguments.append(arguments[0])
    (tmp_path / "gold.json").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    kept = score_prediction("event", tmp_path / "gold.json", prediction, duplicates="keep", overlap="lcs", matching="best", credit="f1")
    assert kept["options"] == {"duplicates": "keep", "overlap": "lcs", "matching": "best", "credit": "f1"}
    assert kept["gold"] > score_prediction("event", tmp_path / "gold.json", prediction)["gold"]


def test_wrong_input_is_the_user_s(prediction, tmp_path):
    for options in ({"overlap": "lsc"}, {"colour": "red"}, {"alias": tmp_path / "alias.tsv"}):
        with pytest.raises(InputError):
            score_prediction("event", DEV, prediction, **options)
    with pytest.raises(InputError):
        score_prediction("event", DEV, tmp_path / "none.zip")
    with pytest.raises(InputError):
        score_prediction("paraphrase", DEV, prediction)
    with pytest.raises(InputError, match="LIC-D010"):
        score_prediction("event", DEV.with_name("test1.json"), prediction)


def test_the_command(prediction):
    app = typer.Typer()
    app.command()(command)
    told = CliRunner().invoke(app, ["event", str(DEV), str(prediction), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["precision"] == 1.0
    read = CliRunner().invoke(app, ["event", str(DEV), str(prediction)])
    assert read.exit_code == 0 and "official" in read.stdout and "strict" in read.stdout
