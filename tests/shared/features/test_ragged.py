import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.features.ragged import ArrayFile, Ragged, id_type, load_arrays, save_arrays


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


def test_ids_take_two_bytes_where_they_are_enough():
    assert (id_type(1 << 16), id_type((1 << 16) + 1)) == (np.uint16, np.int32)
    assert np.array([(1 << 16) - 1]).astype(id_type(1 << 16)).tolist() == [(1 << 16) - 1]


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((0, 3)), np.array(7.0), np.arange(4)[::2]])
def test_files_are_those_of_numpy(tmp_path, array):
    save_arrays(tmp_path / "f", {"one": array}, {})
    np.save(tmp_path / "numpy.npy", array)
    assert (tmp_path / "f" / "one.values.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_an_array_that_its_blocks_do_not_fill_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1 rows written of 2"), ArrayFile(tmp_path / "a.npy", (2,), np.int64) as file:
        file.write(np.zeros(1, dtype=np.int64))


def test_another_folder_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="left alone"):
        save_arrays(tmp_path / "f", ARRAYS, {})
    assert [path.name for path in tmp_path.rglob("*")] == ["f", "mine.txt"]


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


def _flip(folder):
    path = folder / "ids.values.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


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


@pytest.mark.parametrize("damage", [_drop, _cut, _empty, _flip, _swap, _pickle, _newer, _list, _torn, _gone])
def test_damage_is_said_with_the_folder(tmp_path, damage):
    save_arrays(tmp_path / "f", ARRAYS, {})
    damage(tmp_path / "f")
    with pytest.raises(InputError) as caught:
        load_arrays(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value) and "Delete the folder" in str(caught.value)
