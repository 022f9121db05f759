import math

import numpy as np
import paddle
import pytest

from shared.generative.codes import CodeNorm, interpolate_codes, reparameterize, standard_normal


def cloud(n=64, d=3):
    return paddle.to_tensor((np.random.default_rng(0).standard_normal((n, d)) * [1, 5, 0.2] + [3, -2, 0]).astype("float32"))


def test_norm_has_no_gain_and_no_bias_and_gives_mean_0_variance_1():
    norm = CodeNorm(3)
    assert not [parameter for parameter in norm.parameters() if not parameter.stop_gradient]
    codes = norm(cloud()).numpy()
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(codes.var(0), 1, atol=1e-3)


def test_momentum_is_the_share_of_the_running_statistics_that_is_kept():
    norm, x = CodeNorm(3, momentum=0.75), cloud()
    norm(x)
    state = {name.rsplit(".", 1)[-1]: value.numpy() for name, value in norm.state_dict().items()}
    np.testing.assert_allclose(state["_mean"], 0.25 * x.numpy().mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["_variance"], 0.75 + 0.25 * x.numpy().var(0), rtol=1e-4)


def test_evaluation_uses_the_running_statistics_whatever_the_batch():
    norm, x = CodeNorm(3, momentum=0.0), cloud()
    norm(x)
    norm.eval()
    together, alone = norm(x).numpy(), norm(x[:1]).numpy()
    np.testing.assert_allclose(together[:1], alone, rtol=1e-6)
    np.testing.assert_allclose(together.std(0), 1, atol=1e-3)


def test_gain_keeps_at_least_tau_of_the_variance():
    norm = CodeNorm(3, tau=0.5)
    np.testing.assert_allclose(norm.gain().numpy(), math.sqrt(0.75), rtol=1e-6)  # sigmoid(0) = 1/2
    norm.theta.set_value(paddle.full([3], -50.0))
    np.testing.assert_allclose((norm(cloud()).numpy() ** 2).mean(0), 0.5, atol=1e-3)
    norm.theta.set_value(paddle.full([3], 50.0))
    np.testing.assert_allclose((norm(cloud()).numpy() ** 2).mean(0), 1.0, atol=2e-3)
    (norm(cloud()) ** 4).sum().backward()
    assert norm.theta.grad is not None


def test_a_batch_of_one_is_refused_in_training_only():
    norm = CodeNorm(3)
    with pytest.raises(ValueError, match=r"at least 2 examples in training, found a batch of 1.*eval"):
        norm(cloud(1))
    norm.eval()
    assert norm(cloud(1)).shape == [1, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CodeNorm(0), "found 0 and 0.9"),
        (lambda: CodeNorm(3, momentum=1.0), "found 3 and 1.0"),
        (lambda: CodeNorm(3, tau=1.5), r"\[0, 1\], found 1.5"),
        (lambda: CodeNorm(3).gain(), "tau=None"),
        (lambda: CodeNorm(4)(cloud()), r"\[b, 4\], found \[64, 3\]"),
        (lambda: standard_normal(0, 3, 0), "n=0 and size=3"),
        (lambda: interpolate_codes([1.0], [2.0], 1), "at least 2 steps, found 1"),
        (lambda: interpolate_codes([1.0], [2.0], 3, "arc"), "'great_circle', found 'arc'"),
        (lambda: interpolate_codes([1.0], [2.0, 3.0], 3), r"\[1\] and \[2\]"),
        (lambda: interpolate_codes([0.0, 0.0], [2.0, 3.0], 3, "great_circle"), "no direction at the origin, found a code of length 0"),
        (lambda: interpolate_codes([1.0, 0.0], [-2.0, 0.0], 3, "great_circle"), "opposite codes .* found an angle of 3.1416"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_draws_follow_their_seed_and_disturb_no_other():
    paddle.seed(1)
    expected = paddle.randn([4]).numpy()
    paddle.seed(1)
    one, two = standard_normal(2000, 3, seed=5), standard_normal(2000, 3, seed=5)
    np.testing.assert_array_equal(paddle.randn([4]).numpy(), expected)
    np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert one.dtype == paddle.float32
    assert np.abs(one.numpy() - standard_normal(2000, 3, seed=6).numpy()).max() > 1
    assert abs(float(one.mean())) < 0.05 and abs(float(one.std()) - 1) < 0.05


def test_reparameterised_points_have_the_ellipse_s_moments_and_pass_gradients():
    mu, log_var = paddle.to_tensor([[1.0, -2.0]]), paddle.to_tensor([[0.0, 2.0]])  # [1, 2], [1, 2]
    paddle.seed(0)
    draws = reparameterize(mu.expand([20_000, 2]), log_var.expand([20_000, 2])).numpy()
    np.testing.assert_allclose(draws.mean(0), [1, -2], atol=0.06)
    np.testing.assert_allclose(draws.std(0), [1, math.e], rtol=0.02)
    mu.stop_gradient = log_var.stop_gradient = False
    reparameterize(mu, log_var, paddle.to_tensor([[3.0, 3.0]])).sum().backward()
    np.testing.assert_allclose(mu.grad.numpy(), [[1, 1]])
    np.testing.assert_allclose(log_var.grad.numpy(), [[1.5, 1.5 * math.e]], rtol=1e-6)


def test_linear_interpolation_is_even_and_has_both_ends():
    np.testing.assert_allclose(interpolate_codes([0.0, 2.0], [4.0, 0.0], 5).numpy(), [[0, 2], [1, 1.5], [2, 1], [3, 0.5], [4, 0]])
    assert interpolate_codes(paddle.zeros([3, 2]), paddle.ones([3, 2]), 4).shape == [4, 3, 2]


def test_great_circles_turn_evenly_and_change_length_evenly():
    found = interpolate_codes([2.0, 0.0], [0.0, 4.0], 5, "great_circle").numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [2, 2.5, 3, 3.5, 4], rtol=1e-5)
    np.testing.assert_allclose(np.arctan2(found[:, 1], found[:, 0]), np.linspace(0, math.pi / 2, 5), atol=1e-6)


def test_great_circles_between_nearly_and_wholly_equal_codes_are_straight():
    for end in ([1.0, 1.0, 0.0], [1.0, 1.0, 1e-5], [3.0, 3.0, 0.0]):
        found = interpolate_codes([1.0, 1.0, 0.0], end, 3, "great_circle").numpy()
        np.testing.assert_allclose(found, interpolate_codes([1.0, 1.0, 0.0], end, 3).numpy(), atol=1e-6)


def test_great_circles_of_normal_codes_stay_on_their_sphere():
    codes = standard_normal(40, 64, seed=0)
    arc = interpolate_codes(codes[:20], codes[20:], 7, "great_circle").norm(axis=-1).numpy()
    chord = interpolate_codes(codes[:20], codes[20:], 7).norm(axis=-1).numpy()
    assert arc.min() > 6 and chord[3].mean() < 6.2 < 7.5 < arc[3].mean()
