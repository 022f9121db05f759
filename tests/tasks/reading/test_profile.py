import pytest

from tasks.reading.profile import profile
from tasks.reading.questions import KINDS, kind_of
from tasks.reading.records import Answer, ReadingRecord

CONTEXT = "温青禾住在海螺湾，海螺湾有九条船"


def question(text, *answers, identity="a", context=CONTEXT):
    return ReadingRecord(identity, text, context, tuple(Answer(*answer) for answer in answers) or None, "", 1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("为什么有九条船", "why"),
        ("什么时候出海", "when"),
        ("他几月出海", "when"),
        ("出海要多长时间", "how many"),
        ("有几条船", "how many"),
        ("船票多少钱", "how many"),
        ("谁住在海螺湾", "who"),
        ("他是什么人", "who"),
        ("温青禾住在哪里", "where"),
        ("怎么去海螺湾", "how"),
        ("海螺湾有船吗", "yes or no"),
        ("哪条船最大", "which"),
        ("海螺湾有什么", "what"),
        ("海螺湾的船", "other"),
    ],
)
def test_kinds_of_questions(text, kind):
    assert kind_of(text) == kind and kind in KINDS


def test_lengths_labels_and_overlaps():
    rows = [
        question("温青禾住在哪里", ("海螺湾", 5), ("住在海螺湾",)),
        question("海螺湾有几条船", ("九条船",), identity="b"),
        question("谁有九条船", ("九条船",), identity="c", context="没人知道谁有九条船"),
        question("谁有船", identity="d", context="没有人"),
    ]
    made = profile(rows, None)
    assert made.lengths == {
        "question and context": [23, 23, 14, 6],
        "question": [7, 7, 5, 3],
        "context": [16, 16, 9, 3],
        "answer": [3, 5, 3, 3],
    }
    assert made.labels == {"question kind": {"where": 1, "how many": 1, "who": 2}} and made.labelled == 3
    assert made.overlaps == {
        "several references": 1,
        "references that overlap": 1,
        "an answer that occurs several times in its context": 1,
        "a context of several questions": 2,
        "an answer that stands in its question": 1,
    }
    assert made.ids == ["a", "b", "c", "d"] and made.keys["context"][0] == CONTEXT and made.answers[3] is None


def test_suspicious_places():
    rows = [
        question("where does she live", ("海螺湾",)),
        question("温青禾住在哪里", ("简宁家",), ("",), ("",)),
        question("海螺湾", (CONTEXT,), context=CONTEXT),
        question("温青禾住在哪里", ("船" * 41,), context="船" * 41 + "很多"),
    ]
    assert [(what, index) for what, index, _ in profile(rows, None).suspects] == [
        ("questions without a Chinese character", 0),
        ("answers not in their text", 1),
        ("answers that are empty", 1),
        ("answers given twice", 1),
        ("questions of fewer than 5 characters", 2),
        ("questions that stand in their context", 2),
        ("answers that are their whole context", 2),
        ("answers of more than 40 characters", 3),
    ]


def test_a_shared_context_is_suspected_once():
    rows = [question("温青禾住在哪里", identity=str(number), context="海螺湾\ufffd有船") for number in range(3)]
    assert [(what, index) for what, index, _ in profile(rows, None).suspects] == [("contexts with a replacement character U+FFFD", 0)]
