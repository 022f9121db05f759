"""Parts joined are the whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.parts import join_parts
from shared.features.ragged import Ragged, load_arrays, write_arrays

ROWS = st.lists(st.lists(st.integers(0, 60000), max_size=4), max_size=10)


def arrays(rows, first=0):
    """As features have them: rows, pairs of every row, and a table whose first column counts the rows."""
    numbers = [(first + number, len(row)) for number, row in enumerate(rows)]
    return {
        "ids": Ragged.from_rows(rows, dtype=np.uint16),
        "pairs": Ragged.from_rows([[(value, value) for value in row] for row in rows], dtype=np.int32, width=2),
        "windows": np.array(numbers, dtype=np.int32).reshape(-1, 2),
    }


def save(folder, made):
    folder.mkdir()
    write_arrays(folder, made, {}, durable=False)
    return folder


@settings(max_examples=40, deadline=None)
@given(ROWS, st.lists(st.integers(0, 10), max_size=4))
def test_parts_joined_are_what_the_whole_gives(tmp_path_factory, rows, cuts):
    place = tmp_path_factory.mktemp("parts")
    borders = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [save(place / f"part{n}", arrays(rows[a:b])) for n, (a, b) in enumerate(itertools.pairwise(borders))]
    save(place / "whole", arrays(rows))
    (place / "joined").mkdir()
    join_parts(parts, place / "joined", {"of": "parts"}, shifts={"windows": borders[:-1]})
    for path in (place / "whole").glob("*.npy"):
        assert (place / "joined" / path.name).read_bytes() == path.read_bytes()
    assert load_arrays(place / "joined")[1] == {"of": "parts"}
    assert not list(place.glob("part*/*.npy"))


def test_parts_that_do_not_fit_together_are_refused(tmp_path):
    one = save(tmp_path / "one", arrays([[1]]))
    other = save(tmp_path / "other", {"ids": Ragged.from_rows([[1]], dtype=np.uint16)})
    wide = save(tmp_path / "wide", {**arrays([[1]]), "ids": Ragged.from_rows([[1]], dtype=np.int32)})
    for parts, said in (([one, other], "different arrays"), ([one, wide], "uint16"), ([], "no parts")):
        target = tmp_path / f"target{len(said)}"
        target.mkdir()
        with pytest.raises(ValueError, match=said):
            join_parts(parts, target, {})
