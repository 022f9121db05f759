"""AdaX, AdaX-L2 and AdaX-W by the numbers: known values, and their definition in NumPy."""

import itertools

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddle import nn

from shared.optim import AdaX, AdaXL2, AdaXW

GRADIENTS = (1.0, -2.0, 3.0, 0.5)
PLACEMENTS = ("inside", "outside", "v")


def parameter(value, dtype="float64"):
    value = np.asarray(value, dtype="float64")
    made = paddle.create_parameter(list(value.shape), dtype, default_initializer=nn.initializer.Constant(0.0))
    made.set_value(paddle.to_tensor(value).astype(dtype))
    return made


def give(parameters, gradient):
    """The gradient is ``gradient``, through a backward pass."""
    (parameters * paddle.to_tensor(np.asarray(gradient), dtype=parameters.dtype)).sum().backward()


def path(kind, gradients=GRADIENTS, start=0.5, **options):
    """The parameter, m and v_hat after each step."""
    weight = parameter([start])
    optimizer = kind(parameters=[weight], **options)
    rows = []
    for gradient in gradients:
        give(weight, [gradient])
        optimizer.step()
        optimizer.clear_grad()
        state = optimizer.state_dict()
        rows.append((float(weight), float(state["0.moment"]), float(state["0.v_hat"])))
    return np.asarray(rows).T  # [3, steps]


def reference(gradients, start, *, rate, epsilon, placement, l2=0.0, decoupled=0.0, beta1=0.9, beta2=1e-4, decay=0.0):
    """The formulas of article 7387 as they stand, with v and (1 + beta2)^t."""
    theta, m, v = np.array(start, dtype=np.float64), 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        alpha = rate / (1 + decay * (t - 1))
        g = gradient + l2 * theta
        m = beta1 * m + (1 - beta1) * g
        v = (1 + beta2) * v + beta2 * g**2
        growth = (1 + beta2) ** t - 1
        if placement == "inside":
            step = m / np.sqrt(v / growth + epsilon)
        elif placement == "outside":
            step = m / (np.sqrt(v / growth) + epsilon)
        else:
            step = np.sqrt(growth) * m / (np.sqrt(v) + epsilon)
        theta = theta - alpha * decoupled * theta - alpha * step
    return theta


# -- known values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gradient", [3.0, -0.002])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_first_step(gradient, placement):
    theta, _, v_hat = path(AdaX, [gradient], 0.0, learning_rate=1e-3, epsilon=0.0, epsilon_placement=placement)
    assert v_hat[0] == gradient**2
    assert theta[0] == pytest.approx(-1e-4 * np.sign(gradient), rel=1e-14)


def test_a_constant_gradient():
    theta, _, v_hat = path(AdaX, [2.0] * 50, 0.0, learning_rate=1e-3, epsilon=0.0)
    np.testing.assert_allclose(theta[:4], [-1e-4, -2.9e-4, -5.61e-4, -9.049e-4], rtol=1e-13)
    assert (v_hat == 4.0).all()
    np.testing.assert_allclose(theta, -1e-3 * np.cumsum(1 - 0.9 ** np.arange(1, 51)), rtol=1e-12)


def test_four_known_steps():
    theta, m, v_hat = path(AdaX, learning_rate=1e-3, epsilon=0.0)
    np.testing.assert_allclose(m, [0.1, -0.11, 0.201, 0.2309], rtol=1e-14)
    np.testing.assert_allclose(v_hat, [1, 2.49992500374981, 4.66640001444389, 3.562465612032899], rtol=1e-14)
    np.testing.assert_allclose(theta, [0.4999, 0.49996957115204665, 0.4998765235736233, 0.4997541891746909], rtol=1e-15)
    v = v_hat * (1.0001 ** np.arange(1, 5) - 1)
    np.testing.assert_allclose(v, [1e-4, 5.0001e-4, 1.4000600010e-3, 1.4252000070001e-3], rtol=1e-11)


@pytest.mark.parametrize(
    ("placement", "epsilon", "last"),
    [
        ("inside", 1e-8, 0.4997541891753231),
        ("outside", 1e-6, 0.49975418933857796),
        ("v", 1e-7, 0.49975419043627595),
        ("v", 1e-12, 0.4997541891747035),
    ],
)
def test_where_epsilon_stands(placement, epsilon, last):
    theta = path(AdaX, learning_rate=1e-3, epsilon=epsilon, epsilon_placement=placement)[0]
    assert theta[-1] == pytest.approx(last, rel=1e-15)


def test_the_defaults_are_the_sources():
    assert path(AdaX)[0][-1] == pytest.approx(0.49975418933857796, rel=1e-15)
    w = [0.49937500000005, 0.49959801201026766, 0.4990078746151607, 0.49827145065186107]
    l2 = [0.499850000000015, 0.4999543168829783, 0.4998147034646804, 0.49963114160613875]
    for kind, values, rate, decay in ((AdaXW, w, 5e-3, 5e-2), (AdaXL2, l2, 1.5e-3, 5e-4)):
        np.testing.assert_allclose(path(kind)[0], values, rtol=3e-16, atol=1e-16)
        np.testing.assert_array_equal(path(kind)[0], path(kind, learning_rate=rate, weight_decay=decay)[0])


# -- the definition ----------------------------------------------------------------------------------------------

NUMBERS = st.floats(-5, 5).filter(lambda x: x == 0 or abs(x) > 1e-3)


@pytest.mark.parametrize(("kind", "placement"), itertools.product((AdaX, AdaXL2, AdaXW), PLACEMENTS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_variant_is_its_definition(kind, placement, data):
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=12))
    start = data.draw(st.lists(NUMBERS, min_size=3, max_size=3))
    options = {
        "epsilon": data.draw(st.sampled_from([1e-12, 1e-8, 1e-3])),
        "beta1": data.draw(st.sampled_from([0.0, 0.5, 0.9])),
        "beta2": data.draw(st.sampled_from([1e-4, 1e-2, 0.3])),
        "decay": data.draw(st.sampled_from([0.0, 0.1])),
    }
    rate, weight_decay = data.draw(st.sampled_from([1e-4, 1e-2])), data.draw(st.sampled_from([0.0, 0.05]))
    weight = parameter(start)
    extra = {} if kind is AdaX else {"weight_decay": weight_decay}
    optimizer = kind(rate, [weight], epsilon_placement=placement, **options, **extra)
    for row in rows:
        give(weight, row)
        optimizer.step()
        optimizer.clear_grad()
    expected = reference(
        np.asarray(rows),
        start,
        rate=rate,
        placement=placement,
        l2=weight_decay if kind is AdaXL2 else 0.0,
        decoupled=weight_decay if kind is AdaXW else 0.0,
        **options,
    )
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_float32_agrees_over_many_steps(placement):
    rows = np.random.default_rng(2).normal(size=(2000, 4)) * np.array([1e-4, 1e-2, 1.0, 30.0])
    start = np.array([0.5, -1.0, 2.0, 0.0])
    weight = parameter(start, "float32")
    optimizer = AdaXW(1e-3, [weight], weight_decay=0.1, epsilon=1e-8, epsilon_placement=placement)
    for row in rows:
        give(weight, row.astype(np.float32))
        optimizer.step()
        optimizer.clear_grad()
    expected = reference(rows.astype(np.float32).astype(np.float64), start, rate=1e-3, epsilon=1e-8, placement=placement, decoupled=0.1)
    np.testing.assert_allclose(weight.numpy(), expected, atol=1e-4)  # 1 - 1e-4 in float32, 2,000 times


@pytest.mark.parametrize("epsilon", [0.0, 1e-12])
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_no_gradient_ever_came_nothing_moves_and_nothing_is_nan(placement, epsilon, dtype):
    weight = parameter([1.0, 2.0], dtype)
    optimizer = AdaX(1e-3, [weight], epsilon=epsilon, epsilon_placement=placement)
    for _ in range(3):
        give(weight, [0.0, 1.0])
        optimizer.step()
        optimizer.clear_grad()
    assert float(weight[0]) == 1.0 and float(weight[1]) == pytest.approx(2 - 1e-3 * 0.561, rel=1e-6)


# -- late steps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [887_271, 887_272, 1_000_000, 7_100_000, 10**9])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_steps_at_which_the_power_no_longer_fits(steps, placement):
    """v_hat stands still there, and AdaX is SGD with momentum at a rate of its own for each number."""
    weight = parameter([1.0, 1.0], "float32")
    optimizer = AdaX(1e-2, [weight], epsilon_placement=placement, epsilon=1e-12)
    moment, v_hat = np.float32([0.5, -0.25]), np.float32([4.0, 1e-6])
    optimizer.set_state_dict({"iterations": steps, "0.steps": steps, "0.moment": moment, "0.v_hat": v_hat})
    give(weight, [3.0, 1e-3])
    optimizer.step()
    after = 0.9 * moment + 0.1 * np.float32([3.0, 1e-3])
    state = optimizer.state_dict()
    np.testing.assert_array_equal(state["0.v_hat"].numpy(), v_hat)
    np.testing.assert_allclose(weight.numpy(), 1 - 1e-2 * after / np.sqrt(v_hat), rtol=2e-6)
    assert int(state["0.steps"]) == steps + 1


@pytest.mark.parametrize("steps", [1000, 30_000, 100_000])
def test_a_constant_gradient_keeps_its_square_however_late(steps):
    weight = parameter([0.0], "float32")
    optimizer = AdaX(1e-3, [weight])
    gradient = np.float32([0.123])
    optimizer.set_state_dict({"iterations": steps, "0.steps": steps, "0.moment": gradient, "0.v_hat": gradient**2})
    for _ in range(200):
        give(weight, gradient)
        optimizer.step()
        optimizer.clear_grad()
    np.testing.assert_allclose(optimizer.state_dict()["0.v_hat"].numpy(), gradient**2, rtol=1e-6)
