"""Strings are known again, whatever their number and order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.seen import Seen, blocks, hashes_of


@given(st.lists(st.lists(st.text(max_size=2), max_size=9), max_size=20))
def test_a_string_is_known_by_its_first_number(parts):
    seen, first, count = Seen(), {}, 0
    for part in parts:
        expected = []
        for number, string in enumerate(part, count):
            expected.append(first.get(string, -1))
            first.setdefault(string, number)
        assert seen.repeated(part, count).tolist() == expected
        count += len(part)
    assert seen.find(hashes_of(first)).tolist() == list(first.values())


def test_pieces_stay_few():
    seen = Seen()
    for begin in range(0, 5000, 10):
        assert (seen.repeated([str(number) for number in range(begin, begin + 10)], begin) < 0).all()
    assert len(seen._pieces) <= 14
    assert np.array_equal(seen.find(hashes_of(map(str, range(5000)))), np.arange(5000))


@given(st.lists(st.integers()), st.integers(1, 5))
def test_blocks_are_the_rows(rows, size):
    cut = list(blocks(rows, size))
    assert [row for block in cut for row in block] == rows and all(len(block) == size for block in cut[:-1])
