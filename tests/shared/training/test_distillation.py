"""Learning from teachers: the loss by its formula, the same gradient in parts, nothing of a teacher in the student's state."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import paddle
import pytest

from shared.training.distillation import Lesson, Teachers, mean_outputs, taught_outputs
from shared.training.loop import Step, Training
from shared.training.run_state import capture, restore

from . import toy
from .test_gradients import close


def teacher(seed):
    made = toy.Tagger(dropout=0.4)
    rng = np.random.default_rng(seed)
    for parameter in made.parameters():
        parameter.set_value(rng.normal(0, 0.5, parameter.shape).astype(np.float32))
    return made


def training(teachers, layer=None, **changes):
    return Training(
        layer or toy.Tagger(), lengths=toy.LENGTHS, collate=toy.collate, evaluate=None, settings=toy.settings(**changes), teachers=teachers
    )


ROWS = np.arange(0, 60, 8)  # [b]


def found_of(made):
    figures = made.gradients.of(made.parts(ROWS, epoch=0), step=0)
    return figures, toy.gradients_of(made)


def test_the_loss_is_the_students_own_and_the_distance_to_the_mean_of_the_teachers():
    pair = [teacher(1), teacher(2)]
    figures, _ = found_of(training(Teachers([pair]), teacher_weight=0.3))
    student, batch = toy.Tagger(), toy.collate(ROWS, epoch=0)
    own, outputs = student.examine(batch)
    mean = (pair[0].examine(batch)[1] + pair[1].examine(batch)[1]) / 2  # [b, l, 3]
    apart = float(student.divergence(outputs, mean, batch))
    assert figures["distillation"] == pytest.approx(apart, rel=1e-5) and apart > 0.1
    assert figures["loss"] == pytest.approx(0.7 * float(own) + 0.3 * apart, rel=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_it():
    same = teacher(3)
    same.eval()
    figures, gradients = found_of(training(Teachers([[teacher(3)]]), same, teacher_weight=1.0))
    assert figures["distillation"] == figures["loss"] == 0.0
    assert all(gradient is None or not gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("changes", [{}, {"rdrop": 0.7}, {"fgm_epsilon": 0.5}, {"penalty_epsilon": 0.5}], ids=str)
@pytest.mark.parametrize("groups", [1, 3])
def test_parts_give_the_gradient_of_the_whole_step(changes, groups):
    models = [teacher(number) for number in range(groups)]
    group_of = None if groups == 1 else np.arange(60) % groups
    tolerance = 5e-5 if "penalty_epsilon" in changes else 2e-6
    figures, expected = found_of(training(Teachers([[model] for model in models], group_of), **changes))
    assert "distillation" in figures and ("rdrop" in figures) == ("rdrop" in changes)
    for accumulation in (3, 20):
        in_parts, found = found_of(training(Teachers([[model] for model in models], group_of), accumulation=accumulation, **changes))
        close(found, expected, tolerance)
        assert in_parts == pytest.approx(figures, rel=1e-5)


def test_every_row_is_taught_by_its_group():
    models = [teacher(number) for number in range(3)]
    group_of = np.asarray([2, 0, 1] * 20)  # [n]
    made = training(Teachers([[models[0]], [models[1]], models[1:]], group_of), accumulation=2)
    lessons = made.parts(np.arange(7, 19), epoch=0)
    assert sorted(row for lesson in lessons for row in lesson.batch["rows"].tolist()) == list(range(7, 19))
    by = {0: [models[0]], 1: [models[1]], 2: models[1:]}
    for lesson in lessons:
        (group,) = set(group_of[lesson.batch["rows"]].tolist())
        assert list(lesson.teachers) == by[group]
    assert len(lessons) == 6


def test_teachers_learn_nothing_draw_nothing_and_are_no_part_of_the_state():
    model = teacher(5)
    before = toy.weights_of(model)
    made, plain = training(Teachers([[model]]), epochs=1), training(None, epochs=1)
    assert sorted(capture(made).arrays["weights"]) == sorted(capture(plain).arrays["weights"])
    events = list(made.run())
    assert all(isinstance(event, Step) and event.extra["distillation"] > 0 for event in events)
    toy.equal(before, toy.weights_of(model))
    again = [float(taught_outputs(Lesson(toy.collate(np.arange(4), epoch=0), [model])).sum()) for _ in range(2)]
    assert again[0] == again[1]


def test_a_training_with_teachers_goes_on_where_it_was():
    whole = training(Teachers([[teacher(5)]]), toy.Tagger(dropout=0.2), epochs=1)
    list(whole.run())
    first = training(Teachers([[teacher(5)]]), toy.Tagger(dropout=0.2), epochs=1)
    events = first.run()
    for _ in range(2):
        next(events)
    second = training(Teachers([[teacher(5)]]), toy.Tagger(dropout=0.2), epochs=1)
    assert restore(second, capture(first), "here") == []
    list(second.run())
    toy.same_state(capture(second), capture(whole))


def test_teaching_brings_the_student_nearer():
    apart = [event.extra["distillation"] for event in training(Teachers([[teacher(6)]]), epochs=8, teacher_weight=1.0).run()]
    assert np.mean(apart[-5:]) < 0.5 * np.mean(apart[:5])


# -- means of outputs ----------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    left: object
    right: object


@dataclass(frozen=True)
class Named:
    scores: object
    kept: int = 3


def test_means_go_through_any_form():
    one, two = paddle.to_tensor([1.0, 2.0]), paddle.to_tensor([3.0, -2.0]).astype("float16")  # [2], [2]
    whole = paddle.to_tensor([4, 5])  # [2]
    found = mean_outputs([{"a": Pair(Named(one), None), "b": [whole, "x"]}, {"a": Pair(Named(two), None), "b": [whole, "x"]}])
    assert isinstance(found["a"], Pair) and isinstance(found["a"].left, Named) and found["a"].right is None and found["a"].left.kept == 3
    scores = found["a"].left.scores
    assert scores.tolist() == [2.0, 0.0] and scores.dtype == paddle.float32
    assert found["b"][0].tolist() == [4, 5] and found["b"][1] == "x"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (Pair(paddle.zeros([2]), None), Pair(paddle.zeros([3]), None), r"outputs\.left: numbers \[2\] and numbers \[3\]"),
        (Pair(paddle.zeros([2]), None), Pair(paddle.zeros([2]), paddle.zeros([2])), r"outputs\.right: NoneType and numbers"),
        (Named(paddle.zeros([2])), Pair(paddle.zeros([2]), None), "Named and Pair"),
        (Named(paddle.zeros([2])), Named(paddle.zeros([2]), 4), r"outputs\.kept: values"),
        ({"a": paddle.to_tensor([1])}, {"a": paddle.to_tensor([2])}, r"outputs\.a: whole numbers"),
        ([paddle.zeros([1])], [], "1 and 0 parts"),
    ],
)
def test_outputs_of_another_form_are_refused_with_the_place(first, second, said):
    with pytest.raises(ValueError, match=said):
        mean_outputs([first, second])


def test_teachers_that_cannot_teach():
    with pytest.raises(ValueError, match="every group needs one"):
        Teachers([[teacher(1)], []], np.zeros(60))
    with pytest.raises(ValueError, match="which group teaches each row"):
        Teachers([[teacher(1)], [teacher(2)]])
    with pytest.raises(ValueError, match="there are 2 groups"):
        Teachers([[teacher(1)], [teacher(2)]], np.asarray([0, 2]))
    with pytest.raises(ValueError, match="teacher_weight"):
        toy.settings(teacher_weight=1.5)
