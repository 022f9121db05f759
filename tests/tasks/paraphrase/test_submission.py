"""What the task writes, checks and reads inside its zip."""

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.json_lines import visible
from tasks.paraphrase.records import ParaphraseRecord, write_records
from tasks.paraphrase.submission import Row, check_submission, read_submission, score_files, write_submission
from tasks.registry import get_task

ROWS = [Row("水费怎么交", "在哪里缴水费", 0.91, 1), Row("甲", "乙", -0.25, 0)]


@pytest.fixture
def against(tmp_path):
    write_records(tmp_path / "test.jsonl", [ParaphraseRecord(row.text, row.pair) for row in ROWS])
    return tmp_path / "test.jsonl"


def pack(path, *rows):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("paraphrase.json", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def codes(*given, **options):
    return [problem.code for problem in check_submission(*given, **options)]


def test_the_form(tmp_path, against):
    write_submission(tmp_path / "p.zip", [*ROWS, Row("甲", "乙", 0.9, 1)])  # a pair given again keeps its first line
    lines = (tmp_path / "p.json").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [row._asdict() for row in ROWS] and "水费" in lines[0]
    assert codes(tmp_path / "p.zip", against=against) == []
    assert get_task("paraphrase").check_submission(tmp_path / "p.zip", against=against) == []
    assert read_submission(tmp_path / "p.zip") == read_submission(tmp_path / "p.json") == ROWS


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (Row("", "乙", 0.5, 1), "the text is ''"),
        (Row("甲", 3, 0.5, 1), "the pair is 3"),
        (Row("甲", "乙", float("nan"), 1), "the score is nan"),
        (Row("甲", "乙", None, 1), "the score is None"),
        (Row("甲", "乙", 0.5, None), "the label is None"),
        (Row("\ud83d", "乙", 0.5, 1), "surrogates"),
    ],
)
def test_wrong_rows_write_nothing(tmp_path, row, told):
    with pytest.raises(ValueError, match=told):
        write_submission(tmp_path / "p.zip", [ROWS[0], row])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([{"text": "甲", "pair": "乙", "score": 1, "label": 0}], ["LIC-S005"]),
        ([ROWS[0]._asdict(), ROWS[1]._asdict(), {**ROWS[1]._asdict(), "label": 1}], ["LIC-D016"]),
        ([ROWS[0]._asdict(), ROWS[1]._asdict(), {**ROWS[1]._asdict(), "pair": "丙"}], ["LIC-S006"]),
        ([ROWS[0]._asdict(), {**ROWS[1]._asdict(), "score": "0.5"}], ["LIC-D011", "LIC-S005"]),
        ([ROWS[0]._asdict(), {**ROWS[1]._asdict(), "score": float("inf")}], ["LIC-S041", "LIC-S005"]),
        ([ROWS[0]._asdict(), {**ROWS[1]._asdict(), "label": 2}], ["LIC-D022", "LIC-S005"]),
        ([ROWS[0]._asdict(), {"text": "甲", "pair": "乙", "label": 0}], ["LIC-D010", "LIC-S005"]),
    ],
)
def test_every_fault_has_its_code(tmp_path, against, rows, wanted):
    path = pack(tmp_path / "p.zip", *rows)
    assert codes(path, against=against) == wanted
    assert [problem.code for problem in get_task("paraphrase").check_submission(path, against=against)] == wanted


def test_scores_of_files(tmp_path):
    rows = [ParaphraseRecord(row.text, row.pair, label, "甲") for row, label in zip(ROWS, (1, 0), strict=True)]
    write_records(tmp_path / "gold.jsonl", [*rows, rows[0]])
    write_submission(tmp_path / "p.zip", ROWS)
    told = score_files(tmp_path / "gold.jsonl", tmp_path / "p.zip")
    assert (told["pairs"], told["accuracy"], told["auc"]) == (3, 1.0, 1.0) and list(told["per_source"]) == ["甲"]
    write_records(tmp_path / "more.jsonl", [*rows, ParaphraseRecord("甲", "丁", 1)])
    for gold, options, code in (("more.jsonl", {}, "LIC-S005"), ("gold.jsonl", {"alias": tmp_path / "a.tsv"}, "LIC-F006")):
        with pytest.raises(InputError) as error:
            score_files(tmp_path / gold, tmp_path / "p.zip", **options)
        assert [problem.code for problem in error.value.problems] == [code]


TEXTS = st.text(min_size=1).filter(visible)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.builds(Row, TEXTS, TEXTS, st.floats(-1, 1), st.sampled_from([0, 1])), min_size=1, max_size=4, unique_by=lambda row: row[:2]))
def test_any_pairs_come_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("zip")
    write_submission(folder / "p.zip", rows)
    write_records(folder / "test.jsonl", [ParaphraseRecord(row.text, row.pair) for row in rows])
    assert read_submission(folder / "p.zip") == rows and codes(folder / "p.zip", against=folder / "test.jsonl") == []
