"""Rows out of ragged arrays, and draws that belong to a row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.features.ragged import Ragged
from shared.features.rows import framed_rows, row_draws, take_rows

ROWS = st.lists(st.lists(st.integers(5, 99), max_size=6), min_size=1, max_size=8)


@given(ROWS, st.data())
def test_rows_come_one_behind_the_other(rows, data):
    ragged = Ragged.from_rows(rows, dtype=np.int32)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    values, counts = take_rows(ragged, np.asarray(chosen, dtype=np.int64))
    assert values.tolist() == [value for row in chosen for value in rows[row]]
    assert counts.tolist() == [len(rows[row]) for row in chosen]
    ids, lengths = framed_rows(ragged, np.asarray(chosen, dtype=np.int64), first=1, last=2, padding=0)
    assert lengths.tolist() == counts.tolist() and ids.dtype == np.int64
    assert ids.tolist() == [[1, *rows[row], 2] + [0] * (max(counts) - len(rows[row])) for row in chosen]


def test_rows_of_several_numbers():
    ragged = Ragged.from_rows([[(1, 2)], [], [(3, 4), (5, 6)]], dtype=np.int32, width=2)
    values, counts = take_rows(ragged, np.array([2, 1, 0]))
    assert values.tolist() == [[3, 4], [5, 6], [1, 2]] and counts.tolist() == [2, 0, 1]
    assert take_rows(ragged, np.array([1]))[0].shape == (0, 2)


@given(st.integers(0, 2**31), st.integers(0, 99), st.lists(st.integers(0, 10**6), max_size=9), st.integers(0, 5))
def test_draws_belong_to_the_row(seed, epoch, rows, count):
    draws = row_draws(seed, epoch, np.asarray(rows, dtype=np.int64), count)
    assert draws.shape == (len(rows), count) and ((draws >= 0) & (draws < 1)).all()
    for row, own in zip(rows, draws, strict=True):
        np.testing.assert_array_equal(row_draws(seed, epoch, np.array([row]), count + 2)[0, :count], own)


def test_draws_are_even_and_unlike():
    """Of seeds, epochs, rows and places next to each other: uniform moments, no two alike, no correlation."""
    draws = np.stack([row_draws(seed, epoch, np.arange(200), 10) for seed in range(5) for epoch in range(10)])  # [50, 200, 10]
    assert len(np.unique(draws)) == draws.size
    assert abs(draws.mean() - 1 / 2) < 4 / np.sqrt(12 * draws.size) and abs((draws**2).mean() - 1 / 3) < 4 * 0.3 / np.sqrt(draws.size)
    for axis in range(3):
        lined = np.moveaxis(draws, axis, 0).reshape(draws.shape[axis], -1)
        assert abs(np.corrcoef(lined[:-1].ravel(), lined[1:].ravel())[0, 1]) < 5 / np.sqrt(draws.size)
    counts = np.histogram(draws, bins=16, range=(0, 1))[0]
    assert ((counts - draws.size / 16) ** 2 / (draws.size / 16)).sum() < 45  # chi-squared with 15 degrees: 1 in 10,000
