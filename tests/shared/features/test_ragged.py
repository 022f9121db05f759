import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.features.ragged import Ragged, load_arrays, save_arrays


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=8))
def test_rows_come_back(rows):
    ragged = Ragged.from_rows(rows, dtype=np.int32)
    assert len(ragged) == len(rows)
    assert [ragged[index].tolist() for index in range(len(rows))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert ragged.values.dtype == np.int32 and ragged.offsets.dtype == np.int64
    if rows:
        assert ragged[-1].tolist() == rows[-1]


def test_rows_of_triples():
    ragged = Ragged.from_rows([[(1, 2, 3)], [], [(4, 5, 6), (7, 8, 9)]], dtype=np.int32, width=3)
    assert ragged.values.shape == (3, 3)
    assert ragged[1].shape == (0, 3) and ragged[2].tolist() == [[4, 5, 6], [7, 8, 9]]
    for index in (3, -4):
        with pytest.raises(IndexError):
            ragged[index]


ARRAYS = {
    "ids": Ragged.from_rows([[1, 2], [], [3]], dtype=np.int32),
    "empty": Ragged.from_rows([], dtype=np.int32, width=3),
    "flat": np.arange(6, dtype=np.int32).reshape(2, 3),
}


def test_a_folder_comes_back_memory_mapped(tmp_path):
    save_arrays(tmp_path / "a" / "b", ARRAYS, {"名": [1, "二"]})
    arrays, meta = load_arrays(tmp_path / "a" / "b")
    assert meta == {"名": [1, "二"]} and set(arrays) == set(ARRAYS)
    assert isinstance(arrays["ids"].values, np.memmap) and isinstance(arrays["flat"], np.memmap)
    for name in ("ids", "empty"):
        np.testing.assert_array_equal(arrays[name].values, ARRAYS[name].values)
        np.testing.assert_array_equal(arrays[name].offsets, ARRAYS[name].offsets)
        assert arrays[name].values.dtype == np.int32
    np.testing.assert_array_equal(arrays["flat"], ARRAYS["flat"])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_saving_again_replaces_the_folder(tmp_path):
    save_arrays(tmp_path / "f", ARRAYS, {})
    save_arrays(tmp_path / "f", {"flat": np.zeros(1)}, {"second": True})
    arrays, meta = load_arrays(tmp_path / "f")
    assert list(arrays) == ["flat"] and meta == {"second": True}
    assert not (tmp_path / "f" / "ids.values.npy").exists()


def test_a_failed_save_leaves_the_old_folder_and_no_litter(tmp_path):
    save_arrays(tmp_path / "f", ARRAYS, {"old": 1})
    with pytest.raises(TypeError):
        save_arrays(tmp_path / "f", {"flat": np.zeros(1)}, {"unwritable": object()})
    with pytest.raises(ValueError):
        save_arrays(tmp_path / "f", {"objects": np.array([object()])}, {})
    assert load_arrays(tmp_path / "f")[1] == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def _drop(folder):
    (folder / "ids.values.npy").unlink()


def _cut(folder):
    path = folder / "flat.values.npy"
    path.write_bytes(path.read_bytes()[:-5])


def _empty(folder):
    (folder / "flat.values.npy").write_bytes(b"")


def _swap(folder):
    np.save(folder / "flat.values.npy", np.zeros((9, 3)))


def _pickle(folder):
    np.save(folder / "flat.values.npy", np.array([{}], dtype=object), allow_pickle=True)


def _newer(folder):
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}), encoding="utf-8")


def _list(folder):
    (folder / "manifest.json").write_text("[]", encoding="utf-8")


def _torn(folder):
    (folder / "manifest.json").write_text('{"format": 1, "arr', encoding="utf-8")


def _gone(folder):
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [_drop, _cut, _empty, _swap, _pickle, _newer, _list, _torn, _gone])
def test_damage_is_said_with_the_folder(tmp_path, damage):
    save_arrays(tmp_path / "f", ARRAYS, {})
    damage(tmp_path / "f")
    with pytest.raises(InputError) as caught:
        load_arrays(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value) and "Delete the folder" in str(caught.value)
