"""AdaX among Paddle's things: groups, schedulers, clipping, mixed precision, sparse gradients, accumulation, saved states."""

import numpy as np
import paddle
import pytest
from paddle import nn

from shared.optim import AdaX, AdaXL2, AdaXW

KINDS = (AdaX, AdaXL2, AdaXW)
INPUTS = np.random.default_rng(0).normal(size=(5, 16, 4)).astype(np.float32)  # [steps, b, 4]


def model(seed=1):
    paddle.seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def backward(layer, step, share=1.0):
    inputs = paddle.to_tensor(INPUTS[step % len(INPUTS)])
    (((layer(inputs) - inputs[:, :2] * 2) ** 2).mean() * share).backward()


def run(layer, optimizer, steps):
    for step in range(steps):
        backward(layer, step)
        optimizer.step()
        optimizer.clear_grad()
    return [parameter.numpy() for parameter in layer.parameters()]


def same(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_is_a_paddle_optimizer(kind):
    layer = model()
    optimizer = kind(1e-2, layer.parameters())
    assert isinstance(optimizer, paddle.optimizer.Optimizer)

    def loss():
        return float(((layer(paddle.to_tensor(INPUTS[0])) - paddle.to_tensor(INPUTS[0, :, :2]) * 2) ** 2).mean())

    before = loss()
    run(layer, optimizer, 200)
    assert loss() < before / 10


# -- rates -------------------------------------------------------------------------------------------------------


def test_set_lr_get_lr_and_schedulers():
    layer, other = model(), model()
    optimizer = AdaX(1e-2, layer.parameters())
    scheduler = paddle.optimizer.lr.StepDecay(1e-2, step_size=1, gamma=0.5)
    scheduled = AdaX(scheduler, other.parameters())
    for step in range(4):
        optimizer.set_lr(1e-2 * 0.5**step)
        assert optimizer.get_lr() == scheduled.get_lr() == 1e-2 * 0.5**step
        for one, chosen in ((layer, optimizer), (other, scheduled)):
            backward(one, step)
            chosen.step()
            chosen.clear_grad()
        scheduler.step()
    same([p.numpy() for p in layer.parameters()], [p.numpy() for p in other.parameters()])


def test_a_rate_of_zero_moves_nothing_but_the_state():
    layer = model()
    before = [parameter.numpy() for parameter in layer.parameters()]
    optimizer = AdaXW(0.0, layer.parameters())
    same(run(layer, optimizer, 1), before)
    assert float(optimizer.state_dict()["0.v_hat"].sum()) > 0


def moved(kind, gradient=1.0, *, ratio=1.0, **group):
    """How far a parameter of value 2 goes in one step at rate 1e-3."""
    layer = nn.Linear(2, 2)
    layer.weight.set_value(paddle.full([2, 2], 2.0))
    optimizer = kind(1e-3, [{"params": [layer.weight], "learning_rate": ratio, **group}])
    (layer.weight * gradient).sum().backward()
    optimizer.step()
    return 2.0 - float(layer.weight[0, 0])


def test_groups_have_their_own_rate_and_decay():
    assert moved(AdaX, ratio=5.0) == pytest.approx(5e-4, rel=1e-3)
    assert moved(AdaXW, 0.0, weight_decay=0.1) == pytest.approx(2e-4, rel=1e-3)
    assert moved(AdaXW, 0.0, weight_decay=0.1, ratio=3.0) == pytest.approx(6e-4, rel=1e-3)
    assert moved(AdaXW, 0.0) == pytest.approx(1e-4, rel=1e-3)  # the optimizer's own 5e-2
    assert moved(AdaXW, 0.0, weight_decay=0.0) == 0.0
    assert moved(AdaXL2, 0.0, weight_decay=0.1) == pytest.approx(1e-4, rel=1e-3)  # a first step on 0.2 is a first step
    assert moved(AdaXL2, -0.2, weight_decay=0.1) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", [AdaXL2, AdaXW])
def test_parameters_kept_from_decay(kind):
    layer, plain = model(), model()
    kept = {parameter.name for parameter in layer.parameters() if parameter.ndim == 1}
    run(layer, kind(1e-2, layer.parameters(), weight_decay=0.3, apply_decay_param_fun=lambda name: name in kept), 2)
    run(plain, kind(1e-2, plain.parameters(), weight_decay=0.0), 2)
    assert not np.array_equal(layer[2].bias.numpy(), plain[2].bias.numpy())
    run(layer := model(), kind(1e-2, layer.parameters(), weight_decay=0.3, apply_decay_param_fun=lambda name: False), 2)
    same([parameter.numpy() for parameter in layer.parameters()], [parameter.numpy() for parameter in plain.parameters()])


def test_a_parameters_own_rate():
    layer = nn.Linear(3, 3, weight_attr=paddle.ParamAttr(learning_rate=4.0))
    before = layer.weight.numpy(), layer.bias.numpy()
    optimizer = AdaX(1e-3, layer.parameters())
    (layer.weight.sum() + layer.bias.sum()).backward()
    optimizer.step()
    np.testing.assert_allclose(before[0] - layer.weight.numpy(), 4e-4, rtol=1e-3)
    np.testing.assert_allclose(before[1] - layer.bias.numpy(), 1e-4, rtol=1e-3)


# -- gradients ---------------------------------------------------------------------------------------------------


def test_accumulated_gradients_are_the_sum():
    layer, other = model(), model()
    optimizer, accumulating = AdaX(1e-2, layer.parameters()), AdaX(1e-2, other.parameters())
    for step in range(3):
        backward(layer, step)
        optimizer.step()
        optimizer.clear_grad()
        for _ in range(4):
            backward(other, step, share=0.25)
        accumulating.step()
        accumulating.clear_grad()
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-6)


def test_clear_grad_leaves_no_trace():
    layer = model()
    optimizer = AdaX(1e-2, layer.parameters())
    for cleared in ({}, {"set_to_zero": False}):
        backward(layer, 0)
        optimizer.clear_grad(**cleared)
        assert all(parameter.grad is None or float(parameter.grad.abs().sum()) == 0 for parameter in layer.parameters())


def test_clipping_is_over_all_groups_together():
    layer, other = model(), model()
    clip = nn.ClipGradByGlobalNorm(0.01)
    optimizer = AdaX(1e-2, [{"params": part.parameters()} for part in (layer[0], layer[2])], grad_clip=clip)
    run(layer, optimizer, 3)
    plain = AdaX(1e-2, other.parameters())
    for step in range(3):
        backward(other, step)
        for parameter, gradient in clip([(parameter, parameter.grad) for parameter in other.parameters()]):
            parameter.grad.set_value(gradient)
        plain.step()
        plain.clear_grad()
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-7)


def test_minimize_and_a_part_of_the_parameters():
    layer, other = model(), model()
    optimizer = AdaX(1e-2, layer.parameters())
    inputs = paddle.to_tensor(INPUTS[0])
    loss = ((layer(inputs) - inputs[:, :2] * 2) ** 2).mean()
    loss.backward()
    assert len(optimizer.minimize(loss)[1]) == 4
    same([parameter.numpy() for parameter in layer.parameters()], run(other, AdaX(1e-2, other.parameters()), 1))
    before = [parameter.numpy() for parameter in layer.parameters()]
    optimizer.minimize(loss, parameters=[layer[0].weight, layer[0].bias], no_grad_set={layer[0].bias})
    after = [parameter.numpy() for parameter in layer.parameters()]
    assert [np.array_equal(one, two) for one, two in zip(before, after, strict=True)] == [False, True, True, True]


def test_frozen_parameters_and_those_without_a_gradient_stay():
    layer = model()
    layer[0].weight.stop_gradient = True
    spare = paddle.create_parameter([2], "float32")
    before = layer[0].weight.numpy(), spare.numpy()
    optimizer = AdaXW(1e-2, [*layer.parameters(), spare])
    run(layer, optimizer, 3)
    same([layer[0].weight.numpy(), spare.numpy()], before)
    assert "0.steps" not in optimizer.state_dict() and "4.steps" not in optimizer.state_dict()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_that_are_no_numbers_are_refused_before_anything_changes(kind, bad):
    layer = model()
    optimizer = kind(1e-2, layer.parameters())
    run(layer, optimizer, 2)
    before = [parameter.numpy() for parameter in layer.parameters()] + [value.numpy() for value in optimizer.state_dict().values()]
    backward(layer, 0)
    gradient = layer[2].weight.grad.numpy()
    gradient[1, 1] = bad
    layer[2].weight.grad.set_value(gradient)
    with pytest.raises(ValueError, match=f"found 1 of 16 that are not in {layer[2].weight.name}"):
        optimizer.step()
    same([parameter.numpy() for parameter in layer.parameters()] + [value.numpy() for value in optimizer.state_dict().values()], before)


def test_large_gradients_are_no_fault_though_their_sum_overflows():
    weight = paddle.create_parameter([4], "float32")
    (weight * paddle.full([4], 3e38)).sum().backward()
    AdaX(1e-3, [weight]).step()
    assert np.isfinite(weight.numpy()).all()


# -- sparse gradients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_sparse_gradient_acts_as_the_dense_one(kind):
    tables = []
    for sparse in (True, False):
        paddle.seed(3)
        table, head = nn.Embedding(12, 3, sparse=sparse), nn.Linear(3, 1)
        optimizer = kind(1e-2, [*table.parameters(), *head.parameters()], epsilon=1e-8, epsilon_placement="outside")
        for step in range(6):
            for part in range(2):  # accumulated
                ids = paddle.to_tensor(np.random.default_rng([step, part]).integers(0, 9, (2, 4)))  # [2, 4]: rows twice, rows never
                (head(table(ids)) ** 2).sum().backward()
            assert table.weight.grad.is_selected_rows() == sparse
            optimizer.step()
            optimizer.clear_grad(set_to_zero=bool(step % 2))
        tables.append([table.weight.numpy(), head.weight.numpy(), optimizer.state_dict()["0.v_hat"].numpy()])
    for one, other in zip(*tables, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-6)
    assert tables[0][2][9:].any() == (kind is AdaXL2)  # rows that nothing looked up: only decay gives them a gradient


def test_rows_that_are_not_looked_up_still_decay_and_move():
    table = nn.Embedding(4, 2, sparse=True)
    table.weight.set_value(paddle.zeros([4, 2]))
    optimizer = AdaX(1e-2, table.parameters(), beta2=0.5)
    table(paddle.to_tensor([1])).sum().backward()
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)
    first, state = table.weight.numpy().copy(), optimizer.state_dict()
    table(paddle.to_tensor([2])).sum().backward()
    m, v = state["0.moment"].numpy().copy(), state["0.v_hat"].numpy().copy()
    optimizer.step()
    weight = 0.5 / (1.5**2 - 1)
    np.testing.assert_allclose(state["0.moment"].numpy()[1], 0.9 * m[1], rtol=1e-6)
    np.testing.assert_allclose(state["0.v_hat"].numpy()[1], (1 - weight) * v[1], rtol=1e-6)
    assert (table.weight.numpy()[1] < first[1]).all() and (table.weight.numpy()[[0, 3]] == 0).all()


def test_a_sparse_gradient_that_is_no_number():
    table = nn.Embedding(4, 2, sparse=True)
    (table(paddle.to_tensor([1])) * float("nan")).sum().backward()
    with pytest.raises(ValueError, match="found 2 of"):
        AdaX(1e-2, table.parameters()).step()


# -- impossible settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate must be finite and not negative, found -1.0"),
        ({"learning_rate": float("nan")}, "found nan"),
        ({"beta1": 1.0}, "beta1 .* found 1.0"),
        ({"beta2": 1.0}, "near 0 where Adam's is near 1"),
        ({"beta2": 0.0}, "beta2 .* found 0.0"),
        ({"epsilon": -1e-8}, "epsilon .* found -1e-08"),
        ({"decay": -1.0}, "decay .* found -1.0"),
        ({"epsilon_placement": "under"}, "inside, outside, v, found 'under'"),
    ],
)
def test_impossible_settings(options, message):
    with pytest.raises(ValueError, match=message):
        AdaX(parameters=model().parameters(), **options)


def test_impossible_parameters():
    weight = paddle.create_parameter([2], "float32")
    for parameters, message in (
        (None, "found None"),
        ([], "found 0 parameters"),
        (weight, "found EagerParamBase"),
        ({weight}, "found set"),
        ([weight, weight], "given twice"),
        ([{"params": [weight]}, {"params": [weight]}], "given twice"),
        ([{"params": [weight], "lr": 1.0}], "found also lr"),
        ([{"learning_rate": 1.0}], "needs params, found learning_rate"),
        ([{"params": [weight], "weight_decay": 0.1}], "AdaX has no weight decay, found weight_decay=0.1: take AdaXW or AdaXL2"),
        ([{"params": [weight], "learning_rate": -1.0}], "learning_rate of a group .* found -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            AdaX(parameters=parameters)
    with pytest.raises(ValueError, match=r"weight_decay .* found -0\.1"):
        AdaXW(parameters=[weight], weight_decay=-0.1)
