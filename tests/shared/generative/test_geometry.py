import math

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.generative.geometry import (
    SHAPES,
    aggregate_moments,
    coverage,
    describe_shape,
    ellipses,
    group_ellipses,
    holes,
    principal_directions,
    redundant_dimensions,
    toy_shape,
    uniform_ball,
)


@pytest.mark.parametrize("kind", SHAPES)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([150, 400]), size=st.sampled_from([0.1, 1.0, 30.0]), turn=st.floats(0, 6.28))
@settings(max_examples=8, deadline=None)
def test_the_four_shapes_of_the_article_are_told_apart(kind, seed, n, size, turn):
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    assert describe_shape(size * toy_shape(kind, n, seed) @ rotation + 3 * size).kind == kind


def test_what_tells_the_shapes_apart():
    found = {kind: (toy_shape(kind, 400, 1), describe_shape(toy_shape(kind, 400, 1))) for kind in SHAPES}
    assert [kind for kind, (codes, _) in found.items() if principal_directions(codes).flat == 1] == ["line"]
    assert [kind for kind, (codes, _) in found.items() if coverage(codes, 0.1).share > 0.9] == ["disc"]
    assert [kind for kind, (_, shape) in found.items() if shape.rim > 0.8 and shape.inner < 0.2] == ["ring"]
    assert holes(found["ring"][0], 0.1).at_centre and not holes(found["disc"][0], 0.1).at_centre
    assert not holes(found["line"][0], 0.1).at_centre


def test_codes_that_are_all_one_are_scattered():
    assert describe_shape(np.ones((10, 2))).kind == "scattered"


def test_moments_of_ellipses_that_make_up_the_standard_normal():
    rng = np.random.default_rng(0)
    mu, sigma = rng.normal(0, 0.8, (20_000, 3)), np.full((20_000, 3), 0.6)
    found = aggregate_moments(paddle.to_tensor(mu), paddle.to_tensor(sigma))
    assert found.gap < 0.03
    np.testing.assert_allclose(found.mean_square_mu, 0.64, atol=0.02)
    np.testing.assert_allclose(found.mean_square_sigma, 0.36, rtol=1e-6)
    np.testing.assert_allclose(found.second_moment, found.mean_square_mu + found.mean_square_sigma)
    assert aggregate_moments(mu + 0.5, sigma).gap == pytest.approx(0.5, abs=0.05)
    assert aggregate_moments(2 * mu).gap == pytest.approx(4 * 0.64 - 1, abs=0.06)


def test_coverage_of_one_ellipse_is_its_share_of_the_area():
    found = coverage([[0.0, 0.0]], [[0.5, 0.25]], points=40_000)
    assert found.share == pytest.approx(0.125, abs=0.006)
    assert found.covered.mean() == found.share and found.points.shape == (40_000, 2)
    assert coverage([[0.0, 0.0]], [[0.5, 0.25]], points=40_000, scale=2.0).share == pytest.approx(0.5, abs=0.01)
    assert coverage([[0.0, 0.0]], 1.0).share == 1.0
    assert coverage([[9.0, 9.0]], 1.0).share == 0.0
    # what N(0, I) puts into the circle of radius 2 is 1 - exp(-2)
    assert coverage([[0.0, 0.0]], 2.0, region="normal", points=40_000).share == pytest.approx(1 - math.exp(-2), abs=0.006)


def test_coverage_follows_its_seed_and_takes_points_of_one_s_own():
    mu = toy_shape("disc", 50)
    assert coverage(mu, 0.1, seed=1).share == coverage(mu, 0.1, seed=1).share != coverage(mu, 0.1, seed=2).share
    own = coverage([[0.0, 0.0]], [[2.0, 1.0]], region=[[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(own.depth, [0, 1, 2])
    assert own.covered.tolist() == [True, True, False]


def test_a_larger_ellipse_never_covers_less():
    mu = toy_shape("scattered", 100)
    shares = [coverage(mu, 0.1, scale=scale).share for scale in (0.5, 1, 2, 4)]
    assert shares == sorted(shares)


def test_points_of_the_ball_are_even():
    radii = np.linalg.norm(uniform_ball(20_000, 3, 0), axis=1)
    assert radii.max() <= 1
    np.testing.assert_allclose([(radii < r).mean() for r in (0.25, 0.5, 0.75)], [0.25**3, 0.5**3, 0.75**3], atol=0.01)


def test_holes_are_the_uncovered_points_deepest_first():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = 0.8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = holes(ring, 0.2)
    assert found.at_centre
    assert found.share == pytest.approx(0.36, abs=0.02)  # the circle of radius .6; the rim reaches 1
    assert np.linalg.norm(found.points[0]) < 0.05 and found.depth[0] == pytest.approx(4, abs=0.2)
    assert (np.diff(found.depth) <= 0).all() and found.depth.min() > 1
    assert found.share == pytest.approx(1 - coverage(ring, 0.2).share)
    covered = holes([[0.0, 0.0]], 2.0)
    assert covered.share == 0 and len(covered.points) == 0 and not covered.at_centre
    off = holes(toy_shape("disc", 300) + [5.0, 0.0], 0.1)
    assert off.share == 1.0


def test_redundant_dimensions_have_centres_that_do_not_move():
    rng = np.random.default_rng(0)
    mu = rng.normal(0, [0.9, 0.01, 0.5], (500, 3))
    found = redundant_dimensions(mu, np.tile([0.4, 1.0, 0.8], (500, 1)))
    assert found.dimensions == (1,)
    np.testing.assert_allclose(found.signal, [0.81 / 0.97, 1e-4, 0.25 / 0.89], rtol=0.15)
    assert redundant_dimensions(mu).dimensions == (1,)
    assert redundant_dimensions(np.ones((5, 2))).dimensions == (0, 1)
    assert redundant_dimensions(mu, np.tile([0.4, 1.0, 0.8], (500, 1)), threshold=0.5).dimensions == (1, 2)


@given(st.floats(0, math.pi))
@settings(max_examples=20, deadline=None)
def test_a_line_is_found_in_any_direction(angle):
    along = np.random.default_rng(0).normal(size=(200, 1)) * [[math.cos(angle), math.sin(angle), 0.0]]
    found = principal_directions(along)
    assert found.flat == 2
    assert abs(found.directions[0] @ [math.cos(angle), math.sin(angle), 0.0]) == pytest.approx(1)


def test_ellipses_to_draw():
    found = ellipses([[1.0, 2.0, 9.0], [0.0, 0.0, 9.0]], [[0.5, 0.25, 9.0], [1.0, 1.0, 9.0]], scale=2.0)
    np.testing.assert_allclose(found.semi_axes, [[1.0, 0.5], [2.0, 2.0]])
    assert found.angles.tolist() == [0, 0] and found.outlines.shape == (2, 65, 2)
    distance = (((found.outlines - found.centres[:, None]) / found.semi_axes[:, None]) ** 2).sum(-1)
    np.testing.assert_allclose(distance, 1)
    np.testing.assert_array_equal(found.outlines[:, 0], found.outlines[:, -1])
    assert ellipses([[1.0, 2.0, 3.0]], 1.0, dimensions=(2, 0)).centres.tolist() == [[3.0, 1.0]]


def test_group_ellipses_have_the_mean_and_covariance_of_their_codes():
    rng = np.random.default_rng(0)
    turn = np.array([[math.cos(0.6), math.sin(0.6)], [-math.sin(0.6), math.cos(0.6)]])
    tilted = rng.normal(size=(4000, 2)) * [2.0, 0.5] @ turn + [3.0, -1.0]
    upright = rng.normal(size=(1000, 2)) * [0.3, 1.0]
    found = group_ellipses(np.concatenate([tilted, upright]), ["tilted"] * 4000 + ["upright"] * 1000)
    assert found.labels.tolist() == ["tilted", "upright"]
    np.testing.assert_allclose(found.centres, [[3, -1], [0, 0]], atol=0.1)
    np.testing.assert_allclose(found.semi_axes, [[2, 0.5], [1, 0.3]], rtol=0.06)
    np.testing.assert_allclose(found.angles, [0.6, math.pi / 2], atol=0.05)
    farthest = found.outlines[0][np.argmax(np.linalg.norm(found.outlines[0] - found.centres[0], axis=1))] - found.centres[0]
    assert abs(farthest @ [math.cos(0.6), math.sin(0.6)]) == pytest.approx(2, rel=0.06)
    wider = group_ellipses(upright, [0] * 1000, 0.4)
    np.testing.assert_allclose(wider.semi_axes[0], [math.hypot(1, 0.4), 0.5], rtol=0.06)


NAN = [[0.0, math.nan]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aggregate_moments(NAN), "mu holds 1 numbers of 2"),
        (lambda: aggregate_moments([1.0, 2.0]), r"\[n, d\] and not empty, found shape \[2\]"),
        (lambda: aggregate_moments(np.zeros((0, 2))), r"found shape \[0, 2\]"),
        (lambda: aggregate_moments([[1.0, 2.0]], [[0.0, 1.0]]), "sigma must be above 0, found 0"),
        (lambda: coverage([[1.0, 2.0]], [[1.0, 1.0, 1.0]]), r"sigma is \[1, 3\] for codes \[1, 2\]"),
        (lambda: coverage([[1.0, 2.0]], 1.0, region="cube"), "'normal' with at least 1 point, found 'cube'"),
        (lambda: coverage([[1.0, 2.0]], 1.0, region=[[1.0]]), "have 1 dimensions, the codes 2"),
        (lambda: coverage([[1.0, 2.0]], 1.0, scale=0.0), "scale must be above 0, found 0.0"),
        (lambda: holes([[1.0, 2.0]], -1.0), "found -1"),
        (lambda: ellipses([[1.0, 2.0]], 1.0, dimensions=(0, 2)), r"two of 0..1, found \(0, 2\)"),
        (lambda: ellipses([[1.0, 2.0]], 1.0, points=3), "at least 4 points, found 3"),
        (lambda: group_ellipses([[1.0, 2.0]], [1, 2]), r"labels \[2\] for 1 codes"),
        (lambda: describe_shape([[1.0], [2.0]]), "at least 2 dimensions, found 1"),
        (lambda: toy_shape("torus"), "'torus'"),
    ],
)
def test_faults_are_said_with_both_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()
