"""The mistakes are exactly the questions with an exact match of 0."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reading.metric import score_answer
from tasks.reading.predictions import Prediction
from tasks.reading.records import Answer, ReadingRecord
from tasks.registry import get_task

TASK = get_task("reading")
CONTEXT = "温青禾住在海螺湾，简宁有NovaKite写的九条船，海螺湾很大"


def question(*answers, identity="a"):
    return ReadingRecord(identity, "温青禾住在哪里", CONTEXT, tuple(answers), "", 2)


def found(text, start=None):
    start = CONTEXT.index(text) if start is None else start
    return [Prediction(text, start, start + len(text), 0.5), Prediction("温青禾", 0, 3, 0.1)]


@pytest.mark.parametrize(
    ("answer", "text", "start", "fault"),
    [
        (Answer("海螺湾"), "住在海螺湾", None, "wrong boundary"),
        (Answer("海螺湾", 5), "螺湾很", 30, "elsewhere"),
        (Answer("海螺湾"), "螺湾很", 30, "wrong boundary"),
        (Answer("海螺湾"), "九条船", None, "elsewhere"),
        (Answer("海螺湾"), "", 0, "missing"),
        (Answer("不在文中"), "九条船", None, "elsewhere"),
    ],
)
def test_faults(answer, text, start, fault):
    assert text == "" or CONTEXT.startswith(text, CONTEXT.rindex(text) if start else CONTEXT.index(text))
    start = CONTEXT.rindex(text) if start else start
    (told,) = TASK.mistakes([question(answer)], [found(text, start)])
    assert (told["fault"], told["id"], told["line"], told["label"], told["question"]) == (fault, "a", 2, "where", "温青禾住在哪里")
    assert told["gold"]["references"][0]["text"] == answer.text and told["predicted"]["text"] == text
    assert told["predicted"]["probability"] == 0.5 and told["f1"] == score_answer(text, [answer.text])[1] < 1
    assert all(CONTEXT.startswith(part["text"], part["start"]) for part in told["context"])


def test_places_of_references():
    (told,) = TASK.mistakes([question(Answer("海螺湾"), Answer("海螺湾", 5), Answer("没有"), Answer(""))], [found("简宁")])
    places = [CONTEXT.index("海螺湾"), CONTEXT.rindex("海螺湾")]
    assert [reference["starts"] for reference in told["gold"]["references"]] == [places, [5], [], []]


PIECES = st.sampled_from(["海螺湾", "海螺湾，", "住在海螺湾", "NovaKite", "九条船", "简宁", "温青禾"])


@given(st.lists(st.tuples(st.lists(PIECES, min_size=1, max_size=3), PIECES), max_size=6))
def test_mistakes_are_the_questions_without_an_exact_match(cases):
    rows = [question(*map(Answer, references), identity=str(number)) for number, (references, _) in enumerate(cases)]
    predictions = [found(text) for _, text in cases]
    told = TASK.mistakes(rows, predictions)
    exact = {str(number) for number, (references, text) in enumerate(cases) if score_answer(text, references)[0]}
    assert [one["id"] for one in told] == [row.id for row in rows if row.id not in exact]
    scores = TASK.score(rows, predictions)
    assert len(told) == scores["questions"] - round(scores["em"] * scores["questions"])
    assert sum(part["questions"] for part in scores["per_question_kind"].values()) == len(rows)
