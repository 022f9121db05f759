import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decoding import Hypothesis, beam_search, rerank_mbr, sample
from shared.text.overlap import token_f1


def exact(left, right):
    return float(left == right)


def one(tokens, log_probability=-1.0):
    return Hypothesis(tuple(tokens), log_probability, log_probability, True)


def test_the_candidate_that_agrees_with_most_wins():
    # the most frequent one stands alone, the three others share most of their tokens
    ranked = rerank_mbr(["xyzw", "xyzw", "abcd", "abce", "abcf"], token_f1)
    assert ranked[0].candidate == "abcd" and ranked[0].place == 2
    assert ranked[0].expected_utility == pytest.approx((1 + 0.75 + 0.75) / 5)
    assert rerank_mbr(["xyzw", "xyzw", "abcd", "abce", "abcf"], exact)[0].candidate == "xyzw"


def test_weights():
    beam = [one([1], math.log(0.5)), one([2, 3], math.log(0.2)), one([2, 4], math.log(0.2))]
    ranked = rerank_mbr(beam, token_f1, "probability")
    assert [(r.candidate.tokens, round(r.expected_utility, 9)) for r in ranked] == [
        ((1,), round(0.5 / 0.9, 9)), ((2, 3), round(0.3 / 0.9, 9)), ((2, 4), round(0.3 / 0.9, 9))]  # fmt: skip
    assert rerank_mbr(beam, token_f1)[0].candidate.tokens == (2, 3)
    assert rerank_mbr(beam, token_f1, [0, 0, 3.0])[0].candidate.tokens == (2, 4)
    doubled = rerank_mbr([*beam, beam[1]], exact, "probability")
    assert [r.expected_utility for r in doubled] == pytest.approx([0.5 / 0.9, 0.2 / 0.9, 0.2 / 0.9])


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=8))
def test_ranking_is_the_formula(candidates):
    ranked = rerank_mbr(candidates, token_f1)
    assert sorted(tuple(r.candidate) for r in ranked) == sorted({tuple(candidate) for candidate in candidates})
    utilities = [r.expected_utility for r in ranked]
    assert utilities == sorted(utilities, reverse=True)
    for r in ranked:
        assert candidates.index(r.candidate) == r.place
        assert r.expected_utility == pytest.approx(np.mean([token_f1(r.candidate, other) for other in candidates]), abs=1e-12)


def test_beams_and_samples_of_a_model(model):
    untrained = model(2, 8)
    for own in beam_search(untrained.step, end_id=0, max_length=5, beam=4, n_best=4):
        assert rerank_mbr(own, weights="probability")[0].candidate in own
    for own in sample(untrained.step, end_id=0, max_length=5, n=10):
        assert rerank_mbr(own)[0].candidate in own


@pytest.mark.parametrize(
    ("candidates", "weights", "message"),
    [
        ([], "uniform", "at least 1 candidate, found 0"),
        (["a"], "rank", "weights 'rank' is neither"),
        ([one([1]), (1,)], "probability", "found 1 among 2 candidates"),
        (["a", "b"], [1.0], "1 weights for 2 candidates"),
        (["a", "b"], [0.0, 0.0], "not all 0"),
        (["a", "b"], [1.0, -1.0], "at least 0"),
        (["a", "b"], [1.0, math.nan], "finite"),
    ],
)
def test_bad_input(candidates, weights, message):
    with pytest.raises(ValueError, match=message):
        rerank_mbr(candidates, token_f1, weights)
