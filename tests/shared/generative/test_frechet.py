"""Features that images are compared in, and the distance in them against its closed form."""

import numpy as np
import paddle
import pytest

from shared.generative.frechet import PrincipalFeatures, frechet_of, train_classifier


class Plain:
    """Features that are the examples themselves."""

    def features(self, examples):
        return examples


def test_the_distance_of_scaled_and_moved_points_is_the_closed_form():
    """Of s x + c to x it is |(s - 1) mean + c|^2 + (s - 1)^2 tr C, whatever the covariance C."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + 2.0
    moved = np.array([1.0, 0.0, -2.0])
    expected = np.square(0.5 * x.mean(axis=0) + moved).sum() + 0.25 * np.trace(np.cov(x.T))
    assert frechet_of(Plain(), 1.5 * x + moved, x) == pytest.approx(expected, rel=1e-8)
    assert frechet_of(Plain(), x, x) == pytest.approx(0, abs=1e-6)


def test_all_principal_components_keep_the_distance_and_fewer_lose_some():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(200, 2, 2)), rng.normal(size=(150, 2, 2)) * 0.5 + 1.0
    plain = frechet_of(Plain(), a.reshape(200, 4), b.reshape(150, 4))
    assert frechet_of(PrincipalFeatures(a, size=4), a, b) == pytest.approx(plain, rel=1e-8)
    assert frechet_of(PrincipalFeatures(a, size=2), a, b) < plain
    found = PrincipalFeatures(a, size=3).features(a)
    variances = np.cov(found.T)
    np.testing.assert_allclose(variances, np.diag(np.diag(variances)), atol=1e-10)
    assert (np.diff(np.diag(variances)) <= 0).all()
    with pytest.raises(ValueError, match=r"5 components .* found \[200, 4\]"):
        PrincipalFeatures(a, size=5)
    with pytest.raises(ValueError, match="4 numbers an example, found 9"):
        PrincipalFeatures(a, size=3).features(np.zeros([2, 9]))


def test_a_classifier_learns_its_labels_and_its_features_tell_classes_apart():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    centres = 2.0 * rng.normal(size=(3, 2, 4))
    examples = (centres[labels] + 0.5 * rng.normal(size=(300, 2, 4))).astype("float32")
    found = []
    for _ in range(2):
        paddle.seed(0)
        model = train_classifier(examples[:200], labels[:200], size=8, width=16, steps=120, learning_rate=1e-2, seed=3)
        found.append(model.features(examples[200:]))
    np.testing.assert_array_equal(found[0], found[1])
    assert model.accuracy(examples[200:], labels[200:]) > 0.95
    assert found[0].shape == (100, 8) and np.abs(found[0]).max() <= 1
    halves = frechet_of(model, examples[:150], examples[150:])
    assert frechet_of(model, examples[labels == 0], examples[labels == 1]) > 20 * halves
    noise = rng.normal(size=(150, 2, 4)).astype("float32")
    assert frechet_of(model, noise, examples[150:]) > 5 * halves


def test_labels_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"found float64 \[4\] for 4"):
        train_classifier(np.zeros([4, 2]), np.zeros(4))
    with pytest.raises(ValueError, match=r"\[3\] for 4"):
        train_classifier(np.zeros([4, 2]), np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match="found 1"):
        train_classifier(np.zeros([4, 2]), np.zeros(4, dtype=int))
