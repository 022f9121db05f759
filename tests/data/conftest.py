"""The bundled sample of one track. A test file says which with a fixture ``track`` of module scope."""

import importlib
from pathlib import Path

import pytest

from tasks.registry import get_task

SPLITS = ("train", "dev", "test_a", "test_b", "test1")


@pytest.fixture(scope="module")
def folder(track):
    return Path(__file__).parents[2] / "data" / "samples" / track


@pytest.fixture(scope="module")
def generator(track, folder):
    """The script, which finds its neighbours as when it is run by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder.parent)
        return importlib.import_module(f"make_{track}")


@pytest.fixture(scope="module")
def schema(track, folder):
    """None for the track without one."""
    return None if track == "reading" else get_task(track).read_schema(folder / "schema.json")


@pytest.fixture(scope="module")
def splits(track, folder, schema):
    """The records of every file, none of which has a problem."""
    read = {name: get_task(track).read_records(folder / f"{name}.json", schema, labelled=name != "test1") for name in SPLITS}
    assert all(result.problems == [] and result.skipped == 0 for result in read.values())
    return {name: result.records for name, result in read.items()}
