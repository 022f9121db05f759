"""beta_hat of Adam, AdaX and AdaFactor, at any step."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.optim import decay_criteria, equivalent_decay
from shared.optim.decay import gradient_weight, inverse_growth

ADAX = {1: 0.0, 2: 0.5000249987500625, 3: 0.6666999977778889, 10: 0.9000449917504, 100: 0.9900494166793}
ADAX_LATE = {1000: 0.9990491168480, 10_000: 0.9999417977260, 100_000: 0.9999999954575}


@pytest.mark.parametrize(("t", "value"), [*ADAX.items(), *ADAX_LATE.items()])
def test_adax_at_known_steps(t, value):
    assert equivalent_decay("adax", t) == pytest.approx(value, rel=6e-14, abs=0)


def test_adax_at_the_second_step_is_a_fraction():
    assert equivalent_decay("adax", 2) == pytest.approx((1 + 1e-4) / (2 + 1e-4), rel=1e-12)


@pytest.mark.parametrize(("t", "value"), [(1, 0.0), (2, 0.4997498749), (10, 0.8995491746), (10**7, 0.999)])
def test_adam_at_known_steps(t, value):
    assert equivalent_decay("adam", t) == pytest.approx(value, rel=1e-10, abs=0)


@pytest.mark.parametrize(("t", "exponent"), [(1, 0.8), (2, 0.8), (32, 0.5), (10**6, 1.0)])
def test_adafactor(t, exponent):
    assert equivalent_decay("adafactor", t, exponent=exponent) == pytest.approx(1 - 1 / t**exponent, rel=1e-12, abs=0)


@given(st.integers(2, 3000), st.floats(1e-5, 0.5))
def test_adax_is_its_definition_while_that_does_not_overflow(t, beta2):
    growth = np.longdouble(1 + np.longdouble(beta2)) ** t - 1
    assert gradient_weight(t, beta2) == pytest.approx(float(beta2 / growth), rel=1e-10)
    assert inverse_growth(t, beta2) == pytest.approx(float(1 / np.sqrt(growth)), rel=1e-10)


@given(st.sampled_from(["adam", "adax", "adafactor"]), st.integers(1, 10**9), st.integers(1, 10**9))
def test_it_rises_with_the_step_and_stays_a_share(kind, first, second):
    earlier, later = sorted([first, second])
    assert 0 <= equivalent_decay(kind, earlier) <= equivalent_decay(kind, later) + 1e-15 <= 1 + 1e-15


def test_a_million_steps_of_the_recurrence():
    """v_hat by the recurrence is the mean of all squares that the definition says, past the step where float32 powers end."""
    steps, beta2 = 1_000_000, 1e-4
    draw = random.Random(5)
    squares = [draw.expovariate(1.0) for _ in range(steps)]
    v_hat = 0.0
    for t, square in enumerate(squares, 1):
        v_hat += gradient_weight(t, beta2) * (square - v_hat)
    rate = math.log1p(beta2)
    shares = beta2 * np.exp(-rate * np.arange(1, steps + 1)) / -math.expm1(-rate * steps)  # [steps]
    assert shares.sum() == pytest.approx(1, rel=1e-9)
    assert v_hat == pytest.approx(float(shares @ np.asarray(squares)), rel=1e-9)
    with np.errstate(over="ignore"):
        assert np.isinf(np.float32(1 + beta2) ** np.float32(steps))


def test_the_steps_at_which_the_power_itself_ends():
    assert (math.log(float(np.finfo(np.float32).max)) / math.log1p(1e-4)) == pytest.approx(887_272, abs=1)
    assert (math.log(float(np.finfo(np.float64).max)) / math.log1p(1e-4)) == pytest.approx(7.10e6, rel=1e-3)
    assert (np.float32(1 + 1e-4) - np.float32(1)) / 1e-4 - 1 == pytest.approx(1.66e-4, rel=5e-3)
    assert gradient_weight(10**8, 1e-4) == inverse_growth(10**8, 1e-4) == 0.0


def test_criteria():
    adam, adax, adafactor = (decay_criteria(kind) for kind in ("adam", "adax", "adafactor"))
    assert adam.starts_at_zero and not adam.ends_at_one and not adam.both and adam.limit == 0.999
    assert adax.both and adafactor.both
    assert decay_criteria("adam", beta2=0.99).limit == 0.99
    for kind, found in (("adam", adam), ("adax", adax), ("adafactor", adafactor)):
        assert equivalent_decay(kind, 1) == found.first
        assert equivalent_decay(kind, 10**12) == pytest.approx(found.limit, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("sgd", 1), {}, "adam, adax, adafactor, found 'sgd'"),
        (("adax", 0), {}, "found t=0"),
        (("adam", 1), {"beta2": 1.0}, "found 1.0"),
        (("adax", 1), {"beta2": 0.0}, "found 0.0"),
        (("adafactor", 1), {"exponent": 0.0}, "found 0.0"),
    ],
)
def test_impossible_arguments(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        equivalent_decay(*arguments, **settings)
