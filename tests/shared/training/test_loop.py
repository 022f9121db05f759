"""The loop on a problem small enough to know the answer."""

import dataclasses
import math

import numpy as np
import paddle
import pytest
from paddle import nn

from shared.errors import WorkError
from shared.training.loop import Evaluated, Step, Training, clip_gradients, train
from shared.training.order import DataOrder
from shared.training.settings import LoopSettings

from . import toy

SETTINGS = LoopSettings(
    epochs=3,
    batch_tokens=40,
    learning_rate=0.05,
    head_learning_rate=0.05,
    warmup=0.1,
    weight_decay=0.0,
    clip_norm=10.0,
    evaluations_per_epoch=1,
    seed=3,
)
LENGTHS = np.random.default_rng(0).integers(2, 11, 60)  # [n]
INPUTS = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)  # [n, 4]
TARGETS = INPUTS @ np.array([1.0, -2.0, 0.5, 3.0], dtype=np.float32)  # [n]


class Regression(nn.Layer):
    """Learns TARGETS from INPUTS; rows whose target is NaN break it."""

    def __init__(self):
        super().__init__()
        paddle.seed(7)
        self.linear = nn.Linear(4, 1)
        self.seen, self.modes = [], []

    def loss(self, batch):
        rows, inputs, targets = batch
        self.seen.append(rows.tolist())
        self.modes.append(self.training)
        return ((self.linear(paddle.to_tensor(inputs)).squeeze(-1) - paddle.to_tensor(targets)) ** 2).mean()  # []


def collate(rows, *, epoch):
    return rows, INPUTS[rows], TARGETS[rows]


def run(model=None, evaluate=None, *, collate=collate, **changes):
    model = model or Regression()
    return model, train(model, lengths=LENGTHS, collate=collate, evaluate=evaluate, settings=dataclasses.replace(SETTINGS, **changes))


# -- train -------------------------------------------------------------------------------------------------------


def test_it_learns_and_says_every_step():
    model, events = run(epochs=40)
    steps = list(events)
    assert all(isinstance(step, Step) for step in steps)
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert {step.total_steps for step in steps} == {len(steps)}
    assert steps[-1].epoch == pytest.approx(40)
    assert steps[-1].loss < 1e-2 < steps[0].loss
    np.testing.assert_allclose(model.linear.weight.numpy().ravel(), [1.0, -2.0, 0.5, 3.0], atol=0.05)
    assert not model.training


@pytest.mark.parametrize("optimizer", ["adamw", "adax", "adax_l2", "adax_w"])
def test_every_optimizer_trains(optimizer):
    model, events = run(epochs=40, optimizer=optimizer)
    steps = list(events)
    assert steps[-1].loss < 1e-2 < steps[0].loss
    np.testing.assert_allclose(model.linear.weight.numpy().ravel(), [1.0, -2.0, 0.5, 3.0], atol=0.05)


def test_optimizers_differ_and_weight_decay_reaches_those_that_have_it():
    def trained(optimizer, weight_decay=0.0):
        model, events = run(epochs=3, optimizer=optimizer, weight_decay=weight_decay)
        list(events)
        return model.linear.weight.numpy().ravel()

    plain = {optimizer: trained(optimizer) for optimizer in ("adamw", "adax", "adax_w", "adax_l2")}
    for optimizer in ("adax_w", "adax_l2"):  # without decay they are AdaX, but for where epsilon stands
        np.testing.assert_allclose(plain[optimizer], plain["adax"], atol=1e-5)
    decayed = [trained(optimizer, 0.5) for optimizer in ("adamw", "adax_w", "adax_l2")]
    apart = np.stack([plain["adamw"], plain["adax"], *decayed])  # [5, 4]
    assert all(np.abs(apart[i] - apart[j]).max() > 1e-3 for i in range(5) for j in range(i))
    with pytest.raises(ValueError, match="AdaX has no weight decay"):
        trained("adax", 0.5)


def test_an_unknown_optimizer():
    with pytest.raises(ValueError, match="adamw, adax, adax_l2, adax_w, found 'sgd'"):
        run(optimizer="sgd")


def test_steps_say_what_they_cost():
    model, events = run()
    steps = list(events)
    order = DataOrder(LENGTHS, SETTINGS)
    batches = [order.batch(index) for index in range(order.total_steps)]
    assert model.seen == [rows.tolist() for rows in batches]
    assert [step.tokens for step in steps] == [int(LENGTHS[rows].sum()) for rows in batches]
    assert [step.padded_tokens for step in steps] == [int(LENGTHS[rows].max()) * len(rows) for rows in batches]
    assert [step.rows for step in steps] == [len(rows) for rows in batches]
    assert {(*step.extra, step.skipped) for step in steps} == {(False,)}
    peak = max(step.rate for step in steps)
    assert peak == pytest.approx(SETTINGS.learning_rate)
    assert 0 < steps[-1].rate < peak and 0 < steps[0].rate < peak


def test_the_same_seed_gives_the_same_run():
    first, second = list(run()[1]), list(run()[1])
    assert first == second


def test_closing_the_generator_stops_after_the_step_that_was_seen():
    model, events = run()
    for event in events:
        if event.step == 4:
            break
    events.close()
    assert len(model.seen) == 4
    other, others = run()
    for _ in range(4):
        next(others)
    np.testing.assert_array_equal(model.linear.weight.numpy(), other.linear.weight.numpy())


def test_evaluations():
    model = Regression()
    scores = iter([0.2, 0.5, 0.5, 0.1, 0.7, 0.6])
    modes = []

    def evaluate():
        modes.append(model.training)
        score = next(scores)
        return {"f1": score}, score

    events = list(run(model, evaluate, evaluations_per_epoch=2)[1])
    evaluations = [event for event in events if isinstance(event, Evaluated)]
    assert [event.best for event in evaluations] == [True, True, False, False, True, False]
    assert [event.scores["f1"] for event in evaluations] == [0.2, 0.5, 0.5, 0.1, 0.7, 0.6]
    assert [event.epoch for event in evaluations] == pytest.approx([0.5, 1, 1.5, 2, 2.5, 3], abs=0.2)
    assert isinstance(events[-1], Evaluated) and events[-1].step == events[-2].step
    assert modes == [False] * 6 and all(model.modes)


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "expected"), [(1, 1, [1]), (0.5, 1, [0.5]), (2.5, 1, [1, 2, 2.5]), (1, 3, [1 / 3, 2 / 3, 1])]
)
def test_evaluations_fall_on_parts_of_epochs_and_on_the_end(epochs, per_epoch, expected):
    events = run(evaluate=lambda: ({}, 0.0), epochs=epochs, evaluations_per_epoch=per_epoch)[1]
    assert [event.epoch for event in events if isinstance(event, Evaluated)] == pytest.approx(expected, abs=0.15)


def test_a_loss_that_is_no_number_stops_the_work():
    def broken(rows, *, epoch):
        return rows, INPUTS[rows], TARGETS[rows] * (np.nan if 5 in rows else 1)

    model, events = run(collate=broken)
    with pytest.raises(WorkError, match="nan at step"):
        list(events)
    assert np.isfinite(model.linear.weight.numpy()).all()


def test_a_gradient_that_is_no_number_stops_before_the_weights_take_it():
    class RootAtZero(Regression):
        def loss(self, batch):
            return super().loss(batch) + paddle.sqrt((self.linear.weight * 0).sum())  # []: 0, whose gradient is 0 * inf

    model = RootAtZero()
    with pytest.raises(WorkError, match="gradient"):
        list(run(model)[1])
    assert np.isfinite(model.linear.weight.numpy()).all()


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="no row"):
        train(Regression(), lengths=np.zeros(0, dtype=int), collate=collate, evaluate=None, settings=SETTINGS)


def test_a_batch_is_made_of_the_rows_and_their_epoch():
    asked = []

    def noted(rows, *, epoch):
        asked.append((rows.tolist(), epoch))
        return collate(rows, epoch=epoch)

    list(run(collate=noted, epochs=1.5)[1])
    order = DataOrder(LENGTHS, dataclasses.replace(SETTINGS, epochs=1.5))
    assert asked == [(order.batch(index).tolist(), order.epoch_of(index)) for index in range(order.total_steps)]
    assert {epoch for _, epoch in asked} == {0, 1}


# -- stopping and going on ---------------------------------------------------------------------------------------


def test_run_goes_on_where_it_was_closed():
    straight, stopped = toy.training(toy.Tagger(dropout=0.3)), toy.training(toy.Tagger(dropout=0.3))
    expected = list(straight.run())
    found = []
    while not stopped.finished:
        events = stopped.run()
        found.append(next(events))
        events.close()
    assert found == expected and not straight.layer.training
    toy.equal(toy.weights_of(stopped.layer), toy.weights_of(straight.layer))
    assert list(stopped.run()) == []


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_an_interrupted_evaluation_is_done_again(ema_decay):
    expected = list(toy.training(ema_decay=ema_decay).run())
    layer, interrupted = toy.Tagger(), []

    def evaluate():
        if len(interrupted) < 3:
            interrupted.append(toy.score_of(layer))
            raise KeyboardInterrupt
        return {"f1": toy.score_of(layer)}, toy.score_of(layer)

    made, found = toy.training(layer, evaluate=evaluate, ema_decay=ema_decay), []
    while not made.finished:
        try:
            for event in made.run():
                found.append(event)
        except KeyboardInterrupt:
            assert made.settled and layer.training
    assert found == expected and len(set(interrupted)) == 1


@pytest.mark.parametrize("when", ["apply", "restore"])
def test_averages_that_are_interrupted_on_their_way_leave_no_state_to_keep(when, monkeypatch):
    made = toy.training(ema_decay=0.9)
    assert made.settled
    next(made.run())
    with made.averages():
        pass
    assert made.settled
    moved = []

    def assign(*arguments):  # the process is told to stop while half of the weights have moved
        moved.append(arguments)
        if len(moved) == 2 + len(made.parameters) * (when == "restore"):
            raise KeyboardInterrupt
        return original(*arguments)

    original = paddle.assign
    monkeypatch.setattr(paddle, "assign", assign)
    with pytest.raises(KeyboardInterrupt), made.averages():
        pass
    assert not made.settled


def test_a_parameter_that_a_step_does_not_reach_stays_as_it_is():
    layer = toy.Tagger(rare=True)
    reached = []

    def noted(rows, *, epoch):
        reached.append(any((toy.IDS[row] >= toy.RARE).any() for row in rows))
        return toy.collate(rows, epoch=epoch)

    before, moved = layer.bias.numpy().copy(), []
    for _ in toy.training(layer, evaluate=False, collate=noted, batch_tokens=12).run():
        moved.append(bool((layer.bias.numpy() != before).any()))
        before = layer.bias.numpy().copy()
    assert moved == reached and len(set(reached)) == 2


def test_parts_of_a_step():
    made = toy.training(accumulation=4)
    assert isinstance(made, Training) and made.evaluates and not toy.training(evaluate=False).evaluates
    rows = made.order.batch(0)
    parts = [part["rows"].tolist() for part in made.parts(rows, epoch=0)]
    assert len(parts) == 4 and sorted(row for part in parts for row in part) == sorted(rows.tolist())
    assert [part["rows"].tolist() for part in made.parts(rows[:2], epoch=0)] == [[rows[0]], [rows[1]]]


# -- clipping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.3, 1.0, 1e6])
def test_clipping_equals_paddles(limit):
    def gradients():
        paddle.seed(5)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        (model(paddle.ones([4, 6])) ** 2).sum().backward()
        return model.parameters()

    reference = [pair[1].numpy() for pair in nn.ClipGradByGlobalNorm(limit)([(p, p.grad) for p in gradients()])]
    parameters = gradients()
    norm = math.sqrt(sum(float((p.grad.numpy().astype(np.float64) ** 2).sum()) for p in parameters))
    frozen = paddle.zeros([3])  # one without a gradient does not disturb
    assert clip_gradients([*parameters, frozen], limit) == pytest.approx(norm, rel=1e-5)
    for parameter, expected in zip(parameters, reference, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-5, atol=1e-7)
