"""Files of abstracts and titles: what is read, every fault with its line, figures, and what data check finds odd."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.json_lines import visible
from tasks.registry import get_task
from tasks.title.profile import profile
from tasks.title.records import TitleRecord, describe, read_records, write_records

TASK = get_task("title")
TEXTS = st.text(min_size=1, max_size=30).filter(visible)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=4))
def test_any_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    records = [TitleRecord(text, title, line) for line, (text, title) in enumerate(rows, 1)]
    write_records(path, records)
    read = read_records(path)
    assert read.records == records and not read.problems
    unlabelled = read_records(path, labelled=False)
    assert unlabelled.records == [TitleRecord(one.text, None, one.line) for one in records]


@pytest.mark.parametrize("key", ["abst", "abstract", "content", "text"])
def test_other_names_of_the_abstract(tmp_path, key):
    path = tmp_path / "train.jsonl"
    path.write_text(f'{{"id": 3, "{key}": " 白露 得了伞", "title": "得伞"}}\n', encoding="utf-8")
    assert read_records(path, labelled=True).records == [TitleRecord(" 白露 得了伞", "得伞", 1)]


FAULTS = {
    '{"title": "伞"}': "LIC-D010",
    '{"abst": "伞"}': "LIC-D010",
    '{"abst": 3, "title": "伞"}': "LIC-D011",
    '{"abst": "伞", "title": ["伞"]}': "LIC-D011",
    '{"abst": "", "title": "伞"}': "LIC-D012",
    '{"abst": "伞", "title": " \\u3000"}': "LIC-D012",
    '{"abst": "\\ud800", "title": "伞"}': "LIC-D019",
    '{"abst": "a", "abst": "b", "title": "伞"}': "LIC-D020",
    '["伞"]': "LIC-D009",
    '{"abst": "伞"': "LIC-D008",
    "": "LIC-D007",
}


@pytest.mark.parametrize(("line", "code"), FAULTS.items())
def test_every_fault_has_its_line(tmp_path, line, code):
    path = tmp_path / "train.jsonl"
    path.write_text('{"abst": "甲乙", "title": "甲"}\n' + line + '\n{"abst": "丙丁", "title": "丁"}\n', encoding="utf-8")
    read = TASK.read_records(path, labelled=True)
    assert [(one.code, one.line, one.file) for one in read.problems] == [(code, 2, str(path))]
    assert [one.line for one in read.records] == [1, 3] and read.skipped == (code != "LIC-D007")


ROWS = [
    TitleRecord("白露得了一把旧伞", "一把旧伞", 1),
    TitleRecord(" 白露得了一把旧伞，Ab", "旧aB伞记", 2),
    TitleRecord("白露得了一把旧伞", "白露得了一把旧伞", 3),
    TitleRecord("今天没有事", None, 4),
]


def test_figures():
    told = describe(ROWS)
    assert (told["records"], told["labelled"], told["texts_repeated"], told["texts_with_whitespace"]) == (4, 3, 1, 1)
    assert told["title_length_max"] == 8 and told["share_title_stands_in_text"] == pytest.approx(2 / 3)
    assert told["share_of_title_in_text"] == pytest.approx(16 / 17)  # all but 记
    assert describe([])["share_of_title_in_text"] is None


def test_what_is_odd():
    made = profile(ROWS)
    assert made.labelled == 3 and made.lines == [1, 2, 3, 4] and made.answers == ["一把旧伞", "旧aB伞记", "白露得了一把旧伞", None]
    assert list(made.overlaps.values()) == [2, 2, 2]
    found = {(what, index) for what, index, _ in made.suspects}
    assert ("titles that are their whole abstract", 2) in found and ("abstracts with blanks at an edge", 1) in found
    assert ("titles of fewer than 5 characters", 0) in found
