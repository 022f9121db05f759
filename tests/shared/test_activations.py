import numpy as np
import paddle
import pytest

from shared.activations import activation_names, gelu, gelu_sigmoid, gelu_tanh, get_activation

POINTS = [-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]
EXACT = [-0.00404969409489031, -0.04550026389635842, -0.15865525393145707, -0.15426876936299347]
EXACT += [0.3457312306370065, 0.8413447460685429, 1.9544997361036416, 2.99595030590511]
TANH = [-0.0036373920817729943, -0.04540230591222494, -0.1588080093917233, -0.15428599017485606]
TANH += [0.34571400982514394, 0.8411919906082768, 1.954597694087775, 2.996362607918227]
SIGMOID = [-0.01807130970778597, -0.06434137685579186, -0.1542042340671787, -0.1496115633936199]
SIGMOID += [0.35038843660638014, 0.8457957659328212, 1.9356586231442083, 2.981928690292214]


@pytest.mark.parametrize(("function", "expected"), [(gelu, EXACT), (gelu_tanh, TANH), (gelu_sigmoid, SIGMOID)])
def test_check_values_in_double_precision(function, expected):
    values = function(paddle.to_tensor(POINTS, dtype="float64"))  # [8]
    np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=1e-12)


def grid():
    return paddle.to_tensor(np.arange(-10, 10, 1e-4))  # [200000]


@pytest.mark.parametrize("function", [gelu, gelu_tanh, gelu_sigmoid])
def test_every_form_satisfies_the_identity(function):
    x = grid()  # [200000]
    np.testing.assert_allclose((function(x) - function(-x)).numpy(), x.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("function", "distance"), [(gelu_tanh, 4.732355e-4), (gelu_sigmoid, 2.033487e-2)])
def test_largest_distance_from_the_exact_form(function, distance):
    x = grid()  # [200000]
    assert float((function(x) - gelu(x)).abs().max()) == pytest.approx(distance, rel=1e-5)


def test_minimum_of_the_exact_form():
    x = grid()  # [200000]
    y = gelu(x)  # [200000]
    assert float(y.min()) == pytest.approx(-0.1699712075, abs=1e-9)
    assert float(x[int(y.argmin())]) == pytest.approx(-0.7517915, abs=1e-4)


def test_names():
    assert get_activation("gelu") is gelu
    assert get_activation("gelu_new") is gelu_tanh
    x = paddle.to_tensor([-1.0, 2.0])  # [2]
    assert get_activation("relu")(x).tolist() == [0.0, 2.0]
    assert all(list(get_activation(name)(x).shape) == [2] for name in activation_names())
    with pytest.raises(ValueError, match=r"'mish'.*gelu_tanh"):
        get_activation("mish")
