"""Schema and records: what an official file gives, and every fault by its line."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.event.records import Argument, Event, EventRecord, as_triples, describe, read_records, write_records
from tasks.event.schema import EventSchema

SCHEMA = EventSchema(("人生-结婚", "财经/交易-出售/收购"), {"人生-结婚": ("时间", "结婚双方"), "财经/交易-出售/收购": ("收购方", "交易物")})
TEXT = "昨天，温小满和温青禾结婚，温小满很开心"


def line(text=TEXT, identity="a", **changes):
    argument = {"role": "结婚双方", "argument": "温小满", "argument_start_index": 3, "alias": []}
    event = {"event_type": "人生-结婚", "trigger": "结婚", "trigger_start_index": 10, "arguments": [argument], "class": "人生"}
    for key, value in changes.items():
        (argument if key in argument else event)[key] = value
    return {"text": text, "id": identity, "event_list": [event]}


def write(path, *rows, ending="\n", encoding="utf-8"):
    rows = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes("".join(row + ending for row in rows).encode(encoding))
    return path


def faults(path, **options):
    result = read_records(path, SCHEMA, **options)
    return [(problem.code, problem.line) for problem in result.problems], len(result.records), result.skipped


def test_a_sound_line(tmp_path):
    result = read_records(write(tmp_path / "f.json", line()), SCHEMA, labelled=True)
    event = Event("人生-结婚", "结婚", 10, (Argument("结婚双方", "温小满", 3),))
    assert result.records == [EventRecord("a", TEXT, (event,), 1)]
    assert (result.problems, result.skipped) == ([], 0)


def test_all_faults_of_all_lines_are_collected(tmp_path):
    path = write(
        tmp_path / "f.json",
        line(),
        "",
        "{broken",
        "[1]",
        {"id": "b"},
        line(text=" ", identity="c"),
        line(identity="d", event_type="人生-离婚"),
        line(identity="e", role="结婚方"),
        line(identity="f", argument_start_index=4),
        line(),
        line(identity="g", arguments={}),
        {"text": TEXT, "id": 7, "event_list": []},
        '{"text": "甲", "text": "乙", "id": "h"}',
    )
    codes, kept, skipped = faults(path, labelled=True)
    assert kept == 1 and skipped == 11
    expected = [(7, 2), (8, 3), (9, 4), (10, 5), (10, 5), (12, 6), (13, 7), (14, 8), (15, 9), (16, 10), (11, 11), (11, 12), (20, 13)]
    assert codes == [(f"LIC-D{code:03}", number) for code, number in expected]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"role": "结婚方"}, "Did you mean “结婚双方”?"),
        ({"role": "交易物"}, "财经/交易-出售/收购"),
        ({"event_type": "人生－结婚"}, "Did you mean “人生-结婚”?"),
        ({"argument_start_index": 4}, "It occurs at 3, 13"),
        ({"argument_start_index": 99}, "has 19 characters"),
        ({"argument_start_index": -1}, "It occurs at 3, 13"),
        ({"argument": "温大满"}, "occurs nowhere"),
        ({"argument": ""}, "empty text"),
        ({"trigger_start_index": 0}, "for the trigger"),
        ({"argument_start_index": True}, "“argument_start_index” is true or false"),
    ],
)
def test_messages_say_what_helps(tmp_path, changes, told):
    result = read_records(write(tmp_path / "f.json", line(**changes)), SCHEMA)
    assert result.records == [] and result.skipped == 1
    assert told in str(result.problems[0])


def test_wrong_case_is_told(tmp_path):
    row = line(text="NovaKite和温青禾结婚", argument="NOVAKITE", argument_start_index=0, trigger_start_index=12)
    assert "write “NovaKite”" in str(read_records(write(tmp_path / "f.json", row), SCHEMA).problems[0])


def test_bom_crlf_and_blank_lines_cost_no_record(tmp_path):
    path = write(tmp_path / "f.json", line(), line(identity="b"), "", ending="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    codes, kept, skipped = faults(path)
    assert sorted(codes) == [("LIC-D005", 1), ("LIC-D006", 1), ("LIC-D007", 3)]
    assert (kept, skipped) == (2, 0)


def test_other_encodings_are_named(tmp_path):
    path = write(tmp_path / "f.json", line(), line(identity="b"), encoding="gb18030")
    result = read_records(path, SCHEMA)
    assert [problem.code for problem in result.problems] == ["LIC-D004"] and "GBK" in result.problems[0].found
    assert (result.records, result.skipped) == ([], 2)
    assert "UTF-16" in read_records(write(tmp_path / "g.json", line(), encoding="utf-16"), SCHEMA).problems[0].found
    stray = tmp_path / "h.json"
    stray.write_bytes(json.dumps(line(), ensure_ascii=False).encode() + b"\n" + b'{"text": "\xff"}\n')
    codes, kept, skipped = faults(stray)
    assert (codes, kept, skipped) == ([("LIC-D004", 2)], 1, 1)


def test_line_separators_inside_strings_split_no_line(tmp_path):
    row = {"text": "甲\u2028乙\x85丙\x0b", "id": "a"}
    text = json.dumps(row, ensure_ascii=False).replace("\\u000b", "\x0b").replace("\x0b", "\\u000b")
    assert read_records(write(tmp_path / "f.json", text), SCHEMA).records == [EventRecord("a", row["text"], None, 1)]


def test_half_a_surrogate_pair_is_a_fault(tmp_path):
    assert faults(write(tmp_path / "f.json", '{"text": "\\ud83d!", "id": "a"}'))[0] == [("LIC-D019", 1)]


def test_missing_folder_and_empty(tmp_path):
    (tmp_path / "empty.json").touch()
    assert faults(tmp_path / "none.json")[0] == [("LIC-D001", None)]
    assert faults(tmp_path)[0] == [("LIC-D002", None)]
    assert faults(tmp_path / "empty.json")[0] == [("LIC-D003", None)]


def test_labelled(tmp_path):
    path = write(tmp_path / "f.json", {"text": "甲", "id": "a"}, {"text": "乙", "id": "b", "event_list": []})
    assert [record.events for record in read_records(path, SCHEMA).records] == [None, ()]
    assert [record.events for record in read_records(path, SCHEMA, labelled=False).records] == [None, None]
    assert faults(path, labelled=True) == ([("LIC-D010", 1)], 1, 1)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, parts):
    records = []
    for number, (before, inside, after) in enumerate(parts, 1):
        text = "字" + before + inside + after
        events = (Event("人生-结婚", inside, len(before) + 1, (Argument("时间", inside, len(before) + 1), Argument("时间", "字", None))),)
        records.append(EventRecord(str(number), text, events if number % 3 else None, number))
    path = tmp_path_factory.mktemp("records") / "f.json"
    write_records(path, records, SCHEMA)
    result = read_records(path, SCHEMA)
    assert result.problems == [] and result.records == records


def test_triples_and_aliases():
    event = Event("人生-结婚", None, None, (Argument("时间", "昨天"), Argument("结婚双方", "温小满", 3, ("小满",))))
    record = EventRecord("a", TEXT, (event,))
    assert as_triples(record) == [("人生-结婚", "时间", "昨天"), ("人生-结婚", "结婚双方", ("温小满", "小满"))]
    assert as_triples(EventRecord("a", TEXT)) == []


def test_describe():
    wedding = Event("人生-结婚", "结婚", 10, (Argument("结婚双方", "温小满", 3), Argument("结婚双方", "温青禾", 7)))
    deal = Event("财经/交易-出售/收购", None, None, (Argument("收购方", "温小满", 3),))
    counts = describe([EventRecord("a", TEXT, (wedding, deal)), EventRecord("b", "好" * 9, (wedding, wedding)), EventRecord("c", "好")])
    assert (counts["records"], counts["labelled"], counts["events"], counts["arguments"], counts["types"]) == (3, 2, 4, 7, 2)
    assert counts["arguments_repeated_exactly"] == 2
    assert (counts["text_length_p50"], counts["text_length_max"]) == (9, 19)
    assert counts["share_several_events"] == 1.0 and counts["share_several_events_of_one_type"] == 0.5
    assert counts["share_repeated_role"] == 1.0 and counts["share_several_roles_on_one_span"] == 0.5


# -- schema ------------------------------------------------------------------------------------------------------------


def test_schema_keeps_order_and_what_was_read(tmp_path):
    rows = [
        {"event_type": "乙-二", "role_list": [{"role": "时间"}, {"role": "主体"}], "id": "7", "class": "别名"},
        {"event_type": "甲-一/三", "role_list": [], "id": "8"},
    ]
    schema = EventSchema.read(write(tmp_path / "schema.json", *rows))
    assert schema.types == ("乙-二", "甲-一/三")
    assert schema.pairs == (("乙-二", "时间"), ("乙-二", "主体"))
    assert schema.pair_index[("乙-二", "主体")] == 1
    assert (schema.class_of("乙-二"), schema.class_of("甲-一/三")) == ("别名", "甲")
    assert schema.as_lines() == rows
    schema.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "schema.json").read_bytes()


def test_schema_of_one_s_own_can_be_written(tmp_path):
    SCHEMA.write(tmp_path / "s.json")
    assert EventSchema.read(tmp_path / "s.json") == SCHEMA


def test_schema_faults_by_line(tmp_path):
    good = {"event_type": "甲-一", "role_list": [{"role": "时间"}]}
    twice = {"event_type": "甲-二", "role_list": [{"role": "时间"}, {"role": "时间"}]}
    path = write(tmp_path / "s.json", good, good, twice, {"event_type": "甲-三"}, "{", {"event_type": "甲-四", "role_list": ["时间"]})
    with pytest.raises(InputError) as caught:
        EventSchema.read(path)
    codes = sorted((problem.line, problem.code) for problem in caught.value.problems)
    assert codes == [(2, "LIC-D017"), (3, "LIC-D018"), (4, "LIC-D010"), (5, "LIC-D008"), (6, "LIC-D011")]
    with pytest.raises(InputError, match="LIC-D001"):
        EventSchema.read(tmp_path / "none.json")


# -- files that are there ------------------------------------------------------------------------------------------------


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_files_are_sound():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "event"
    schema = EventSchema.read(folder / "schema.json")
    assert (len(schema.types), len(schema.pairs)) == (65, 217)
    for split, size in (("train", 11958), ("dev", 749), ("test1", 1489)):
        result = read_records(folder / f"{split}.json", schema)
        assert (len(result.records), result.problems) == (size, [])
