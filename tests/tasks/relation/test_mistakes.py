"""Gold less what mistakes take away, plus what they add, are the predictions: as the metric compares them."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.registry import get_task
from tasks.relation.metric import normalise
from tasks.relation.predictions import Mention, Prediction
from tasks.relation.records import RelationRecord, Spo

TASK = get_task("relation")
TEXT = "高远山在《北风》里演陆明，在《南港》里演Nova，NOVA高远"


def spo(predicate, subject, value, **slots):
    return Spo(predicate, subject, (("@value", value), *slots.items()))


def made(predicate, subject, value, **slots):
    def mention(text):
        return Mention(text, TEXT.index(text), TEXT.index(text) + len(text))

    return Prediction(predicate, mention(subject), tuple((slot, mention(text)) for slot, text in {"@value": value, **slots}.items()), 0.5)


def mistakes(gold, predicted):
    return TASK.mistakes([RelationRecord(TEXT, tuple(gold), 4)], [list(predicted)])


@pytest.mark.parametrize(
    ("gold", "predicted", "fault"),
    [
        (("饰演", "高远山", "陆明"), None, "missing"),
        (None, ("饰演", "高远山", "陆明"), "extra"),
        (("饰演", "高远山", "陆明"), ("主演", "高远山", "陆明"), "wrong predicate"),
        (("饰演", "高远山", "陆明"), ("饰演", "远山", "陆明"), "wrong boundary"),
        (("饰演", "高远山", "陆明"), ("饰演", "远山在", "演陆明"), "wrong boundary"),
        (("饰演", "高远山", "Nova"), ("饰演", "高远山", "NOVA高"), "extra"),
    ],
)
def test_faults(gold, predicted, fault):
    told = mistakes([spo(*gold)] if gold else [], [made(*predicted)] if predicted else [])
    assert told[-1]["fault"] == fault and told[-1]["line"] == 4 and told[0]["label"] == (gold or predicted)[0]
    assert len(told) == (2 if gold and fault == "extra" else 1)
    for mistake in told:
        if mistake["predicted"]:
            start, end = mistake["predicted"]["subject_span"]
            assert TEXT[start:end] == mistake["predicted"]["subject"] == predicted[1] and mistake["predicted"]["probability"] == 0.5
        if mistake["gold"]:
            assert (mistake["gold"]["predicate"], mistake["gold"]["subject"], mistake["gold"]["object"]["@value"]) == gold
        assert all(TEXT.startswith(part["text"], part["start"]) for part in mistake["context"])


@pytest.mark.parametrize("slots", [{}, {"inWork": "南港"}])
def test_wrong_slots(slots):
    (told,) = mistakes([spo("饰演", "高远山", "陆明", inWork="北风")], [made("饰演", "高远山", "陆明", **slots)])
    assert told["fault"] == "wrong slots"
    assert told["gold"]["object"] == {"@value": "陆明", "inWork": "北风"} and told["predicted"]["object"] == {"@value": "陆明", **slots}


def test_offsets_of_gold_are_given_where_there_is_but_one_place():
    (told,) = mistakes([spo("饰演", "高远", "陆明", inWork="没有")], [])
    assert told["gold"]["subject_span"] is None and told["gold"]["object_spans"] == {"@value": [10, 12], "inWork": None}
    assert TEXT[10:12] == "陆明"


def test_the_metric_folds_and_takes_the_last_of_a_repeated_text():
    assert mistakes([spo("饰演", "高远山", "nova", inWork="《北风》")] * 2, [made("饰演", "高远山", "Nova", inWork="北风")]) == []
    rows = [RelationRecord(TEXT, (spo("饰演", "高远山", "陆明"),), 1), RelationRecord(TEXT, (), 2)]
    assert TASK.mistakes(rows, [[], []]) == [] and TASK.score(rows, [[], []])["gold"] == 0


MENTIONS = st.sampled_from(["高远山", "高远", "远山", "北风", "《北风》", "陆明", "南港", "Nova", "NOVA"])
TRIPLES = st.lists(st.tuples(st.sampled_from(["饰演", "主演"]), MENTIONS, MENTIONS, st.none() | MENTIONS), max_size=5)


@given(TRIPLES, TRIPLES)
def test_the_mistakes_and_gold_give_the_predictions(gold, predicted):
    def build(build_one, triples):
        return [build_one(*triple[:3], **({"inWork": triple[3]} if triple[3] else {})) for triple in triples]

    rows, predictions = [RelationRecord(TEXT, tuple(build(spo, gold)), 4)], [build(made, predicted)]
    check_exact(rows, predictions, TASK.mistakes(rows, predictions))


def check_exact(rows, predictions, told):
    texts = {row.text: (row, found) for row, found in zip(rows, predictions, strict=True)}.values()  # the last of a repeated text
    gold = Counter({(row.line, normalise((one.predicate, one.subject, dict(one.object)))) for row, _ in texts for one in row.spos})
    ours = Counter({(row.line, normalise((one.key()[0], one.key()[1], dict(one.key()[2])))) for row, found in texts for one in found})

    def side(name):
        rows = [(one["line"], one[name]) for one in told if one[name]]
        return Counter((line, normalise((one["predicate"], one["subject"], one["object"]))) for line, one in rows)

    assert side("gold") <= gold and gold - side("gold") + side("predicted") == ours
    scores = TASK.score(rows, predictions)
    assert side("gold").total() == scores["gold"] - scores["found"] and side("predicted").total() == scores["predicted"] - scores["correct"]


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_exact_on_official_dev():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "relation"
    schema = TASK.read_schema(folder / "schema.json")
    train, rows = (TASK.read_records(folder / f"{split}.json", schema, labelled=True).records for split in ("train", "dev"))
    predictions = TASK.baseline(train, rows)
    told = TASK.mistakes(rows, predictions)
    assert {"wrong slots", "missing", "extra"} <= {one["fault"] for one in told}
    check_exact(rows, predictions, told)
