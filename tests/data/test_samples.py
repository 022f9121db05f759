"""The bundled samples of all tracks: what the generators write, under the official names, with the splits apart and odd characters inside."""

import re

import pytest

from tasks.official import find_split
from tasks.registry import get_task

LABELLED = ("train", "dev", "test_a", "test_b")
SIZES = {
    "event": {"train": 1254, "dev": 120, "test_a": 209, "test_b": 138, "test1": 347},
    "relation": {"train": 1800, "dev": 120, "test_a": 200, "test_b": 120, "test1": 320},
    "reading": {"train": 4400, "dev": 120, "test_a": 200, "test_b": 120, "test1": 320},
}
MARKS = {"full-width forms": "[\uff10-\uff19\uff21-\uff5a]", "an ideographic space": "\u3000", "emoji": "[☕🎬🙏]"}
LATIN = {"English in mixed case": "[A-Z][a-z]+[A-Z]|[A-Z]{2}.*[a-z]", "a blank inside Latin": "[A-Za-z] [A-Za-z&]"}
MARKS_OF_TRACK = {
    "event": MARKS | LATIN,
    "relation": MARKS | LATIN,
    "reading": MARKS | {"English in mixed case": "[A-Z][a-z]+", "a blank": " "},
}


@pytest.fixture(scope="module", params=SIZES)
def track(request):
    return request.param


def test_the_files_are_what_the_generator_writes(generator, folder, tmp_path):
    generator.make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in folder.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_sizes(track, folder, splits):
    assert {name: len(rows) for name, rows in splits.items()} == SIZES[track]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_200_000


def test_every_split_is_found_by_its_name(track, folder):
    assert all(find_split(track, folder, name) == folder / f"{name}.json" for name in SIZES[track])
    assert find_split(track, folder, "test") == folder / "test1.json"


def test_no_text_stands_in_two_splits(track, splits):
    texts = [{row.text for row in splits[split]} for split in LABELLED]
    assert len(set.union(*texts)) == sum(map(len, texts))
    if track != "reading":  # questions share a passage
        assert list(map(len, texts)) == [len(splits[split]) for split in LABELLED]


def test_no_identity_is_given_twice(track, splits):
    identities = [get_task(track).identity_of(row) for split in LABELLED for row in splits[split]]
    assert len(set(identities)) == len(identities)


def test_test1_is_test_a_and_test_b(track, splits):
    tests = [row for split in ("test_a", "test_b") for row in splits[split]]
    identity_of = get_task(track).identity_of
    assert [(identity_of(row), row.text) for row in splits["test1"]] == [(identity_of(row), row.text) for row in tests]


@pytest.mark.parametrize("split", ["train", "test_a"])
def test_the_odd_characters_are_there(track, splits, split):
    rows = splits[split]
    for mark, pattern in MARKS_OF_TRACK[track].items():
        assert sum(bool(re.search(pattern, row.text)) for row in rows) >= 0.01 * len(rows), mark
