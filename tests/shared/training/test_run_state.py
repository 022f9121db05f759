"""A training stopped after any event goes on bit for bit, whatever its settings."""

import copy
import json
import random

import numpy as np
import paddle
import pytest

from shared.errors import InputError
from shared.training.loop import Evaluated, seed_everything
from shared.training.parallel import Ranks
from shared.training.run_state import RunState, capture, restore
from shared.training.snapshots import newest_snapshot, save_snapshot

from . import toy
from .test_gradients import FLOAT16, Overflowing

SHORT = {"epochs": 1.2, "batch_tokens": 70}
EVERYTHING = {
    "optimizer": "adax_w",
    "accumulation": 2,
    "ema_decay": 0.9,
    "fgm_epsilon": 0.5,
    "rdrop": 0.5,
    "replacement_rows": 0.7,
    "patience": 2,
}
RUNS = {
    "plain": (lambda: toy.Tagger(), {}),
    "dropout": (lambda: toy.Tagger(dropout=0.3), {}),
    "adax": (lambda: toy.Tagger(dropout=0.3), {"optimizer": "adax", "weight_decay": 0.0}),
    "adax_l2": (lambda: toy.Tagger(dropout=0.3), {"optimizer": "adax_l2"}),
    "adax_w": (lambda: toy.Tagger(dropout=0.3), {"optimizer": "adax_w"}),
    "draws of NumPy and Python": (lambda: toy.Tagger(dropout=0.3, draws=True), {"accumulation": 2}),
    "averages": (lambda: toy.Tagger(dropout=0.3), {"ema_decay": 0.9}),
    "replacement": (lambda: toy.Tagger(dropout=0.3), {"replacement_rows": 0.7, "accumulation": 3}),
    "penalty": (lambda: toy.Tagger(dropout=0.3), {"penalty_epsilon": 0.5, "penalty_form": "one_sided"}),
    "patience": (lambda: toy.Tagger(dropout=0.3), {"patience": 2, "evaluations_per_epoch": 4, "epochs": 3.0}),
    "float16": (lambda: Overflowing(), FLOAT16),
    "float16 adax": (lambda: Overflowing(), {**FLOAT16, "optimizer": "adax_w", "ema_decay": 0.9}),
    "a parameter that few steps reach": (lambda: toy.Tagger(rare=True), {"batch_tokens": 12, "epochs": 0.5}),
    "adax with a parameter that few steps reach": (lambda: toy.Tagger(rare=True), {"batch_tokens": 12, "epochs": 0.5, "optimizer": "adax_w"}),
    "everything": (lambda: toy.Tagger(dropout=0.3, draws=True, rare=True), EVERYTHING),
}


def made(name):
    layer, changes = RUNS[name]
    return toy.training(layer(), **{**SHORT, **changes})


def through_files(state):
    """As a checkpoint keeps it: counters as JSON."""
    return RunState(state.arrays, json.loads(json.dumps(state.counters)))


@pytest.mark.parametrize("name", RUNS)
def test_every_position_goes_on_bit_for_bit(name):
    straight = made(name)
    states, events = [capture(straight)], []
    for event in straight.run():
        events.append(event)
        states.append(capture(straight))
    assert len(events) >= 6 and any(isinstance(event, Evaluated) for event in events)
    for position, state in enumerate(states):
        np.random.seed(position)  # noqa: NPY002 (what stood in the generators must not matter)
        random.seed(position)
        paddle.seed(position)
        resumed = made(name)
        assert restore(resumed, through_files(state), "there") == []
        toy.same_state(capture(resumed), state)
        found = list(resumed.run())
        assert found == events[position:], position
        toy.same_state(capture(resumed), states[-1])
    assert straight.progress.stopped == (name == "patience")
    assert made(name).gradients.scale.dynamic == ("float16" in name)
    if "float16" in name:
        assert any(getattr(event, "skipped", False) for event in events) and len({state.counters["scale"]["value"] for state in states}) > 2


def test_through_a_checkpoint_on_disk(tmp_path):
    expected = list(made("everything").run())
    found, figures = [], b""
    while True:
        training = made("everything")
        newest = newest_snapshot(tmp_path)
        if newest is not None:
            assert restore(training, newest.state, newest.folder) == [] and newest.figures == figures
        if training.finished:
            break
        event = next(training.run())
        found.append(event)
        figures += f"{event.step}\n".encode()
        save_snapshot(tmp_path, capture(training), figures, keep=2)
    assert found == expected


def test_a_state_is_a_copy():
    training = made("everything")
    next(training.run())
    state = capture(training)
    kept = copy.deepcopy(state.arrays)
    list(training.run())
    for table in kept:
        toy.equal(state.arrays[table], kept[table])


def test_what_is_not_finished_inside_a_step_is_not_settled():
    class Interrupted(toy.Tagger):
        def examine(self, batch, divisors=None):
            raise KeyboardInterrupt

    training = toy.training(Interrupted())
    assert training.settled
    with pytest.raises(KeyboardInterrupt):
        next(training.run())
    assert not training.settled


def test_draws_depend_on_seed_step_and_rank():
    def drawn(*place):
        seed_everything(*place)
        return (float(paddle.rand([1])), float(np.random.random()), random.random())  # noqa: NPY002 (the global one is the point)

    places = [(3, 0), (3, 1), (4, 0), (3, 0, 1), (3, 1, 1)]
    found = [drawn(*place) for place in places]
    assert found == [drawn(*place) for place in places]
    assert all(len(set(values)) == len(places) for values in zip(*found, strict=True))


# -- what does not fit -------------------------------------------------------------------------------------------


def stopped(layer=None, **changes):
    training = toy.training(layer, **{**SHORT, **changes})
    for _, _ in zip(range(4), training.run(), strict=False):
        pass
    return capture(training)


def refused(training, state):
    before = toy.weights_of(training.layer)
    with pytest.raises(InputError) as caught:
        restore(training, state, "run/checkpoints/0000007-step-4")
    (problem,) = caught.value.problems
    assert problem.file == "run/checkpoints/0000007-step-4"
    assert training.progress.step == 0
    if problem.code != "LIC-K002":
        toy.equal(toy.weights_of(training.layer), before)
    return problem.code


def test_a_state_of_another_format():
    state = stopped()
    for other in (0, 2, None, "1"):
        assert refused(toy.training(**SHORT), RunState(state.arrays, {**state.counters, "format": other})) == "LIC-K004"
    assert refused(toy.training(**SHORT), RunState(state.arrays, {})) == "LIC-K004"


@pytest.mark.parametrize("changes", [{"seed": 4}, {"batch_tokens": 80}, {"epochs": 2.0}])
def test_a_state_of_another_order(changes):
    assert refused(toy.training(**{**SHORT, **changes}), stopped()) == "LIC-K005"


def test_a_state_of_other_data():
    lengths = toy.LENGTHS.copy()
    lengths[3] += 1
    assert refused(toy.training(lengths=lengths, **SHORT), stopped()) == "LIC-K005"


@pytest.mark.parametrize(
    ("layer", "changes"),
    [
        (lambda: toy.Tagger(rare=True), {}),
        (toy.Tagger, {"ema_decay": 0.9}),
        (toy.Tagger, {"optimizer": "adax_w"}),
        (toy.Tagger, {"optimizer": "adax", "weight_decay": 0.0}),
    ],
)
def test_a_state_of_another_model_or_optimizer(layer, changes):
    assert refused(toy.training(layer(), **{**SHORT, **changes}), stopped()) == "LIC-K002"
    assert refused(toy.training(**SHORT), stopped(layer(), **changes)) == "LIC-K002"


def test_another_number_of_processes_is_said():
    state = stopped()
    other = RunState(state.arrays, {**state.counters, "world": 4})
    (remark,) = restore(toy.training(**SHORT), other, "there")
    assert "written by 4 processes and 1 go on" in remark
    assert state.counters["world"] == Ranks().world == 1
