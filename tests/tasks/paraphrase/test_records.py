"""Records: what a file of pairs gives, and every fault by its line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.json_lines import visible
from tasks.paraphrase.profile import OVERLAPS, profile
from tasks.paraphrase.records import ParaphraseRecord, describe, identity, read_records, write_records

SOUND = {"text": "水费怎么交", "pair": "在哪里缴水费", "label": 1, "source": "甲"}


def write(path, *rows, ending="\n"):
    rows = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes("".join(row + ending for row in rows).encode())
    return path


def faults(path, **options):
    result = read_records(path, **options)
    return [(problem.code, problem.line) for problem in result.problems], len(result.records), result.skipped


def test_a_sound_line(tmp_path):
    path = write(tmp_path / "f.jsonl", SOUND, {"text": "甲", "pair": "乙"})
    found = [ParaphraseRecord("水费怎么交", "在哪里缴水费", 1, "甲", 1), ParaphraseRecord("甲", "乙", line=2)]
    assert read_records(path).records == found
    assert [row.label for row in read_records(path, labelled=False).records] == [None, None]
    assert faults(path, labelled=True) == ([("LIC-D010", 2)], 1, 1)


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"text": ...}, ["LIC-D010"]),
        ({"pair": ...}, ["LIC-D010"]),
        ({"label": ...}, ["LIC-D010"]),
        ({"text": ["水费"]}, ["LIC-D011"]),
        ({"label": "1"}, ["LIC-D011"]),
        ({"label": 1.0}, ["LIC-D011"]),
        ({"label": True}, ["LIC-D011"]),
        ({"source": 3}, ["LIC-D011"]),
        ({"text": ""}, ["LIC-D012"]),
        ({"pair": " \u200b\n"}, ["LIC-D012"]),
        ({"text": "\x00", "pair": ""}, ["LIC-D012", "LIC-D012"]),
        ({"label": 2}, ["LIC-D022"]),
        ({"label": -1}, ["LIC-D022"]),
    ],
)
def test_a_fault_costs_its_record(tmp_path, change, codes):
    row = {key: value for key, value in {**SOUND, **change}.items() if value is not ...}
    assert faults(write(tmp_path / "f.jsonl", SOUND, row), labelled=True) == ([(code, 2) for code in codes], 1, 1)


def test_faults_of_lines_and_of_the_file(tmp_path):
    twice, half = '{"text": "甲", "text": "乙", "pair": "丙"}', '{"text": "\\ud83d", "pair": "丙"}'
    path = write(tmp_path / "f.jsonl", SOUND, "", "{", "[1]", twice, half, ending="\r\n")
    told, sound, skipped = faults(path)
    codes = ["LIC-D006", "LIC-D007", "LIC-D008", "LIC-D009", "LIC-D020", "LIC-D019"]
    assert told == list(zip(codes, [1, 2, 3, 4, 5, 6], strict=True)) and (sound, skipped) == (1, 4)
    assert faults(tmp_path / "none.jsonl")[0] == [("LIC-D001", None)]


TEXTS = st.text(min_size=1).filter(visible)
RECORDS = st.builds(ParaphraseRecord, TEXTS, TEXTS, st.sampled_from([None, 0, 1]), st.none() | st.text(max_size=3))


@settings(max_examples=25, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("records") / "f.jsonl"
    write_records(path, rows)
    found = read_records(path)
    assert found.problems == []
    assert [(row.text, row.pair, row.label, row.source) for row in found.records] == [(row.text, row.pair, row.label, row.source) for row in rows]


@settings(max_examples=50, deadline=None)
@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS))
def test_an_identity_is_both_texts(one, other):
    assert (identity(*one) == identity(*other)) is (one == other)


def test_counts_and_what_is_odd():
    rows = [
        ParaphraseRecord("水费怎么交", "在哪里缴水费", 1, "甲", 1),
        ParaphraseRecord("在哪里缴水费", "水费到哪里缴", 1, "甲", 2),
        ParaphraseRecord("水费怎么交", "水费到哪里缴", 0, "乙", 3),
        ParaphraseRecord("ＡＢＣ是什么", "abc是什么", 0, None, 4),
        ParaphraseRecord("同一句话", "同一句话", 0, None, 5),
        ParaphraseRecord("没有标签", "也没有标签"),
    ]
    told = describe(rows)
    assert (told["records"], told["labelled"], told["alike"], told["sources"], told["different_texts"]) == (6, 5, 2, 2, 8)
    assert told["share_alike"] == 2 / 5 and told["text_length_max"] == 6
    found = profile(rows)
    assert dict(zip(OVERLAPS, found.overlaps.values(), strict=True)) == dict(zip(OVERLAPS, (2, 1, 1, 3, 1), strict=True))
    assert ("two meanings, yet alike through other pairs", 2) in [(what, index) for what, index, _ in found.suspects]
    assert ("one text that is said to have two meanings", 4) in [(what, index) for what, index, _ in found.suspects]
    assert found.answers == ["1", "1", "0", "0", "0", None]
