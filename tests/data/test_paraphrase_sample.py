"""The bundled pairs: what the generator writes, splits apart, and too hard for shared characters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.official import find_split
from tasks.registry import get_task

FOLDER = Path(__file__).parents[2] / "data" / "samples" / "paraphrase"
TASK = get_task("paraphrase")
SIZES = {"train": 1598, "dev": 320, "test_a": 417}


@pytest.fixture(scope="module")
def splits():
    read = {name: TASK.read_records(find_split("paraphrase", FOLDER, name), labelled=True) for name in SIZES}
    assert all(result.problems == [] for result in read.values())
    return {name: result.records for name, result in read.items()}


def test_the_files_are_what_the_generator_writes(tmp_path):
    script = FOLDER.with_name("make_paraphrase.py")
    subprocess.run([sys.executable, str(script), "--folder", str(tmp_path)], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in FOLDER.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


def test_sizes_and_labels(splits):
    assert {name: len(rows) for name, rows in splits.items()} == SIZES
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000
    assert all(0.45 < sum(row.label for row in rows) / len(rows) < 0.55 for rows in splits.values())


def test_no_wording_stands_in_two_splits(splits):
    texts = [{text for row in rows for text in (row.text, row.pair)} for rows in splits.values()]
    assert len(set.union(*texts)) == sum(map(len, texts))


def test_the_test_file_is_test_a_without_labels():
    path = find_split("paraphrase", FOLDER, "test")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    labelled = [json.loads(line) for line in (FOLDER / "test_a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert path.name == "test.jsonl" and rows == [{key: row[key] for key in ("text", "pair", "source")} for row in labelled]


def test_shared_characters_do_not_tell(splits):
    scores = TASK.score(splits["dev"], TASK.baseline(splits["train"], splits["dev"]))
    assert scores["auc"] < 0.6 and scores["best_accuracy"] < 0.65
