import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.optim import linear_schedule


def test_up_and_down():
    factors = [linear_schedule(step, total_steps=10, warmup_steps=4) for step in range(11)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0.0])


def test_without_warmup_from_the_peak():
    assert [linear_schedule(step, total_steps=4) for step in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total))))
def test_every_step_of_a_run_learns_and_none_beyond_the_peak(sizes):
    total, warmup = sizes
    factors = [linear_schedule(step, total_steps=total, warmup_steps=warmup) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == 1.0
    assert factors[:warmup] == sorted(factors[:warmup]) and factors[warmup:] == sorted(factors[warmup:], reverse=True)


@pytest.mark.parametrize(("total", "warmup"), [(0, 0), (10, 11), (10, -1)])
def test_impossible_schedules(total, warmup):
    with pytest.raises(ValueError, match=f"found {warmup} and {total}"):
        linear_schedule(0, total_steps=total, warmup_steps=warmup)
