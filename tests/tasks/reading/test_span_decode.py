"""Spans from logits equal those of a plain search; gold comes back; whatever is answered stands in the passage."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from tasks.reading.features import make_features
from tasks.reading.models.span_decode import best_spans, decode_batch, gold_logits
from tasks.reading.models.span_design import DecodeSettings
from tasks.reading.predictions import Prediction
from tasks.reading.records import Answer, ReadingRecord, read_records
from tasks.recipe import load_recipe
from tasks.registry import get_task

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "reading"
REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("reading")
WORDS = Tokenizer(Vocabulary.build(["温青禾旧伞", "ab2i"], max_size=200))


def ceiling(rows, tokenizer, *overrides):
    recipe = load_recipe(TASK.recipes, "quick", overrides, check=TASK.check_recipe)
    features = TASK.make_features(rows, None, tokenizer, recipe.features)
    return TASK.ceiling(features, rows, None, recipe=recipe), features


def vocabulary_of(rows):
    return Tokenizer(Vocabulary.build([TASK.text_of(row) for row in rows], max_size=21128))


# -- spans -------------------------------------------------------------------------------------------------------


def every_span(windows, begins, longest):
    """Probability of every span that may be answered: of its first token times of its last, each summed over the windows that see it."""
    sides = []
    for side in (0, 1):
        total = sum(np.exp(window[side].astype(np.float64)).sum() for window in windows)
        tokens = {}
        for window, begin in zip(windows, begins, strict=True):
            for place, logit in enumerate(window[side].tolist()):
                tokens[begin + place] = tokens.get(begin + place, 0.0) + np.exp(logit) / total
        sides.append(tokens)
    spans = {}
    for window, begin in zip(windows, begins, strict=True):
        end = begin + len(window[0])
        for first in range(begin, end):
            for last in range(first, min(end, first + longest)):
                spans[first, last] = sides[0][first] * sides[1][last]
    return spans


@st.composite
def logits(draw, windows=4, values=None):
    """Windows over one passage, each beginning inside or right behind the one before, with their first tokens."""
    values = st.floats(-6, 6, width=32) if values is None else values
    made, begins, end = [], [], 0
    for number in range(draw(st.integers(1, windows))):
        begin = draw(st.integers(begins[-1] if begins else 0, end))
        size = draw(st.integers(1 if number else 0, 7))
        made.append(tuple(np.array(draw(st.lists(values, min_size=size, max_size=size)), dtype=np.float32) for _ in "se"))
        begins.append(begin)
        end = max(end, begin + size)
    return made, begins


@settings(max_examples=200, deadline=None)
@given(logits(), st.integers(1, 8), st.integers(1, 40))
def test_best_spans_are_those_of_a_plain_search(given_logits, longest, count):
    windows, begins = given_logits
    wanted = every_span(windows, begins, longest)
    found = best_spans(windows, begins, longest=longest, count=count)
    assert len(found) == len({span[:2] for span in found}) == min(count, len(wanted))
    for first, last, probability in found:
        assert probability == pytest.approx(wanted[first, last], rel=1e-9)
    ranked = sorted(wanted.values(), reverse=True)[:count]
    assert [probability for _, _, probability in found] == pytest.approx(ranked, rel=1e-9)
    assert best_spans(windows, begins, longest=longest, count=1) == found[:1]


@settings(max_examples=150, deadline=None)
@given(logits(windows=1, values=st.integers(-1, 1)), st.integers(1, 8), st.integers(1, 12))
def test_equal_spans_come_short_ones_first(given_logits, longest, count):
    ((starts, ends),), begins = given_logits
    spans = [(first, last) for first in range(len(starts)) for last in range(first, min(len(starts), first + longest))]
    spans.sort(key=lambda span: (-starts[span[0]] - ends[span[1]], span[1] - span[0], span[0]))
    found = best_spans([(starts, ends)], begins, longest=longest, count=count)
    assert [(first, last) for first, last, _ in found] == spans[:count]


@settings(max_examples=80, deadline=None)
@given(logits(), st.integers(1, 8))
def test_all_spans_together_have_at_most_probability_one(given_logits, longest):
    windows, begins = given_logits
    found = best_spans(windows, begins, longest=longest, count=10_000)
    assert all(0 <= probability <= 1 for _, _, probability in found)
    assert sum(probability for _, _, probability in found) <= 1 + 1e-9
    if len(windows) == 1 and len(windows[0][0]) == 1:
        assert found == [(0, 0, pytest.approx(1.0))]


def test_the_softmax_goes_over_all_windows():
    one, two = (np.array([1.0]), np.array([0.0])), (np.array([3.0]), np.array([2.0]))
    shares = np.exp([1.0, 3.0]) / np.exp([1.0, 3.0]).sum() * np.exp([0.0, 2.0]) / np.exp([0.0, 2.0]).sum()
    found = best_spans([one, two], [0, 1], longest=5, count=2)
    assert [span[:2] for span in found] == [(1, 1), (0, 0)]
    assert [span[2] for span in found] == pytest.approx(shares[::-1])


def test_a_token_that_two_windows_see_has_the_probability_of_both():
    flat = (np.zeros(2), np.zeros(2))
    found = best_spans([flat, flat], [0, 1], longest=1, count=3)
    assert found == [(1, 1, pytest.approx(1 / 4)), (0, 0, pytest.approx(1 / 16)), (2, 2, pytest.approx(1 / 16))]


def test_logits_of_any_size_stay_finite():
    found = best_spans([(np.array([-5e4, 9e4]), np.array([9e4, -5e4]))], [0], longest=2, count=4)
    assert found[0][:2] in [(0, 0), (1, 1)] and all(np.isfinite(span[2]) for span in found)


def test_no_token_no_span():
    empty = np.zeros(0, dtype=np.float32)
    assert best_spans([(empty, empty)], [0], longest=3, count=2) == []


# -- answers -----------------------------------------------------------------------------------------------------


def question(text, *answers, identity="a"):
    return ReadingRecord(identity, "谁", text, tuple(Answer(answer) for answer in answers) or None)


def answered(rows, spans, *, window=1000, **options):
    """Answers when the logits are 9 at the given (first, last) of each passage's only window."""
    features = make_features(rows, WORDS, window=window, overlap=3)
    made = []
    for number, (first, last) in enumerate(spans):
        sides = np.zeros((2, len(features.ids[number])), dtype=np.float32)
        sides[0, first : first + 1], sides[1, last : last + 1] = 9, 9
        made.append((sides[0], sides[1]))
    return decode_batch(made, range(len(rows)), features, rows, DecodeSettings(**options))


def test_answers_stand_in_the_passage_where_they_say():
    rows = [question("温青禾 把 旧伞\n给了人"), question("旧 伞", identity="b")]
    (first, (one,)), (second, (two,)) = answered(rows, [(4, 5), (0, 1)])
    assert (first, second) == (0, 1) and 0.5 < one.probability < 1
    assert one[:3] == ("旧伞", 6, 8) and two[:3] == ("旧 伞", 0, 3)


def test_a_passage_of_no_token_answers_with_itself():
    rows = [question(" \u200b "), question("旧伞", identity="b")]
    (_, one), (_, two) = answered(rows, [(0, 0), (1, 1)])
    assert one == [Prediction("\u200b", 1, 2, 0.0)] and two[0].text == "伞"


def test_the_length_limit_and_the_number_of_answers():
    rows = [question("温青禾旧伞")]
    ((_, found),) = answered(rows, [(0, 4)], max_answer_tokens=2, n_best=3)
    assert len(found) == 3 and all(len(one.text) <= 2 for one in found)
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
    assert answered(rows, [(0, 4)])[0][1][0].text == "温青禾旧伞"


def test_the_rows_of_a_batch_find_their_own_windows():
    rows = [question("温青禾" * 9), question("旧伞", identity="b"), question("禾旧" * 9, identity="c")]
    features = make_features(rows, WORDS, window=10, overlap=3)
    rng = np.random.default_rng(0)
    of_row = [[tuple(rng.normal(size=(2, end - begin))) for _, begin, end in features.windows_of(row)] for row in range(3)]
    order = [2, 0, 1]
    together = decode_batch([pair for row in order for pair in of_row[row]], np.array(order), features, rows, DecodeSettings(n_best=2))
    assert together == [decode_batch(of_row[row], [row], features, rows, DecodeSettings(n_best=2))[0] for row in order]


# -- gold --------------------------------------------------------------------------------------------------------


def test_gold_gives_the_first_reference_back():
    rows = [question("岑若川说温青禾把旧伞给了人", "旧伞", "温青禾"), question("旧伞", identity="b")]
    predictions, features = ceiling(rows, vocabulary_of(rows))
    assert predictions[0][0][:3] == ("旧伞", 8, 10) and predictions[0][0].probability > 0.999
    starts, ends = gold_logits(features, 1)[0]
    assert starts.tolist() == ends.tolist() == [0, 0]


def test_gold_takes_a_reference_that_decoding_may_give():
    rows = [question("岑若川说温青禾把旧伞给了人", "温青禾把旧伞", "旧伞")]
    assert ceiling(rows, vocabulary_of(rows))[0][0][0].text == "温青禾把旧伞"
    assert ceiling(rows, vocabulary_of(rows), "decode.max_answer_tokens=4")[0][0][0].text == "旧伞"


def test_gold_of_the_samples_comes_back():
    rows = read_records(SAMPLES / "dev.json", labelled=True).records
    for overrides in ((), ("features.window=24", "features.overlap=10")):
        predictions, features = ceiling(rows, vocabulary_of(rows), *overrides)
        scores = TASK.score(rows, predictions)
        assert scores["em"] >= 1 - features.lost_count / len(rows) and scores["f1"] >= 0.98
        exact = {row.id for row in rows} - {lost.id for lost in features.lost}
        assert not exact & {row["id"] for row in TASK.mistakes(rows, predictions, features)}


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder with the official data")
def test_ceiling_on_official_dev():
    rows = read_records(Path(REAL) / "reading" / "dev.json", labelled=True).records
    predictions, _ = ceiling(rows, vocabulary_of(rows))
    scores = TASK.score(rows, predictions)
    assert scores["f1"] >= 0.998 and scores["em"] >= 0.995


# -- any text, any scores ----------------------------------------------------------------------------------------


@st.composite
def questions(draw):
    """One to three questions over any Unicode, each with one to three references out of the passage, with or without offset."""
    rows = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(st.text(min_size=1, max_size=50) | st.text("温青禾 aB2İ\u0301🎉\u3000", min_size=1, max_size=50))
        answers = []
        for _ in range(draw(st.integers(1, 3))):
            start = draw(st.integers(0, len(text) - 1))
            answer = text[start : draw(st.integers(start + 1, len(text)))]
            answers.append(Answer(answer, draw(st.sampled_from([start, None]))))
        rows.append(ReadingRecord(str(number), draw(st.text(max_size=20)), text, tuple(answers)))
    return rows


def verbatim(rows, predictions):
    return len(rows) == len(predictions) and all(
        found and all(one.text == row.text[one.start : one.end] == one.text.strip() and 0 <= one.probability <= 1 for one in found)
        for row, found in zip(rows, predictions, strict=True)
    )


@settings(max_examples=100, deadline=None)
@given(questions(), st.integers(8, 30), st.integers(1, 7))
def test_gold_comes_back_from_any_text(rows, window, overlap):
    predictions, features = ceiling(rows, WORDS, f"features.window={window}", f"features.overlap={overlap}")
    assert verbatim(rows, predictions)
    lost = {fault.id for fault in features.lost}
    for row, found in zip(rows, predictions, strict=True):
        assert row.id in lost or found[0].text in [answer.text for answer in row.answers]


@settings(max_examples=60, deadline=None)
@given(questions(), st.integers(0, 1000), st.sampled_from([0.1, 3.0, 30.0]), st.integers(1, 4))
def test_any_scores_give_verbatim_answers(rows, seed, spread, count):
    rng = np.random.default_rng(seed)
    features = make_features(rows, WORDS, window=10, overlap=3)
    made = [tuple(rng.normal(0, spread, (2, len(features.ids[number]))).astype(np.float32)) for number in range(len(features.ids))]
    found = decode_batch(made, range(len(rows)), features, rows, DecodeSettings(n_best=count, max_answer_tokens=6))
    assert [row for row, _ in found] == list(range(len(rows))) and verbatim(rows, [answers for _, answers in found])
    for row, answers in found:
        assert len(answers) <= count
        if len(features.starts[row]):
            assert all(one.text for one in answers)
