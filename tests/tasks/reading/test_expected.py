"""The answer with the highest F1 to expect, against a plain sum over the official metric."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading import metric
from tasks.reading.expected import by_expected_f1, pairwise_f1
from tasks.reading.predictions import Prediction

WORDS = st.text("船树伞ab 1，", max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(WORDS, st.text(max_size=4)), max_size=6))
def test_pairwise_f1_is_the_official_one(texts):
    different = list(dict.fromkeys(map(metric.normalise, texts)))
    found = pairwise_f1(different)
    for i, ours in enumerate(different):
        for j, theirs in enumerate(different):
            assert found[i, j] == pytest.approx(metric.score_answer(ours, [theirs])[1])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(WORDS, st.floats(0, 1)), max_size=6))
def test_the_first_has_the_highest_expected_f1(given_answers):
    answers = [Prediction(text, 0, len(text), probability) for text, probability in given_answers]
    found = by_expected_f1(answers)
    assert sorted(found) == sorted(answers)

    def expected(answer):
        return sum(other.probability * metric.score_answer(answer.text, [other.text])[1] for other in answers)

    if answers:
        assert expected(found[0]) == pytest.approx(max(map(expected, answers)), abs=1e-9)
        assert found[1:] == [answer for at, answer in enumerate(answers) if at != answers.index(found[0])] or found == answers


def test_agreement_beats_the_likeliest():
    answers = [Prediction("树", 0, 1, 0.4), Prediction("船九条", 2, 5, 0.3), Prediction("船九", 2, 4, 0.3)]
    assert by_expected_f1(answers)[0].text == "船九条" and by_expected_f1([]) == [] and by_expected_f1(answers[:1]) == answers[:1]
