"""What AdaX saves, and half precision."""

import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors.numpy import load, save

from shared.optim import AdaX, AdaXL2, AdaXW

KINDS = (AdaX, AdaXL2, AdaXW)
INPUTS = np.random.default_rng(0).normal(size=(12, 16, 4)).astype(np.float32)  # [steps, b, 4]


def model(dtype="float32"):
    paddle.seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype=dtype)


def steps(layer, optimizer, numbers, rate=None):
    for number in numbers:
        if rate is not None:
            optimizer.set_lr(rate * (1 - number / 20))
        inputs = paddle.to_tensor(INPUTS[number]).astype(layer[0].weight.dtype)
        ((layer(inputs) - inputs[:, :2] * 2) ** 2).mean().backward()
        optimizer.step()
        optimizer.clear_grad()


def through_a_file(optimizer):
    return load(save({key: value.numpy() for key, value in optimizer.state_dict().items()}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_state_goes_on_bit_for_bit(kind, dtype):
    whole = model(dtype)
    straight = kind(1e-2, whole.parameters(), decay=0.01)
    steps(whole, straight, range(12), rate=1e-2)
    first = model(dtype)
    optimizer = kind(1e-2, first.parameters(), decay=0.01)
    steps(first, optimizer, range(7), rate=1e-2)
    again = model(dtype)
    again.set_state_dict(first.state_dict())
    resumed = kind(1e-2, again.parameters(), decay=0.01)
    resumed.set_state_dict(through_a_file(optimizer))
    steps(again, resumed, range(7, 12), rate=1e-2)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    states = [chosen.state_dict() for chosen in (straight, resumed)]
    assert set(states[0]) == set(states[1]) and len(states[0]) == 1 + 3 * 4
    for key, value in states[0].items():
        np.testing.assert_array_equal(value.numpy(), states[1][key].numpy())


def test_the_copy_does_not_follow_the_one_it_came_from():
    layer = model()
    optimizer = AdaX(1e-2, layer.parameters())
    steps(layer, optimizer, range(2))
    other = AdaX(1e-2, model().parameters())
    other.set_state_dict(optimizer.state_dict())
    before = other.state_dict()["0.moment"].numpy().copy()
    steps(layer, optimizer, range(2))
    np.testing.assert_array_equal(other.state_dict()["0.moment"].numpy(), before)


def test_a_scheduler_is_saved_with_it():
    layer = model()
    scheduler = paddle.optimizer.lr.StepDecay(1e-2, step_size=1, gamma=0.5)
    optimizer = AdaX(scheduler, layer.parameters())
    steps(layer, optimizer, range(2))
    scheduler.step()
    other = AdaX(paddle.optimizer.lr.StepDecay(1e-2, step_size=1, gamma=0.5), model().parameters())
    other.set_state_dict(optimizer.state_dict())
    assert other.get_lr() == 5e-3
    with pytest.raises(ValueError, match="found LR_Scheduler"):
        AdaX(1e-2, model().parameters()).set_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="found no LR_Scheduler"):
        other.set_state_dict({"iterations": 0})


def test_a_fresh_state_is_a_state():
    layer = model()
    optimizer = AdaX(1e-2, layer.parameters())
    fresh = optimizer.state_dict()
    steps(layer, optimizer, range(2))
    optimizer.set_state_dict(fresh)
    assert set(optimizer.state_dict()) == {"iterations"} and int(optimizer.state_dict()["iterations"]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("iterations"), "entry iterations"),
        (lambda state: state.pop("1.v_hat"), "parameter 1 must have steps, moment and v_hat"),
        (lambda state: state.pop("1.steps"), "parameter 1 must have steps, moment and v_hat"),
        (lambda state: state.update({"9.steps": 3}), "fit 4 parameters, found also 9.steps"),
        (lambda state: state.update({"0.moment": np.zeros((8, 4), np.float32)}), r"0.moment must be \[4, 8\] .* found \[8, 4\]"),
        (lambda state: state.update({"0.v_hat": np.zeros((4, 8))}), r"0.v_hat must be .*float32.* found .*float64"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    layer = model()
    optimizer = AdaX(1e-2, layer.parameters())
    steps(layer, optimizer, range(2))
    state = {key: value.numpy().copy() for key, value in optimizer.state_dict().items()}
    steps(layer, optimizer, range(2, 3))
    before = {key: value.numpy().copy() for key, value in optimizer.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        optimizer.set_state_dict(state)
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


# -- half precision ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_master_weights_take_steps_that_half_precision_cannot(dtype):
    """1,000 steps of 1e-5 from 1: each is less than half precision's resolution, together they are not."""
    for multi_precision in (True, False):
        weight = nn.Linear(3, 1, weight_attr=nn.initializer.Constant(1.0), bias_attr=False).to(dtype=dtype).weight
        optimizer = AdaX(1e-5, [weight], multi_precision=multi_precision)
        for _ in range(1000):
            weight.sum().backward()
            optimizer.step()
            optimizer.clear_grad()
        state = optimizer.state_dict()
        assert state["0.moment"].dtype == state["0.v_hat"].dtype == paddle.float32 and str(weight.dtype).endswith(dtype)
        assert ("0.master" in state) == multi_precision
        if multi_precision:
            np.testing.assert_allclose(state["0.master"].numpy(), 1 - 1e-5 * (1000 - 9), rtol=5e-5)
            np.testing.assert_array_equal(state["0.master"].astype(dtype).astype("float32").numpy(), weight.astype("float32").numpy())
            other = AdaX(1e-5, [weight], multi_precision=True)
            other.set_state_dict(through_a_file(optimizer))
            np.testing.assert_array_equal(other.state_dict()["0.master"].numpy(), state["0.master"].numpy())


def test_under_auto_cast_and_a_scaler():
    layer = model()
    optimizer = AdaXW(1e-2, layer.parameters())
    scaler = paddle.amp.GradScaler(init_loss_scaling=1024)
    losses = []
    for number in range(60):
        inputs = paddle.to_tensor(INPUTS[number % 12])
        with paddle.amp.auto_cast(level="O1", dtype="bfloat16"):
            loss = ((layer(inputs).astype("float32") - inputs[:, :2] * 2) ** 2).mean()
        losses.append(float(loss))
        scaler.scale(loss).backward()
        if number % 2:
            scaler.step(optimizer)
            scaler.update()
        else:
            scaler.minimize(optimizer, loss)
        optimizer.clear_grad()
    assert np.mean(losses[-12:]) < np.mean(losses[:12]) / 2


def test_amp_decorate_takes_it():
    layer = model()
    optimizer = AdaX(1e-2, layer.parameters())
    layer, optimizer = paddle.amp.decorate(layer, optimizers=optimizer, level="O2", dtype="bfloat16")
    inputs = paddle.to_tensor(INPUTS[0])
    with paddle.amp.auto_cast(level="O2", dtype="bfloat16"):
        (layer(inputs) ** 2).astype("float32").mean().backward()
    optimizer.step()
    assert ("0.master" in optimizer.state_dict()) == (layer[0].weight.dtype == paddle.bfloat16)


def test_a_step_that_a_scaler_called_off():
    """On a device with scaling, GradScaler leaves what it found with the optimizer and calls step() all the same."""
    layer = model()
    optimizer = AdaX(1e-2, layer.parameters())
    before = [parameter.numpy() for parameter in layer.parameters()]
    (layer(paddle.to_tensor(INPUTS[0])) * float("inf")).sum().backward()
    optimizer._set_auxiliary_var("found_inf", paddle.to_tensor([True]))
    optimizer.step()
    for parameter, value in zip(layer.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), value)
    assert set(optimizer.state_dict()) == {"iterations"} and int(optimizer.state_dict()["iterations"]) == 0
    optimizer._set_auxiliary_var("found_inf", paddle.to_tensor([False]))
    optimizer.clear_grad()
    steps(layer, optimizer, range(1))
    assert int(optimizer.state_dict()["iterations"]) == 1
