"""What the event track writes, checks and reads inside its submission zip. tests/tasks/test_submissions.py has what all tracks share."""

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.event.schema import EventSchema
from tasks.event.submission import check_submission, read_submission, score_files, write_submission

SCHEMA = EventSchema(("人生-结婚",), {"人生-结婚": ("时间", "结婚双方")})
ROWS = [("a", [("人生-结婚", [("结婚双方", "NovaKite"), ("结婚双方", "温青禾")])]), ("b", [])]
TEST = [{"text": "NovaKite和温青禾结婚", "id": "a"}, {"text": "无事", "id": "b"}]


def line(identity="a", **changes):
    argument = {"role": "结婚双方", "argument": "温青禾"}
    event = {"event_type": "人生-结婚", "arguments": [argument]}
    for key, value in changes.items():
        (argument if key in argument else event)[key] = value
    return json.dumps({"id": identity, "event_list": [event]}, ensure_ascii=False)


LAST = json.dumps({"id": "b", "event_list": []})


@pytest.fixture
def against(tmp_path):
    path = tmp_path / "test1.json"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in TEST), encoding="utf-8")
    return path


def pack(path, content, name="duee.json"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("a", []), ("a", [])], "given twice"),
        ([("", [])], "the id is ''"),
        ([("a", [("甲", [("乙", "")])])], "argument is ''"),
        ([(1, [])], "id is 1"),
    ],
)
def test_wrong_rows_write_nothing(tmp_path, rows, told):
    with pytest.raises(ValueError, match=told):
        write_submission(tmp_path / "event.zip", rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line(), LAST, ""], ["LIC-D007"]),
        (["\ufeff" + line(), LAST], ["LIC-D005"]),
        ([line(), LAST, '{"id": "c", "event_list": ['], ["LIC-D008"]),
        ([line(), LAST, "[]"], ["LIC-D009"]),
        ([line(), '{"id": "b"}'], ["LIC-D010"]),
        ([line(), LAST, '{"event_list": []}'], ["LIC-D010"]),
        ([line(), LAST, LAST], ["LIC-D016"]),
        ([line()], ["LIC-S005"]),
        ([line(), LAST, line("z", arguments=[])], ["LIC-S006"]),
        ([line(event_type="人生-离婚"), LAST], ["LIC-D013"]),
        ([line(role="新人"), LAST], ["LIC-D014"]),
        ([line(role=""), LAST], ["LIC-D012"]),
        ([line(argument=""), LAST], ["LIC-D012"]),
        ([line(argument=3), LAST], ["LIC-D011"]),
        ([line(argument="novakite"), LAST], ["LIC-S007"]),
        ([line(argument="温青禾 "), LAST], ["LIC-S008", "LIC-S007"]),
        ([line(argument="novakite"), line("b", role="新人"), line("b")], ["LIC-S007", "LIC-D014", "LIC-S007", "LIC-D016", "LIC-S007"]),
    ],
)
def test_contents(tmp_path, against, lines, expected):
    path = pack(tmp_path / "f.zip", "\n".join(lines) + "\n")
    problems = check_submission(path, SCHEMA, against)
    assert sorted(problem.code for problem in problems) == sorted(expected)
    assert all(problem.file and problem.remedy for problem in problems)


def test_the_text_s_own_spelling_is_told(tmp_path, against):
    path = pack(tmp_path / "f.zip", line(argument="novakite") + "\n" + LAST + "\n")
    assert "The text writes “NovaKite”" in check_submission(path, SCHEMA, against)[0].remedy


def test_reading_refuses_what_is_in_doubt_only(tmp_path):
    assert read_submission(pack(tmp_path / "f.zip", line(argument=" x") + "\n\n", name="pred.json")) == [
        ("a", [("人生-结婚", [("结婚双方", " x")])])
    ]
    with pytest.raises(InputError, match="LIC-D016"):
        read_submission(pack(tmp_path / "f.zip", line() + "\n" + line() + "\n"))


def test_score_files(tmp_path):
    gold = {**TEST[0], "event_list": [{"event_type": "人生-结婚", "arguments": [{"role": "结婚双方", "argument": "温青禾"}]}]}
    (tmp_path / "gold.json").write_text(json.dumps(gold, ensure_ascii=False) + "\n", encoding="utf-8")
    write_submission(tmp_path / "event.zip", ROWS)
    report = score_files(tmp_path / "gold.json", tmp_path / "event.zip")
    assert (report["precision"], report["recall"], report["unknown_ids"]) == (0.5, 1.0, 1)
    with pytest.raises(InputError, match="no such file"):
        score_files(tmp_path / "none.json", tmp_path / "event.zip")
    with pytest.raises(InputError, match="--alias"):
        score_files(tmp_path / "gold.json", tmp_path / "event.zip", alias=tmp_path / "alias.tsv")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
events = st.lists(st.tuples(names, st.lists(st.tuples(names, names), max_size=3)), max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(names, events, min_size=1, max_size=4))
def test_any_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("zip") / "event.zip"
    write_submission(path, rows.items())
    assert read_submission(path) == list(rows.items())
