"""Gold less what mistakes take away, plus what they add, are the predictions: as the metric compares them."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.event.features import Lost
from tasks.event.predictions import Prediction
from tasks.event.records import Argument, Event, EventRecord
from tasks.registry import get_task

TASK = get_task("event")
TEXT = "温青禾在海螺湾得到NovaKite的旧伞，nova不见了"


def found(kind, role, text, start=None, probability=0.5):
    start = TEXT.index(text) if start is None else start
    return Prediction(kind, role, text, start, start + len(text), probability)


def record(*arguments, text=TEXT, aliases=()):
    made = [Event(kind, None, None, (Argument(role, mention, text.index(mention), aliases),)) for kind, role, mention in arguments]
    return EventRecord("a", text, tuple(made), 3)


@pytest.mark.parametrize(
    ("gold", "made", "fault"),
    [
        (("甲-得", "物", "旧伞"), None, "missing"),
        (None, ("甲-得", "物", "旧伞"), "extra"),
        (("甲-得", "物", "旧伞"), ("甲-得", "物", "的旧伞"), "wrong boundary"),
        (("甲-得", "物", "旧伞"), ("甲-得", "人", "旧伞"), "wrong role"),
        (("甲-得", "物", "旧伞"), ("乙-失", "物", "旧伞"), "wrong type"),
        (("甲-得", "人", "NovaKite"), ("乙-失", "物", "NovaKite"), "wrong type"),
    ],
)
def test_faults(gold, made, fault):
    rows, predictions = [record(*[gold] if gold else [])], [[found(*made)] if made else []]
    (mistake,) = TASK.mistakes(rows, predictions)
    assert (mistake["fault"], mistake["id"], mistake["line"], mistake["label"]) == (fault, "a", 3, (gold or made)[0])
    for side, wanted in (("gold", gold), ("predicted", made)):
        told = mistake[side]
        assert (told is None) == (wanted is None)
        assert told is None or ((told["type"], told["role"], told["text"]) == wanted and TEXT[told["start"] : told["end"]] == told["text"])
    assert made is None or mistake["predicted"]["probability"] == 0.5
    assert "旧伞" in mistake["context"][0]["text"] or "NovaKite" in mistake["context"][0]["text"]


def test_what_is_neither_near_nor_the_same_stays_apart():
    told = TASK.mistakes([record(("甲-得", "物", "旧伞"))], [[found("甲-得", "物", "温青禾"), found("乙-失", "人", "海螺湾")]])
    assert [mistake["fault"] for mistake in told] == ["missing", "extra", "extra"]


def test_case_repetitions_and_aliases_count_as_in_the_metric():
    assert TASK.mistakes([record(*[("甲-得", "人", "NovaKite")] * 2)], [[found("甲-得", "人", "NovaKite")] * 3]) == []
    assert TASK.mistakes([record(("甲-得", "人", "NovaKite"), aliases=("旧伞",))], [[found("甲-得", "人", "旧伞")]]) == []
    rows = [EventRecord("a", TEXT.lower(), record(("甲-得", "人", "NovaKite")).events, 1)]
    assert TASK.mistakes(rows, [[Prediction("甲-得", "人", "novakite", 9, 17, 1.0)]]) == []


def test_causes_are_those_of_the_features():
    class Features:
        lost = (Lost("a", "甲-得", "物", "旧伞", "no token touches it"),)

    rows = [record(("甲-得", "物", "旧伞"), ("甲-得", "人", "温青禾"))]
    told = TASK.mistakes(rows, [[found("乙-失", "人", "海螺湾")]], Features)
    assert [mistake["cause"] for mistake in told] == ["no token touches it", "overlaps a longer argument of its type and role", ""]


PIECES = st.sampled_from(["温青禾", "青禾", "温", "海螺湾", "NovaKite", "Nova", "nova", "旧伞", "的旧伞", "伞"])
ARGUMENTS = st.lists(st.tuples(st.sampled_from(["甲-得", "乙-失"]), st.sampled_from(["人", "物"]), PIECES), max_size=6)


@settings(deadline=None)  # the first example imports scipy
@given(st.lists(st.tuples(ARGUMENTS, ARGUMENTS), max_size=3))
def test_the_mistakes_and_gold_give_the_predictions(cases):
    rows = [EventRecord(str(number), TEXT, record(*gold).events, number) for number, (gold, _) in enumerate(cases)]
    predictions = [[found(*made) for made in row] for _, row in cases]
    told = TASK.mistakes(rows, predictions)

    def side(name):
        return Counter((one["id"], one[name]["type"], one[name]["role"], one[name]["text"].lower()) for one in told if one[name])

    def given_side(which):
        return Counter({(str(number), kind, role, text.lower()) for number, case in enumerate(cases) for kind, role, text in case[which]})

    gold, made = given_side(0), given_side(1)
    assert side("gold") <= gold and gold - side("gold") + side("predicted") == made
    scores = TASK.score(rows, predictions)
    correct = scores["strict"]["correct"]
    assert (side("gold").total(), side("predicted").total()) == (scores["gold"] - correct, scores["predicted"] - correct)
