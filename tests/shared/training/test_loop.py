"""The loop on a problem small enough to know the answer."""

import dataclasses
import math

import numpy as np
import paddle
import pytest
from paddle import nn

from shared.errors import WorkError
from shared.training.loop import Evaluated, LoopSettings, Step, clip_gradients, plan, train

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


def collate(rows):
    return rows, INPUTS[rows], TARGETS[rows]


def run(model=None, evaluate=None, *, collate=collate, **changes):
    model = model or Regression()
    return model, train(model, lengths=LENGTHS, collate=collate, evaluate=evaluate, settings=dataclasses.replace(SETTINGS, **changes))


# -- plan --------------------------------------------------------------------------------------------------------


def test_the_plan_depends_on_its_arguments_alone():
    def listed(settings):
        return [(epoch, rows.tolist()) for epoch, rows in plan(LENGTHS, settings)]

    first = listed(SETTINGS)
    assert first == listed(SETTINGS)
    assert first != listed(dataclasses.replace(SETTINGS, seed=4))
    for epoch in range(3):
        rows = [row for number, batch in first if number == epoch for row in batch]
        assert sorted(rows) == list(range(60))
    assert [batch for number, batch in first if number == 0] != [batch for number, batch in first if number == 1]


def test_a_part_of_an_epoch():
    whole = list(plan(LENGTHS, dataclasses.replace(SETTINGS, epochs=1)))
    part = plan(LENGTHS, dataclasses.replace(SETTINGS, epochs=0.5))
    assert len(part) == math.ceil(len(whole) / 2)
    assert [rows.tolist() for _, rows in part] == [rows.tolist() for _, rows in whole[: len(part)]]
    longer = plan(LENGTHS, dataclasses.replace(SETTINGS, epochs=1.5))
    assert {epoch for epoch, _ in longer} == {0, 1} and len(longer) > len(whole)


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
        next(run(optimizer="sgd")[1])


def test_steps_say_what_they_cost():
    model, events = run()
    steps = list(events)
    batches = [rows for _, rows in plan(LENGTHS, SETTINGS)]
    assert model.seen == [rows.tolist() for rows in batches]
    assert [step.tokens for step in steps] == [int(LENGTHS[rows].sum()) for rows in batches]
    assert [step.padded_tokens for step in steps] == [int(LENGTHS[rows].max()) * len(rows) for rows in batches]
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
    def broken(rows):
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
        next(train(Regression(), lengths=np.zeros(0, dtype=int), collate=collate, evaluate=None, settings=SETTINGS))


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
