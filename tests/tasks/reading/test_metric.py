"""The reading score: hand-made values, properties, a brute-force reference, and the golden files."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.metric import longest_run, normalise, score, score_answer, tokenise
from tasks.reading.submission import score_files


@pytest.mark.parametrize(
    ("left", "right", "length"),
    [
        ("abcd", "axbcd", 3),
        ("abcd", "abcd", 4),
        ("abxcd", "abycd", 2),
        ("aaa", "aa", 2),
        ("ab", "ba", 1),
        ("ab", "cd", 0),
        ("", "ab", 0),
        (["ab", "c"], ["a", "b", "c"], 1),
    ],
)
def test_the_longest_run(left, right, length):
    assert longest_run(left, right) == length


def test_what_is_deleted_and_what_is_kept():
    assert normalise("A:b_c`，。：？！()“”；’《》·、,「」（）－～『』|Ｄ") == "abcｄ"
    kept = " .!?;\"‘%-…[]{}【】\u3000\t\n'/"
    assert normalise(kept) == kept
    assert normalise("……") == "……"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("在nova kite里", ["在", "nova kite", "里"]),
        ("3.5%", ["3.5%"]),
        ("a=b", ["a", "=", "b"]),
        ("甲 乙", ["甲", " ", "乙"]),
        ("㐀龥𠀀𫠠豈", ["㐀", "龥", "𠀀", "𫠠", "豈"]),
        ("かな가", ["かな가"]),
        ("\n甲", ["\n", "甲"]),
        ("", []),
    ],
)
def test_tokens(text, tokens):
    assert tokenise(text) == tokens


@pytest.mark.parametrize(
    ("predicted", "references", "em", "f1"),
    [
        ("海螺湾", ["海螺湾"], True, 1.0),
        ("海螺湾。", ["海螺湾"], True, 1.0),
        ("《海螺湾》", ["“海螺湾”"], True, 1.0),
        ("NovaKite", ["novakite"], True, 1.0),
        ("海螺湾 ", ["海螺湾"], False, 6 / 7),
        ("novakite ", ["novakite"], False, 0.0),
        ("12 元", ["12元"], False, 0.5),
        ("海螺湾.", ["海螺湾"], False, 6 / 7),
        ("在海螺湾", ["海螺湾"], False, 6 / 7),
        ("海大螺湾", ["海螺湾"], False, 4 / 7),
        ("湾螺海", ["海螺湾"], False, 1 / 3),
        ("星桥", ["海螺湾", "星桥科技", "桥"], False, 2 / 3),
        ("", ["海螺湾"], False, 0.0),
        ("", ["海螺湾", ""], True, 0.0),
        ("。", [""], True, 0.0),
        ("海螺湾", [], False, 0.0),
    ],
)
def test_an_answer(predicted, references, em, f1):
    assert score_answer(predicted, references) == (em, pytest.approx(f1))


def test_f1_and_em_take_their_best_reference_each():
    report = score({"a": ["。", "海螺湾"], "b": ["星桥科技"]}, {"a": "", "b": "星桥"})
    assert (report["em"], report["f1"]) == (0.5, pytest.approx(1 / 3))


def test_missing_unknown_and_empty():
    gold = {"a": ["海螺湾"], "b": ["星桥"], "c": [""], "d": ["温小满"]}
    report = score(gold, {"a": "海螺湾", "d": "", "z": "温小满", "y": ""})
    assert (report["em"], report["f1"], report["questions"]) == (0.25, 0.25, 4)
    assert (report["missing_ids"], report["unknown_ids"], report["empty_answers"]) == (2, 2, 1)
    assert score({}, {})["f1"] == 0.0


def test_parts_by_the_shortest_reference():
    gold = {"a": ["海螺湾的东边", "海螺湾"], "b": ["海" * 16], "c": ["海" * 17, ""], "d": ["海" * 5]}
    report = score(gold, {"a": "海螺湾", "c": "海" * 17, "d": "螺"})
    parts = {name: (part["questions"], part["em"], part["f1"]) for name, part in report["per_answer_length"].items()}
    assert parts == {"1-4": (1, 1.0, 1.0), "5-8": (1, 0.0, 0.0), "9-16": (1, 0.0, 0.0), "17+": (1, 1.0, 1.0)}


texts = st.one_of(st.text("海螺湾ab=。 ，", max_size=8), st.text(max_size=6))


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_runs_equal_trying_all(left, right):
    runs = {left[start:stop] for start in range(len(left)) for stop in range(start + 1, len(left) + 1)}
    assert longest_run(left, right) == max((len(run) for run in runs if run in right), default=0)


@settings(max_examples=200, deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_properties(predicted, references):
    em, f1 = score_answer(predicted, references)
    assert 0 <= f1 <= 1
    assert "".join(tokenise(predicted)) == predicted
    assert em == any(normalise(predicted) == normalise(reference) for reference in references)
    if em and normalise(predicted):
        assert f1 == 1
    assert score_answer(predicted, references[::-1]) == (em, f1)
    assert score_answer(f"《{predicted}，", references) == (em, f1)
    assert score_answer(predicted, [*references, predicted]) == (True, 1.0 if normalise(predicted) else 0.0)
    one = references[:1]
    assert score_answer(predicted, one)[1] == pytest.approx(score_answer(one[0], [predicted])[1])


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
@pytest.mark.parametrize("name", ["reading_pred0", "reading_pred1", "reading_pred2"])
def test_golden_scores(name):
    folder = Path(os.environ["LIC_REAL_DATA"]) / "golden"
    expected = json.loads((folder / "scores.json").read_text(encoding="utf-8"))[name]
    report = score_files(folder / "reading_gold.json", folder / f"{name}.json")
    assert {"f1": round(100 * report["f1"], 3), "em": round(100 * report["em"], 3), "skip": report["missing_ids"]} == expected
