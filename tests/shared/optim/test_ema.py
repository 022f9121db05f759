"""The average of the weights, against its definition."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddle import nn
from safetensors.numpy import load, save

from shared.optim import EMA

DRAW = np.random.default_rng(4)


def weights_of(layer):
    return [parameter.numpy() for parameter in layer.parameters()]


def same(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def wander(layer, ema, steps):
    for _ in range(steps):
        for parameter in layer.parameters():
            parameter.set_value(DRAW.normal(size=parameter.shape).astype(np.float32))
        ema.update()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=30), st.sampled_from([0.0, 0.5, 0.9, 0.999, 0.99999]))
def test_the_average_is_its_definition(values, decay):
    layer = nn.Linear(1, 1, bias_attr=False).to(dtype="float64")
    ema = EMA(layer, decay)
    shadow = 0.0
    for value in values:
        layer.weight.set_value(np.array([[value]]))
        ema.update()
        shadow = decay * shadow + (1 - decay) * value
    assert float(ema.state_dict()["shadow.weight"]) == pytest.approx(shadow, rel=1e-9, abs=1e-12)
    with ema.apply():
        assert float(layer.weight) == pytest.approx(shadow / (1 - decay ** len(values)), rel=1e-9, abs=1e-9)
    assert float(layer.weight) == values[-1]


def test_known_values_with_the_usual_decay():
    layer = nn.Linear(1, 1, bias_attr=False).to(dtype="float64")
    ema = EMA(layer)
    assert ema.decay == 0.999 and float(ema.state_dict()["shadow.weight"]) == 0.0
    for value, shadow, average in ((2.0, 0.002, 2.0), (4.0, 0.005998, 0.005998 / (1 - 0.999**2))):
        layer.weight.set_value(np.array([[value]]))
        ema.update()
        assert float(ema.state_dict()["shadow.weight"]) == pytest.approx(shadow, rel=1e-13)
        with ema.apply():
            assert float(layer.weight) == pytest.approx(average, rel=1e-12)


def test_weights_that_stand_still_are_their_own_average():
    layer = nn.Linear(5, 3)
    before = weights_of(layer)
    ema = EMA(layer)
    for _ in range(20):
        ema.update()
    with ema.apply():
        for one, other in zip(weights_of(layer), before, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5)


def test_the_weights_come_back_bit_for_bit_whatever_happens():
    layer = nn.Sequential(nn.Linear(7, 3), nn.LayerNorm(3))
    ema = EMA(layer, 0.9)
    wander(layer, ema, 3)
    layer[0].weight.set_value(np.full([7, 3], np.float32(0.1)) * np.float32(3))
    before = weights_of(layer)
    with pytest.raises(ZeroDivisionError), ema.apply():
        assert not np.array_equal(layer[0].weight.numpy(), before[0])
        raise ZeroDivisionError
    same(weights_of(layer), before)
    ema.apply()
    for parameter in layer.parameters():
        parameter.set_value(paddle.zeros(parameter.shape))
    ema.restore()
    same(weights_of(layer), before)
    with ema.apply():
        ema.restore()
    same(weights_of(layer), before)


def test_applying_changes_no_average_and_no_training():
    paddle.seed(1)
    layer = nn.Linear(4, 2)
    ema = EMA(layer, 0.9)
    wander(layer, ema, 3)
    before = {key: value.numpy().copy() for key, value in ema.state_dict().items()}
    parameters = [id(parameter) for parameter in layer.parameters()]
    with ema.apply():
        layer(paddle.ones([1, 4]))
    for key, value in ema.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    assert [id(parameter) for parameter in layer.parameters()] == parameters
    layer(paddle.ones([1, 4])).sum().backward()
    assert layer.weight.grad is not None and not layer.weight.stop_gradient


def test_a_saved_average_goes_on_bit_for_bit():
    layer = nn.Linear(4, 2)
    ema = EMA(layer, 0.9)
    wander(layer, ema, 3)
    again = nn.Linear(4, 2)
    other = EMA(again, 0.9)
    other.set_state_dict(load(save({key: value.numpy() for key, value in ema.state_dict().items()})))
    for _ in range(3):
        wander(layer, ema, 1)
        again.set_state_dict(layer.state_dict())
        other.update()
    assert set(ema.state_dict()) == {"updates", "shadow.weight", "shadow.bias"}
    with ema.apply(), other.apply():
        same(weights_of(layer), weights_of(again))


def test_what_is_averaged():
    layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1D(2))
    layer[0].bias.stop_gradient = True
    ema = EMA(layer)
    assert set(ema.state_dict()) == {"updates", "shadow.0.weight", "shadow.1.weight", "shadow.1.bias"}
    assert set(EMA(layer.parameters()).state_dict()) == {"updates", "shadow.0", "shadow.2", "shadow.3"}


def test_half_precision_is_averaged_in_full():
    layer = nn.Linear(3, 1, weight_attr=nn.initializer.Constant(1.0), bias_attr=False).to(dtype="bfloat16")
    ema = EMA(layer)
    for _ in range(100):
        ema.update()
    assert ema.state_dict()["shadow.weight"].dtype == paddle.float32
    np.testing.assert_allclose(ema.state_dict()["shadow.weight"].numpy(), 1 - 0.999**100, rtol=1e-5)
    with ema.apply():
        assert layer.weight.dtype == paddle.bfloat16
        np.testing.assert_allclose(layer.weight.astype("float32").numpy(), 1.0, rtol=0.005)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (("apply",), "found 0 updates"),
        (("restore",), "nothing to restore"),
        (("__enter__",), r"with ema.apply\(\)"),
        (("update", "apply", "apply"), "cannot apply"),
        (("update", "apply", "update"), "cannot update"),
        (("update", "apply", "restore", "restore"), "nothing to restore"),
    ],
)
def test_calls_out_of_order(calls, message):
    layer = nn.Linear(2, 2)
    before = weights_of(layer)
    ema = EMA(layer)
    for call in calls[:-1]:
        getattr(ema, call)()
    with pytest.raises(ValueError, match=message):
        getattr(ema, calls[-1])()
    if calls[-1] != "restore" and "apply" in calls[:-1]:
        ema.restore()
    same(weights_of(layer), before)


def test_impossible_averages():
    layer = nn.Linear(2, 2)
    for decay in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"found {decay}"):
            EMA(layer, decay)
    with pytest.raises(ValueError, match="found 0 trainable parameters"):
        EMA([])
    ema = EMA(layer)
    ema.update()
    for state, message in (
        ({"updates": 1}, "found shadow.bias, shadow.weight on one side"),
        ({**ema.state_dict(), "shadow.more": 1}, "found shadow.more"),
        ({**ema.state_dict(), "shadow.bias": np.zeros(3, np.float32)}, r"shadow.bias must be \[2\] .* found \[3\]"),
    ):
        before = ema.state_dict()["shadow.weight"].numpy().copy()
        with pytest.raises(ValueError, match=message):
            ema.set_state_dict(state)
        np.testing.assert_array_equal(ema.state_dict()["shadow.weight"].numpy(), before)
