"""Regularisers against the closed form's check values, reconstruction losses against NumPy."""

import math

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.generative.objectives import (
    Reconstruction,
    bce_with_logits,
    geometric_regularizer,
    get_reconstruction,
    kl_standard_normal,
    squared_error,
    token_cross_entropy,
)


def tensor(values, dtype="float64"):
    return paddle.to_tensor(np.asarray(values, dtype=dtype))


def kl(mu, sigma):
    return float(kl_standard_normal(tensor([mu]), tensor(2 * np.log([sigma]))))


@pytest.mark.parametrize(
    ("mu", "sigma", "value"),
    [
        (0.0, 1.0, 0.0),
        (1.0, 1.0, 0.5),
        (0.0, 2.0, 0.8068528194400546),
        (0.0, 0.5, 0.3181471805599453),
        (0.5, 0.8, 0.16814355131420977),
        (2.0, 0.1, 3.807585092994046),
    ],
)
def test_check_values_of_the_divergence(mu, sigma, value):
    assert kl([mu], [sigma]) == pytest.approx(value, abs=1e-14)


def test_check_values_of_a_vector():
    mu, sigma = [0.5, -1.0], [0.8, 1.2]
    assert kl(mu, sigma) == pytest.approx(0.7058219945202551, abs=1e-14)
    assert float(geometric_regularizer(tensor([mu]), tensor([sigma]))) == pytest.approx(1.33, abs=1e-14)


@pytest.mark.parametrize(("delta", "ratio"), [(0.01, 0.99669), (-0.01, 1.00336)])
def test_divergence_near_the_unit_circle_is_the_square_of_the_distance(delta, ratio):
    assert kl([0.0], [1.0 + delta]) / delta**2 == pytest.approx(ratio, abs=5e-6)
    single = kl_standard_normal(tensor([[0.0]], "float32"), tensor([[2 * math.log(1.0 + delta)]], "float32"))
    assert float(single) / delta**2 == pytest.approx(ratio, rel=1e-4)  # exp(x) - 1 would be off by a thousandth


@given(st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3))
@settings(max_examples=30, deadline=None)
def test_near_the_unit_circle_the_divergence_halves_the_centre_of_the_simple_one(mu, delta):
    assert kl([mu], [1 + delta]) == pytest.approx(0.5 * mu**2 + delta**2, rel=1e-2, abs=1e-12)


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-8, 8)), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_divergence_is_never_negative_and_adds_over_dimensions(pairs):
    mu, log_var = tensor([[a for a, _ in pairs]]), tensor([[b for _, b in pairs]])
    total = float(kl_standard_normal(mu, log_var))
    single = [float(kl_standard_normal(tensor([[a]]), tensor([[b]]))) for a, b in pairs]
    assert min(single) >= -1e-12
    assert total == pytest.approx(sum(single), rel=1e-9, abs=1e-9)


def test_divergence_equals_the_mean_log_ratio_of_draws():
    mu, sigma = np.array([0.5, -1.0]), np.array([0.8, 1.2])
    draws = mu + sigma * np.random.default_rng(0).standard_normal((400_000, 2))
    ratio = 0.5 * (draws**2).sum(1) - 0.5 * (((draws - mu) / sigma) ** 2).sum(1) - np.log(sigma).sum()
    assert kl(mu, sigma) == pytest.approx(ratio.mean(), abs=0.01)


def test_regularisers_are_least_at_the_unit_circle():
    for mu, sigma in ((0.1, 1.0), (0.0, 1.1), (0.0, 0.9)):
        assert kl([mu], [sigma]) > 0
        assert float(geometric_regularizer(tensor([[mu]]), tensor([[sigma]]))) > 0
    mu, log_var = tensor([[0.0]]), tensor([[0.0]])
    mu.stop_gradient = log_var.stop_gradient = False
    kl_standard_normal(mu, log_var).sum().backward()
    assert float(mu.grad.abs().sum() + log_var.grad.abs().sum()) == 0.0


def test_half_precision_does_not_overflow():
    large = kl_standard_normal(tensor([[300.0]], "float16"), tensor([[0.0]], "float16"))
    assert large.dtype == paddle.float32
    assert float(large) == pytest.approx(45_000)


@pytest.mark.parametrize("function", [kl_standard_normal, geometric_regularizer])
def test_different_shapes_are_refused(function):
    with pytest.raises(ValueError, match=r"mu \[2, 3\] and .* \[2, 1\]"):
        function(paddle.zeros([2, 3]), paddle.zeros([2, 1]))  # [2, 3], [2, 1]


# -- reconstruction ----------------------------------------------------------------------------------------------


def test_squared_error_sums_each_example():
    output, x = np.random.default_rng(0).random((2, 3, 2, 4, 5))
    found = squared_error(tensor(output), tensor(x))  # [3]
    np.testing.assert_allclose(found.numpy(), ((output - x) ** 2).sum((1, 2, 3)))


def test_binary_cross_entropy_equals_its_formula_and_does_not_overflow():
    rng = np.random.default_rng(0)
    output, x = rng.normal(0, 3, (4, 6)), rng.random((4, 6))
    p = 1 / (1 + np.exp(-output))
    np.testing.assert_allclose(bce_with_logits(tensor(output), tensor(x)).numpy(), -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1))
    assert bce_with_logits(tensor([[1e4, -1e4]]), tensor([[0.0, 1.0]])).numpy().tolist() == [2e4]
    with pytest.raises(ValueError, match=r"\[0, 1\], found 0 to 255"):
        bce_with_logits(tensor([[0.0, 0.0]]), tensor([[0.0, 255.0]]))


def test_token_cross_entropy_predicts_every_token_but_the_first_and_no_padding():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5))
    ids = np.array([[1, 4, 2, 3], [1, 2, 0, 0]])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = [-(log_p[0, 0, 4] + log_p[0, 1, 2] + log_p[0, 2, 3]), -log_p[1, 0, 2]]
    np.testing.assert_allclose(token_cross_entropy(tensor(logits), tensor(ids, "int64")).numpy(), expected)
    with pytest.raises(ValueError, match=r"\[2, 3, 5\] and \[2, 3\]"):
        token_cross_entropy(tensor(logits), tensor(ids[:, :3], "int64"))
    with pytest.raises(ValueError, match=r"0\.\.4, found 0 to 9"):
        token_cross_entropy(tensor(logits), tensor(np.where(ids == 4, 9, ids), "int64"))


def test_decoders_of_another_shape_are_refused():
    for function in (squared_error, bce_with_logits):
        with pytest.raises(ValueError, match=r"\[2, 3\] for data \[2, 1\]"):
            function(paddle.zeros([2, 3]), paddle.zeros([2, 1]))


def test_reconstructions_by_name_by_function_and_by_pair():
    assert get_reconstruction("squared_error").loss is squared_error
    assert float(get_reconstruction("bce_with_logits").to_data(tensor([0.0]))) == 0.5
    assert get_reconstruction(squared_error).to_data("as it is") == "as it is"
    own = Reconstruction(squared_error, paddle.tanh)
    assert get_reconstruction(own) is own
    with pytest.raises(ValueError, match=r"'hinge'.*squared_error"):
        get_reconstruction("hinge")
