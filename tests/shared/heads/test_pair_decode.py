"""Tables of pair scores: a search by sums finds what looking at every score finds; gold by place is gold in full."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads import pair_decode
from shared.heads.pair_decode import SURE, FullTable, GoldTable, PartsTable


def full(pairs, first, last):
    return pairs[:, None] + first[:, :, :, None] + last[:, :, None, :]  # [b, k, l, l]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 5.0, 60.0]), st.sampled_from([-2.0, 0.0, 4.0]), st.integers(1, 6), st.booleans())
def test_the_search_finds_every_score_above(seed, spread, threshold, longest, small):
    rng = np.random.default_rng(seed)
    b, k, l = (int(n) for n in rng.integers(1, 6, 3))
    pairs, first, last = (rng.normal(0, spread, shape).astype(np.float32) for shape in ((b, l, l), (b, k, l), (b, k, l)))
    pairs[:, np.tril(np.ones((l, l), dtype=bool), -1)] = -65504.0
    scores = full(pairs, first, last)
    before, pair_decode.AT_ONCE = pair_decode.AT_ONCE, 2 * l if small else pair_decode.AT_ONCE
    try:
        places, found = PartsTable(pairs, first, last).above(threshold, longest=longest)
    finally:
        pair_decode.AT_ONCE = before
    ahead = np.arange(l) - np.arange(l)[:, None]
    expected = np.argwhere((scores > threshold) & (ahead < longest))
    near = {tuple(place) for place in np.argwhere(np.abs(scores - threshold) < 1e-3)}  # other orders of the sum round otherwise
    assert {tuple(place) for place in places} - near == {tuple(place) for place in expected} - near
    np.testing.assert_allclose(found, scores[tuple(places.T)], rtol=1e-4, atol=1e-4)
    assert sorted(map(tuple, places)) == list(map(tuple, places)) and len({tuple(place) for place in places}) == len(places)
    other, same = FullTable(scores).above(threshold, longest=longest)
    np.testing.assert_array_equal(other, expected)
    np.testing.assert_array_equal(same, scores[tuple(expected.T)])


def test_single_scores_are_broadcast():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 4, 4), (2, 3, 4), (2, 3, 4))]
    scores = full(*parts)
    labels, firsts, lasts = np.array([0, 2]), np.array([3, 0, 1])[:, None, None], np.array([2, 2])[:, None]
    expected = np.stack([[scores[1, labels, first, last] for last in (2, 2)] for first in (3, 0, 1)])  # [3, 2, 2]
    for table in (PartsTable(*parts), FullTable(scores)):
        np.testing.assert_allclose(table.at(1, labels, firsts, lasts), expected, rtol=1e-5)


def test_gold_by_place_is_gold_in_full():
    rng = np.random.default_rng(1)
    right = rng.random((2, 3, 5, 5)) < 0.2
    places = np.argwhere(right)
    gold, table = GoldTable(np.concatenate([places, places[::-1]]), (3, 5)), FullTable(np.where(right, SURE, -SURE).astype(np.float32))
    for longest in (1, 3, 9):
        for one, other in zip(gold.above(0.0, longest=longest), table.above(0.0, longest=longest), strict=True):
            np.testing.assert_array_equal(one, other)
    asked = np.arange(3), np.arange(5)[:, None, None], np.arange(5)[:, None]
    np.testing.assert_array_equal(gold.at(1, *asked), table.at(1, *asked))
    assert len(GoldTable(np.zeros((0, 4)), (3, 5)).above(0.0, longest=5)[0]) == 0


def test_a_search_over_many_labels_holds_few_numbers(monkeypatch):
    """5,000 labels and 200 tokens: 200 million scores, of which five are above (a label adds to each end on its own)."""
    pairs = np.full((1, 200, 200), -10.0, dtype=np.float32)
    first, last = np.full((1, 5_000, 200), -4.0, dtype=np.float32), np.zeros((1, 5_000, 200), dtype=np.float32)
    wanted = [(0, 7, 3, 4), (0, 7, 150, 199), (0, 4_999, 0, 0)]
    for row, label, start, end in wanted:
        first[row, label, start] = 6.0
        last[row, label, end] = 6.0
    seen = []
    monkeypatch.setattr(pair_decode, "_parts", lambda found, width: seen.append(len(found)) or [found])
    places, _ = PartsTable(pairs, first, last).above(0.0, longest=200)
    assert set(wanted) <= set(map(tuple, places.tolist())) and seen == [3] and len(places) == 5


@pytest.mark.parametrize("threshold", [0.0, SURE])
def test_nothing_is_above_the_greatest_score(threshold):
    assert len(GoldTable(np.array([[0, 0, 1, 1]]), (1, 3)).above(threshold, longest=3)[0]) == (threshold < SURE)
