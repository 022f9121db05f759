import math
from collections import Counter

import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from shared.decoding import Forbidden, MinLength, NGramBlock, Trie, filter_probabilities, from_prefixes, greedy, sample

CHECK = [0.5, 0.3, 0.15, 0.05]
KEPT = {0.5: [1], 0.6: [0.625, 0.375], 0.8: [0.625, 0.375], 0.95: [0.5263, 0.3158, 0.1579], 1.0: CHECK}
FIXTURE = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(("top_p", "expected"), KEPT.items())
def test_nucleus_check_values(top_p, expected):
    padded = [*expected, *[0] * (4 - len(expected))]
    assert filter_probabilities(np.array(CHECK), top_p=top_p) == pytest.approx(padded, abs=5e-5)
    shuffled = filter_probabilities(np.array(CHECK)[[2, 0, 3, 1]], top_p=top_p)
    assert shuffled == pytest.approx(np.array(padded)[[2, 0, 3, 1]], abs=5e-5)


@pytest.mark.parametrize(("top_p", "expected"), KEPT.items())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_follow_the_check_values(top_p, expected, dtype):
    row = paddle.to_tensor(np.log([*CHECK, 1e-30]).astype(dtype))  # [5]
    drawn = sample(from_prefixes(lambda prefixes, rows: row.expand([len(rows), 5]), 1), end_id=4, max_length=1, n=4000, top_p=top_p, seed=11)[0]
    counts = Counter(hypothesis.tokens[0] for hypothesis in drawn)
    assert sorted(counts) == list(range(len(expected)))
    if len(expected) > 1:
        frequencies = np.array(expected) / sum(expected)
        assert chisquare([counts[token] for token in range(len(expected))], 4000 * frequencies).pvalue > 0.01
    for hypothesis in drawn[:20]:
        assert math.exp(hypothesis.score) == pytest.approx(expected[hypothesis.tokens[0]], abs=5e-5)
        assert math.exp(hypothesis.log_probability) == pytest.approx(CHECK[hypothesis.tokens[0]], abs=1e-6)


@given(arrays(np.float64, (3, 6), elements=st.floats(0.01, 1)), st.integers(1, 6), st.floats(0.01, 1))
def test_filters_keep_the_shortest_prefix(weights, top_k, top_p):
    given_ = weights / weights.sum(-1, keepdims=True)
    cut = filter_probabilities(given_, top_k=top_k, top_p=top_p)
    assert cut.sum(-1) == pytest.approx(np.ones(3))
    for row, kept in zip(given_, cut, strict=True):
        falling = sorted(row, reverse=True)[:top_k]
        total, size = sum(falling), int((kept > 0).sum())
        assert sum(falling[:size]) >= top_p * total - 2e-6 and (size == 1 or sum(falling[: size - 1]) < top_p * total)
        assert sorted(row[kept > 0], reverse=True) == falling[:size]
        assert kept[kept > 0] == pytest.approx(row[kept > 0] / sum(falling[:size]))


def test_equal_probabilities_keep_the_lower_ids():
    assert np.flatnonzero(filter_probabilities(np.full(6, 1 / 6), top_k=3)).tolist() == [0, 1, 2]
    assert np.flatnonzero(filter_probabilities(np.full(8, 1 / 8), top_p=0.25)).tolist() == [0, 1]


@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"top_p": 0.9}, {"top_k": 4, "top_p": 0.8, "temperature": 0.7}, {"temperature": 2.0}])
def test_whole_sequences_come_as_often_as_the_model_says(model, options):
    untrained = model(1, 4, scale=1.2)
    drawn = sample(untrained.step, end_id=0, max_length=3, n=5000, seed=2, **options)[0]
    expected = sequences(untrained, end=0, length=3, **options)
    for hypothesis in drawn[:200]:
        tokens = [*hypothesis.tokens, *([0] if hypothesis.finished else [])]
        assert math.exp(hypothesis.score) == pytest.approx(expected[tuple(tokens)], rel=1e-6)
        assert hypothesis.log_probability == pytest.approx(untrained.log_probability(0, tokens), abs=1e-6)
    counts = Counter((*hypothesis.tokens, *([0] if hypothesis.finished else [])) for hypothesis in drawn)
    assert set(counts) <= set(expected)
    frequent = [tokens for tokens in expected if expected[tokens] * 5000 >= 5]
    seen, wanted = [counts[tokens] for tokens in frequent], [expected[tokens] * 5000 for tokens in frequent]
    rest = 5000 - sum(seen), 5000 - sum(wanted)
    if rest[1] > 1:
        seen, wanted = [*seen, rest[0]], [*wanted, rest[1]]
    assert chisquare(np.array(seen) * sum(wanted) / sum(seen), wanted).pvalue > 0.01


def sequences(untrained, *, end, length, temperature=1.0, **cut):
    """Every output with its probability of being drawn."""
    found, waiting = {}, [((), 1.0)]
    while waiting:
        prefix, probability = waiting.pop()
        if len(prefix) == length or (prefix and prefix[-1] == end):
            found[prefix] = probability
            continue
        weights = np.exp(untrained.log_probabilities(0, list(prefix)) / temperature)
        chances = filter_probabilities(weights / weights.sum(), **cut)
        waiting += [((*prefix, int(token)), probability * chances[token]) for token in np.flatnonzero(chances)]
    return found


@FIXTURE
@given(
    seed=st.integers(0, 10_000), top_k=st.none() | st.integers(1, 12), top_p=st.floats(0.05, 1), temperature=st.floats(0.2, 3),
    constraint=st.sampled_from([None, NGramBlock(2), Forbidden([3, 4]), Trie([[5, 6], [5], [6, 5, 5]], 1)]),
)  # fmt: skip
def test_a_sample_depends_on_seed_key_and_number_only(model, seed, top_k, top_p, temperature, constraint):
    untrained = model(3, 9, seed=seed, scale=1.5)
    options = {"end_id": 1, "max_length": 6, "top_k": top_k, "top_p": top_p, "temperature": temperature, "seed": seed}
    options["constraints"] = [] if constraint is None else [constraint]
    found = sample(untrained.step, n=4, **options)
    assert sample(untrained.step, n=4, **options) == found
    fewer = sample(untrained.only(2, 0).step, n=2, keys=[2, 0], **options)
    assert fewer == [found[2][:2], found[0][:2]]


def test_another_seed_gives_other_samples_and_low_temperature_is_greedy(model):
    untrained = model(2, 30)
    options = {"end_id": 1, "max_length": 10, "n": 5}
    assert sample(untrained.step, seed=1, **options) != sample(untrained.step, seed=2, **options)
    cold = sample(untrained.step, temperature=1e-4, **options)
    best = greedy(untrained.step, end_id=1, max_length=10)
    assert [[hypothesis.tokens for hypothesis in own] for own in cold] == [[one.tokens] * 5 for one in best]


@pytest.mark.parametrize("options", [{}, {"top_p": 0.7}, {"top_k": 6}])
def test_a_token_at_minus_infinity_never_comes(model, options):
    untrained = model(1, 12, dead=(0, 1, 2, 3, 4, 5, 6, 7))
    drawn = sample(untrained.step, end_id=11, max_length=4, n=300, **options)[0]
    assert {token for hypothesis in drawn for token in hypothesis.tokens} == {8, 9, 10}


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_a_flat_distribution_over_many_tokens_fills_its_nucleus(temperature):
    values = np.random.default_rng(0).normal(scale=0.3, size=2000).astype("float32")  # [v]
    step = from_prefixes(lambda prefixes, rows: paddle.to_tensor(np.tile(values, (len(rows), 1))), 2)
    chances = np.exp(values.astype(np.float64) / temperature)
    kept = filter_probabilities(chances / chances.sum(), top_p=0.7)
    drawn = sample(step, end_id=1999, max_length=1, n=1500, top_p=0.7, temperature=temperature)
    tokens = [one.tokens[0] for own in drawn for one in own if one.tokens]
    assert kept[tokens].min() > 0 and len(set(tokens)) > 700
    assert math.exp(drawn[0][0].score) == pytest.approx(kept[drawn[0][0].tokens[0]], rel=1e-4)


def test_min_length_holds_and_unfinished_samples_say_so(fixed):
    drawn = sample(fixed([0.2, 0.2, 0.6]), end_id=2, max_length=5, min_length=2, n=300, seed=4)[0]
    assert min(len(hypothesis.tokens) for hypothesis in drawn) == 2
    cut = [hypothesis for hypothesis in drawn if not hypothesis.finished]
    assert cut and all(len(hypothesis.tokens) == len(hypothesis) == 5 for hypothesis in cut)
    same = sample(fixed([0.2, 0.2, 0.6]), end_id=2, max_length=5, constraints=[MinLength(2, 2)], n=300, seed=4)[0]
    assert same == drawn
