"""Every option of a training has the effect that its formula says."""

import dataclasses
import math

import numpy as np
import paddle
import pytest
from paddle import nn

from shared.errors import InputError
from shared.optim import linear_schedule
from shared.optim.groups import freeze_backbone
from shared.training.loop import Evaluated, Step, make_optimizer, seed_everything
from shared.training.settings import LoopSettings
from tasks.recipe import Recipe, TrainingSettings, parse_settings

from . import toy


def gradient(made, *, step=0):
    """Figures and gradients of the run's step ``step``, as the loop finds them."""
    rows, epoch = made.order.batch(step), made.order.epoch_of(step)
    seed_everything(made.settings.seed, step, 0)
    figures = made.gradients.of(made.parts(rows, epoch=epoch), step=step)
    return figures, toy.gradients_of(made)


def batch_of(made, *, step=0):
    (batch,) = made.parts(made.order.batch(step), epoch=0)
    return batch


def backward(layer, loss):
    """Gradients of a loss by name."""
    layer.clear_gradients()
    loss.backward()
    return {name: parameter.grad.numpy().copy() for name, parameter in layer.named_parameters()}


def close(found, expected, tolerance=1e-6):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=tolerance * np.abs(value).max() + 1e-12, rtol=tolerance, err_msg=name)


# -- rates -------------------------------------------------------------------------------------------------------


class Deep(toy.Tagger):
    """The tagger over a backbone of two blocks."""

    def __init__(self):
        nn.Layer.__init__(self)
        paddle.seed(1)
        self.backbone = nn.Layer()
        self.backbone.embeddings = nn.Layer()
        self.backbone.embeddings.token = nn.Embedding(toy.WORDS, 8)
        self.backbone.blocks = nn.LayerList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.out = nn.Linear(8, 3)
        self.bias, self.dropout, self.draws = None, 0.0, False

    @property
    def embedding(self):
        return self.backbone.embeddings.token

    def inner(self, hidden):
        for block in self.backbone.blocks:
            hidden = paddle.tanh(block(hidden))  # [b, l, h]
        return hidden


def moved_by_one_step(**changes):
    """How far each tensor's largest entry moves in one step of AdamW without decay and warm-up: its rate, whatever the gradient."""
    layer = Deep()
    before = toy.weights_of(layer)
    next(toy.training(layer, warmup=0.0, weight_decay=0.0, **changes).run())
    return {name: float(np.abs(value - before[name]).max()) for name, value in toy.weights_of(layer).items()}


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_rates_by_layer(layer_decay):
    moved = moved_by_one_step(layer_decay=layer_decay)
    rates = {"backbone.embeddings": 0.05 * layer_decay**2, "backbone.blocks.0": 0.05 * layer_decay, "backbone.blocks.1": 0.05, "out": 0.02}
    for name, distance in moved.items():
        assert distance == pytest.approx(next(rate for key, rate in rates.items() if name.startswith(key)), rel=1e-3), name


def test_frozen_layers_stay_and_cost_no_gradient():
    layer = Deep()
    frozen = freeze_backbone(layer.backbone, 1)
    before = toy.weights_of(layer)
    made = toy.training(layer, weight_decay=0.5, ema_decay=0.9)
    list(made.run())
    still = {name for name, value in toy.weights_of(layer).items() if np.array_equal(value, before[name])}
    assert still == {"backbone.embeddings.token.weight", "backbone.blocks.0.weight", "backbone.blocks.0.bias"}
    assert frozen == sum(before[name].size for name in still)
    assert len(made.parameters) == 4 and not any(name.startswith("shadow.backbone.embeddings") for name in made.ema.state_dict())


def test_the_schedule_and_its_warm_up():
    for warmup in (0.0, 0.3, 1.0):
        steps = list(toy.training(evaluate=False, warmup=warmup).run())
        total = len(steps)
        expected = [0.05 * linear_schedule(index, total_steps=total, warmup_steps=int(warmup * total)) for index in range(total)]
        assert [step.rate for step in steps] == pytest.approx(expected)


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adax", "AdaX"), ("adax_l2", "AdaXL2"), ("adax_w", "AdaXW")])
def test_optimizers_by_name(name, kind):
    optimizer = make_optimizer(toy.Tagger(), toy.settings(optimizer=name, weight_decay=0.0))
    assert type(optimizer).__name__ == kind and optimizer.get_lr() == 0.05


def test_weight_decay_of_adamw_takes_its_part_of_the_matrices():
    """Beside the same run without: a step's difference is rate x decay x weight."""
    before = toy.weights_of(toy.Tagger())
    moved = {}
    for decay in (0.0, 0.1):
        made = toy.training(warmup=0.0, weight_decay=decay)
        next(made.run())
        moved[decay] = toy.weights_of(made.layer)
    for name, value in before.items():
        rate = 0.02  # the toy has no backbone
        expected = rate * 0.1 * value if value.ndim >= 2 else 0.0 * value
        np.testing.assert_allclose(moved[0.0][name] - moved[0.1][name], expected, atol=1e-7)


def test_clipping():
    norms = {}
    for limit in (1e9, 0.01):
        made = toy.training(clip_norm=limit, evaluate=False, optimizer="adax", weight_decay=0.0)
        seen = []
        original = made.optimizer.step

        def noted(made=made, seen=seen, original=original):
            seen.append(math.sqrt(sum(float((value**2).sum()) for value in toy.gradients_of(made).values())))
            original()

        made.optimizer.step = noted
        steps = list(made.run())
        norms[limit] = [(step.grad_norm, found) for step, found in zip(steps, seen, strict=True)]
    assert all(found == pytest.approx(said, rel=1e-4) for said, found in norms[1e9])
    assert all(found == pytest.approx(min(said, 0.01), rel=1e-4) for said, found in norms[0.01]) and norms[0.01][0][0] > 0.01


# -- averages and patience ---------------------------------------------------------------------------------------


def test_evaluation_sees_the_averages_and_the_weights_come_back():
    layer, seen, shadows = toy.Tagger(), [], {name: np.zeros_like(value) for name, value in toy.weights_of(toy.Tagger()).items()}

    def evaluate():
        seen.append(toy.weights_of(layer))
        return {}, 0.0

    made = toy.training(layer, evaluate=evaluate, ema_decay=0.8)
    after_step = None
    for count, event in enumerate(event for event in made.run()):
        if isinstance(event, Evaluated):
            toy.equal(toy.weights_of(layer), after_step)
            for name, shadow in shadows.items():
                np.testing.assert_allclose(seen[-1][name], shadow / (1 - 0.8**event.step), rtol=1e-5, atol=1e-6)
            assert count and any((seen[-1][name] != after_step[name]).any() for name in shadows)
        else:
            after_step = toy.weights_of(layer)
            shadows = {name: 0.8 * shadow + 0.2 * after_step[name].astype(np.float64) for name, shadow in shadows.items()}
    assert len(seen) == 6
    with made.averages():
        toy.equal(toy.weights_of(layer), seen[-1])
    toy.equal(toy.weights_of(layer), after_step)


def test_averages_change_nothing_of_the_training():
    plain, averaged = toy.training(evaluate=False), toy.training(evaluate=False, ema_decay=0.9)
    assert list(plain.run()) == list(averaged.run())
    toy.equal(toy.weights_of(plain.layer), toy.weights_of(averaged.layer))
    with plain.averages():
        toy.equal(toy.weights_of(plain.layer), toy.weights_of(averaged.layer))


@pytest.mark.parametrize(
    ("patience", "scores", "expected"),
    [
        (1, [1.0, 2.0, 1.5, 9.0], 3),
        (2, [1.0, 2.0, 1.5, 2.5, 2.5, 2.4, 9.0], None),
        (2, [3.0, 2.0, 3.0, 9.0, 9.0, 9.0], 3),
        (None, [3.0, 2.0, 1.0, 0.0, 0.0, 0.0], None),
        (5, [3.0, 2.0, 1.0, 0.0, 0.0, 0.0], None),  # it would end where the training ends anyway
    ],
)
def test_patience(patience, scores, expected):
    given = iter(scores)
    made = toy.training(evaluate=lambda: ({}, next(given)), patience=patience)
    events = list(made.run())
    evaluations = [event for event in events if isinstance(event, Evaluated)]
    assert [event.last for event in evaluations] == [number == expected for number in range(1, len(evaluations) + 1)]
    assert len(evaluations) == (expected or 6) and made.finished
    best = max(scores[: len(evaluations)])
    assert made.progress.best == best and made.progress.best_step == evaluations[scores.index(best)].step
    assert made.progress.stopped == (expected is not None) and list(made.run()) == []
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, evaluations[-1].step + 1))


# -- passes ------------------------------------------------------------------------------------------------------


def test_fgm_is_two_passes_of_which_the_second_stands_a_step_along_the_gradient():
    made = toy.training(fgm_epsilon=0.5)
    before = toy.weights_of(made.layer)
    figures, found = gradient(made)
    toy.equal(toy.weights_of(made.layer), before)
    layer, batch = toy.Tagger(), batch_of(made)
    loss = layer.loss(batch)
    first = backward(layer, loss)
    moved = first["embedding.weight"] * (0.5 / np.sqrt((first["embedding.weight"] ** 2).sum()))
    layer.embedding.weight.set_value(before["embedding.weight"] + moved)
    second = backward(layer, layer.loss(batch))
    close(found, {name: first[name] + second[name] for name in first}, 1e-5)
    assert figures == {"loss": pytest.approx(float(loss), rel=1e-6)}


class Smooth(toy.Tagger):
    """A loss that can be differentiated twice."""

    def examine(self, batch, divisors=None):
        valid = paddle.to_tensor(batch["valid"].astype(np.float32))  # [b, l]
        scores = self.out(paddle.tanh(self.inner(self.embedding(paddle.to_tensor(batch["ids"])))))  # [b, l, 3]
        return (((scores - 1.0) ** 2).sum(axis=-1) * valid).sum() / (divisors or self.divisors(batch))["tokens"], scores


@pytest.mark.parametrize(("form", "tolerance"), [("central", 2e-3), ("one_sided", 1e-2)])
def test_the_penalty_adds_its_own_gradient(form, tolerance):
    epsilon = 20.0
    made = toy.training(Smooth(), penalty_epsilon=epsilon, penalty_form=form)
    figures, found = gradient(made)
    layer, batch = Smooth(), batch_of(made)
    held = []
    handle = layer.embedding.register_forward_post_hook(lambda _layer, _given, output: held.append(output))
    loss = layer.loss(batch)
    handle.remove()
    (inner,) = paddle.grad(loss, held, create_graph=True)  # [b, l, h]
    penalty = 0.5 * epsilon * (inner**2).sum()  # []
    plain = backward(layer, layer.loss(batch))
    expected = backward(layer, loss + penalty)
    assert figures == {"loss": pytest.approx(float(loss), rel=1e-6), "penalty": pytest.approx(float(penalty), rel=1e-4)}
    added = {name: expected[name] - plain[name] for name in expected}
    norm = math.sqrt(sum(float((value**2).sum()) for value in added.values()))
    off = math.sqrt(sum(float(((found[name] - value) ** 2).sum()) for name, value in expected.items()))
    assert norm > 0.1 * math.sqrt(sum(float((value**2).sum()) for value in plain.values()))
    assert off <= tolerance * norm


def test_rdrop_is_the_mean_of_two_passes_and_their_divergence():
    made = toy.training(toy.Tagger(dropout=0.4), rdrop=0.7)
    figures, found = gradient(made)
    layer, batch = toy.Tagger(dropout=0.4), batch_of(made)
    seed_everything(made.settings.seed, 0, 0)
    first, left = layer.examine(batch)
    second, right = layer.examine(batch)
    divergence = layer.divergence(left, right, batch)
    loss = (first + second) / 2 + divergence * 0.7
    assert float(first) != float(second) and float(divergence) > 0
    assert figures["rdrop"] == pytest.approx(float(divergence), rel=1e-6)
    assert figures["loss"] == pytest.approx(float(loss), rel=1e-6)
    close(found, backward(layer, loss), 1e-5)


@pytest.mark.parametrize(("rows", "tokens"), [(1.0, 0.5), (0.5, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_replacement_changes_what_is_replaceable_alone(rows, tokens):
    class Seen(toy.Tagger):
        def replaceable(self, batch):
            segments = np.zeros_like(batch["ids"])  # [b, l]: what may change are the places from the second on
            segments[:, 1:] = 1
            return segments, batch["valid"]

        def examine(self, batch, divisors=None):
            self.batches.append(batch)
            return super().examine(batch, divisors)

    def collate(rows, *, epoch):
        kept.append(toy.collate(rows, epoch=epoch))
        return {**kept[-1], "ids": kept[-1]["ids"].copy()}

    kept, layer = [], Seen()
    layer.batches = []
    made = toy.training(layer, evaluate=False, collate=collate, replacement_rows=rows, replacement_tokens=tokens)
    list(made.run())
    changed_rows = changed = places = count = 0
    for original, seen in zip(kept, layer.batches, strict=True):
        differs = original["ids"] != seen["ids"]  # [b, l]
        last = original["valid"].sum(axis=1) - 1  # [b]
        assert not differs[:, 0].any() and not differs[~original["valid"]].any()
        assert not differs[np.arange(len(last)), last].any()  # the target's last token is where it ends
        np.testing.assert_array_equal(original["valid"], seen["valid"])
        for row, ids in zip(original["ids"], seen["ids"], strict=True):
            assert set(ids) <= set(row) | {0}
        open_rows = last >= 3
        changed_rows += int(differs[open_rows].any(axis=1).sum())
        count += int(open_rows.sum())
        changed, places = changed + int(differs.sum()), places + int(np.maximum(last - 1, 0).sum())
    if rows and tokens:
        assert 0.6 * rows * tokens < changed / places <= rows * tokens + 0.1
        assert (changed_rows < count) if rows < 1 else changed_rows > 0.5 * count
    else:
        assert changed == 0


@pytest.mark.parametrize(("pool", "outside"), [("target", False), ("all", True)])
def test_the_pool_says_whether_words_come_from_outside_of_what_changes(pool, outside):
    """A row's first token never changes and stands nowhere else, so where it appears it was drawn."""

    class Seen(toy.Tagger):
        def examine(self, batch, divisors=None):
            found.append((batch["ids"][:, 1:] == first).any())
            return super().examine(batch, divisors)

        def replaceable(self, batch):
            places = np.ones_like(batch["ids"])  # [b, l]
            places[:, 0] = 0
            return places, batch["valid"]

    def collate(rows, *, epoch):
        batch = toy.collate(rows, epoch=epoch)
        batch["ids"][batch["ids"] == first] -= 1
        batch["ids"][:, 0] = first
        return batch

    found, first = [], toy.WORDS - 1
    made = toy.training(Seen(), evaluate=False, collate=collate, replacement_rows=1.0, replacement_tokens=0.5, replacement_pool=pool)
    list(made.run())
    assert any(found) is outside


def test_replacement_draws_anew_in_every_step_and_the_same_in_every_run():
    def seen(seed):
        class Seen(toy.Tagger):
            def examine(self, batch, divisors=None):
                found.append(batch["ids"].copy())
                return super().examine(batch, divisors)

        found = []
        made = toy.training(Seen(), replacement_rows=1.0, replacement_tokens=0.5, seed=seed)
        for step in (0, 1, 0):
            rows = toy.training().order.batch(0)
            made.gradients.of(made.parts(rows, epoch=0), step=step)
        return found

    first, second = seen(3), seen(4)
    np.testing.assert_array_equal(first[0], first[2])
    assert (first[0] != first[1]).any() and (first[0] != second[0]).any()
    for one, other in zip(first, seen(3), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("level", ["O1", "O2"])
def test_mixed_precision_that_a_device_lacks_is_float32(level):
    if paddle.device.get_device() != "cpu":
        pytest.skip("a device that has mixed precision")
    assert list(toy.training(amp=level).run()) == list(toy.training().run())


# -- what cannot be ----------------------------------------------------------------------------------------------

BOTH = [
    ({"fgm_epsilon": 0.5, "penalty_epsilon": 1.0}, "fgm_epsilon 0.5 and penalty_epsilon 1.0"),
    ({"penalty_epsilon": 1.0, "amp": "O1"}, "penalty_epsilon 1.0 with amp O1"),
]
VALUES = {
    "optimizer": "sgd",
    "amp": "O3",
    "amp_dtype": "int8",
    "penalty_form": "exact",
    "patience": 0,
    "accumulation": 0,
    "evaluations_per_epoch": 0,
    "batch_tokens": 0,
    "epochs": 0.0,
}


@pytest.mark.parametrize(("changes", "message"), BOTH)
def test_impossible_combinations(changes, message):
    with pytest.raises(ValueError, match=message):
        toy.settings(**changes)
    with pytest.raises(InputError, match=message) as caught:
        parse_settings(Recipe, {"encoder": {"source": "scratch"}, "model": {}, "training": {"epochs": 1, **changes}})
    assert caught.value.keys == ("training",) and caught.value.problems[0].code == "LIC-R006"


@pytest.mark.parametrize("key", VALUES)
def test_impossible_values(key):
    with pytest.raises(ValueError, match=f"{key} must be .*found"):
        toy.settings(**{key: VALUES[key]})
    with pytest.raises(InputError) as caught:
        parse_settings(Recipe, {"encoder": {"source": "scratch"}, "model": {}, "training": {"epochs": 1, key: VALUES[key]}})
    assert caught.value.keys == (f"training.{key}",)


def test_patience_needs_something_to_evaluate_on():
    with pytest.raises(InputError, match=r"patience 2 with train_on train\+dev"):
        parse_settings(TrainingSettings, {"epochs": 1, "patience": 2, "train_on": "train+dev"})


def test_adax_takes_no_decay():
    with pytest.raises(ValueError, match="AdaX has no weight decay"):
        toy.training(optimizer="adax")
    with pytest.raises(InputError, match=r"adax has no weight decay, found 0\.01"):
        parse_settings(TrainingSettings, {"epochs": 1, "optimizer": "adax", "weight_decay": 0.01})
    assert parse_settings(TrainingSettings, {"epochs": 1, "optimizer": "adax"}).weight_decay == 0.0


def test_every_setting_of_the_loop_is_a_line_of_a_recipe_with_the_same_default():
    recipe = TrainingSettings.model_fields
    for field in dataclasses.fields(LoopSettings):
        assert field.name in recipe, field.name
        if field.default is not dataclasses.MISSING:
            assert recipe[field.name].default == field.default, field.name
