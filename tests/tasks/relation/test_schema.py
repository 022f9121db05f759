"""The schema: order, what was read is given back, and every fault by its line."""

import json
import os
from pathlib import Path

import pytest

from shared.errors import InputError
from tasks.relation.schema import RelationSchema

ROWS = [
    {"object_type": {"onDate": "Date", "@value": "奖项", "inWork": "作品"}, "predicate": "获奖", "subject_type": "娱乐人物", "id": 7},
    {"object_type": {"@value": "人物"}, "predicate": "作者", "subject_type": "图书作品"},
]


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows), encoding="utf-8")
    return path


def test_value_comes_first_and_the_rest_keeps_its_order(tmp_path):
    schema = RelationSchema.read(write(tmp_path / "schema.json", *ROWS))
    assert schema.predicates == ("获奖", "作者")
    assert schema.slots == {"获奖": ("@value", "onDate", "inWork"), "作者": ("@value",)}
    assert schema.pairs == (("获奖", "@value"), ("获奖", "onDate"), ("获奖", "inWork"), ("作者", "@value"))
    assert schema.pair_index[("作者", "@value")] == 3
    assert schema.counts() == {"predicates": 2, "pairs": 4}
    assert (schema.subject_types["作者"], schema.object_types["获奖"]["onDate"]) == ("图书作品", "Date")


def test_what_was_read_is_written_back(tmp_path):
    schema = RelationSchema.read(write(tmp_path / "schema.json", *ROWS))
    assert schema.as_lines() == ROWS
    schema.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "schema.json").read_bytes()


def test_schema_of_one_s_own_can_be_written(tmp_path):
    slots = {"饰演": ("@value", "inWork"), "号": ("@value",)}
    types = {"饰演": {"@value": "人物", "inWork": "影视作品"}, "号": {"@value": "Text"}}
    schema = RelationSchema(("饰演", "号"), slots, {"饰演": "娱乐人物", "号": "历史人物"}, types)
    schema.write(tmp_path / "s.json")
    assert RelationSchema.read(tmp_path / "s.json") == schema


def test_nearest_names(tmp_path):
    schema = RelationSchema.read(write(tmp_path / "schema.json", *ROWS))
    assert (schema.nearest_predicate("获奖项"), schema.nearest_predicate("xyz")) == ("获奖", None)
    assert (schema.nearest_slot("获奖", "inwork"), schema.nearest_slot("作者", "?")) == ("inWork", None)


def test_faults_by_line(tmp_path):
    author = ROWS[1]
    path = write(
        tmp_path / "s.json",
        author,
        author,
        {**author, "subject_type": "文学作品"},
        {**author, "predicate": "编剧", "object_type": "人物"},
        {**author, "predicate": "编剧", "object_type": {"inWork": "作品"}},
        {**author, "predicate": "编剧", "object_type": {"@value": 3}},
        {"predicate": "编剧"},
        {**author, "predicate": ""},
        "{",
    )
    with pytest.raises(InputError) as caught:
        RelationSchema.read(path)
    problems = caught.value.problems
    codes = [(problem.line, problem.code[-3:]) for problem in problems]
    assert codes == [(9, "008"), (2, "017"), (3, "017"), (4, "011"), (5, "010"), (6, "011"), (7, "010"), (7, "010"), (8, "012")]
    assert "with the same types" in problems[1].found and "with other types" in problems[2].found
    schema, found = RelationSchema.inspect(path)
    assert schema.predicates == ("作者",) and len(found) == 9


def test_what_costs_nothing_does_not_stop_reading(tmp_path):
    path = write(tmp_path / "s.json", ROWS[1], "")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert RelationSchema.read(path).predicates == ("作者",)
    assert [problem.code for problem in RelationSchema.inspect(path)[1]] == ["LIC-D005", "LIC-D007"]


def test_no_schema_at_all(tmp_path):
    assert RelationSchema.inspect(write(tmp_path / "s.json", ""))[0] is None
    with pytest.raises(InputError, match="LIC-D001"):
        RelationSchema.read(tmp_path / "none.json")


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_schema(tmp_path):
    path = Path(os.environ["LIC_REAL_DATA"]) / "relation" / "schema.json"
    schema = RelationSchema.read(path)
    assert schema.counts() == {"predicates": 48, "pairs": 55}
    assert {name for name in schema.predicates if len(schema.slots[name]) > 1} == {"配音", "饰演", "上映时间", "票房", "获奖"}
    schema.write(tmp_path / "s.json")
    assert (tmp_path / "s.json").read_bytes() == path.read_bytes()
