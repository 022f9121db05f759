"""Records: what an official file gives, and every fault by its place."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.records import Answer, ReadingRecord, describe, read_records, write_records

TEXT = "温小满住在海螺湾，海螺湾的邮编是１２３。\u3000"


def qa(identity="a", **changes):
    answer = {"text": "海螺湾", "answer_start": 5}
    row = {"question": "温小满住在哪里", "id": identity, "answers": [answer]}
    for key, value in changes.items():
        (row if key in row else answer)[key] = value
    return row


def whole(*questions, context=TEXT, title=""):
    return {"data": [{"paragraphs": [{"qas": list(questions), "context": context}], "title": title}]}


def write(path, value, indent=None, encoding="utf-8"):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)
    path.write_bytes(text.encode(encoding))
    return path


def faults(path, **options):
    result = read_records(path, **options)
    return [problem.code for problem in result.problems], len(result.records), result.skipped


def test_a_sound_file(tmp_path):
    value = whole(qa(answers=[{"text": "海螺湾", "answer_start": 9}, {"text": "湾", "answer_start": -1}, {"text": "海螺"}]), title="邻里")
    result = read_records(write(tmp_path / "f.json", value), labelled=True)
    answers = (Answer("海螺湾", 9), Answer("湾"), Answer("海螺"))
    assert result.records == [ReadingRecord("a", "温小满住在哪里", TEXT, answers, "邻里", 1)]
    assert (result.problems, result.skipped) == ([], 0)


def test_all_elements_paragraphs_and_questions_in_order(tmp_path):
    value = {"data": whole(qa("a"), qa("b"))["data"] + [*whole(qa("c"))["data"], {"paragraphs": []}]}
    value["data"][0]["paragraphs"].append({"context": "海螺湾", "qas": [qa("d", answer_start=0)]})
    result = read_records(write(tmp_path / "f.json", value), None, labelled=True)
    assert [(record.id, record.text) for record in result.records] == [("a", TEXT), ("b", TEXT), ("d", "海螺湾"), ("c", TEXT)]
    assert result.problems == []


def test_all_faults_of_all_places_are_collected(tmp_path):
    twice = '{"question": "问", "question": "问", "id": "k", "answers": []}'
    value = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": TEXT,
                        "qas": [qa(), qa(), qa("b", question=" "), qa(""), qa(7), qa("c", answers={}), qa("d", answers=[]), "问", "TWICE"],
                    },
                    {"context": "", "qas": [qa("e"), qa("f")]},
                    {"context": TEXT},
                    7,
                    {"context": TEXT, "qas": [{"question": "问", "id": "g"}, qa("h", text=""), qa("i", text=3), qa("j", answer_start=4)]},
                ]
            },
            [],
            {"title": 3, "paragraphs": []},
            {"title": ""},
        ]
    }
    text = json.dumps(value, ensure_ascii=False).replace('"TWICE"', twice)
    result = read_records(write(tmp_path / "f.json", text), labelled=True)
    place, other = "data[0].paragraphs[0].qas", "data[0].paragraphs[4].qas"
    expected = [
        ("D016", f"{place}[1] (id “a”)"),
        ("D012", f"{place}[2] (id “b”)"),
        ("D012", f"{place}[3]"),
        ("D011", f"{place}[4]"),
        ("D011", f"{place}[5] (id “c”)"),
        ("D012", f"{place}[6] (id “d”)"),
        ("D011", f"{place}[7]"),
        ("D020", f"{place}[8]"),
        ("D012", "data[0].paragraphs[1]"),
        ("D010", "data[0].paragraphs[2]"),
        ("D011", "data[0].paragraphs[3]"),
        ("D010", f"{other}[0] (id “g”)"),
        ("D012", f"{other}[1] (id “h”)"),
        ("D011", f"{other}[2] (id “i”).answers[0]"),
        ("D015", f"{other}[3] (id “j”).answers[0]"),
        ("D011", "data[1]"),
        ("D011", "data[2]"),
        ("D010", "data[3]"),
    ]
    assert [(problem.code[4:], problem.found.removeprefix("in ").split(" ")[0]) for problem in result.problems] == [
        (code, where.split(" ")[0]) for code, where in expected
    ]
    assert all(where in problem.found for problem, (_, where) in zip(result.problems, expected, strict=True))
    assert (len(result.records), result.skipped) == (1, 8 + 2 + 1 + 1 + 4 + 1 + 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answer_start": 4}, "“在海螺” at offset 4"),
        ({"answer_start": 4}, "It occurs at 5, 9"),
        ({"answer_start": 99}, "has 21 characters"),
        ({"answer_start": -2}, "It occurs at 5, 9"),
        ({"text": "海星湾"}, "occurs nowhere"),
        ({"answer_start": True}, "“answer_start” is true or false"),
        ({"question": ""}, "an empty “question”"),
        ({"question": "\u3000"}, "a “question” of blanks only"),
        ({"answers": []}, "no answer in “answers”"),
        ({"text": " ", "answer_start": -1}, "no answer but empty ones"),
    ],
)
def test_messages_say_what_helps(tmp_path, changes, told):
    result = read_records(write(tmp_path / "f.json", whole(qa(**changes))), labelled=True)
    assert result.records == [] and result.skipped == 1
    assert len(result.problems) == 1 and told in str(result.problems[0])


def test_lines_of_a_file_of_several_lines(tmp_path):
    value = whole(qa('”"{id": \\'), qa("b", question=""), qa("c", answer_start=4))
    value["data"].append(7)
    path = write(tmp_path / "f.json", value, indent=1)
    lines = path.read_text(encoding="utf-8").split("\n")
    result = read_records(path)
    assert [record.line for record in result.records] == [lines.index('       "question": "温小满住在哪里",') + 1]
    found = [lines[problem.line - 1].strip() for problem in result.problems]
    assert found == ['"question": "",', '"text": "海螺湾",', '"data": [']


def test_a_key_given_twice_shifts_no_line(tmp_path):
    text = '{"data": [{"title": "",\n"title": {"x":\n 1},\n"paragraphs": []},\n{"paragraphs": [{\n"context": ""}]}]}'
    result = read_records(write(tmp_path / "f.json", text))
    assert [(problem.code, problem.line) for problem in result.problems] == [("LIC-D020", 1), ("LIC-D012", 6), ("LIC-D010", 6)]


def test_answers_need_not_stand_in_the_context_when_no_offset_says_so(tmp_path):
    answers = [{"text": " 海螺湾", "answer_start": -1}, {"text": "别处"}, {"text": "", "answer_start": -1}]
    result = read_records(write(tmp_path / "f.json", whole(qa(answers=answers))), labelled=True)
    assert result.problems == []
    assert result.records[0].answers == (Answer(" 海螺湾"), Answer("别处"), Answer(""))


def test_nothing_is_stripped(tmp_path):
    row = {"question": " 问\n", "id": " a ", "answers": [{"text": "甲 ", "answer_start": 1}]}
    record = read_records(write(tmp_path / "f.json", whole(row, context=" 甲 \n"))).records[0]
    assert record == ReadingRecord(" a ", " 问\n", " 甲 \n", (Answer("甲 ", 1),), "", 1)


def test_labelled(tmp_path):
    bare = {"question": "问", "id": "b"}
    path = write(tmp_path / "f.json", whole(qa(), bare, qa("c", answers=[]), qa("d", text="", answer_start=-1), qa("e", answer_start=1)))
    assert [record.answers for record in read_records(path).records] == [(Answer("海螺湾", 5),), None, None, None]
    assert [record.answers for record in read_records(path, labelled=False).records] == [None] * 5
    assert faults(path, labelled=False)[0] == []
    assert faults(path, labelled=True) == (["LIC-D010", "LIC-D012", "LIC-D012", "LIC-D015"], 1, 4)


def test_files_that_can_not_be_read(tmp_path):
    (tmp_path / "empty.json").touch()
    assert faults(tmp_path / "none.json") == (["LIC-D001"], 0, 0)
    assert faults(tmp_path) == (["LIC-D002"], 0, 0)
    assert faults(tmp_path / "empty.json") == (["LIC-D003"], 0, 0)
    assert faults(write(tmp_path / "f.json", " \n")) == (["LIC-D003"], 0, 0)
    assert faults(write(tmp_path / "f.json", "[1]")) == (["LIC-D009"], 0, 0)
    assert faults(write(tmp_path / "f.json", '{"version": 1}')) == (["LIC-D010"], 0, 0)
    assert faults(write(tmp_path / "f.json", "[" * 100_000)) == (["LIC-D008"], 0, 0)
    assert faults(write(tmp_path / "f.json", '{"data": ' + "9" * 5000 + "}"))[0] in (["LIC-D008"], ["LIC-D011"])


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (json.dumps(whole(qa()))[:-5], 1, "incomplete download"),
        (json.dumps(whole(qa()))[:40], 1, "incomplete download"),
        ('{"data": [\n{"paragraphs" []}\n, {}, {}, {}, {}, {}]}', 2, "near"),
        (json.dumps(qa()) + "\n" + json.dumps(qa("b")) + "\n", 2, "one object a line"),
        (json.dumps(whole()) + "\nend of the file\n", 2, "Mend it there"),
    ],
)
def test_what_is_no_json(tmp_path, text, line, told):
    problems = read_records(write(tmp_path / "f.json", text)).problems
    assert [(problem.code, problem.line) for problem in problems] == [("LIC-D008", line)] and told in str(problems[0])


def test_encodings(tmp_path):
    result = read_records(write(tmp_path / "f.json", whole(qa()), encoding="utf-8-sig"))
    assert [problem.code for problem in result.problems] == ["LIC-D005"] and len(result.records) == 1
    for encoding, told in (("gb18030", "GBK"), ("utf-16", "UTF-16")):
        result = read_records(write(tmp_path / "f.json", whole(qa()), encoding=encoding))
        assert [problem.code for problem in result.problems] == ["LIC-D004"] and told in result.problems[0].found
    data = write(tmp_path / "f.json", whole(qa()), indent=1).read_bytes()
    (tmp_path / "f.json").write_bytes(data.replace("满".encode(), b"\xff", 1))
    problem = read_records(tmp_path / "f.json").problems[0]
    assert problem.code == "LIC-D004" and "FF" in problem.found
    assert "温".encode() in data.split(b"\n")[problem.line - 1]


def test_half_a_surrogate_pair_is_a_fault(tmp_path):
    text = json.dumps(whole(qa(question="\ud83d")), ensure_ascii=True)
    assert faults(write(tmp_path / "f.json", text)) == (["LIC-D019"], 0, 1)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words, words, st.sampled_from(["", "题"])), max_size=5), st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory, parts, labelled):
    records = []
    for number, (before, inside, question, title) in enumerate(parts):
        answers = (Answer("字" + inside, len(before)), Answer(inside), Answer("别处")) if labelled else None
        records.append(ReadingRecord(str(number), "问" + question, before + "字" + inside, answers, title, 1))
    path = tmp_path_factory.mktemp("records") / "f.json"
    write_records(path, iter(records))
    result = read_records(path, labelled=labelled)
    assert result.problems == [] and result.records == records


def test_written_questions_share_their_context(tmp_path):
    records = [
        ReadingRecord(name, "问", text, None, title) for name, text, title in (("a", "甲", ""), ("b", "甲", ""), ("c", "乙", ""), ("d", "乙", "题"))
    ]
    write_records(tmp_path / "f.json", records)
    data = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["data"]
    assert [[len(paragraph["qas"]) for paragraph in element["paragraphs"]] for element in data] == [[2, 1], [1]]
    assert "answers" not in data[0]["paragraphs"][0]["qas"][0]


def test_describe():
    counts = describe(
        [
            ReadingRecord("a", "问题", TEXT, (Answer("海螺湾", 5), Answer("海螺湾 "), Answer(""))),
            ReadingRecord("b", "问题", TEXT, (Answer("温小满", 0),)),
            ReadingRecord("c", "问" * 10, "好" * 244),
        ]
    )
    assert (counts["questions"], counts["labelled"], counts["contexts"], counts["contexts_with_whitespace"], counts["answers"]) == (3, 2, 2, 1, 4)
    assert (counts["answers_without_offset"], counts["answers_not_in_context"], counts["answers_with_blank_edges"]) == (2, 1, 1)
    assert (counts["answers_occurring_more_than_once"], counts["answers_empty"], counts["several_references"]) == (1, 1, 1)
    assert counts["share_several_references"] == counts["share_answer_occurring_more_than_once"] == 0.5
    assert (counts["answer_length_p50"], counts["answer_length_max"]) == (3, 4)
    assert (counts["question_and_context_length_p50"], counts["question_and_context_length_max"]) == (len(TEXT) + 2, 254)
    assert (counts["share_longer_than_253"], counts["share_longer_than_509"]) == (1 / 3, 0)
    assert describe([])["share_several_references"] is None


def test_overlapping_occurrences_count():
    assert describe([ReadingRecord("a", "问", "哈哈哈", (Answer("哈哈"),))])["answers_occurring_more_than_once"] == 1


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_files_are_sound():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "reading"
    for split, size, offsets in (("train", 19817, True), ("dev", 708, False)):
        result = read_records(folder / f"{split}.json", labelled=True)
        assert (len(result.records), result.problems, result.skipped) == (size, [], 0)
        assert {answer.start is not None for record in result.records for answer in record.answers} == {offsets}
        assert describe(result.records)["answers_not_in_context"] == 0
