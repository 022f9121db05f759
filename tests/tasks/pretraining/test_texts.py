"""Passages and groups of similar texts, read from any of their files, with what is wrong in them."""

import gzip
import json
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.pretraining.texts import Groups, Passages, read_groups

LINES = ["第一行", "", "行内\u2028有分隔符", "  ", "末行"]
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=12)


def write(path, data):
    kinds = {".xz": lzma.open, ".gz": gzip.open}
    with kinds.get(path.suffix, open)(path, "wb") as file:
        file.write(data)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.xz", "a.txt.gz"])
@pytest.mark.parametrize(("mark", "end"), [(b"", "\n"), (b"\xef\xbb\xbf", "\r\n")])
def test_every_line_is_a_passage(tmp_path, name, mark, end):
    path = write(tmp_path / name, mark + end.join(LINES).encode())
    assert list(Passages([path])) == LINES == list(Passages([path]))
    assert list(Passages([path, path], limit=7)) == [*LINES, *LINES[:2]] and Passages([path, path], limit=7).count() == (7, 0)


def test_lines_of_another_encoding_are_named_or_left_out(tmp_path):
    path = write(tmp_path / "a.txt", b"\n".join(["好".encode(), "坏".encode("gbk"), "好".encode(), b"\xff\xfe"]))
    with pytest.raises(InputError) as caught:
        list(Passages([path]))
    assert [(problem.code, problem.line) for problem in caught.value.problems] == [("LIC-D004", 2), ("LIC-D004", 4)]
    assert list(Passages([path], skip_bad=True)) == ["好", "好"] and Passages([path], skip_bad=True).count() == (2, 2)
    many = write(tmp_path / "b.txt", b"\xff\n" * 500)
    with pytest.raises(InputError) as caught:
        list(Passages([many]))
    assert len(caught.value.problems) == 100


@pytest.mark.parametrize("name", ["a.xz", "a.gz"])
def test_damaged_compressed_files(tmp_path, name):
    whole = write(tmp_path / name, "一行\n".encode() * 200).read_bytes()
    for data in (whole[: len(whole) // 2], b"not compressed"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="cannot be unpacked"):
            list(Passages([tmp_path / name]))


def test_files_that_are_none(tmp_path):
    (tmp_path / "empty.txt").touch()
    for path, code in ((tmp_path / "none.txt", "LIC-D001"), (tmp_path, "LIC-D002"), (tmp_path / "empty.txt", "LIC-D003")):
        with pytest.raises(InputError) as caught:
            list(Passages([path]))
        assert caught.value.problems[0].code == code


def lines_of(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_groups_in_both_forms(tmp_path):
    rows = [
        {"text": "多远", "synonyms": ["有多远", "距离多少"]},
        {"text": "几点", "pair": "何时"},
        {"text": "几点", "pair": "什么时候", "label": 1, "source": "x"},
        {"text": "几点", "pair": "多远", "label": 0},
    ]
    found = read_groups([lines_of(tmp_path / "a.jsonl", rows)])
    assert found.groups == [["多远", "有多远", "距离多少"], ["几点", "何时"], ["几点", "什么时候"]]
    assert (found.different, found.skipped, found.problems) == (1, 0, [])
    packed = write(tmp_path / "a.jsonl.xz", (tmp_path / "a.jsonl").read_bytes())
    assert read_groups([packed]).groups == found.groups


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a"},
        {"pair": "b"},
        {"text": "a", "pair": "b", "synonyms": []},
        {"text": "a", "pair": " "},
        {"text": 1, "pair": "b"},
        {"text": "a", "synonyms": "b"},
        {"text": "a", "pair": "b", "label": 2},
    ],
    ids=str,
)
def test_lines_that_are_no_group(tmp_path, row):
    found = read_groups([lines_of(tmp_path / "a.jsonl", [row, {"text": "a", "pair": "b"}])])
    assert [(problem.code, problem.line) for problem in found.problems] == [("LIC-M005", 1)]
    assert found.groups == [["a", "b"]] and found.skipped == 1


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=3), max_size=12), st.sampled_from([0.0, 0.3, 0.9]))
def test_no_text_is_both_trained_on_and_held_out(groups, share):
    train, held = Groups(groups).split(share)
    assert sorted(train + held) == sorted(groups)
    assert not {text for group in train for text in group} & {text for group in held for text in group}
    assert not (share == 0.0 and held)
