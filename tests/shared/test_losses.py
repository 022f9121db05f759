"""The powered cross entropy against float64 NumPy and its published values."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.losses import powered_bce

LOGITS = np.linspace(-60, 60, 241, dtype=np.float32)  # [n]


def reference(logits, targets, power):
    """-t log p^n - (1 - t) log(1 - p^n) in float64, from logits so that nothing is rounded to 0 or 1."""
    logits = logits.astype(np.float64)
    log_p = -np.logaddexp(0, -logits)  # [n]
    log_other = np.log(-np.expm1(power * log_p))  # [n]
    return -targets * power * log_p - (1 - targets) * log_other


def loss_of(logits, targets, power):
    return powered_bce(paddle.to_tensor(logits), paddle.to_tensor(targets), power).numpy()


@pytest.mark.parametrize("power", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_equals_the_formula(power, target):
    targets = np.full_like(LOGITS, target)
    np.testing.assert_allclose(loss_of(LOGITS, targets, power), reference(LOGITS, targets, power), rtol=2e-6, atol=1e-6)


def test_check_values_at_logit_zero():
    zero = np.zeros(1, dtype=np.float32)
    for power, positive, negative in ((1, 0.6931471806, 0.6931471806), (2, 1.3862943611, 0.2876820725), (4, 2.7725887222, 0.0645385211)):
        assert loss_of(zero, zero + 1, power)[0] == pytest.approx(positive, rel=1e-6)
        assert loss_of(zero, zero, power)[0] == pytest.approx(negative, rel=1e-6)


def test_power_one_is_plain_cross_entropy():
    targets = (np.arange(len(LOGITS)) % 2).astype(np.float32)
    plain = paddle.nn.functional.binary_cross_entropy_with_logits(paddle.to_tensor(LOGITS), paddle.to_tensor(targets), reduction="none")
    np.testing.assert_allclose(loss_of(LOGITS, targets, 1), plain.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("power", [1, 2, 4, 5])
def test_gradients_are_those_of_the_formula(power):
    targets = (np.arange(len(LOGITS)) % 2).astype(np.float32)
    x = paddle.to_tensor(LOGITS, stop_gradient=False)
    powered_bce(x, paddle.to_tensor(targets), power).sum().backward()
    step = 1e-4
    higher, lower = (reference(LOGITS.astype(np.float64) + shift, targets, power) for shift in (step, -step))
    assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(x.grad.numpy(), (higher - lower) / (2 * step), atol=1e-5)


@pytest.mark.parametrize("power", [1, 2, 4])
def test_second_derivative(power):
    logits = np.linspace(-6, 6, 25, dtype=np.float32)  # [n]
    targets = (np.arange(len(logits)) % 2).astype(np.float32)
    x = paddle.to_tensor(logits, stop_gradient=False)
    (first,) = paddle.grad(powered_bce(x, paddle.to_tensor(targets), power).sum(), x, create_graph=True)
    (second,) = paddle.grad(first.sum(), x)
    step = 1e-3
    places = [reference(logits.astype(np.float64) + shift, targets, power) for shift in (step, 0.0, -step)]
    np.testing.assert_allclose(second.numpy(), (places[0] - 2 * places[1] + places[2]) / step**2, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), max_size=3))
def test_any_shape_element_by_element(power, seed, shape):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 8, shape).astype(np.float32)
    targets = rng.integers(0, 2, shape).astype(np.float32)
    found = loss_of(logits, targets, power)
    assert found.shape == tuple(shape)
    np.testing.assert_allclose(found, reference(logits, targets, power), rtol=1e-5, atol=2e-6)


def test_power_below_one_is_refused():
    with pytest.raises(ValueError, match="found 0"):
        powered_bce(paddle.zeros([1]), paddle.zeros([1]), 0)
