"""Folders under a key: the newest sound one counts, whatever is damaged, half-made or made by two at once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shared.features.cache import folder_aside, move_in, newest_sound
from shared.features.ragged import load_arrays, save_arrays


def make(folder, number):
    with folder_aside(folder) as aside:
        save_arrays(aside / "new", {"number": np.array([number])}, {})
        return move_in(aside / "new", folder)


def number_in(folder):
    return int(load_arrays(folder)[0]["number"][0])


def damage(folder):
    (folder / "number.values.npy").write_bytes(b"no array")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_sound_folder_counts_and_damaged_ones_stay(tmp_path):
    key = tmp_path / "cache" / "key"
    assert newest_sound(key, number_in) == (None, key, [])
    assert make(key, 1) == key and newest_sound(key, number_in) == (1, key, [])
    damage(key)
    found, place, refused = newest_sound(key, number_in)
    assert (found, place) == (None, key.with_name("key-2")) and str(key) in str(refused[0])
    assert make(key, 2) == place and newest_sound(key, number_in) == (2, place, [])
    assert make(key, 3) == key.with_name("key-3") and newest_sound(key, number_in)[0] == 3
    damage(key.with_name("key-3"))
    found, place, refused = newest_sound(key, number_in)
    assert (found, place.name, len(refused)) == (2, "key-2", 1) and "key-3" in str(refused[0])
    assert names(tmp_path / "cache") == ["key", "key-2", "key-3"]


def test_a_gap_in_the_numbers_and_other_names_are_no_trouble(tmp_path):
    key = tmp_path / "key"
    for name in ("key-x", "key-1", "key-02x", "keys", ".key.abc.part"):
        (tmp_path / name).mkdir()
    make(key.with_name("key-7"), 7)
    assert newest_sound(key, number_in) == (7, key.with_name("key-7"), [])
    assert make(key, 8).name == "key-8"


def test_a_file_of_that_name_is_passed_over(tmp_path):
    (tmp_path / "key").write_text("a file")
    assert make(tmp_path / "key", 2).name == "key-2"
    assert (tmp_path / "key").read_text() == "a file"


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_aside(tmp_path / "a" / "key") as aside:
        (aside / "half").write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_many_at_once_all_end_well(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda number: make(tmp_path / "key", number), range(16)))
    assert len(set(places)) == 16 and names(tmp_path) == sorted(path.name for path in places)
    assert sorted(number_in(place) for place in places) == list(range(16))
