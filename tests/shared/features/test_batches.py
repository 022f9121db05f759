import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.batches import pad, token_budget_batches

REAL = os.environ.get("LIC_REAL_DATA")
LENGTHS = st.lists(st.integers(1, 300), max_size=120)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 600), st.none() | st.integers(0, 99), st.integers(0, 3), st.integers(1, 8))
def test_each_row_once_within_the_budget(lengths, budget, seed, epoch, pool):
    batches = token_budget_batches(lengths, budget, seed=seed, epoch=epoch, pool=pool)
    rows = np.concatenate(batches) if batches else np.array([])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    for batch in batches:
        cost = max(lengths[row] for row in batch) * len(batch)
        assert cost <= budget or len(batch) == 1
    again = token_budget_batches(lengths, budget, seed=seed, epoch=epoch, pool=pool)
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in again]


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 3000), st.integers(0, 400))
def test_no_cut_would_shed_more_padding(lengths, budget, padding):
    batches = [[lengths[row] for row in batch] for batch in token_budget_batches(lengths, budget, padding=padding)]
    assert sorted(length for own in batches for length in own) == sorted(lengths)
    for own in batches:
        assert own == sorted(own, reverse=True) and (len(own) * own[0] <= budget or len(own) == 1)
        assert all((len(own) - place) * (own[0] - own[place]) <= padding for place in range(len(own)))


def many(seed=0, count=3000):
    return np.random.default_rng(seed).integers(10, 257, count)  # [n]


def test_seed_and_epoch_choose_the_order():
    first = [batch.tolist() for batch in token_budget_batches(many(), 1024, seed=1)]
    assert first != [batch.tolist() for batch in token_budget_batches(many(), 1024, seed=2)]
    assert first != [batch.tolist() for batch in token_budget_batches(many(), 1024, seed=1, epoch=1)]


def padding(lengths, batches):
    """The share of padding in all tokens of the batches."""
    return 1 - lengths.sum() / sum(int(lengths[batch].max()) * len(batch) for batch in batches)


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder of official data")
@pytest.mark.parametrize("budget", [1024, 2048])
def test_little_padding_on_real_texts(budget):
    """Characters stand for tokens: the texts are Chinese."""
    with open(Path(REAL) / "relation" / "train.json", encoding="utf-8") as lines:
        lengths = np.array([len(json.loads(line)["text"]) + 2 for line in lines])  # [n]
    assert all(padding(lengths, token_budget_batches(lengths, budget, seed=42, epoch=epoch)) < 0.03 for epoch in range(2))


def test_batches_come_in_no_order_of_length_but_hold_rows_of_like_length():
    lengths = many()
    batches = token_budget_batches(lengths, 2048, seed=7)
    assert padding(lengths, batches) < 0.05
    longest = np.array([lengths[batch].max() for batch in batches])  # [batches]
    assert abs(np.corrcoef(np.arange(len(longest)), longest)[0, 1]) < 0.3


def test_without_a_seed_from_long_to_short():
    lengths = many(count=200)
    rows = np.concatenate(token_budget_batches(lengths, 1024))  # [n]
    assert (np.diff(lengths[rows]) <= 0).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="found 0"):
        token_budget_batches([3], 0)
    with pytest.raises(ValueError, match="row 1 has length 0"):
        token_budget_batches([3, 0], 8)


def test_pad():
    rows = [np.array([1, 2, 3]), np.array([], dtype=int), np.array([4])]
    assert pad(rows, value=9).tolist() == [[1, 2, 3], [9, 9, 9], [4, 9, 9]]
    assert pad(rows).dtype == np.int64 and pad(rows, dtype=np.float32).dtype == np.float32
    assert pad([]).shape == (0, 0)
