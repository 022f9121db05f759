"""The submission zip of every track: written, accepted and read back; what a leaderboard would refuse around the one file is refused."""

import json
import zipfile
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import tasks.event.submission
import tasks.reading.submission
import tasks.relation.submission
import tasks.title.submission
from tasks.event.schema import EventSchema
from tasks.reading.records import ReadingRecord, write_records
from tasks.relation.records import Spo
from tasks.relation.schema import RelationSchema

TEXT, OTHER = "NovaKite在《雨夜列车》里给林川配音", "无 事"
RELATIONS = RelationSchema(("配音",), {"配音": ("@value", "inWork")}, {"配音": "娱乐人物"}, {"配音": {"@value": "人物", "inWork": "影视作品"}})


class Example(NamedTuple):
    """``content``: a file that is fine; ``options`` of writing beside path and rows."""

    submission: ModuleType
    member: str
    schema: Any
    rows: list[Any]
    content: str
    options: dict[str, Any]


EXAMPLES = {
    "event": Example(
        tasks.event.submission,
        "duee.json",
        EventSchema(("影视-配音",), {"影视-配音": ("时间", "配音者")}),
        [("a", [("影视-配音", [("配音者", "NovaKite"), ("配音者", "林川")])]), ("b", [])],
        '{"id": "a", "event_list": [{"event_type": "影视-配音", "arguments": [{"role": "配音者", "argument": "林川"}]}]}\n',
        {},
    ),
    "relation": Example(
        tasks.relation.submission,
        "duie.json",
        RELATIONS,
        [(TEXT, [Spo("配音", "NovaKite", (("@value", "林川"), ("inWork", "雨夜列车")))]), (OTHER, [])],
        f'{{"text": "{TEXT}", "spo_list": [{{"predicate": "配音", "subject": "NovaKite", "object": {{"@value": "林川"}}}}]}}\n',
        {"schema": RELATIONS},
    ),
    "reading": Example(
        tasks.reading.submission,
        "reading.json",
        None,
        [("a", "NovaKite"), ("b", OTHER)],
        '{"a": "NovaKite", "b": "无 事"}',
        {},
    ),
    "title": Example(
        tasks.title.submission,
        "title.json",
        None,
        [(TEXT, "林川 的配音"), (OTHER, OTHER)],
        f'{{"abst": "{TEXT}", "title": "林川的配音"}}\n',
        {},
    ),
}


@pytest.fixture(params=EXAMPLES)
def example(request):
    return EXAMPLES[request.param]


@pytest.fixture
def against(tmp_path, example):
    """The test file: the same two texts in every task."""
    path = tmp_path / "test1.json"
    if example.member == "reading.json":
        write_records(path, [ReadingRecord("a", "谁配音", TEXT), ReadingRecord("b", "有事吗", OTHER)])
    else:
        lines = [json.dumps({"id": identity, "text": text}, ensure_ascii=False) + "\n" for identity, text in (("a", TEXT), ("b", OTHER))]
        path.write_text("".join(lines), encoding="utf-8")
    return path


def pack(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_written_accepted_and_read_back(tmp_path, example, against):
    path, bare = tmp_path / "f.zip", tmp_path / "f.json"
    example.submission.write_submission(path, iter(example.rows))
    assert example.submission.check_submission(path, example.schema, against) == []
    assert example.submission.read_submission(path) == example.rows == example.submission.read_submission(bare)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [example.member]
        assert archive.read(example.member) == bare.read_bytes()


def test_equal_rows_give_equal_bytes(tmp_path, example):
    example.submission.write_submission(tmp_path / "one.zip", example.rows, **example.options)
    example.submission.write_submission(tmp_path / "two.zip", iter(example.rows), **example.options)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_only_a_zip_is_written(tmp_path, example):
    with pytest.raises(ValueError, match=r"ending in \.zip"):
        example.submission.write_submission(tmp_path / "f.json", example.rows)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_zip(tmp_path, example):
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty.zip").touch()
    (tmp_path / "bare.json").write_text(example.content, encoding="utf-8")
    good = pack(tmp_path / "good.zip", {example.member: example.content}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(good[:-30])
    damaged = bytearray(good)
    damaged[60] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(damaged)

    def codes(name):
        return [problem.code for problem in example.submission.check_submission(tmp_path / name)]

    assert codes("none.zip") == ["LIC-D001"]
    assert codes("") == ["LIC-D002"]
    assert codes("empty.zip") == ["LIC-D003"]
    assert codes("text.zip") == codes("bare.json") == ["LIC-S001"]
    assert codes("cut.zip") == codes("damaged.zip") == ["LIC-S002"]


def test_members(tmp_path, example):
    member, content = example.member, example.content

    def codes(members):
        return [problem.code for problem in example.submission.check_submission(pack(tmp_path / "f.zip", members))]

    assert codes({member: content}) == []
    assert codes({f"out/{member}": content}) == ["LIC-S004"]
    for wrong in {"pred.json", *(other.member for other in EXAMPLES.values())} - {member}:
        assert codes({wrong: content}) == ["LIC-S004"], wrong
    for more in ({"__MACOSX": "x"}, {"/MACOSX": "x"}, {"folder/": ""}, {"second": "{}"}):
        assert codes({member: content, **more}) == ["LIC-S003"], more
    assert codes({"x.json": content, "second": "{}"}) == ["LIC-S009"]
    assert codes({member: ""}) == ["LIC-D003"]
    assert codes({}) == ["LIC-S010"]
