"""The entropy estimate against its published check values, in float64."""

import math

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.generative.entropy import (
    EULER_GAMMA,
    digamma,
    entropy_constant,
    knn_entropy,
    log_unit_ball_volume,
    neighbour_squared_distances,
    normal_entropy,
)

SQUARE = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
EVEN = np.linspace(0.0, 1.0, 11)[:, None]


def points(values, dtype="float64"):
    tensor = paddle.to_tensor(np.asarray(values, dtype=dtype))
    tensor.stop_gradient = False
    return tensor


def estimate(values, *options, **named):
    return float(knn_entropy(points(values), *options, **named))


def gradient(values, *options, **named):
    z = points(values)
    knn_entropy(z, *options, **named).backward()
    return z.grad.numpy()


# -- published values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "volume", "digits"),
    [(1, 2.0, 1e-14), (2, math.pi, 1e-14), (3, 4.18879020, 5e-9), (4, 4.93480220, 5e-9), (8, 4.05871213, 5e-9), (16, 0.23533063, 5e-9)],
)
def test_volume_of_the_unit_ball(d, volume, digits):
    assert math.exp(log_unit_ball_volume(d)) == pytest.approx(volume, abs=digits)


def test_volume_of_a_ball_that_a_plain_gamma_function_would_lose():
    assert math.exp(log_unit_ball_volume(64)) == pytest.approx(3.0805e-20, rel=1e-5)
    assert log_unit_ball_volume(2000) < -4000


def test_corners_of_the_unit_square():
    assert estimate(SQUARE, 1, "approximate") == pytest.approx(2.8205578394, abs=1e-10)
    assert estimate(SQUARE) == pytest.approx(2.9780632192, abs=1e-10)
    assert estimate(SQUARE, 3) == pytest.approx(2.1712103997, abs=1e-10)


def test_eleven_even_points():
    assert estimate(EVEN, 1, "approximate") == pytest.approx(1.2703628455, abs=1e-10)
    assert estimate(EVEN) == pytest.approx(1.3195303415, abs=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.25, 3.0, 40.0]), st.sampled_from(["exact", "approximate"]))
@settings(max_examples=25, deadline=None)
def test_scaling_adds_d_log_c(seed, d, c, constants):
    cloud = np.random.default_rng(seed).standard_normal((9, d))
    assert estimate(c * cloud, 2, constants) == pytest.approx(estimate(cloud, 2, constants) + d * math.log(c), abs=1e-8)


def test_scaling_by_three_in_two_dimensions():
    cloud = np.random.default_rng(0).standard_normal((30, 2))
    assert estimate(3.0 * cloud) - estimate(cloud) == pytest.approx(2.1972245773, abs=1e-10)


def test_gradient_reaches_the_point_and_its_neighbour():
    found = gradient([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]])
    np.testing.assert_allclose(found[:, 0], [-4 / 3, 10 / 9, 2 / 9], rtol=1e-12)
    np.testing.assert_array_equal(found[:, 1], 0.0)


@pytest.mark.parametrize(("n", "psi", "log"), [(10, 2.82897, 2.77444), (100, 5.17738, 5.17234), (1000, 7.48447, 7.48397)])
def test_psi_and_the_logarithm_in_its_place(n, psi, log):
    volume = log_unit_ball_volume(1)
    assert digamma(n) + EULER_GAMMA == pytest.approx(psi, abs=5e-6)
    assert entropy_constant(n, 1) - volume == pytest.approx(psi, abs=5e-6)
    assert entropy_constant(n, 1, constants="approximate") - volume == pytest.approx(log, abs=5e-6)


def test_psi_of_one_is_minus_gamma():
    assert digamma(1) == pytest.approx(-0.5772156649, abs=1e-10)
    special = pytest.importorskip("scipy.special")
    assert digamma(37) == pytest.approx(special.digamma(37), rel=1e-14)


def test_true_entropies_of_variance_one_keep_their_order():
    """Quantiles of the same uniform draws, so that the noise is the same for all four."""
    u = np.random.default_rng(1).random(3000)
    special = pytest.importorskip("scipy.special")
    laplace = -np.sign(u - 0.5) * np.log(1 - 2 * np.abs(u - 0.5)) / math.sqrt(2)
    samples = [special.ndtri(u), math.sqrt(3) / math.pi * np.log(u / (1 - u)), laplace, (u - 0.5) * math.sqrt(12)]
    truths = [1.4189385332, 1.4045762585, 1.3465735903, 1.2424533249]
    found = [estimate(sample[:, None], 3) for sample in samples]
    assert found == sorted(found, reverse=True)
    assert np.diff(found) == pytest.approx(np.diff(truths), abs=0.02)
    assert found == pytest.approx(truths, abs=0.04)


def test_closed_form_entropies_of_variance_one():
    assert normal_entropy() == pytest.approx(1.4189385332, abs=1e-10)
    assert 2 + math.log(math.sqrt(3) / math.pi) == pytest.approx(1.4045762585, abs=1e-10)
    assert 1 + math.log(2 / math.sqrt(2)) == pytest.approx(1.3465735903, abs=1e-10)
    assert math.log(math.sqrt(12)) == pytest.approx(1.2424533249, abs=1e-10)
    assert normal_entropy(5) == pytest.approx(7.0947, abs=5e-5)


@pytest.mark.parametrize(("d", "mean", "deviation"), [(1, 1.420, 0.042), (2, 2.848, 0.046), (5, 7.033, 0.052), (10, 14.238, 0.090)])
def test_mean_over_draws_from_the_standard_normal(d, mean, deviation):
    rng = np.random.default_rng(3)
    found = [estimate(rng.standard_normal((1000, d))) for _ in range(6)]
    assert np.mean(found) == pytest.approx(mean, abs=deviation)
    assert np.std(found) < 2 * deviation


# -- against the formula -----------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 4), st.data())
@settings(max_examples=30, deadline=None)
def test_value_and_gradient_equal_the_formula(seed, n, d, data):
    k = data.draw(st.integers(1, n - 1))
    cloud = np.random.default_rng(seed).standard_normal((n, d))
    distances = np.sqrt(((cloud[:, None] - cloud) ** 2).sum(-1))
    nearest = np.sort(distances + np.diag([np.inf] * n), axis=1)[:, k - 1]
    assert estimate(cloud, k) == pytest.approx(d * np.log(nearest).mean() + log_unit_ball_volume(d) + digamma(n) - digamma(k), abs=1e-9)
    expected = np.zeros_like(cloud)
    for i in range(n):
        j = np.flatnonzero(distances[i] == nearest[i])[-1]
        push = d / n * (cloud[i] - cloud[j]) / nearest[i] ** 2
        expected[i] += push
        expected[j] -= push
    np.testing.assert_allclose(gradient(cloud, k), expected, rtol=1e-6, atol=1e-6)


def test_many_points_find_their_neighbours_too():
    """More than are compared at once."""
    cloud = np.random.default_rng(5).standard_normal((1100, 2))
    distances = np.sort(((cloud[:, None] - cloud) ** 2).sum(-1), axis=1)
    np.testing.assert_allclose(neighbour_squared_distances(points(cloud), 4).numpy(), distances[:, 4], rtol=1e-12)


def test_close_points_far_from_the_origin_keep_their_distance():
    """Where ``|a|^2 - 2ab + |b|^2`` in float32 gives 0 or less."""
    near = np.array([[1000.0, 1000.0], [1000.0, 1000.5], [1000.0, 1001.5]], dtype="float32")
    np.testing.assert_array_equal(neighbour_squared_distances(paddle.to_tensor(near)).numpy(), [0.25, 0.25, 1.0])


def test_duplicates_count_as_epsilon_and_have_no_gradient():
    twice = [[1.0, 2.0], [1.0, 2.0], [5.0, 5.0]]
    assert estimate(twice, epsilon=1e-3) == pytest.approx(2 / 3 * (2 * math.log(1e-3) + math.log(5.0)) + entropy_constant(3, 2), abs=1e-6)
    found = gradient(twice, epsilon=1e-3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_array_equal(gradient([[1.0, 2.0]] * 4), 0.0)
    assert math.isfinite(estimate(np.zeros((4, 2))))


def test_no_pair_pulls_with_more_than_epsilon_allows():
    for distance in (1e-9, 1e-4, 3e-4):
        pull = np.abs(gradient([[0.0], [distance], [100.0], [200.0]], epsilon=1e-4)).max()
        assert pull <= 2 * 1 / (2 * 4 * 1e-4) + 0.1


def test_half_precision_is_computed_in_single():
    assert knn_entropy(paddle.to_tensor(np.asarray(SQUARE, dtype="float16") * 300)).dtype == paddle.float32
    half = knn_entropy(paddle.to_tensor((np.asarray(SQUARE) * 300).astype("float16")))  # squares overflow float16
    assert float(half) == pytest.approx(2.9780632192 + 2 * math.log(300), abs=1e-5)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (SQUARE, {"k": 4}, r"found k=4 and 4 points: give a larger batch or a smaller k"),
        ([[1.0, 2.0]], {}, "found k=1 and 1 points"),
        (SQUARE, {"k": 0}, "found k=0"),
        (SQUARE, {"constants": "rough"}, "'exact' or 'approximate', found 'rough'"),
        (SQUARE, {"epsilon": 0.0}, "above 0, found 0.0"),
        ([1.0, 2.0], {}, r"\[n, d\] with d at least 1, found shape \[2\]"),
        ([[1.0], [math.nan], [math.inf]], {}, "2 of 3 points hold NaN or infinity"),
    ],
)
def test_what_cannot_be_estimated_is_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        knn_entropy(points(values), **options)


def test_impossible_constants_are_refused():
    for call, message in ((lambda: log_unit_ball_volume(0), "d=0"), (lambda: digamma(0), "found 0"), (lambda: normal_entropy(0), "d=0")):
        with pytest.raises(ValueError, match=message):
            call()
