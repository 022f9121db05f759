"""The event score: hand-made values, properties, a brute-force reference, and the golden files."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.event.metric import match_characters, score, score_events
from tasks.event.records import as_triples, read_records
from tasks.event.submission import read_submission, score_files


def prf(report):
    return report["precision"], report["recall"], report["f1"]


@pytest.mark.parametrize(
    ("predicted", "gold", "overlap", "expected"),
    [
        ("星桥", "星桥科技", "multiset", (2 / 3, 1.0, 0.5)),
        ("在星桥科技", "星桥科技", "multiset", (8 / 9, 0.8, 1.0)),
        ("技科", "科技", "multiset", (1.0, 1.0, 1.0)),
        ("技科", "科技", "lcs", (0.5, 0.5, 0.5)),
        ("aab", "abb", "multiset", (2 / 3, 2 / 3, 2 / 3)),
        ("甲", "乙", "lcs", (0.0, 0.0, 0.0)),
        ("", "甲", "multiset", (0.0, 0.0, 0.0)),
        ("", "", "multiset", (0.0, 0.0, 0.0)),
    ],
)
def test_characters(predicted, gold, overlap, expected):
    assert match_characters(predicted, gold, overlap=overlap) == pytest.approx(expected)


def test_part_of_an_argument_is_right_of_what_was_said_and_half_of_what_there_is():
    report = score({"1": [("甲", "主体", "星桥科技")]}, {"1": [("甲", "主体", "星桥")]})
    assert prf(report) == pytest.approx((1.0, 0.5, 2 / 3))
    report = score({"1": [("甲", "主体", "星桥科技")]}, {"1": [("甲", "主体", "星桥")]}, credit="f1")
    assert prf(report) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert prf(report["strict"]) == (0.0, 0.0, 0.0)


def test_type_and_role_must_be_right_and_case_does_not_count():
    gold = {"1": [("甲", "主体", "NovaKite"), ("甲", "时间", "昨天")]}
    assert prf(score(gold, {"1": [("甲", "主体", "NOVAKITE"), ("乙", "时间", "昨天")]})) == (0.5, 0.5, 0.5)
    assert prf(score(gold, {"1": [("甲", "时间", "NovaKite")]})) == (0.0, 0.0, 0.0)


def test_pairs_are_one_to_one_for_the_greatest_total():
    gold = {"1": [("甲", "主体", "abcd"), ("甲", "主体", "ab")]}
    predicted = {"1": [("甲", "主体", "abc"), ("甲", "主体", "abcd")]}
    report = score(gold, predicted)  # abc-ab and abcd-abcd, though abc is nearer to abcd than to ab
    assert prf(report)[:2] == pytest.approx(((2 / 3 + 1) / 2, 1.0))
    best = score(gold, predicted, matching="best")
    assert prf(best)[:2] == pytest.approx((1.0, (1 + 1) / 2))


def test_exact_repetitions():
    gold = {"1": [("甲", "主体", "abc")] * 3}
    predicted = {"1": [("甲", "主体", "abc"), ("甲", "主体", "ABC")]}
    once, keep = score(gold, predicted), score(gold, predicted, duplicates="keep")
    assert (prf(once), once["gold"], once["predicted"]) == ((1.0, 1.0, 1.0), 1, 1)
    assert prf(keep)[:2] == pytest.approx((1.0, 2 / 3)) and (keep["gold"], keep["predicted"]) == (3, 2)
    assert keep["strict"]["correct"] == 2


def test_missing_and_unknown_ids():
    report = score({"1": [("甲", "主体", "a")], "2": []}, {"2": [], "3": [("甲", "主体", "a")]})
    assert prf(report) == (0.0, 0.0, 0.0)
    assert (report["missing_ids"], report["unknown_ids"], report["predicted"], report["ids"]) == (1, 1, 0, 2)


def test_the_best_of_several_mentions_counts():
    gold = {"1": [("甲", "主体", ("星桥科技", "星桥")), ("甲", "主体", "海螺湾")]}
    report = score(gold, {"1": [("甲", "主体", "星桥")]})
    assert prf(report)[:2] == (1.0, 0.5) and report["strict"]["correct"] == 1


def test_an_option_that_does_not_exist():
    with pytest.raises(ValueError, match="overlap='lsc'; expected one of multiset, lcs"):
        score({}, {}, overlap="lsc")


triples = st.lists(st.tuples(st.sampled_from("甲乙"), st.sampled_from("时主"), st.text("abA技", min_size=1, max_size=4)), max_size=5)
files = st.dictionaries(st.sampled_from("123"), triples, max_size=3)
options = st.fixed_dictionaries(
    {
        "credit": st.sampled_from(("precision_recall", "f1")),
        "overlap": st.sampled_from(("multiset", "lcs")),
        "matching": st.sampled_from(("one_to_one", "best")),
        "duplicates": st.sampled_from(("once", "keep")),
    }
)


@settings(max_examples=150, deadline=None)
@given(files, files, options)
def test_properties(gold, predicted, chosen):
    report = score(gold, predicted, **chosen)
    for value in (*prf(report), *prf(report["strict"])):
        assert 0 <= value <= 1 + 1e-12
    assert report["strict"]["f1"] <= report["f1"] + 1e-12
    assert sum(part["gold"] for part in report["per_type"].values()) == report["gold"]
    perfect = score(gold, gold, **chosen)
    assert prf(perfect) == pytest.approx((1, 1, 1) if perfect["gold"] else (0, 0, 0))
    shuffled = {identity: row[::-1] for identity, row in predicted.items()}
    if chosen["credit"] == "f1":  # other pairs of the same total F1 may share P and R differently
        assert prf(score(gold, shuffled, **chosen)) == pytest.approx(prf(report))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4), st.lists(st.text("abc", min_size=1, max_size=4), max_size=4)
)
def test_pairing_equals_trying_all(gold, predicted):
    gold, predicted = sorted(set(gold)), sorted(set(predicted))
    report = score({"1": [("甲", "主", text) for text in gold]}, {"1": [("甲", "主", text) for text in predicted]}, credit="f1")
    short, long = sorted((gold, predicted), key=len)
    best = max(
        sum(match_characters(a, b)[0] for a, b in zip(short, order, strict=True)) for order in itertools.permutations(long, len(short))
    )
    assert report["recall"] == pytest.approx(best / len(gold))


# -- whole events ------------------------------------------------------------------------------------------------


def test_whole_events_are_told_apart():
    pair, other = ("甲", [("主", "A1"), ("客", "b")]), ("甲", [("主", "c")])
    gold = {"1": [pair, other, other, ("乙", [])], "2": [("甲", [("主", ("温青禾", "小温")), ("主", "小温")])], "3": []}
    same = score_events(gold, gold)
    assert prf(same) == (1, 1, 1) and (same["gold"], same["correct"], same["without_arguments"]) == (3, 3, 1)
    alias = {"2": [("甲", [("主", "小温"), ("主", "温青禾")])], "1": [("甲", [("客", "B"), ("主", "a1")])], "4": [other]}
    assert [score_events(gold, alias)[key] for key in ("correct", "predicted", "gold")] == [2, 2, 3]
    together = {"1": [("甲", [*pair[1], *other[1]])], "3": [other]}
    assert [score_events(gold, together)[key] for key in ("correct", "predicted", "gold")] == [0, 2, 3]
    for wrong in (("乙", pair[1]), ("甲", pair[1][:1]), ("甲", [*pair[1], ("客", "d")]), ("甲", [("主", "b"), ("客", "a1")])):
        assert score_events(gold, {"1": [wrong]})["correct"] == 0
    assert prf(score_events({"1": []}, {})) == (0, 0, 0)


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
@pytest.mark.parametrize("name", ["event_pred0", "event_pred1", "event_pred2"])
def test_golden_scores(name):
    folder = Path(os.environ["LIC_REAL_DATA"]) / "golden"
    expected = json.loads((folder / "scores.json").read_text(encoding="utf-8"))[name]
    report = score_files(folder / "event_gold.json", folder / f"{name}.json")
    assert {key: round(report[key], 4) for key in expected} == expected


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_gold_scores_one_against_itself():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "golden"
    records = read_records(folder / "event_gold.json", None, labelled=True).records
    gold = {record.id: as_triples(record) for record in records}
    assert prf(score(gold, gold)) == (1.0, 1.0, 1.0)
    assert len(read_submission(folder / "event_pred0.json")) == len(gold)
