import numpy as np
import paddle
import pytest

from shared.norms import ConditionalLayerNorm, LayerNorm


def expected_norm(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


@pytest.mark.parametrize("double_backward", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_check_values(double_backward, training):
    norm = LayerNorm(4, double_backward=double_backward)
    norm.train() if training else norm.eval()
    x = paddle.to_tensor([[1.0, 2.0, 3.0, 4.0]], stop_gradient=False)  # [1, 4]
    np.testing.assert_allclose(norm(x).numpy(), [[-1.3416407865, -0.4472135955, 0.4472135955, 1.3416407865]], atol=1e-6)


@pytest.mark.parametrize("double_backward", [False, True])
def test_check_values_in_double_precision(double_backward):
    norm = LayerNorm(4, double_backward=double_backward).to(dtype="float64")
    x = paddle.to_tensor([[1.0, 2.0, 3.0, 4.0]], dtype="float64")  # [1, 4]
    np.testing.assert_allclose(norm(x).numpy(), [[-1.3416407865, -0.4472135955, 0.4472135955, 1.3416407865]], atol=5e-11)


def gradients(norm: LayerNorm, x: np.ndarray, upper: np.ndarray):
    given = paddle.to_tensor(x, stop_gradient=False)  # [2, 3, 8]
    out = norm(given)  # [2, 3, 8]
    paddle.autograd.backward([out], [paddle.to_tensor(upper)])
    found = [out, given.grad, norm.weight.grad, norm.bias.grad]
    norm.clear_gradients()
    return [tensor.numpy() for tensor in found]


@pytest.mark.parametrize("eps", [1e-12, 1e-3])
def test_the_fast_gradient_equals_paddles_and_that_of_the_twice_differentiable_form(eps):
    rng = np.random.default_rng(3)
    x, upper = (0.1 * rng.normal(size=(2, 3, 8)).astype("float32") for _ in range(2))
    norm = LayerNorm(8, eps=eps)
    norm.weight.set_value(rng.normal(size=8).astype("float32"))
    norm.bias.set_value(rng.normal(size=8).astype("float32"))
    norm.train()
    fast = gradients(norm, x, upper)
    norm.eval()
    plain = gradients(norm, x, upper)
    norm.double_backward = True
    twice = gradients(norm, x, upper)
    for one, two, three in zip(fast, plain, twice, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
        np.testing.assert_allclose(one, three, atol=1e-5)


def test_double_backward_can_be_differentiated_twice():
    norm = LayerNorm(4, double_backward=True)
    x = paddle.to_tensor([[1.0, 2.0, 4.0, 8.0]], stop_gradient=False)  # [1, 4]
    (first,) = paddle.grad((norm(x) ** 3).sum(), x, create_graph=True)  # [1, 4]
    (second,) = paddle.grad((first * first).sum(), x)  # [1, 4]

    def penalty(values):
        point = paddle.to_tensor(values.astype("float32"), stop_gradient=False)  # [1, 4]
        (slope,) = paddle.grad((norm(point) ** 3).sum(), point)  # [1, 4]
        return float((slope * slope).sum())

    centre, step = x.numpy().astype("float64"), 1e-2
    for place in range(4):
        shift = np.zeros((1, 4))
        shift[0, place] = step
        assert float(second[0, place]) == pytest.approx((penalty(centre + shift) - penalty(centre - shift)) / (2 * step), abs=2e-3)


def test_frozen_parameters_still_pass_the_gradient_on():
    norm = LayerNorm(4)
    norm.weight.stop_gradient = True
    x = paddle.to_tensor([[1.0, 2.0, 4.0, 8.0]], stop_gradient=False)  # [1, 4]
    (norm(x) ** 3).sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert norm.weight.grad is None


def test_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"last axis of 4, found \[2, 3\]"):
        LayerNorm(4)(paddle.zeros([2, 3]))  # [2, 3]


@pytest.mark.parametrize("double_backward", [False, True])
@pytest.mark.parametrize("hidden", [None, 5])
def test_a_new_conditional_norm_ignores_its_condition(double_backward, hidden):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 6)).astype("float32")
    condition = rng.normal(size=(2, 4)).astype("float32") * 100
    norm = ConditionalLayerNorm(6, 4, double_backward=double_backward, condition_hidden=hidden)
    found = norm(paddle.to_tensor(x), paddle.to_tensor(condition))  # [2, 3, 6]
    np.testing.assert_allclose(found.numpy(), expected_norm(x, 1e-12), atol=1e-5)


@pytest.mark.parametrize("double_backward", [False, True])
def test_conditions_shift_and_scale_as_the_formula_says(double_backward):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 6)).astype("float32")
    condition = rng.normal(size=(2, 4)).astype("float32")
    gain, shift = rng.normal(size=(4, 6)).astype("float32"), rng.normal(size=(4, 6)).astype("float32")
    norm = ConditionalLayerNorm(6, 4, double_backward=double_backward)
    norm.bias_projection.weight.set_value(shift)
    moved = norm(paddle.to_tensor(x), paddle.to_tensor(condition))  # [2, 3, 6]
    np.testing.assert_allclose(moved.numpy(), expected_norm(x, 1e-12) + (condition @ shift)[:, None], atol=1e-5)
    norm.weight_projection.weight.set_value(gain)
    both = norm(paddle.to_tensor(x), paddle.to_tensor(condition))  # [2, 3, 6]
    expected = expected_norm(x, 1e-12) * (1 + (condition @ gain)[:, None]) + (condition @ shift)[:, None]
    np.testing.assert_allclose(both.numpy(), expected, atol=1e-4)
    each = norm(paddle.to_tensor(x), paddle.to_tensor(np.repeat(condition[:, None], 3, axis=1)))  # [2, 3, 6]
    np.testing.assert_allclose(each.numpy(), both.numpy(), atol=1e-6)


def test_conditional_norm_trains_its_projections_and_has_no_other_bias():
    norm = ConditionalLayerNorm(6, 4)
    norm(paddle.randn([2, 3, 6]), paddle.randn([2, 4])).square().sum().backward()  # [2, 3, 6]
    assert {name for name, _ in norm.named_parameters()} == {"weight", "bias", "weight_projection.weight", "bias_projection.weight"}
    assert all(parameter.grad is not None for parameter in norm.parameters())


def test_wrong_conditions_are_named():
    norm = ConditionalLayerNorm(6, 4)
    with pytest.raises(ValueError, match=r"\[2, 3, 6\] and \[2, 5\]"):
        norm(paddle.zeros([2, 3, 6]), paddle.zeros([2, 5]))  # [2, 3, 6]
    with pytest.raises(ValueError, match="condition has 1 axes, x has 3"):
        norm(paddle.zeros([2, 3, 6]), paddle.zeros([4]))  # [2, 3, 6]


@pytest.mark.parametrize("double_backward", [False, True])
def test_section_9_a_bias_projection_shifts_exactly(double_backward):
    """W_weight = 0 and W_bias = c0: the output is the plain norm plus c0 times the condition, for each position."""
    norm = ConditionalLayerNorm(4, 1, double_backward=double_backward)
    x = paddle.to_tensor([[[1.0, 2.0, 3.0, 4.0], [8.0, -2.0, 0.5, 0.0]]])  # [1, 2, 4]
    plain = LayerNorm(4, double_backward=double_backward)(x)  # [1, 2, 4]
    for value in (0.0, 1.0, -70.0):
        np.testing.assert_allclose(norm(x, paddle.full([1, 1], value)).numpy(), plain.numpy(), rtol=0, atol=1e-6)
    norm.bias_projection.weight.set_value(np.array([[0.5, -1.0, 0.0, 2.0]], dtype="float32"))
    shifted = norm(x, paddle.ones([1, 1])).numpy() - norm(x, paddle.zeros([1, 1])).numpy()  # [1, 2, 4]
    np.testing.assert_allclose(shifted, np.broadcast_to([0.5, -1.0, 0.0, 2.0], [1, 2, 4]), rtol=0, atol=1e-6)


def test_paddle_grad_takes_some_inputs_only_where_double_backward_is_on():
    norm = LayerNorm(4, double_backward=True)
    x = paddle.to_tensor([[1.0, 2.0, 4.0, 8.0]], stop_gradient=False)  # [1, 4]
    (slope,) = paddle.grad((norm(2.0 * x) ** 3).sum(), x, create_graph=True)  # [1, 4]
    (slope * slope).sum().backward()
    assert float(norm.weight.grad.abs().sum()) > 0


def test_the_conditional_norm_can_be_differentiated_twice_in_its_condition():
    paddle.seed(2)
    norm = ConditionalLayerNorm(4, 3, double_backward=True)
    norm.to(dtype="float64")
    rng = np.random.default_rng(4)
    norm.weight_projection.weight.set_value(rng.normal(size=(3, 4)))
    x, condition, direction = (rng.normal(size=shape) for shape in ((2, 4), (2, 3), (2, 3)))

    def slope(at: np.ndarray, *, create_graph: bool) -> tuple[paddle.Tensor, paddle.Tensor]:
        point = paddle.to_tensor(at, stop_gradient=False)  # [2, 3]
        out = norm(paddle.to_tensor(x), point)  # [2, 4]
        return point, paddle.grad((out**3).sum(), point, create_graph=create_graph)[0]  # [2, 3]

    point, first = slope(condition, create_graph=True)
    (product,) = paddle.grad((first * paddle.to_tensor(direction)).sum(), point)  # [2, 3]
    steps = [slope(condition + sign * 1e-6 * direction, create_graph=False)[1].numpy() for sign in (1, -1)]
    np.testing.assert_allclose(product.numpy(), (steps[0] - steps[1]) / 2e-6, rtol=1e-6, atol=1e-7)
