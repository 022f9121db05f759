"""The one-pass step against single operations."""

import numpy as np
import paddle
import pytest

from shared.optim import kernel


def numbers(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("beta2", [0.0, 0.5, float(np.float32(0.9999)), 1.0])
@pytest.mark.parametrize("shape", [[1], [7], [33, 65]])
def test_it_is_its_formula(shape, beta2):
    weight, gradient, moment, second = (numbers(seed, shape) for seed in range(4))
    second = second**2
    tensors = [paddle.to_tensor(value) for value in (weight, gradient, moment, second)]
    assert kernel.takes(tensors[0])
    for _ in range(2):
        kernel.adam_step(*tensors, rate=1e-2, beta1=0.9, beta2=beta2, epsilon=1e-3)
        moment = 0.9 * moment + 0.1 * gradient
        second = beta2 * second + (1 - beta2) * gradient**2
        weight = weight - 1e-2 * moment / (np.sqrt(second) + 1e-3)
    for tensor, expected in zip(tensors, (weight, gradient, moment, second), strict=True):
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-5, atol=1e-6)


def test_it_writes_into_the_tensors_themselves():
    weight = paddle.create_parameter([4], "float32")
    seen, before = weight.detach(), weight.numpy().copy()
    kernel.adam_step(weight, paddle.ones([4]), paddle.zeros([4]), paddle.ones([4]), rate=1.0, beta1=0.9, beta2=1.0, epsilon=0.0)
    np.testing.assert_allclose(before - weight.numpy(), 0.1, rtol=1e-5)
    np.testing.assert_array_equal(seen.numpy(), weight.numpy())


def test_it_takes_float32_alone():
    for dtype in ("float64", "float16", "bfloat16"):
        assert not kernel.takes(paddle.zeros([2], dtype=dtype))
