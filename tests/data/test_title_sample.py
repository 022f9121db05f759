"""The bundled sample of the title task: what the generator writes, splits apart, titles that their abstracts tell, and traps."""

import re

import pytest

from tasks.official import find_split
from tasks.registry import get_task

SIZES = {"train": 600, "dev": 60, "test": 60, "test_gold": 60}


@pytest.fixture(scope="module")
def track():
    return "title"


@pytest.fixture(scope="module")
def splits(folder):
    read = {name: get_task("title").read_records(folder / f"{name}.jsonl", labelled=name != "test") for name in SIZES}
    assert all(result.problems == [] and result.skipped == 0 for result in read.values())
    return {name: result.records for name, result in read.items()}


def test_the_files_are_what_the_generator_writes(generator, folder, tmp_path):
    generator.make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in folder.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_sizes_and_names(folder, splits):
    assert {name: len(rows) for name, rows in splits.items()} == SIZES
    assert sum(path.stat().st_size for path in folder.iterdir()) < 400_000
    assert all(find_split("title", folder, name) == folder / f"{name}.jsonl" for name in SIZES)


def test_no_abstract_stands_twice_and_the_test_is_its_gold_without_titles(splits):
    texts = [row.text for name in ("train", "dev", "test") for row in splits[name]]
    assert len(set(texts)) == len(texts)
    assert [row.text for row in splits["test"]] == [row.text for row in splits["test_gold"]]
    assert all(row.title is None for row in splits["test"])


def test_the_tests_name_things_that_train_does_not(generator, splits):
    said = "".join(row.text for row in splits["train"])
    asked = "".join(row.text for row in (*splits["dev"], *splits["test"]))
    for kind in (generator.FACTORS, generator.LIVING):
        names = [name for name in kind if name in asked]
        assert names and not [name for name in names if name in said]


def test_a_title_is_told_by_its_abstract_yet_rarely_stands_in_it(splits):
    rows = [*splits["train"], *splits["dev"], *splits["test_gold"]]
    shares = [sum(character in row.text for character in row.title) / len(row.title) for row in rows]
    assert 0.7 < sum(shares) / len(shares) < 0.95 and min(shares) > 0.4
    assert sum(row.title in row.text for row in rows) < 0.05 * len(rows)
    for split in ("train", "dev"):
        assert len({row.title for row in splits[split]}) > 0.95 * len(splits[split])


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_odd_characters_are_there(splits, split):
    rows = splits[split]
    patterns = {"full-width forms": "[\uff21-\uff5a]", "an ideographic space": "\u3000", "mixed case": "[a-z][A-Z]", "a long text": ".{240}"}
    for mark, pattern in patterns.items():
        assert sum(bool(re.search(pattern, row.text)) for row in rows) >= (0.01 if split == "train" else 0) * len(rows), mark
