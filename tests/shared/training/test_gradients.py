"""The gradient of a step: the same however it is computed in parts, and sound in half precision."""

import math

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from shared.errors import WorkError
from shared.training.gradients import LossScale
from shared.training.loop import SMALLEST_SCALE, Step

from . import toy

# -- accumulation ------------------------------------------------------------------------------------------------

PASSES = {
    "plain": ({}, {"loss"}, 1e-6),
    "fgm": ({"fgm_epsilon": 0.5}, {"loss"}, 1e-6),
    "rdrop": ({"rdrop": 0.7}, {"loss", "rdrop"}, 1e-6),
    "rdrop and fgm": ({"rdrop": 0.7, "fgm_epsilon": 0.5}, {"loss", "rdrop"}, 1e-6),
    # difference quotients, whose step is each part's own
    "central": ({"penalty_epsilon": 0.5}, {"loss", "penalty"}, 5e-5),
    "one_sided": ({"penalty_epsilon": 0.5, "penalty_form": "one_sided"}, {"loss", "penalty"}, 3e-4),
}
FLOAT16 = {"amp": "O1", "amp_dtype": "float16"}  # a CPU computes in float32; the loss is scaled all the same


def found_of(made, *, count=7, step=0):
    """Figures and gradients of the step over ``count`` rows of very different lengths."""
    rows = np.argsort(-toy.LENGTHS, kind="stable")[:: len(toy.LENGTHS) // count][:count]
    figures = made.gradients.of(made.parts(rows, epoch=0), step=step)
    return figures, toy.gradients_of(made)


def close(found, expected, tolerance):
    """To ``tolerance`` of the length of all gradients together."""
    assert sorted(found) == sorted(expected)
    norm = math.sqrt(sum(float((value.astype(np.float64) ** 2).sum()) for value in expected.values() if value is not None))
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            assert np.abs(found[name] - value).max() <= tolerance * norm, name


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("accumulation", [2, 3, 7, 20])
def test_parts_give_the_gradient_of_the_whole_step(name, accumulation):
    changes, said, tolerance = PASSES[name]
    figures, expected = found_of(toy.training(**changes))
    in_parts, found = found_of(toy.training(accumulation=accumulation, **changes))
    close(found, expected, tolerance)
    assert set(in_parts) == set(figures) == said
    for key, value in figures.items():
        assert in_parts[key] == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_the_parts_of_a_step_are_uneven():
    parts = toy.training(accumulation=3).parts(np.argsort(-toy.LENGTHS, kind="stable")[::8][:7], epoch=0)
    assert [len(part["rows"]) for part in parts] == [3, 2, 2] and len({int(part["valid"].sum()) for part in parts}) == 3


@pytest.mark.parametrize("form", ["central", "one_sided"])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_divergence_that_is_said_is_that_of_the_first_pass(form, accumulation):
    """A penalty runs two or three passes over every part; what they diverge is none of the step's figure."""

    class Fixed(toy.Tagger):
        def divergence(self, left, right, batch, divisors=None):
            share = float(batch["valid"].sum()) / (divisors or self.divisors(batch))["tokens"]
            self.said.append(share * (100.0 if self.calls.count(tuple(batch["rows"])) else 1.0))
            self.calls.append(tuple(batch["rows"]))
            return (left - right).mean() * 0.0 + self.said[-1]  # []

    layer = Fixed()
    layer.said, layer.calls = [], []
    figures, _ = found_of(toy.training(layer, rdrop=1.0, penalty_epsilon=0.5, penalty_form=form, accumulation=accumulation))
    assert len(layer.calls) == accumulation * (3 if form == "central" else 2)
    assert figures["rdrop"] == pytest.approx(1.0)  # the shares of all parts, each once


def test_whole_trainings_in_parts_follow_the_same_curve():
    expected = [event.loss for event in toy.training(evaluate=False).run()]
    found = [event.loss for event in toy.training(evaluate=False, accumulation=3).run()]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_gradient_of_zero_has_no_adversary():
    class Flat(toy.Tagger):
        def examine(self, batch, divisors=None):
            loss, scores = super().examine(batch, divisors)
            return loss * 0.0 + (self.out.bias**2).sum() + self.out.bias.sum(), scores

    _, plain = found_of(toy.training(Flat()))
    _, found = found_of(toy.training(Flat(), fgm_epsilon=0.5))
    close(found, {name: 2 * value for name, value in plain.items()}, 1e-6)


def test_frozen_embeddings_have_no_adversary():
    layer = toy.Tagger()
    layer.embedding.weight.stop_gradient = True
    with pytest.raises(ValueError, match=r"fgm_epsilon 0\.5 needs the gradient of the embeddings, found frozen ones"):
        toy.training(layer, fgm_epsilon=0.5)
    figures, _ = found_of(toy.training(layer, penalty_epsilon=0.5))
    assert figures["penalty"] > 0


def test_parts_draw_their_replacements_apart():
    """Each part has one row of the same ids: parts that drew alike would all be replaced alike."""

    class Alike(toy.Tagger):
        def examine(self, batch, divisors=None):
            self.seen.append(batch["ids"].ravel().tolist())
            return super().examine(batch, divisors)

    def collate(rows, *, epoch):
        ids = np.tile(np.arange(1, 21), (len(rows), 1))  # [b, l]
        return {"ids": ids, "valid": np.ones_like(ids, dtype=bool)}

    seen = []
    for accumulation in (1, 6):
        layer = Alike()
        layer.seen = []
        made = toy.training(layer, collate=collate, replacement_rows=1.0, replacement_tokens=0.5, accumulation=accumulation)
        for step in (0, 1):
            made.gradients.of(made.parts(np.arange(6), epoch=0), step=step)
        seen.append(layer.seen)
    assert len(seen[0]) == 2 and len(seen[1]) == 12
    assert len({tuple(ids) for ids in seen[1]}) == 12


# -- the scale of a float16 loss ---------------------------------------------------------------------------------


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
@tries(deadline=None)
def test_the_rule_of_the_loss_scale(went_well, patience):
    scale = LossScale(dynamic=True, patience=patience)
    assert scale.value == 2.0**15
    power, since = 15, 0
    for finite in went_well:
        scale.update(finite)
        since = since + 1 if finite else 0
        power += -1 if not finite else 1 if since and since % patience == 0 else 0
        assert scale.value == 2.0**power
    still = LossScale()
    still.update(False)
    assert (still.value, still.finite_steps) == (1.0, 0)


def test_only_float16_scales():
    assert toy.training(**FLOAT16).gradients.scale.dynamic
    for changes in ({}, {"amp": "O1"}, {"amp": "O2"}, {"amp_dtype": "float16"}):
        scale = toy.training(**changes).gradients.scale
        assert (scale.dynamic, scale.value) == (False, 1.0)


@pytest.mark.parametrize("changes", [{}, {"fgm_epsilon": 0.5}, {"rdrop": 0.5, "accumulation": 2}])
def test_gradients_are_scaled_then_divided(changes):
    """A power of two changes no digit, so the run is that of float32 bit for bit."""
    _, plain = found_of(toy.training(**changes))
    _, scaled = found_of(toy.training(**changes, **FLOAT16))
    if "fgm_epsilon" not in changes:  # whose move has a small constant beside the norm
        toy.equal(scaled, {name: value * np.float32(2**15) for name, value in plain.items()})
    close(scaled, {name: value * 2**15 for name, value in plain.items()}, 1e-5)
    straight, other = toy.training(**changes), toy.training(**changes, **FLOAT16)
    found, expected = list(other.run()), list(straight.run())
    if "fgm_epsilon" in changes:
        losses = [[event.loss for event in events if isinstance(event, Step)] for events in (found, expected)]
        np.testing.assert_allclose(*losses, rtol=1e-4)
    else:
        assert found == expected
        toy.equal(toy.weights_of(other.layer), toy.weights_of(straight.layer))
    assert other.gradients.scale.finite_steps == other.order.total_steps


class Overflowing(toy.Tagger):
    """From its second step on the gradients are so large that a scale above 2^10 or so is too much for the squares of float32."""

    def __init__(self, steep=1e16):
        super().__init__()
        self.steep, self.first = steep, set(toy.training().order.batch(0))

    def examine(self, batch, divisors=None):
        loss, scores = super().examine(batch, divisors)
        return loss * (1.0 if self.first.issuperset(batch["rows"]) else self.steep), scores


@pytest.mark.parametrize("changes", [{}, {"fgm_epsilon": 0.5}, {"optimizer": "adax_w", "ema_decay": 0.9}])
def test_an_overflow_skips_the_step_and_training_goes_on(changes):
    made = toy.training(Overflowing(), evaluate=False, **FLOAT16, **changes)
    steps, weights, scales = [], [toy.weights_of(made.layer)], []
    for step in made.run():
        steps.append(step)
        weights.append(toy.weights_of(made.layer))
        scales.append(made.gradients.scale.value)
        assert all(value is None for value in toy.gradients_of(made).values())
    assert [step.step for step in steps] == list(range(1, made.order.total_steps + 1))
    skipped = [number for number, step in enumerate(steps) if step.skipped]
    assert skipped[:2] == [1, 2] and len(skipped) < 12
    for number, step in enumerate(steps):
        assert math.isfinite(step.grad_norm) != step.skipped
        if step.skipped:
            toy.equal(weights[number], weights[number + 1])
        else:
            assert any((weights[number][name] != weights[number + 1][name]).any() for name in weights[0])
    assert scales == [2.0 ** (15 - sum(at <= number for at in skipped)) for number in range(len(steps))]
    if made.ema is not None:
        assert made.ema.updates == len(steps) - len(skipped)


@pytest.mark.parametrize(("steep", "code"), [(math.nan, "LIC-N001"), (1e36, "LIC-N002")])
def test_what_no_scale_helps_is_a_diverged_training(steep, code):
    made, steps = toy.training(Overflowing(steep), epochs=20, evaluate=False, **FLOAT16), []
    with pytest.raises(WorkError) as caught:
        for step in made.run():
            steps.append(step)
    assert caught.value.problems[0].code == code and all(step.skipped for step in steps[1:])
    assert made.gradients.scale.value == SMALLEST_SCALE
    assert all(np.isfinite(value).all() for value in toy.weights_of(made.layer).values())


# -- divergence --------------------------------------------------------------------------------------------------


class RootOfZero(toy.Tagger):
    """A finite loss whose gradient is none, also at the embeddings."""

    def examine(self, batch, divisors=None):
        loss, scores = super().examine(batch, divisors)
        return loss + paddle.sqrt((self.embedding(paddle.to_tensor(batch["ids"])) * 0.0).sum()), scores


@pytest.mark.parametrize("name", ["plain", "fgm", "central", "one_sided"])
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(
    ("kind", "code"), [((Overflowing, math.nan), "LIC-N001"), ((Overflowing, math.inf), "LIC-N001"), ((RootOfZero,), "LIC-N002")]
)
def test_divergence_is_said_the_same_way_whatever_the_passes(name, accumulation, kind, code):
    made = toy.training(kind[0](*kind[1:]), accumulation=accumulation, **PASSES[name][0])
    before = toy.weights_of(made.layer)
    with pytest.raises(WorkError) as caught:
        for _ in made.run():
            before = toy.weights_of(made.layer)
    assert caught.value.problems[0].code == code
    toy.equal(toy.weights_of(made.layer), before)


def test_other_faults_of_the_penalty_are_not_hidden():
    class Apart(toy.Tagger):
        def examine(self, batch, divisors=None):
            loss, scores = super().examine(batch, divisors)
            return (self.out.bias**2).sum() + loss.detach(), scores

    with pytest.raises(ValueError, match="reaches the loss"):
        list(toy.training(Apart(), penalty_epsilon=0.5).run())
