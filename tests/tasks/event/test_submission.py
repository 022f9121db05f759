"""The submission zip: what is written is read back and accepted; what a scorer would refuse is refused, with the reason."""

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


def pack(path, content, name="duee.json", **others):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
        for member, data in others.items():
            archive.writestr(member.replace("__", "/"), data)
    return path


def codes(*given, **options):
    return [problem.code for problem in check_submission(*given, **options)]


def test_written_accepted_and_read_back(tmp_path, against):
    path = tmp_path / "event.zip"
    write_submission(path, ROWS)
    assert check_submission(path, SCHEMA, against) == []
    assert read_submission(path) == ROWS == read_submission(tmp_path / "event.json")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["duee.json"]
        assert archive.read("duee.json") == (tmp_path / "event.json").read_bytes()


def test_equal_rows_give_equal_bytes(tmp_path):
    write_submission(tmp_path / "one.zip", ROWS)
    write_submission(tmp_path / "two.zip", iter(ROWS))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


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


def test_only_a_zip_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.zip"):
        write_submission(tmp_path / "event.json", ROWS)


def test_files_that_are_no_zip(tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty.zip").touch()
    good = pack(tmp_path / "good.zip", line() + "\n" + LAST + "\n").read_bytes()
    (tmp_path / "cut.zip").write_bytes(good[:-30])
    damaged = bytearray(good)
    damaged[60] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(damaged)
    (tmp_path / "bare.json").write_text(line() + "\n", encoding="utf-8")
    assert codes(tmp_path / "none.zip") == ["LIC-D001"]
    assert codes(tmp_path) == ["LIC-D002"]
    assert codes(tmp_path / "empty.zip") == ["LIC-D003"]
    assert codes(tmp_path / "text.zip") == ["LIC-S001"]
    assert codes(tmp_path / "bare.json") == ["LIC-S001"]
    assert codes(tmp_path / "cut.zip") == ["LIC-S002"]
    assert codes(tmp_path / "damaged.zip") == ["LIC-S002"]


def test_members(tmp_path):
    content = line() + "\n"
    assert codes(pack(tmp_path / "f.zip", content)) == []
    assert codes(pack(tmp_path / "f.zip", content, name="out/duee.json")) == ["LIC-S004"]
    assert codes(pack(tmp_path / "f.zip", content, name="pred.json")) == ["LIC-S004"]
    assert codes(pack(tmp_path / "f.zip", content, __MACOSX="x")) == ["LIC-S003"]
    assert codes(pack(tmp_path / "f.zip", content, folder__="")) == ["LIC-S003"]
    assert codes(pack(tmp_path / "f.zip", content, second="{}")) == ["LIC-S003"]
    assert codes(pack(tmp_path / "f.zip", content, name="x.json", second="{}")) == ["LIC-S009"]
    assert codes(pack(tmp_path / "f.zip", "")) == ["LIC-D003"]
    with zipfile.ZipFile(tmp_path / "f.zip", "w"):
        pass
    assert codes(tmp_path / "f.zip") == ["LIC-S010"]


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
