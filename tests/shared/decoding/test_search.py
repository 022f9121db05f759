import itertools
import math

import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.decoding import beam_search, from_prefixes, greedy, length_penalty, sample

A, B, C, D, END = range(5)
TOY = {(): {A: 0.6, C: 0.4}, (A,): {B: 0.55, D: 0.45}, (C,): {B: 0.1, D: 0.9}}
FIXTURE = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def toy_step(sources: int = 1):
    """The distribution of article 7259: both training goals are met, and a beam of 2 is wrong."""

    def function(prefixes, rows):
        logits = np.full([len(rows), 5], -np.inf)  # [r, v]
        for row, prefix in enumerate(prefixes.tolist()):
            for token, probability in TOY.get(tuple(prefix), {END: 1.0}).items():
                logits[row, token] = math.log(probability)
        return paddle.to_tensor(logits)

    return from_prefixes(function, sources)


@pytest.mark.parametrize(("beam", "expected", "probability"), [(1, (A, B), 0.33), (2, (C, D), 0.36), (3, (C, D), 0.36)])
def test_toy_distribution_of_the_exposure_bias_article(beam, expected, probability):
    (found,) = beam_search(toy_step(), end_id=END, max_length=3, beam=beam)
    assert found[0].tokens == expected and found[0].finished
    assert math.exp(found[0].log_probability) == pytest.approx(probability, abs=1e-12)


def test_toy_joint_probabilities():
    (found,) = beam_search(toy_step(), end_id=END, max_length=3, beam=5, n_best=4)
    joint = {hypothesis.tokens: round(math.exp(hypothesis.log_probability), 12) for hypothesis in found}
    assert joint == {(A, B): 0.33, (A, D): 0.27, (C, B): 0.04, (C, D): 0.36}


def test_greedy_of_the_toy_needs_the_end_token_within_max_length():
    assert greedy(toy_step(), end_id=END, max_length=3)[0].finished
    (cut,) = greedy(toy_step(), end_id=END, max_length=2)
    assert cut.tokens == (A, B) and not cut.finished and len(cut) == 2


def argmax_decode(model, source, end, max_length):
    prefix = []
    while len(prefix) < max_length:
        token = int(model.log_probabilities(source, prefix).argmax())
        if token == end:
            return tuple(prefix), True
        prefix.append(token)
    return tuple(prefix), False


@pytest.mark.parametrize("penalty", ["none", "gnmt", "mean"])
def test_beam_one_is_greedy_is_argmax(model, penalty):
    untrained = model(12, 7, scale=2.0)
    one = beam_search(untrained.step, end_id=3, max_length=9, beam=1, penalty=penalty)
    for source, (hypotheses, alone) in enumerate(zip(one, greedy(untrained.step, end_id=3, max_length=9), strict=True)):
        assert (hypotheses[0].tokens, hypotheses[0].finished) == (alone.tokens, alone.finished) == argmax_decode(untrained, source, 3, 9)
        tokens = [*alone.tokens, *([3] if alone.finished else [])]
        assert alone.log_probability == pytest.approx(untrained.log_probability(source, tokens), abs=1e-9)


@pytest.mark.parametrize("penalty", ["none", "gnmt", "mean"])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_as_wide_as_all_sequences_is_exhaustive(model, penalty, seed):
    # 60 tokens, of which 4 have a probability: all 3 + 3 * 3 + 27 live prefixes fit the beam
    end, words = 0, (1, 2, 3)
    untrained = model(2, 60, seed=seed, dead=tuple(range(4, 60)))
    divisor = length_penalty(penalty, 0.8)
    found = beam_search(untrained.step, end_id=end, max_length=4, beam=60, n_best=5, penalty=penalty, alpha=0.8)
    for source in range(2):
        everything = [list(words_) for length in range(4) for words_ in itertools.product(words, repeat=length)]
        scores = {tuple(words_): untrained.log_probability(source, [*words_, end]) / divisor(len(words_) + 1) for words_ in everything}
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:5]
        assert [hypothesis.tokens for hypothesis in found[source]] == best
        assert [hypothesis.score for hypothesis in found[source]] == pytest.approx([scores[tokens] for tokens in best], abs=1e-9)


@FIXTURE
@given(
    seed=st.integers(0, 10_000), beam=st.integers(1, 5), vocabulary=st.integers(5, 9), penalty=st.sampled_from(["none", "gnmt", "mean"]),
    alpha=st.floats(0, 2), n_best=st.integers(1, 5), min_length=st.integers(0, 2),
)  # fmt: skip
def test_early_exit_changes_no_result_and_a_batch_is_its_sources_one_by_one(model, seed, beam, vocabulary, penalty, alpha, n_best, min_length):
    options = {"end_id": 1, "max_length": 6, "beam": beam, "n_best": min(n_best, beam), "min_length": min_length}
    options |= {"penalty": penalty, "alpha": alpha}
    untrained = model(3, vocabulary, seed=seed, scale=1.5)
    found = beam_search(untrained.step, **options)
    early = sum(untrained.rows)
    assert beam_search(untrained.step, early_exit=False, **options) == found
    assert early <= sum(untrained.rows) - early
    assert [beam_search(untrained.only(source).step, **options)[0] for source in range(3)] == found
    for hypotheses in found:
        assert 1 <= len(hypotheses) <= min(n_best, beam) and len({hypothesis.tokens for hypothesis in hypotheses}) == len(hypotheses)
        assert [hypothesis.finished for hypothesis in hypotheses] == sorted((hypothesis.finished for hypothesis in hypotheses), reverse=True)
        for hypothesis in hypotheses:
            assert len(hypothesis) <= 6 and (len(hypothesis.tokens) >= min_length) and 1 not in hypothesis.tokens


def test_finished_sources_leave_the_batch(model):
    untrained = model(4, 6, scale=3.0)
    lengths = [len(hypothesis) for hypothesis in greedy(untrained.step, end_id=2, max_length=20)]
    assert len(set(lengths)) > 1
    assert untrained.rows == [sum(length > step for length in lengths) for step in range(max(lengths))]


def test_length_penalties_against_their_formulas():
    assert length_penalty("gnmt", 0.6)(7) == pytest.approx((12 / 6) ** 0.6)
    assert length_penalty("mean")(7) == 7 and length_penalty("none", 3.0)(7) == 1


def test_equal_scores_give_the_lower_token(fixed):
    step = fixed([0.2] * 4 + [0.1, 0.1])
    (found,) = beam_search(step, end_id=5, max_length=1, beam=3, n_best=3)
    assert [hypothesis.tokens for hypothesis in found] == [(0,), (1,), (2,)]
    wide = fixed([1 / 500] * 500)
    assert [hypothesis.tokens for hypothesis in beam_search(wide, end_id=499, max_length=1, beam=3, n_best=3)[0]] == [(0,), (1,), (2,)]
    assert greedy(wide, end_id=499, max_length=2)[0].tokens == (0, 0)


def stateful_step(kind: str, sources: int, vocabulary: int):
    """A state that adds up its whole history: a wrong reorder shows in the logits."""
    weights = np.random.default_rng(5).normal(size=[vocabulary, 8])  # [v, h]
    start = paddle.to_tensor(np.random.default_rng(6).normal(size=[sources, 8]))  # [b, h]

    class Cache:
        def __init__(self, value):
            self.value = value

        def select(self, rows):
            return Cache(self.value[rows])

    wrap, unwrap = {
        "tensor": (lambda x: x, lambda s: s),
        "numpy": (lambda x: x.numpy(), paddle.to_tensor),
        "nested": (lambda x: ({"a": [x]}, None), lambda s: s[0]["a"][0]),
        "select": (Cache, lambda s: s.value),
    }[kind]

    def step(tokens, state):
        if tokens is None:
            hidden = start  # [b, h]
        else:
            hidden = paddle.tanh(unwrap(state) * 1.3 + paddle.to_tensor(weights[tokens]))  # [r, h]
        return paddle.matmul(hidden, paddle.to_tensor(weights.T)), wrap(hidden)

    def whole(prefixes, rows):
        _, state = step(None, None)
        hidden = unwrap(state)[rows]  # [r, h]
        for column in range(prefixes.shape[1]):
            hidden = paddle.tanh(hidden * 1.3 + paddle.to_tensor(weights[prefixes[:, column]]))  # [r, h]
        return paddle.matmul(hidden, paddle.to_tensor(weights.T))

    return step, from_prefixes(whole, sources)


@pytest.mark.parametrize("kind", ["tensor", "numpy", "nested", "select"])
def test_cached_and_uncached_models_give_the_same(kind):
    cached, uncached = stateful_step(kind, 3, 9)
    options = {"end_id": 4, "max_length": 7}
    for one, other in [
        (beam_search(cached, beam=4, n_best=4, **options), beam_search(uncached, beam=4, n_best=4, **options)),
        ([greedy(cached, **options)], [greedy(uncached, **options)]),
        (sample(cached, n=6, seed=3, **options), sample(uncached, n=6, seed=3, **options)),
    ]:
        for left, right in zip(itertools.chain(*one), itertools.chain(*other), strict=True):
            assert (left.tokens, left.finished) == (right.tokens, right.finished)
            assert left.log_probability == pytest.approx(right.log_probability, abs=1e-6)


def test_half_precision_logits_and_a_mask_value_instead_of_infinity():
    row = paddle.to_tensor([[0.5, 2.0, -65504.0, 1.0]]).astype("float16")
    step = from_prefixes(lambda prefixes, rows: row.expand([len(rows), 4]), 1)
    (found,) = greedy(step, end_id=1, max_length=2)
    assert found.tokens == () and found.log_probability == pytest.approx(2 - math.log(math.exp(0.5) + math.exp(2) + math.exp(1)), abs=1e-4)


@pytest.mark.parametrize("max_length", [3, 6])
def test_steps_are_the_log_probabilities_of_the_tokens(model, max_length):
    made = model(2, 6, scale=2.0)
    found = beam_search(made.step, end_id=0, max_length=max_length, beam=3, n_best=3)
    drawn = sample(made.step, end_id=0, max_length=max_length, n=4)
    assert len({one.finished for own in (*found, *drawn) for one in own}) == 2
    for source, own in enumerate(zip(found, drawn, strict=True)):
        for one in (*own[0], *own[1]):
            tokens = [*one.tokens, 0] if one.finished else list(one.tokens)
            expected = [made.log_probabilities(source, tokens[:at])[token] for at, token in enumerate(tokens)]
            assert one.steps == pytest.approx(expected, abs=1e-5) and sum(one.steps) == pytest.approx(one.log_probability)
