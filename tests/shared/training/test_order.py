"""The order of the data: a function of lengths and settings, from which any step can be asked for."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from shared.features.batches import token_budget_batches
from shared.training.order import DataOrder, share_of

from .toy import LENGTHS, SETTINGS


def order(lengths=LENGTHS, **changes):
    return DataOrder(lengths, dataclasses.replace(SETTINGS, **changes))


def listed(made):
    return [(made.epoch_of(index), made.batch(index).tolist()) for index in range(made.total_steps)]


def test_the_order_depends_on_its_arguments_alone():
    first = listed(order())
    np.random.seed(5)  # noqa: NPY002 (the global generator plays no part)
    assert first == listed(order()) == listed(order(LENGTHS.astype(np.int32)))
    assert first != listed(order(seed=4)) and first != listed(order(batch_tokens=80))
    unrelated = {"learning_rate": 1.0, "accumulation": 3, "optimizer": "adax", "evaluations_per_epoch": 5}
    assert first == listed(order(**unrelated))
    assert [rows for epoch, rows in first if epoch == 0] != [rows for epoch, rows in first if epoch == 1]


def test_any_step_can_be_asked_for_in_any_order():
    made, expected = order(), listed(order())
    for index in np.random.default_rng(0).permutation(made.total_steps):
        assert (made.epoch_of(index), made.batch(index).tolist()) == expected[index]
    for index in (-1, made.total_steps):
        with pytest.raises(IndexError):
            made.batch(index)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80), st.integers(1, 100), st.integers(1, 3), st.integers(0, 9))
@tries(max_examples=60, deadline=None)
def test_every_row_once_an_epoch(lengths, budget, epochs, seed):
    made = order(np.array(lengths), batch_tokens=budget, epochs=epochs, seed=seed)
    seen = listed(made)
    for epoch in range(epochs):
        assert sorted(row for number, rows in seen if number == epoch for row in rows) == list(range(len(lengths)))
        expected = token_budget_batches(lengths, budget, seed=seed, epoch=epoch)
        assert [rows for number, rows in seen if number == epoch] == [rows.tolist() for rows in expected]
    assert made.steps_before[0] == 0 and made.steps_before[-1] == made.total_steps == len(seen)
    for _, rows in seen:
        tokens = [lengths[row] for row in rows]
        assert tokens == sorted(tokens, reverse=True) and (len(rows) == 1 or tokens[0] * len(rows) <= budget)


def test_a_part_of_an_epoch():
    whole = listed(order(epochs=1))
    part = listed(order(epochs=0.5))
    assert len(part) == math.ceil(len(whole) / 2)
    assert part == whole[: len(part)]
    longer = listed(order(epochs=1.5))
    assert {epoch for epoch, _ in longer} == {0, 1} and longer[: len(whole)] == whole
    assert longer == listed(order(epochs=2))[: len(longer)]


@given(st.floats(0.05, 4), st.integers(1, 9))
@tries(max_examples=80, deadline=None)
def test_evaluation_steps(epochs, per_epoch):
    made = order(epochs=epochs)
    steps = made.evaluation_steps(per_epoch)
    assert steps == sorted(set(steps)) and steps[0] >= 1 and steps[-1] == made.total_steps
    assert set(made.steps_before[1:]) <= set(steps)
    for begin, end in zip(made.steps_before[:-1], made.steps_before[1:], strict=True):
        inside = [step - begin for step in steps if begin < step <= end]
        assert 1 <= len(inside) <= per_epoch + 1
        if end < made.total_steps:  # evenly
            apart = np.diff([0, *inside])
            assert len(inside) == min(per_epoch, end - begin) and apart.max() - apart.min() <= 1


def test_evaluations_of_a_part_of_an_epoch_are_as_far_apart_as_before():
    made = order(epochs=2.5, batch_tokens=12)
    steps = made.evaluation_steps(4)
    apart = np.diff([0, *steps])
    assert len(steps) == 10 and apart.max() - apart.min() <= 1


def test_the_digest_is_of_what_decides_the_order():
    same = order().digest()
    assert same == order(LENGTHS.astype(np.int32)).digest() == order(learning_rate=1.0, accumulation=2).digest()
    assert same == order(epochs=3.0).digest()
    other = LENGTHS.copy()
    other[7] += 1
    different = [order(other), order(LENGTHS[:-1]), order(LENGTHS[::-1]), order(batch_tokens=61), order(seed=4), order(epochs=2)]
    assert len({same, *(made.digest() for made in different)}) == 7


def test_nothing_to_order():
    with pytest.raises(ValueError, match="no row"):
        order(np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="row 1 has length 0"):
        order(np.array([3, 0]))


@given(st.integers(0, 40), st.integers(1, 9))
def test_shares_partition_a_batch_evenly(count, parts):
    lengths = np.sort(np.random.default_rng(count).integers(1, 50, count))[::-1]  # [b]
    shares = [share_of(np.arange(count), part, parts) for part in range(parts)]
    assert sorted(row for share in shares for row in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    costs = [int(lengths[share].sum()) for share in shares]
    assert max(costs) - min(costs) <= (lengths[0] if count else 0)  # no share is dearer than another by more than the longest row
    for share in shares:
        assert (np.diff(lengths[share]) <= 0).all()
