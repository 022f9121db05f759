"""The tables at the end of lic data check, on invented files."""

import json
import os
from pathlib import Path

import pytest

from pipelines.cli import run
from pipelines.data_check import check_data
from pipelines.data_report import RARE, WINDOWS, data_report
from tasks.profile import Profile
from tasks.registry import TRACKS

SCHEMA = [
    {"predicate": name, "subject_type": "人物", "object_type": {"@value": "人物", **slots}}
    for name, slots in (("作者", {}), ("饰演", {"inWork": "影视作品"}), ("校长", {}), ("歌手", {}))
]


def spo(predicate, subject, value, **slots):
    return {"predicate": predicate, "subject": subject, "object": {"@value": value, **slots}}


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """Relation files with a leak, repeated texts, one of them with other labels, and a predicate that dev alone has."""
    write(tmp_path / "schema.json", SCHEMA)
    many = [{"text": f"第{number}本书是岑若川写的", "spo_list": [spo("作者", f"第{number}本书", "岑若川")]} for number in range(RARE)]
    twice = {"text": "陆明在北风里演简宁", "spo_list": [spo("饰演", "陆明", "简宁", inWork="北风")]}
    write(tmp_path / "train.json", [*many, twice, twice, {**twice, "spo_list": []}])
    write(tmp_path / "dev.json", [many[0], {"text": "海螺湾小学的校长是温青禾", "spo_list": [spo("校长", "海螺湾小学 ", "温青禾")]}])
    write(tmp_path / "test1.json", [{"text": "陆明在北风里演简宁"}, {"text": "船" * 600}])
    write(tmp_path / "test2.json", [{"text": "船" * 600}])
    return tmp_path


def by(rows, *keys):
    return {tuple(row[key] for key in keys): row for row in rows}


def test_lengths(folder):
    rows = by(check_data("relation", folder)["tables"]["lengths"], "split", "of")
    assert set(rows) == {(split, "text") for split in ("train", "dev", "test1", "test2")}
    train = rows["train", "text"]
    assert (train["count"], train["min"], train["median"], train["max"]) == (13, 9, 10, 10)
    assert train["mean"] == pytest.approx((10 * 10 + 3 * 9) / 13)
    test = rows["test1", "text"]
    assert (test["min"], test["max"], test["90 %"]) == (9, 600, pytest.approx(9 + 0.9 * 591))
    assert [test[f"longer_than_{window}"] for window in WINDOWS] == [0.5] * 3


def test_labels_are_marked(folder):
    rows = by(check_data("relation", folder)["tables"]["labels"], "level", "label")
    assert list(rows) == [("predicate", "作者"), ("predicate", "饰演"), ("predicate", "校长"), ("predicate", "歌手"), ("side slot", "饰演 · inWork")]
    told = {label: (row["train"], row["dev"], row["mark"]) for (_, label), row in rows.items()}
    assert told["作者"] == (RARE, 1, "") and told["饰演"] == (2, 0, f"rare: fewer than {RARE}")
    assert told["校长"] == (0, 1, "not in train") and told["歌手"] == (0, 0, "never")
    assert "test1" not in rows["predicate", "作者"]


def test_overlaps_are_of_labelled_records(folder):
    rows = by(check_data("relation", folder)["tables"]["overlaps"], "kind", "split")
    assert {split for _, split in rows} == {"train", "dev"}
    assert rows["normal: no mention shared", "train"] == {"kind": "normal: no mention shared", "split": "train", "records": 12, "share": 12 / 13}
    assert rows["a triple with several slots", "train"]["records"] == 2


def test_suspicious_with_counts_and_places(folder):
    told = by(check_data("relation", folder)["tables"]["suspicious"], "what")
    counts = {what: (row["train"], row["dev"], row["test1"], row["test2"], row["total"]) for (what,), row in told.items()}
    assert counts == {
        "text repeated in one file": (2, 0, 0, 0, 2),
        "text repeated with other labels": (1, 0, 0, 0, 1),
        "text in both train and dev": (0, 1, 0, 0, 1),
        "text in both train and test1": (0, 0, 1, 0, 1),
        "labelled texts without a triple": (1, 0, 0, 0, 1),
        "mentions not in their text": (0, 1, 0, 0, 1),
        "mentions with blanks at an edge": (0, 1, 0, 0, 1),
        "texts of more than 510 characters": (0, 0, 1, 1, 2),
    }

    def places(what):
        return [(place["file"], place["line"], place["as"]) for place in told[what,]["places"]]

    assert places("text in both train and dev") == [("dev.json", 1, "train.json:1")]
    assert places("text repeated in one file") == [("train.json", 12, "train.json:11"), ("train.json", 13, "train.json:11")]
    assert places("text repeated with other labels") == [("train.json", 13, "train.json:11")]
    assert places("texts of more than 510 characters") == [("test1.json", 2, None), ("test2.json", 1, None)]
    assert told["mentions not in their text",]["places"][0]["found"] == "海螺湾小学 "


def test_suspicious_changes_neither_verdict_nor_exit_code(folder, capfd):
    report = check_data("relation", folder)
    assert report["ok"] and report["problems"] == [] and report["complete"]
    assert run(["data", "check", "relation", str(folder)]) == 0
    out = capfd.readouterr().out
    for title in ("lengths in characters", "longer than a window", "labels: predicate", "overlaps", "suspicious", "dev.json:1 ="):
        assert title in out
    assert run(["data", "check", "relation", str(folder), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["tables"] == report["tables"]


def test_the_tables_say_what_they_leave_out(tmp_path, capfd):
    names = [f"第{number}类" for number in range(60)]
    write(tmp_path / "schema.json", [{"event_type": name, "role_list": []} for name in names])
    rows = [
        {"id": str(number), "text": "温青禾住在海螺湾", "event_list": [{"event_type": name, "arguments": []}]}
        for number, name in enumerate(names[:30])
    ]
    write(tmp_path / "train.json", rows)
    assert run(["data", "check", "event", str(tmp_path / "train.json")]) == 0
    out = capfd.readouterr().out
    assert "labels: type, 24 of 60; all in --json, 36 more" in " ".join(out.split()) and "never" in out
    assert names[0] in out and names[59] in out and names[40] not in out


def test_reading_places_have_ids_and_contexts_leak(tmp_path):
    def file(*questions):
        paragraphs = [
            {"context": "温青禾住在海螺湾", "qas": [{"id": name, "question": text, "answers": [{"text": "海螺湾", "answer_start": -1}]}]}
            for name, text in questions
        ]
        return json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}, ensure_ascii=False)

    (tmp_path / "train.json").write_text(file(("a", "温青禾住在哪里"), ("b", "住在哪")), encoding="utf-8")
    (tmp_path / "dev.json").write_text(file(("c", "温青禾住在哪里"), ("d", "谁住在海螺湾")), encoding="utf-8")
    told = by(check_data("reading", tmp_path)["tables"]["suspicious"], "what")
    assert {what for (what,) in told} == {
        "questions of fewer than 5 characters",
        "question and context in both train and dev",
        "context in both train and dev",
    }
    (place,) = told["question and context in both train and dev",]["places"]
    assert (place["file"], place["id"], place["as"]) == ("dev.json", "c", "train.json a")
    assert told["context in both train and dev",]["total"] == 1  # the second question of it is the same leak again


def test_no_record_at_all():
    tables = data_report({"dev": Profile()}, {"dev": "dev.json"})
    assert tables == {"lengths": [], "labels": [], "overlaps": [], "suspicious": []}
    assert data_report({}, {}) == tables


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_files(track, capfd):
    report = check_data(track, Path(os.environ["LIC_REAL_DATA"]) / track)
    tables = report["tables"]
    for row in tables["lengths"]:
        assert row["min"] <= row["median"] <= row["90 %"] <= row["99 %"] <= row["max"] and 0 <= row["longer_than_510"] <= row["longer_than_126"] <= 1
    assert all(0 <= row["share"] <= 1 for row in tables["overlaps"])
    assert tables["suspicious"] and all(1 <= len(row["places"]) <= 3 and row["total"] >= len(row["places"]) for row in tables["suspicious"])
    count = {"relation": "spos", "event": "events", "reading": "questions"}[track]
    level = tables["labels"][0]["level"]
    for split in ("train", "dev"):
        assert sum(row[split] for row in tables["labels"] if row["level"] == level) == report["files"][split][count]
    assert run(["data", "check", track, str(Path(os.environ["LIC_REAL_DATA"]) / track)]) == 0
    assert len(capfd.readouterr().out.splitlines()) < 220
