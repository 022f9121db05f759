"""Records: what an official file gives, and every fault by its line."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.relation.records import RelationRecord, Spo, as_row, as_triples, describe, read_records, write_records
from tasks.relation.schema import RelationSchema

SCHEMA = RelationSchema(
    ("配音", "获奖", "作者"),
    {"配音": ("@value", "inWork"), "获奖": ("@value", "onDate", "inWork"), "作者": ("@value",)},
    {"配音": "娱乐人物", "获奖": "娱乐人物", "作者": "图书作品"},
    {"配音": {"@value": "人物", "inWork": "影视作品"}, "获奖": {"@value": "奖项", "onDate": "Date", "inWork": "作品"}, "作者": {"@value": "人物"}},
)
TEXT = "温小满为《雨夜列车》里的林川配音，《雨夜列车》的作者是温青禾"


def line(text=TEXT, **changes):
    spo = {"predicate": "配音", "subject": "温小满", "object": {"inWork": "雨夜列车", "@value": "林川"}, **changes}
    return {"text": text, "spo_list": [{key: value for key, value in spo.items() if value is not ...}]}


def write(path, *rows, ending="\n", encoding="utf-8"):
    rows = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes("".join(row + ending for row in rows).encode(encoding))
    return path


def faults(path, **options):
    result = read_records(path, SCHEMA, **options)
    return [(problem.code, problem.line) for problem in result.problems], len(result.records), result.skipped


def test_a_sound_line(tmp_path):
    row = line(subject_type="娱乐人物", object_type={"inWork": "影视作品", "@value": "人物"})
    result = read_records(write(tmp_path / "f.json", row), SCHEMA, labelled=True)
    types = (("@value", "人物"), ("inWork", "影视作品"))
    spo = Spo("配音", "温小满", (("@value", "林川"), ("inWork", "雨夜列车")), "娱乐人物", types)
    assert result.records == [RelationRecord(TEXT, (spo,), 1)]
    assert (result.problems, result.skipped) == ([], 0)


def test_slots_stand_in_the_order_of_the_schema(tmp_path):
    path = write(tmp_path / "f.json", line(predicate="获奖", object={"inWork": "甲", "onDate": "乙", "@value": "丙"}))
    assert [slot for slot, _ in read_records(path, SCHEMA).records[0].spos[0].object] == ["@value", "onDate", "inWork"]
    assert [slot for slot, _ in read_records(path, None).records[0].spos[0].object] == ["@value", "inWork", "onDate"]


def test_all_faults_of_all_lines_are_collected(tmp_path):
    path = write(
        tmp_path / "f.json",
        line(),
        "",
        "{broken",
        "[1]",
        {"spo_list": []},
        {"text": TEXT},
        line(text=" "),
        line(predicate="画外音"),
        line(object={"@value": "林川", "inArea": "海螺湾"}),
        line(object={"inWork": "雨夜列车"}),
        line(object="林川"),
        line(object={"@value": None}),
        line(subject=""),
        line(subject=..., predicate=3),
        line(predicate="", subject="", object=[]),
        line(subject_type=1, object_type="人物"),
        {"text": TEXT, "spo_list": ["配音"]},
        '{"text": "甲", "text": "乙", "spo_list": []}',
    )
    codes, kept, skipped = faults(path, labelled=True)
    assert kept == 1 and skipped == 16
    expected = [(7, 2), (8, 3), (9, 4), (10, 5), (10, 6), (12, 7), (13, 8), (14, 9), (10, 10), (11, 11), (11, 12), (12, 13), (11, 14), (10, 14)]
    expected += [(11, 15), (12, 15), (12, 15), (11, 16), (11, 16), (11, 17), (20, 18)]
    assert codes == [(f"LIC-D{code:03}", number) for code, number in expected]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"predicate": "配音员"}, "Did you mean “配音”?"),
        ({"object": {"@value": "林川", "inwork": "雨夜列车"}}, "Did you mean “inWork”?"),
        ({"object": {"@value": "林川", "onDate": "昨天"}}, "“onDate” is a slot of 获奖."),
        ({"object": {}}, "no “@value” in “object” (slots: none)"),
        ({"object": "林川"}, 'Write {"@value": …}'),
        ({"object_type": {"@value": 3}}, "“@value” is a whole number"),
        ({"subject": ""}, "triple 1 (配音) an empty “subject”"),
    ],
)
def test_messages_say_what_helps(tmp_path, changes, told):
    result = read_records(write(tmp_path / "f.json", line(**changes)), SCHEMA)
    assert result.records == [] and result.skipped == 1
    assert told in str(result.problems[0])


def test_what_official_files_have_is_read_as_it_stands(tmp_path):
    rows = (
        line(subject="温大满"),
        line(subject="温小满 "),
        line(object={"@value": "林川", "inWork": ""}),
        line(object={"@value": ""}),
        line(object_type={"@value": "人物", "inWork": "影视作品", "inArea": "地点"}),
    )
    result = read_records(write(tmp_path / "f.json", *rows), SCHEMA)
    assert result.problems == [] and len(result.records) == 5
    assert as_triples(result.records[2]) == [("配音", "温小满", {"@value": "林川", "inWork": ""})]
    counts = describe(result.records)
    assert (counts["mentions_not_verbatim"], counts["mentions_with_blank_edges"], counts["empty_slot_values"]) == (2, 1, 2)
    assert counts["texts_repeated"] == 4 and counts["mentions"] == 12


def test_without_a_schema_any_name_goes(tmp_path):
    path = write(tmp_path / "f.json", line(predicate="画外音", object={"@value": "林川", "何处": "海螺湾"}))
    result = read_records(path, None)
    assert result.problems == [] and as_triples(result.records[0]) == [("画外音", "温小满", {"@value": "林川", "何处": "海螺湾"})]


def test_bom_crlf_and_blank_lines_cost_no_record(tmp_path):
    path = write(tmp_path / "f.json", line(), line(), "", ending="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    codes, kept, skipped = faults(path)
    assert sorted(codes) == [("LIC-D005", 1), ("LIC-D006", 1), ("LIC-D007", 3)]
    assert (kept, skipped) == (2, 0)


def test_half_a_surrogate_pair_is_a_fault(tmp_path):
    path = write(tmp_path / "f.json", '{"text": "\\ud83d!"}', json.dumps(line(object={"@value": "\ud83d"})))
    assert faults(path)[0] == [("LIC-D019", 1), ("LIC-D019", 2)]


def test_missing_folder_and_empty(tmp_path):
    (tmp_path / "empty.json").touch()
    assert faults(tmp_path / "none.json")[0] == [("LIC-D001", None)]
    assert faults(tmp_path)[0] == [("LIC-D002", None)]
    assert faults(tmp_path / "empty.json")[0] == [("LIC-D003", None)]


def test_labelled(tmp_path):
    path = write(tmp_path / "f.json", {"text": "甲"}, {"text": "乙", "spo_list": []})
    assert [record.spos for record in read_records(path, SCHEMA).records] == [None, ()]
    assert [record.spos for record in read_records(path, SCHEMA, labelled=False).records] == [None, None]
    assert faults(path, labelled=True) == ([("LIC-D010", 1)], 1, 1)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, parts):
    records = []
    for number, (before, inside, after) in enumerate(parts, 1):
        types = (("@value", before), ("inWork", after))
        spos = (Spo("配音", before, (("@value", inside), ("inWork", after)), "人物", types), Spo("作者", after, (("@value", before),)))
        records.append(RelationRecord("字" + before + inside + after, spos if number % 3 else None, number))
    path = tmp_path_factory.mktemp("records") / "f.json"
    write_records(path, records)
    for schema in (SCHEMA, None):
        result = read_records(path, schema)
        assert result.problems == [] and result.records == records


def test_the_schema_gives_the_types_that_a_triple_does_not_name():
    bare = Spo("配音", "温小满", (("@value", "林川"),))
    own = Spo("配音", "温小满", (("@value", "林川"),), "演员", (("@value", "角色"),))
    assert as_row(RelationRecord(TEXT, (bare, own)), SCHEMA)["spo_list"] == [
        {"predicate": "配音", "subject": "温小满", "subject_type": "娱乐人物", "object": {"@value": "林川"}, "object_type": {"@value": "人物"}},
        {"predicate": "配音", "subject": "温小满", "subject_type": "演员", "object": {"@value": "林川"}, "object_type": {"@value": "角色"}},
    ]
    assert as_row(RelationRecord(TEXT, (bare,)))["spo_list"] == [{"predicate": "配音", "subject": "温小满", "object": {"@value": "林川"}}]
    assert as_row(RelationRecord(TEXT), SCHEMA) == {"text": TEXT}


def test_describe():
    voice = Spo("配音", "温小满", (("@value", "林川"), ("inWork", "雨夜列车")))
    other = Spo("配音", "温小满", (("@value", "温小"),))
    author = Spo("作者", "雨夜列车", (("@value", "温青禾"),))
    prize = Spo("获奖", "温小满", (("@value", "林川"),))
    records = [
        RelationRecord(TEXT, (voice, voice)),
        RelationRecord(TEXT, (voice, other)),
        RelationRecord("　温小满和林川", (voice, prize)),
        RelationRecord("温青禾写了雨夜列车", (author,)),
        RelationRecord("无", ()),
        RelationRecord("好" * 9),
    ]
    counts = describe(records)
    assert (counts["records"], counts["labelled"], counts["spos"], counts["spos_repeated_exactly"]) == (6, 5, 7, 1)
    assert (counts["multi_slot_spos"], counts["mentions"], counts["mentions_not_verbatim"]) == (4, 18, 1)
    assert (counts["predicates"], counts["rarest_predicate"], counts["rarest_predicate_spos"]) == (3, "作者", 1)
    assert (counts["text_length_p50"], counts["text_length_max"]) == (9, len(TEXT))
    assert (counts["texts_repeated"], counts["texts_with_whitespace"]) == (1, 1)
    assert counts["share_no_spo"] == 1 / 5 and counts["share_several_spos"] == 2 / 5
    assert counts["share_several_objects_of_one_subject_predicate"] == 1 / 5
    assert counts["share_several_predicates_of_one_subject_object"] == 1 / 5
    assert counts["share_nested_or_same_subject_object"] == 1 / 5
    assert counts["share_mention_occurs_more_than_once"] == 2 / 5
    assert describe([])["text_length_p50"] is None and describe([])["share_no_spo"] is None


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_files_are_sound():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "relation"
    schema = RelationSchema.read(folder / "schema.json")
    for split, size, not_verbatim, empty in (("train", 29858, 117, 1), ("dev", 3000, 0, 0), ("test1", 10468, 0, 0)):
        result = read_records(folder / f"{split}.json", schema, labelled=None if split == "test1" else True)
        assert (len(result.records), result.problems) == (size, [])
        counts = describe(result.records)
        assert (counts["mentions_not_verbatim"], counts["empty_slot_values"], counts["texts_repeated"]) == (not_verbatim, empty, 0)
