import math

import numpy as np
import paddle
import pytest

from shared.generative.normality import frechet_distance, latent_normality, maximize_entropy


def test_diagnostics_equal_scipy():
    stats = pytest.importorskip("scipy.stats")
    codes = np.random.default_rng(0).gamma(2.0, size=(500, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
    found = latent_normality(codes)
    np.testing.assert_allclose(found.skewness, stats.skew(codes), rtol=1e-9)
    np.testing.assert_allclose(found.excess_kurtosis, stats.kurtosis(codes), rtol=1e-9)
    np.testing.assert_allclose(found.ks, [stats.kstest(column, "norm").statistic for column in codes.T], rtol=1e-9)
    np.testing.assert_allclose(found.correlation, np.corrcoef(codes.T), atol=1e-12)
    assert found.largest_correlation == pytest.approx(np.abs(np.corrcoef(codes.T))[0, 1])


def test_normal_codes_pass_and_others_do_not():
    rng = np.random.default_rng(0)
    good = latent_normality(paddle.to_tensor(rng.standard_normal((3000, 4)).astype("float32")))
    assert good.ks.max() < good.ks_limit == pytest.approx(1.358 / math.sqrt(3000))
    assert np.abs(good.mean).max() < 0.06 and np.abs(good.std - 1).max() < 0.05 and good.largest_correlation < 0.06
    even = latent_normality(rng.uniform(-math.sqrt(3), math.sqrt(3), (3000, 1)))  # mean 0 and variance 1 too
    assert even.ks.max() > even.ks_limit and even.excess_kurtosis[0] == pytest.approx(-1.2, abs=0.1)
    assert even.largest_correlation == 0.0


def test_a_dimension_that_never_changes_gives_numbers():
    found = latent_normality(np.stack([np.full(50, 0.1), np.random.default_rng(0).normal(size=50)], axis=1))
    assert found.std[0] == pytest.approx(0) and found.skewness[0] == found.excess_kurtosis[0] == found.correlation[0, 1] == 0
    assert all(np.isfinite(values).all() for values in found)


def test_too_few_codes_and_nan_are_refused():
    with pytest.raises(ValueError, match="at least 2 codes, found 1"):
        latent_normality([[1.0, 2.0]])
    with pytest.raises(ValueError, match="1 numbers of 4"):
        latent_normality([[1.0, math.inf], [0.0, 0.0]])


def test_frechet_distance_is_that_of_the_moments():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 1.0
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert frechet_distance(a, paddle.to_tensor(b)) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + [1.0, 2.0, 0.0, 0.0]) == pytest.approx(5)
    # one dimension: (difference of means)^2 + (difference of deviations)^2
    assert frechet_distance([[0.0], [2.0]], [[1.0], [7.0]]) == pytest.approx(9 + 8)
    with pytest.raises(ValueError, match=r"found \[300, 4\] and \[300, 3\]"):
        frechet_distance(a, a[:, :3])


def test_entropy_alone_makes_clumps_normal():
    """Its ceiling is that of N(0, I), 1.4189 a dimension; the estimate of 1000 codes is sure to about .1."""
    found = maximize_entropy(2, steps=150, seed=4)
    before, after = latent_normality(found.before), latent_normality(found.after)
    assert found.entropies[0] < 0.6 and 2.5 < found.entropies[-1] < 2 * 1.4189385332 + 0.1
    assert np.diff(found.entropies[::5]).min() > 0
    assert found.steps[0] == 0 and found.steps[-1] == 150 and len(found.steps) == len(found.entropies)
    np.testing.assert_allclose([before.std, after.std], 1, atol=5e-3)
    np.testing.assert_allclose([before.mean, after.mean], 0, atol=1e-4)
    assert before.ks.min() > 0.2 > 0.08 > after.ks.max()


def test_the_demonstration_follows_its_seed_and_leaves_paddle_s():
    paddle.seed(0)
    expected = paddle.randn([3]).numpy()
    paddle.seed(0)
    one, two = (maximize_entropy(1, n=50, steps=4, batch=32, seed=seed) for seed in (1, 1))
    np.testing.assert_array_equal(paddle.randn([3]).numpy(), expected)
    np.testing.assert_array_equal(one.after, two.after)
    assert (maximize_entropy(1, n=50, steps=4, batch=32, seed=2).after != one.after).any()
    with pytest.raises(ValueError, match="found 0, 300 and 10"):
        maximize_entropy(0)
