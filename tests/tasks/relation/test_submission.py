"""What the relation track writes, checks and reads inside its submission zip. tests/tasks/test_submissions.py has what all tracks share."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.relation.records import Spo, read_records
from tasks.relation.schema import RelationSchema
from tasks.relation.submission import check_submission, read_submission, score_files, write_submission

SCHEMA = RelationSchema(
    ("配音", "作者"),
    {"配音": ("@value", "inWork"), "作者": ("@value",)},
    {"配音": "娱乐人物", "作者": "图书作品"},
    {"配音": {"@value": "人物", "inWork": "影视作品"}, "作者": {"@value": "人物"}},
)
TEXT, OTHER = "NovaKite在《雨夜列车》里给林川配音", "无 事"
VOICE = Spo("配音", "NovaKite", (("@value", "林川"), ("inWork", "雨夜列车")))
ROWS = [(TEXT, [VOICE]), (OTHER, [])]


def line(text=TEXT, **changes):
    spo = {"predicate": "配音", "subject": "NovaKite", "object": {"@value": "林川"}, **changes}
    return json.dumps({"text": text, "spo_list": [{key: value for key, value in spo.items() if value is not ...}]}, ensure_ascii=False)


LAST = json.dumps({"text": OTHER, "spo_list": []}, ensure_ascii=False)


def test_file(path, *texts):
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    return path


test_file.__test__ = False


@pytest.fixture
def against(tmp_path):
    return test_file(tmp_path / "test1.json", TEXT, OTHER)


def pack(path, content, name="duie.json"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def codes(*given, **options):
    return [problem.code for problem in check_submission(*given, **options)]


def test_the_official_form(tmp_path):
    write_submission(tmp_path / "f.zip", ROWS, SCHEMA)
    first, second = (json.loads(row) for row in (tmp_path / "f.json").read_text(encoding="utf-8").splitlines())
    assert first == {
        "text": TEXT,
        "spo_list": [
            {
                "predicate": "配音",
                "subject": "NovaKite",
                "subject_type": "娱乐人物",
                "object": {"@value": "林川", "inWork": "雨夜列车"},
                "object_type": {"@value": "人物", "inWork": "影视作品"},
            }
        ],
    }
    assert second == {"text": OTHER, "spo_list": []}


def test_a_text_given_again_makes_one_line_with_everything(tmp_path):
    more = Spo("作者", "雨夜列车", (("@value", "林川"),))
    write_submission(tmp_path / "f.zip", [(TEXT, [VOICE]), (OTHER, []), (TEXT, [VOICE]), (TEXT, [more, VOICE])])
    assert read_submission(tmp_path / "f.zip") == [(TEXT, [VOICE, more]), (OTHER, [])]
    assert codes(tmp_path / "f.zip", SCHEMA, test_file(tmp_path / "test1.json", TEXT, OTHER, TEXT)) == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("", []), "the text is ''"),
        ((1, []), "the text is 1"),
        ((TEXT, [Spo("", "甲", (("@value", "乙"),))]), "the predicate is ''"),
        ((TEXT, [Spo("配音", "", (("@value", "乙"),))]), "the subject is ''"),
        ((TEXT, [Spo("配音", "甲", (("@value", ""),))]), "the text of @value is ''"),
        ((TEXT, [Spo("配音", "甲", (("inWork", "乙"),))]), "expected @value and others"),
        ((TEXT, [Spo("配音", "甲", (("@value", "乙"), ("@value", "丙")))]), "each once"),
        ((TEXT, [Spo("画外音", "甲", (("@value", "乙"),))]), "the predicate is '画外音'; expected one of the schema's 2"),
        ((TEXT, [Spo("作者", "甲", (("@value", "乙"), ("inWork", "丙")))]), "a slot of '作者' is 'inWork'; expected one of @value"),
    ],
)
def test_wrong_rows_write_nothing(tmp_path, row, told):
    with pytest.raises(ValueError, match=told):
        write_submission(tmp_path / "f.zip", [*ROWS, row], SCHEMA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line(), LAST], []),
        ([line(), LAST, ""], ["LIC-D007"]),
        ([line(), "", LAST], ["LIC-D007"]),
        (["\ufeff" + line(), LAST], ["LIC-D005"]),
        ([line(), LAST, '{"text": "c", "spo_list": ['], ["LIC-D008"]),
        ([line(), LAST, "[]"], ["LIC-D009"]),
        ([line(), LAST, '{"spo_list": []}'], ["LIC-D010"]),
        ([line(), json.dumps({"text": OTHER})], ["LIC-D010"]),
        ([line(), LAST, '{"text": "", "spo_list": []}'], ["LIC-D012", "LIC-S006"]),
        ([line(object="林川"), LAST], ["LIC-D011"]),
        ([line(object={"inWork": "雨夜列车"}), LAST], ["LIC-D010"]),
        ([line(object=...), LAST], ["LIC-D010"]),
        ([line(subject=...), LAST], ["LIC-D010"]),
        ([line(subject=3), LAST], ["LIC-D011"]),
        ([line(predicate="画外音"), LAST], ["LIC-D013"]),
        ([line(object={"@value": "林川", "inArea": "林川"}), LAST], ["LIC-D014"]),
        ([line(predicate=""), LAST], ["LIC-D012"]),
        ([line(subject=""), LAST], ["LIC-D012"]),
        ([line(object={"@value": "林川", "inWork": ""}), LAST], ["LIC-D012"]),
        ([line(subject="novakite"), LAST], ["LIC-S007"]),
        ([line(object={"@value": "林川", "inWork": "夜雨"}), LAST], ["LIC-S007"]),
        ([line(object={"@value": "林川 "}), LAST], ["LIC-S008", "LIC-S007"]),
        ([line()], ["LIC-S005"]),
        ([line(), LAST, line("林川和NovaKite")], ["LIC-S006"]),
        ([line(), LAST.replace(" 事", "事")], ["LIC-S005", "LIC-S006"]),
        ([line(), LAST, LAST], ["LIC-D016"]),
        ([line(), LAST, line(subject="林川")], ["LIC-D016"]),
    ],
)
def test_contents(tmp_path, against, lines, expected):
    path = pack(tmp_path / "f.zip", "\n".join(lines) + "\n")
    problems = check_submission(path, SCHEMA, against)
    assert sorted(problem.code for problem in problems) == sorted(expected)
    assert all(problem.file and problem.remedy for problem in problems)


def test_mentions_are_looked_for_without_a_test_file_too(tmp_path):
    problems = check_submission(pack(tmp_path / "f.zip", line(subject="novakite") + "\n"))
    assert [problem.code for problem in problems] == ["LIC-S007"]
    assert "The text writes “NovaKite”" in problems[0].remedy


def test_a_text_that_the_test_file_repeats_may_be_repeated_but_not_contradict_itself(tmp_path):
    against = test_file(tmp_path / "test1.json", TEXT, TEXT)
    assert codes(pack(tmp_path / "f.zip", line() + "\n"), SCHEMA, against) == []
    assert codes(pack(tmp_path / "f.zip", line() + "\n" + line() + "\n"), SCHEMA, against) == []
    assert codes(pack(tmp_path / "f.zip", (line() + "\n") * 3), SCHEMA, against) == ["LIC-D016"]
    assert codes(pack(tmp_path / "f.zip", line() + "\n" + line(subject="林川") + "\n"), SCHEMA, against) == ["LIC-D016"]


def test_texts_that_differ_in_blanks_only_are_told(tmp_path, against):
    path = pack(tmp_path / "f.zip", line() + "\n" + LAST.replace(" 事", "事") + "\n")
    assert "differ in blanks or case" in check_submission(path, SCHEMA, against)[-1].remedy


def test_reading_refuses_what_is_in_doubt_only(tmp_path):
    path = pack(tmp_path / "f.zip", line(predicate="画外音", subject=" x") + "\n\n" + line(subject="") + "\n", name="pred.json")
    value = (("@value", "林川"),)
    assert read_submission(path) == [(TEXT, [Spo("画外音", " x", value)]), (TEXT, [Spo("配音", "", value)])]
    with pytest.raises(InputError, match="LIC-D011"):
        read_submission(pack(tmp_path / "f.zip", line(object="林川") + "\n"))


def test_score_files(tmp_path):
    gold = tmp_path / "gold.json"
    gold.write_text(line(object={"@value": "林川", "inWork": "《雨夜列车》"}) + "\n" + line("另一句") + "\n", encoding="utf-8")
    write_submission(tmp_path / "relation.zip", ROWS)
    report = score_files(gold, tmp_path / "relation.zip")
    assert (report["precision"], report["recall"]) == (1.0, 0.5)
    assert (report["missing_ids"], report["unknown_ids"], report["repeated_ids"]) == (1, 1, 0)
    with pytest.raises(InputError, match="no such file"):
        score_files(tmp_path / "none.json", tmp_path / "relation.zip")
    with pytest.raises(InputError, match="spo_list"):
        score_files(test_file(tmp_path / "test1.json", TEXT), tmp_path / "relation.zip")


def test_the_last_line_of_a_text_counts(tmp_path):
    gold, predicted = tmp_path / "gold.json", tmp_path / "duie.json"
    gold.write_text(line(subject="甲") + "\n" + line() + "\n", encoding="utf-8")
    predicted.write_text(line() + "\n" + line(subject="乙") + "\n" + line() + "\n", encoding="utf-8")
    report = score_files(gold, predicted)
    assert (report["f1"], report["gold"], report["predicted"], report["repeated_ids"]) == (1.0, 1, 1, 3)


def test_score_files_with_aliases(tmp_path):
    gold, alias = tmp_path / "gold.json", tmp_path / "alias.tsv"
    gold.write_text(line(subject="诺瓦") + "\n", encoding="utf-8")
    alias.write_text("诺瓦\tNovaKite\n", encoding="utf-8")
    predicted = pack(tmp_path / "f.zip", line() + "\n")
    assert score_files(gold, predicted)["recall"] == 0
    assert score_files(gold, predicted, alias=alias)["recall"] == 1
    alias.write_text("诺瓦 NovaKite\n", encoding="utf-8")
    with pytest.raises(InputError, match="LIC-D040"):
        score_files(gold, predicted, alias=alias)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
slots = st.dictionaries(names, names, max_size=2)
spos = st.builds(lambda name, subject, value, rest: Spo(name, subject, tuple({"@value": value, **rest}.items())), names, names, names, slots)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(names, st.lists(spos, max_size=3, unique=True), min_size=1, max_size=4))
def test_any_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("zip") / "relation.zip"
    write_submission(path, rows.items())
    assert read_submission(path) == list(rows.items())


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_gold_of_the_official_dev_scores_one(tmp_path):
    folder = Path(os.environ["LIC_REAL_DATA"]) / "relation"
    schema = RelationSchema.read(folder / "schema.json")
    records = read_records(folder / "dev.json", schema).records
    write_submission(tmp_path / "f.zip", ((record.text, record.spos) for record in records), schema)
    assert set(codes(tmp_path / "f.zip", schema, folder / "dev.json")) == {"LIC-S008"}  # five gold mentions end in a blank
    report = score_files(folder / "dev.json", tmp_path / "f.zip")
    assert (report["precision"], report["recall"], report["f1"], report["missing_ids"], report["unknown_ids"]) == (1, 1, 1, 0, 0)
