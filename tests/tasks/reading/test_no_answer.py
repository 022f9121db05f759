"""Questions without an answer, as SQuAD 2.0 and DuReader-checklist have them: read, written, counted, scored; and what foreign files leak."""

import json

import pytest

from tasks.reading import metric
from tasks.reading.foreign import ForeignReading, leaks
from tasks.reading.predictions import Prediction
from tasks.reading.records import Answer, ReadingRecord, describe, read_records, write_records
from tasks.registry import get_task

CONTEXT = "温青禾住在海螺湾"


def read(tmp_path, *questions, **options):
    rows = [{"id": str(number), "question": "谁", **given} for number, given in enumerate(questions)]
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": rows}]}]}), encoding="utf-8")
    return read_records(path, **options)


BLANK = {"answers": [{"text": "", "answer_start": -1}]}


@pytest.mark.parametrize("labelled", [True, None])
def test_marked_questions_are_read(tmp_path, labelled):
    right = {"answers": [{"text": "温青禾", "answer_start": 0}], "is_impossible": False}
    none = {"is_impossible": True}
    result = read(tmp_path, {"answers": [], **none}, {**BLANK, **none}, none, right, labelled=labelled)
    assert not result.problems and [record.answers for record in result.records] == [(), (), (), (Answer("温青禾", 0),)]
    assert describe(result.records)["unanswerable"] == 3 and "unanswerable" not in describe(result.records[3:])
    write_records(tmp_path / "again.json", result.records)
    again = read_records(tmp_path / "again.json", labelled=True).records
    assert [record.answers for record in again] == [record.answers for record in result.records]
    assert [record.answers for record in read(tmp_path, {"is_impossible": True}, labelled=False).records] == [None]


def test_what_is_not_marked_is_no_answer_in_foreign_files_only(tmp_path):
    result = read(tmp_path, {"answers": []}, BLANK, {**BLANK, "is_impossible": False}, labelled=True)
    assert [problem.code for problem in result.problems] == ["LIC-D012"] * 3 and result.skipped == 3
    assert "is_impossible" in result.problems[0].remedy
    foreign = ForeignReading().read_records(tmp_path / "data.json", labelled=True)
    assert [record.answers for record in foreign.records] == [(), ()] and foreign.skipped == 1
    assert ForeignReading().feature_version != get_task("reading").feature_version


def test_marks_that_contradict_or_are_none(tmp_path):
    answer = [{"text": "温青禾", "answer_start": 0}]
    result = read(tmp_path, {"answers": answer, "is_impossible": True}, {"answers": answer, "is_impossible": "yes"}, labelled=True)
    assert [problem.code for problem in result.problems] == ["LIC-D021", "LIC-D011"] and result.skipped == 2


def test_the_score_of_no_answer():
    gold = {"a": ["海螺湾"], "b": [], "c": [], "d": []}
    report = metric.score(gold, {"a": "海螺", "b": "", "c": "。", "d": "温"})
    assert report["em"] == 2 / 4 and report["f1"] == pytest.approx((0.8 + 2) / 4) and report["unanswerable"] == 3
    sides = report["per_answerability"]
    assert sides["answerable"]["questions"] == 1 and sides["unanswerable"]["em"] == sides["unanswerable"]["f1"] == pytest.approx(2 / 3)
    assert sum(part["questions"] for part in report["per_answer_length"].values()) == 1
    assert "per_answerability" not in metric.score({"a": ["海螺湾"]}, {"a": ""}) and metric.score(gold, {})["em"] == 0
    records = [ReadingRecord(name, "谁", CONTEXT, tuple(map(Answer, texts))) for name, texts in gold.items()]
    found = get_task("reading").mistakes(records, [[Prediction(text, 0, len(text), 1.0)] for text in ("", "", "温", "温")])
    assert [(mistake["id"], mistake["fault"]) for mistake in found] == [("a", "missing"), ("c", "extra"), ("d", "extra")]


def test_the_same_question_on_the_same_context_leaks():
    asked = [ReadingRecord("1", "谁 住在海螺湾?", CONTEXT), ReadingRecord("2", "谁住在海螺湾", CONTEXT + "里"), ReadingRecord("3", "谁", CONTEXT)]
    assert leaks(asked, [ReadingRecord("x", "谁住在海螺湾？", "温青禾，住在海螺湾。")]) == [True, False, False]
