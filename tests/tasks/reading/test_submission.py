"""What the reading track writes, checks and reads inside its submission zip. tests/tasks/test_submissions.py has what all tracks share."""

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.reading.records import Answer, ReadingRecord, write_records
from tasks.reading.submission import check_submission, read_submission, score_files, write_submission

RECORDS = [ReadingRecord("a", "谁结婚", "NovaKite和温青禾结婚"), ReadingRecord("b", "住在哪里", "温小满住在\n海螺湾")]
ROWS = [("a", "NovaKite"), ("b", "海螺湾")]


@pytest.fixture
def against(tmp_path):
    write_records(tmp_path / "test1.json", RECORDS)
    return tmp_path / "test1.json"


def answers(**changes):
    return json.dumps({**dict(ROWS), **changes}, ensure_ascii=False)


def pack(path, content, name="reading.json"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def codes(*given, **options):
    return [problem.code for problem in check_submission(*given, **options)]


def test_the_official_form(tmp_path):
    write_submission(tmp_path / "reading.zip", ROWS)
    written = (tmp_path / "reading.json").read_text(encoding="utf-8")
    assert json.loads(written) == dict(ROWS) and "海螺湾" in written


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("a", "甲"), ("a", "乙")], "given twice"),
        ([("", "甲")], "the id is ''"),
        ([(1, "甲")], "id is 1"),
        ([("a", None)], "the answer to 'a' is None"),
        ([("a", "\ud83d")], "surrogates"),
    ],
)
def test_wrong_rows_write_nothing(tmp_path, rows, told):
    with pytest.raises(ValueError, match=told):
        write_submission(tmp_path / "reading.zip", rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (answers() + "\n\n", []),
        ("\ufeff" + answers(), ["LIC-D005"]),
        (answers()[:-4], ["LIC-D008"]),
        ('{"id": "a", "answer": "温青禾"}\n{"id": "b", "answer": "海螺湾"}\n', ["LIC-D008"]),
        ('["温青禾"]', ["LIC-D009"]),
        ('{"a": "温青禾", "b": "海螺湾", "a": "NovaKite"}', ["LIC-D016"]),
        (answers(a=None), ["LIC-D011", "LIC-S005"]),
        (answers(a=["温青禾"], b={"text": "海螺湾"}), ["LIC-D011", "LIC-D011", "LIC-S005"]),
        ('{"a": "\\ud83d", "b": "海螺湾"}', ["LIC-D019", "LIC-S005"]),
        ('{"a": "温青禾", "b": "海螺湾", "\\ud83d": "海螺湾"}', ["LIC-D019"]),
        (answers(a=""), ["LIC-D012"]),
        (answers(a="\u3000 "), ["LIC-D012"]),
        ('{"a": "温青禾"}', ["LIC-S005"]),
        ("{}", ["LIC-S005"]),
        (answers(z="海螺湾"), ["LIC-S006"]),
        (answers(**{"": "海螺湾"}), ["LIC-D012", "LIC-S006"]),
        (answers(a="novakite"), ["LIC-S007"]),
        (answers(a="温青禾。"), ["LIC-S007"]),
        (answers(b="海螺湾\n"), ["LIC-S008", "LIC-S007"]),
        (answers(b="\n海螺湾"), ["LIC-S008"]),
        (answers(b="住在\n海螺湾"), []),
        (answers(b="住在\\n海螺湾"), ["LIC-S007"]),
    ],
)
def test_contents(tmp_path, against, content, expected):
    problems = check_submission(pack(tmp_path / "f.zip", content), None, against)
    assert sorted(problem.code for problem in problems) == sorted(expected)
    assert all(problem.file and problem.remedy and str(problem).encode() for problem in problems)


def test_without_a_test_file_line_breaks_are_in_doubt(tmp_path):
    assert codes(pack(tmp_path / "f.zip", answers(a="甲\n乙", b="甲\t乙"))) == ["LIC-S040", "LIC-S040"]
    assert codes(pack(tmp_path / "f.zip", answers(a="\n甲", b="甲 乙"))) == ["LIC-S008"]


def test_a_faulty_test_file_is_told(tmp_path, against):
    against.write_text(against.read_text(encoding="utf-8").replace("谁结婚", ""), encoding="utf-8")
    assert codes(pack(tmp_path / "f.zip", answers()), against=against) == ["LIC-D012", "LIC-S006"]


def test_the_line_and_the_id_are_told(tmp_path):
    (tmp_path / "f.json").write_text('{\n "a": "甲",\n\n "b": 3,\n "c": {"a": 1},\n "a": ""}\n', encoding="utf-8")
    problems = check_submission(tmp_path / "f.json")[1:]
    assert [(problem.code, problem.line) for problem in problems] == [("LIC-D011", 4), ("LIC-D011", 5), ("LIC-D016", 6)]
    assert "“b”" in problems[0].found and "first in line 2" in problems[2].found


def test_the_context_s_own_spelling_is_told(tmp_path, against):
    path = pack(tmp_path / "f.zip", answers(a="novakite"))
    assert "The context writes “NovaKite”" in check_submission(path, None, against)[0].remedy


def test_reading_refuses_what_is_in_doubt_only(tmp_path):
    content = "\ufeff" + answers(a=" ", b=" x\n\ty ")
    assert read_submission(pack(tmp_path / "f.zip", content, name="pred.json")) == [("a", " "), ("b", " x\n\ty ")]
    for wrong, code in (('{"a": "甲", "a": "甲"}', "LIC-D016"), ('{"a": null}', "LIC-D011"), ("[]", "LIC-D009")):
        with pytest.raises(InputError, match=code):
            read_submission(pack(tmp_path / "f.zip", wrong))


def test_score_files(tmp_path):
    gold = [ReadingRecord("a", "谁结婚", RECORDS[0].text, (Answer("NovaKite", 0), Answer("NovaKite和温青禾"))), RECORDS[1]]
    write_records(tmp_path / "gold.json", gold[:1])
    write_submission(tmp_path / "reading.zip", ROWS)
    report = score_files(tmp_path / "gold.json", tmp_path / "reading.zip")
    assert (report["em"], report["f1"], report["unknown_ids"]) == (1.0, 1.0, 1)
    assert score_files(tmp_path / "gold.json", tmp_path / "reading.json") == report
    with pytest.raises(InputError, match="no such file"):
        score_files(tmp_path / "none.json", tmp_path / "reading.zip")
    with pytest.raises(InputError, match="--alias"):
        score_files(tmp_path / "gold.json", tmp_path / "reading.zip", alias=tmp_path / "alias.tsv")
    with pytest.raises(TypeError, match="unexpected keyword"):
        score_files(tmp_path / "gold.json", tmp_path / "reading.zip", overlap="lcs")
    write_records(tmp_path / "gold.json", gold)
    with pytest.raises(InputError, match="LIC-D010"):
        score_files(tmp_path / "gold.json", tmp_path / "reading.zip")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(names, st.just("") | names, max_size=4))
def test_any_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("zip") / "reading.zip"
    write_submission(path, rows.items())
    assert read_submission(path) == list(rows.items())
