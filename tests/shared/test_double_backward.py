"""Values and first gradients against Paddle's own functions, second gradients against central finite differences, in float64."""

import gc
import weakref

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from shared import activations
from shared import double_backward as twice

INDEX = np.array([3, 0, 3])
FUNCTIONS = {
    "exp": (twice.exp, paddle.exp),
    "erf": (twice.erf, paddle.erf),
    "softmax": (twice.softmax, F.softmax),
    "softmax_first_axis": (lambda x: twice.softmax(x, axis=0), lambda x: F.softmax(x, axis=0)),
    "log_softmax": (twice.log_softmax, F.log_softmax),
    "log_softmax_first_axis": (lambda x: twice.log_softmax(x, axis=0), lambda x: F.log_softmax(x, axis=0)),
    "logsumexp": (twice.logsumexp, lambda x: paddle.logsumexp(x, axis=-1)),
    "logsumexp_first_axis": (
        lambda x: twice.logsumexp(x, axis=0, keepdim=True),
        lambda x: paddle.logsumexp(x, axis=0, keepdim=True),
    ),
    "gelu": (twice.gelu, F.gelu),
    "gelu_tanh": (twice.gelu_tanh, lambda x: F.gelu(x, approximate=True)),
    "gelu_sigmoid": (twice.gelu_sigmoid, activations.gelu_sigmoid),
    "pick": (
        lambda x: twice.pick(x, paddle.to_tensor(INDEX)),
        lambda x: paddle.take_along_axis(x, paddle.to_tensor(INDEX[:, None]), axis=-1).squeeze(-1),
    ),
    "gather_rows": (
        lambda x: twice.gather_rows(x, paddle.to_tensor([[2, 0], [2, 2]])),
        lambda x: F.embedding(paddle.to_tensor([[2, 0], [2, 2]]), x),
    ),
}
FUNCTIONS |= {f"activation {name}": (twice.activation(name), activations.get_activation(name)) for name in activations.activation_names()}
both = pytest.mark.parametrize("name", FUNCTIONS)


def points(dtype: str = "float64") -> np.ndarray:
    return (2 * np.random.default_rng(5).normal(size=(3, 4))).astype(dtype)


def weighted(function, x: paddle.Tensor) -> paddle.Tensor:
    """A scalar in which every output counts with a weight of its own, and not linearly."""
    out = function(x)  # [...]
    weights = paddle.to_tensor(np.random.default_rng(6).normal(size=out.shape)).astype(out.dtype)  # [...]
    return (weights * out * out).sum() + (weights * out).sum()


def gradient(function, x: np.ndarray) -> np.ndarray:
    point = paddle.to_tensor(x, stop_gradient=False)  # [3, 4]
    return paddle.grad(weighted(function, point), point)[0].numpy()


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_first_gradients_are_paddles(name, dtype):
    ours, paddles = FUNCTIONS[name]
    x, tolerance = points(dtype), {"float32": 1e-5, "float64": 1e-12}[dtype]
    if ours is twice.gelu_tanh:
        tolerance = max(tolerance, 1e-7)  # paddle 2.6 rounds its constants to float32 there
    found = ours(paddle.to_tensor(x))  # [...]
    assert found.numpy().dtype == dtype
    np.testing.assert_allclose(found.numpy(), paddles(paddle.to_tensor(x)).numpy(), atol=tolerance / 10)
    np.testing.assert_allclose(gradient(ours, x), gradient(paddles, x), rtol=tolerance, atol=tolerance * 10)


@both
def test_second_gradients_equal_finite_differences(name):
    ours, _ = FUNCTIONS[name]
    x, step = points(), 1e-6
    direction = np.random.default_rng(7).normal(size=x.shape)

    point = paddle.to_tensor(x, stop_gradient=False)  # [3, 4]
    (first,) = paddle.grad(weighted(ours, point), point, create_graph=True)  # [3, 4]
    (second,) = paddle.grad((first * first).sum(), point)  # [3, 4]

    def squared(at: np.ndarray) -> float:
        return float((gradient(ours, at) ** 2).sum())

    expected = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        expected[place] = (squared(x + shift) - squared(x - shift)) / (2 * step)
    np.testing.assert_allclose(second.numpy(), expected, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(expected).max()))
    along = (gradient(ours, x + step * direction) - gradient(ours, x - step * direction)) / (2 * step)
    (product,) = paddle.grad((first_of(ours, point) * paddle.to_tensor(direction)).sum(), point)  # [3, 4]
    np.testing.assert_allclose(product.numpy(), along, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(along).max()))


def first_of(function, point: paddle.Tensor) -> paddle.Tensor:
    return paddle.grad(weighted(function, point), point, create_graph=True)[0]  # [3, 4]


@pytest.mark.parametrize("name", ["softmax", "logsumexp", "gelu", "exp"])
def test_third_gradients_exist_too(name):
    ours, _ = FUNCTIONS[name]
    x, step = points(), 1e-5
    direction = np.random.default_rng(8).normal(size=x.shape)

    def second(at: np.ndarray, *, create_graph: bool):
        point = paddle.to_tensor(at, stop_gradient=False)  # [3, 4]
        return point, paddle.grad((first_of(ours, point) ** 2).sum(), point, create_graph=create_graph)[0]  # [3, 4]

    point, value = second(x, create_graph=True)
    (third,) = paddle.grad((value * paddle.to_tensor(direction)).sum(), point)  # [3, 4]
    shifted = [second(x + sign * step * direction, create_graph=False)[1].numpy() for sign in (1, -1)]
    expected = (shifted[0] - shifted[1]) / (2 * step)
    np.testing.assert_allclose(third.numpy(), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_plain_training_and_no_grad_work():
    layer = paddle.nn.Linear(4, 4)
    x = paddle.to_tensor(points("float32"))  # [3, 4]

    def loss() -> paddle.Tensor:
        return -twice.log_softmax(twice.gelu(layer(x)))[:, 0].mean()

    loss().backward()
    ours = layer.weight.grad.numpy()
    layer.clear_gradients()
    (-F.log_softmax(F.gelu(layer(x)), axis=-1)[:, 0].mean()).backward()
    np.testing.assert_allclose(ours, layer.weight.grad.numpy(), atol=1e-6)
    with paddle.no_grad():
        assert loss().stop_gradient


def test_large_numbers_do_not_overflow():
    x = paddle.to_tensor([[1000.0, 0.0, -1000.0]], stop_gradient=False)  # [1, 3]
    (slope,) = paddle.grad(twice.logsumexp(x).sum(), x, create_graph=True)  # [1, 3]
    (curve,) = paddle.grad((slope * slope).sum() + twice.gelu(x).sum(), x)  # [1, 3]
    np.testing.assert_allclose(slope.numpy(), [[1.0, 0.0, 0.0]], atol=1e-20)
    np.testing.assert_allclose(curve.numpy(), [[1.0, 0.5, 0.0]], atol=1e-20)


@pytest.mark.parametrize("name", ["exp", "softmax", "log_softmax", "logsumexp", "gelu", "gelu_tanh", "pick"])
def test_a_graph_that_nobody_walks_back_is_freed(name):
    ours, _ = FUNCTIONS[name]
    point = paddle.to_tensor(points(), stop_gradient=False)  # [3, 4]
    kept = weakref.ref(point)
    out = ours(point)  # [...]
    assert out.shape[0] == 3
    del point, out
    gc.collect()
    assert kept() is None


def test_recorded_graphs_take_the_plain_functions(tmp_path):
    class Net(paddle.nn.Layer):
        def forward(self, x):
            return twice.softmax(twice.gelu(x)) + twice.logsumexp(x, keepdim=True) + twice.log_softmax(twice.exp(x))

    net = Net()
    net.eval()
    paddle.jit.save(net, str(tmp_path / "net"), input_spec=[paddle.static.InputSpec([None, 4], "float32")])
    x = paddle.to_tensor(points("float32"))  # [3, 4]
    np.testing.assert_allclose(paddle.jit.load(str(tmp_path / "net"))(x).numpy(), net(x).numpy(), rtol=1e-5, atol=1e-5)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"x \[3, 4\] needs index \[3\], found \[4\]"):
        twice.pick(paddle.zeros([3, 4]), paddle.zeros([4], dtype="int64"))  # [3, 4], [4]
    with pytest.raises(ValueError, match=r"expected a table \[n, h\], found shape \[2, 3, 4\]"):
        twice.gather_rows(paddle.zeros([2, 3, 4]), paddle.zeros([1], dtype="int64"))  # [2, 3, 4], [1]
    with pytest.raises(ValueError, match="unknown activation 'mish'"):
        twice.activation("mish")
