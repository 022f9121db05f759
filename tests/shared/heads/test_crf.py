"""The CRF against its check values and against the sum over every tagging, in float64 NumPy."""

import itertools

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads.crf import LinearChainCRF
from shared.heads.crf_decode import FORBIDDEN, bio_constraints, forward_backward, may_leave_outside, segment_log_probability, viterbi

NODES = np.array([[0.5, -0.2, 0.1], [0.3, 0.8, -0.5], [-0.1, 0.4, 0.9], [0.2, 0.0, 0.6]], dtype=np.float32)[None, :, None]  # [1, 4, 1, 3]
MOVES = np.array([[0.1, -0.3, 0.2], [0.4, 0.0, -0.2], [-0.5, 0.3, 0.6]], dtype=np.float32)[None]  # [1, 3, 3]
ALL = np.array([4])  # [1]


def layer_with(transitions, **options):
    crf = LinearChainCRF(transitions.shape[-1], num_chains=transitions.shape[0], **options)
    crf.transitions.set_value(paddle.to_tensor(transitions.astype(np.float32)))
    return crf


def nll(crf, emissions, tags, lengths):
    return crf(paddle.to_tensor(emissions), paddle.to_tensor(tags), paddle.to_tensor(lengths))


def every_score(nodes, moves, allowed=None, starts=None, ends=None):
    """Score of every allowed tagging of one chain: ``nodes`` [n, k], ``moves`` [k, k], float64."""
    n, k = nodes.shape
    scores = {}
    for path in itertools.product(range(k), repeat=n):
        if (starts is not None and not starts[path[0]]) or (ends is not None and not ends[path[-1]]):
            continue
        if allowed is not None and not all(allowed[a, b] for a, b in itertools.pairwise(path)):
            continue
        scores[path] = sum(nodes[t, tag] for t, tag in enumerate(path)) + sum(moves[a, b] for a, b in itertools.pairwise(path))
    return scores


def log_sum(values):
    values = np.asarray(list(values), dtype=np.float64)
    return values.max() + np.log(np.exp(values - values.max()).sum())


# -- published values --------------------------------------------------------------------------------------------


def test_check_values_of_the_whole_sequence():
    crf = layer_with(MOVES)
    path = np.array([[[0], [1], [2], [2]]])  # [1, 4, 1]
    emissions, lengths = paddle.to_tensor(NODES), paddle.to_tensor(ALL)
    assert float(crf.log_partition(emissions, lengths)) == pytest.approx(6.0153260759116, abs=2e-6)
    assert float(crf.path_score(emissions, paddle.to_tensor(path), lengths)) == pytest.approx(2.9, abs=1e-6)
    assert float(nll(crf, NODES, path, ALL)) == pytest.approx(3.1153260759116, abs=2e-6)


def test_check_values_of_a_masked_sequence():
    crf = layer_with(MOVES)
    lengths = np.array([2])
    assert float(crf.log_partition(paddle.to_tensor(NODES), paddle.to_tensor(lengths))) == pytest.approx(2.7551280764933, abs=1e-6)
    assert float(nll(crf, NODES, np.array([[[0], [1], [2], [1]]]), lengths)) == pytest.approx(1.7551280764933, abs=1e-6)


def test_check_values_of_viterbi():
    tags, score = viterbi(NODES, MOVES, ALL)
    assert tags[0, :, 0].tolist() == [0, 0, 2, 2]
    assert score[0, 0] == pytest.approx(3.2, abs=1e-6)
    only_first = np.array([True, False, False])
    assert viterbi(NODES, MOVES, ALL, starts=only_first, ends=only_first)[0][0, :, 0].tolist() == [0, 1, 1, 0]


def test_check_values_in_double_precision():
    nodes = np.array([[0.5, -0.2, 0.1], [0.3, 0.8, -0.5], [-0.1, 0.4, 0.9], [0.2, 0.0, 0.6]])[None, :, None]  # [1, 4, 1, 3]
    moves = np.array([[0.1, -0.3, 0.2], [0.4, 0.0, -0.2], [-0.5, 0.3, 0.6]])[None]  # [1, 3, 3]
    messages = forward_backward(nodes, moves, ALL)
    assert messages.log_partition[0, 0] == pytest.approx(6.0153260759116, abs=5e-14)
    assert every_score(nodes[0, :, 0], moves[0])[0, 1, 2, 2] == pytest.approx(2.9, abs=1e-14)
    assert -segment_log_probability(messages, nodes, moves, 0, 0, 0, np.array([0, 1, 2, 2])) == pytest.approx(3.1153260759116, abs=5e-14)
    short = forward_backward(nodes, moves, np.array([2]))
    assert short.log_partition[0, 0] == pytest.approx(2.7551280764933, abs=5e-14)
    assert -segment_log_probability(short, nodes, moves, 0, 0, 0, np.array([0, 1])) == pytest.approx(1.7551280764933, abs=5e-14)
    assert viterbi(nodes, moves, ALL)[1][0, 0] == pytest.approx(3.2, abs=1e-14)


# -- against every tagging ---------------------------------------------------------------------------------------


@st.composite
def problems(draw, constrained=True):
    """Emissions [b, l, r, k], transitions [r, k, k], lengths [b], allowed moves, starts; at least one tagging is allowed."""
    b, length, r, k = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.1, 1.0, 3.0]))  # wider ones leave the exact range, which has a test of its own
    allowed, starts = np.ones((k, k), dtype=bool), np.ones(k, dtype=bool)
    if constrained and draw(st.booleans()):
        allowed, starts = rng.random((k, k)) < 0.6, rng.random(k) < 0.6
        np.fill_diagonal(allowed, True)
        starts[rng.integers(k)] = True
    return (
        rng.normal(0, spread, (b, length, r, k)).astype(np.float32),
        rng.normal(0, spread, (r, k, k)).astype(np.float32),
        rng.integers(1, length + 1, b),
        allowed,
        starts,
    )


@settings(max_examples=40, deadline=None)
@given(problems())
def test_layer_and_decode_equal_enumeration(problem):
    emissions, transitions, lengths, allowed, starts = problem
    b, length, r, _ = emissions.shape
    crf = layer_with(transitions, allowed=allowed, allowed_start=starts)
    partition = crf.log_partition(paddle.to_tensor(emissions), paddle.to_tensor(lengths)).numpy()  # [b, r]
    masked = crf.masked_transitions().numpy()  # [r, k, k]
    messages = forward_backward(emissions, masked, lengths, starts=starts)
    tags, best = viterbi(emissions, masked, lengths, starts=starts)
    assert tags.shape == (b, length, r) and best.shape == (b, r)
    expected = np.empty((b, r))  # [b, r]
    some_path = np.zeros((b, length, r), dtype=np.int64)  # [b, l, r]
    some_score = np.empty((b, r))  # [b, r]
    for row in range(b):
        for chain in range(r):
            n = lengths[row]
            scores = every_score(
                emissions[row, :n, chain].astype(np.float64), transitions[chain].astype(np.float64), allowed=allowed, starts=starts
            )
            expected[row, chain] = log_sum(scores.values())
            found = tuple(tags[row, :n, chain].tolist())
            assert found in scores, "viterbi gave a forbidden tagging"
            assert scores[found] == pytest.approx(max(scores.values()), abs=1e-4)
            assert best[row, chain] == pytest.approx(scores[found], abs=1e-4)
            assert not tags[row, n:, chain].any()
            path = list(scores)[len(scores) // 2]
            some_path[row, :n, chain] = path
            some_score[row, chain] = expected[row, chain] - scores[path]
    np.testing.assert_allclose(partition, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(messages.log_partition, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(nll(crf, emissions, some_path, lengths).numpy(), some_score, rtol=1e-5, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(problems(constrained=False), st.floats(0, 12))
def test_chains_that_cannot_leave_the_outside_do_not(problem, more):
    emissions, transitions, lengths, _, _ = problem
    emissions[..., 0] += more
    tags, _ = viterbi(emissions, transitions, lengths)
    assert not (tags.any(1) & ~may_leave_outside(emissions, transitions, lengths)).any()


def test_most_chains_of_clear_scores_are_known_to_stay_outside():
    emissions, moves = np.zeros((1, 3, 2, 3), dtype=np.float32), np.full((2, 3, 3), 0.5, dtype=np.float32)  # [b, l, r, k], [r, k, k]
    moves[:, 1, 2] = 2.5
    emissions[..., 0] = 4.1
    emissions[0, 1, 1, 2] = 0.2
    assert may_leave_outside(emissions, moves, np.array([3])).tolist() == [[False, True]]
    assert may_leave_outside(emissions, moves, np.array([1])).tolist() == [[False, False]]


@settings(max_examples=15, deadline=None)
@given(problems(), st.data())
def test_viterbi_takes_a_length_for_every_chain(problem, data):
    emissions, transitions, _, _, starts = problem
    b, length, r, _ = emissions.shape
    lengths = np.array(data.draw(st.lists(st.lists(st.integers(1, length), min_size=r, max_size=r), min_size=b, max_size=b)))  # [b, r]
    tags, scores = viterbi(emissions, transitions, lengths, starts=starts)
    for chain in range(r):
        own, best = viterbi(emissions[:, :, [chain]], transitions[[chain]], lengths[:, chain], starts=starts)
        assert np.array_equal(tags[:, :, chain], own[:, :, 0]) and np.array_equal(scores[:, chain], best[:, 0])


@settings(max_examples=15, deadline=None)
@given(problems(constrained=False), st.data())
def test_viterbi_obeys_starts_and_ends(problem, data):
    emissions, transitions, lengths, _, _ = problem
    k = emissions.shape[-1]
    starts, ends = (np.array(data.draw(st.lists(st.booleans(), min_size=k, max_size=k).filter(any))) for _ in range(2))
    lengths = np.maximum(lengths, min(2, emissions.shape[1]))  # at length 1 first and last tag may contradict each other
    tags, _ = viterbi(emissions, transitions, lengths, starts=starts, ends=ends)
    for row, n in enumerate(lengths.tolist()):
        for chain in range(emissions.shape[2]):
            nodes, moves = emissions[row, :n, chain].astype(np.float64), transitions[chain].astype(np.float64)
            scores = every_score(nodes, moves, starts=starts, ends=ends)
            if scores:
                assert scores[tuple(tags[row, :n, chain].tolist())] == pytest.approx(max(scores.values()), abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(problems())
def test_segment_probabilities_sum_to_one(problem):
    emissions, transitions, lengths, allowed, starts = problem
    masked = transitions + np.where(allowed, 0, FORBIDDEN).astype(np.float32)  # [r, k, k]
    messages = forward_backward(emissions, masked, lengths, starts=starts)
    k = emissions.shape[-1]
    for row, n in enumerate(lengths.tolist()):
        for chain in range(emissions.shape[2]):
            for size in {1, min(2, n), n}:
                first = (n - size) // 2
                total = sum(
                    np.exp(segment_log_probability(messages, emissions, masked, row, chain, first, np.array(path)))
                    for path in itertools.product(range(k), repeat=size)
                )
                assert total == pytest.approx(1.0, abs=1e-3)


def test_forward_backward_takes_a_length_for_each_chain():
    rng = np.random.default_rng(3)
    emissions = rng.normal(size=(2, 5, 2, 3)).astype(np.float32)  # [b, l, r, k]
    transitions = rng.normal(size=(2, 3, 3)).astype(np.float32)  # [r, k, k]
    lengths = np.array([[5, 2], [1, 4]])  # [b, r]
    together = forward_backward(emissions, transitions, lengths)
    for row in range(2):
        for chain in range(2):
            alone = forward_backward(
                emissions[row : row + 1, :, chain : chain + 1], transitions[chain : chain + 1], lengths[row : row + 1, chain]
            )
            np.testing.assert_allclose(together.log_partition[row, chain], alone.log_partition[0, 0], rtol=1e-6)
            n = lengths[row, chain]
            np.testing.assert_allclose(together.beta[row, :n, chain], alone.beta[0, :n, 0], rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 4))
def test_random_score_is_the_mean_over_random_walks(seed, n, k):
    """Over every tagging, weighed by the chance that a walk along allowed moves takes it."""
    rng = np.random.default_rng(seed)
    allowed, starts = rng.random((k, k)) < 0.6, rng.random(k) < 0.6
    allowed[np.arange(k), rng.integers(k, size=k)] = True
    starts[rng.integers(k)] = True
    nodes = rng.normal(0, 2, (2, n, 2, k)).astype(np.float32)  # [b, l, r, k]
    moves, lengths = rng.normal(0, 2, (2, k, k)).astype(np.float32), np.array([n, rng.integers(1, n + 1)])  # [r, k, k], [b]
    crf = layer_with(moves, allowed=allowed, allowed_start=starts)
    found = crf.random_score(paddle.to_tensor(nodes), paddle.to_tensor(lengths)).numpy()  # [b, r]
    partition = crf.log_partition(paddle.to_tensor(nodes), paddle.to_tensor(lengths)).numpy()  # [b, r]
    for row, chain in itertools.product(range(2), range(2)):
        scores = every_score(nodes[row, : lengths[row], chain].astype(np.float64), moves[chain].astype(np.float64), allowed, starts)
        chances = {
            path: np.prod([1 / starts.sum(), *(1 / allowed[a].sum() for a, _ in itertools.pairwise(path))]) for path in scores
        }
        assert sum(chances.values()) == pytest.approx(1)
        assert found[row, chain] == pytest.approx(sum(chances[path] * score for path, score in scores.items()), rel=1e-4, abs=1e-4)
        assert found[row, chain] <= partition[row, chain] + 1e-4


def test_a_tag_without_a_follower_has_no_random_score():
    crf = LinearChainCRF(2, allowed=np.array([[True, True], [False, False]]))
    with pytest.raises(ValueError, match="tag 1 may be followed by no tag"):
        crf.random_score(paddle.zeros([1, 2, 1, 2]), paddle.to_tensor([2]))


# -- gradients ---------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(problems())
def test_gradient_is_marginals_less_gold(problem):
    emissions, transitions, lengths, allowed, starts = problem
    b, length, r, _k = emissions.shape
    crf = layer_with(transitions, allowed=allowed, allowed_start=starts)
    gold = np.zeros((b, length, r), dtype=np.int64)  # [b, l, r]
    wanted = np.zeros(emissions.shape)  # [b, l, r, k]
    wanted_moves = np.zeros(transitions.shape)  # [r, k, k]
    for row in range(b):
        for chain in range(r):
            n = lengths[row]
            scores = every_score(
                emissions[row, :n, chain].astype(np.float64), transitions[chain].astype(np.float64), allowed=allowed, starts=starts
            )
            path = max(scores, key=scores.get)
            gold[row, :n, chain] = path
            for weight, tagging in [(np.exp(s - log_sum(scores.values())), p) for p, s in scores.items()] + [(-1.0, path)]:
                for t, tag in enumerate(tagging):
                    wanted[row, t, chain, tag] += weight
                for a, c in itertools.pairwise(tagging):
                    wanted_moves[chain, a, c] += weight
    nodes = paddle.to_tensor(emissions, stop_gradient=False)  # [b, l, r, k]
    crf(nodes, paddle.to_tensor(gold), paddle.to_tensor(lengths)).sum().backward()
    np.testing.assert_allclose(nodes.grad.numpy(), wanted, atol=2e-4)
    if length > 1:
        np.testing.assert_allclose(crf.transitions.grad.numpy(), wanted_moves, atol=1e-3)


def test_gradient_equals_finite_differences():
    path = np.array([[[0], [1], [2], [2]]])  # [1, 4, 1]
    nodes = paddle.to_tensor(NODES, stop_gradient=False)  # [1, 4, 1, 3]
    crf = layer_with(MOVES)
    crf(nodes, paddle.to_tensor(path), paddle.to_tensor(ALL)).sum().backward()

    def loss(x, moves):
        scores = every_score(x, moves)
        return log_sum(scores.values()) - scores[0, 1, 2, 2]

    x, moves, step = NODES[0, :, 0].astype(np.float64), MOVES[0].astype(np.float64), 1e-5
    for array, gradient in ((x, nodes.grad.numpy()[0, :, 0]), (moves, crf.transitions.grad.numpy()[0])):
        for place in np.ndindex(array.shape):
            kept = array[place]
            array[place] = kept + step
            up = loss(x, moves)
            array[place] = kept - step
            down = loss(x, moves)
            array[place] = kept
            assert gradient[place] == pytest.approx((up - down) / (2 * step), abs=1e-5)


@pytest.mark.parametrize("constraints", [{}, dict(zip(("allowed", "allowed_start"), bio_constraints(1), strict=True))])
def test_extreme_emissions_stay_finite(constraints):
    rng = np.random.default_rng(5)
    emissions = rng.choice(np.array([-1e4, 1e4], dtype=np.float32), size=(4, 12, 2, 3))  # [b, l, r, k]
    gold = np.zeros((4, 12, 2), dtype=np.int64)  # [b, l, r]
    crf = layer_with(rng.normal(size=(2, 3, 3)), **constraints)
    nodes = paddle.to_tensor(emissions, stop_gradient=False)  # [b, l, r, k]
    loss = crf(nodes, paddle.to_tensor(gold), paddle.to_tensor(np.array([12, 1, 7, 12])))  # [b, r]
    assert np.isfinite(loss.numpy()).all()
    loss.sum().backward()
    assert np.isfinite(nodes.grad.numpy()).all() and np.isfinite(crf.transitions.grad.numpy()).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([50.0, 500.0, 5000.0]))
def test_beyond_the_exact_range_the_loss_errs_upwards(seed, spread):
    """Forbidden moves and scores further apart than float32's exponent reaches: never below the true loss, so never below 0."""
    allowed, starts = bio_constraints(1)
    rng = np.random.default_rng(seed)
    emissions = rng.normal(0, spread, (1, 5, 1, 3)).astype(np.float32)  # [1, 5, 1, 3]
    scores = every_score(emissions[0, :, 0].astype(np.float64), np.zeros((3, 3)), allowed=allowed, starts=starts)
    path = list(scores)[rng.integers(len(scores))]
    crf = layer_with(np.zeros((1, 3, 3)), allowed=allowed, allowed_start=starts)
    loss = float(nll(crf, emissions, np.array(path)[None, :, None], np.array([5])))
    assert np.isfinite(loss) and loss >= log_sum(scores.values()) - scores[path] - 1e-5 * spread


def test_one_far_better_tagging_costs_nothing():
    allowed, starts = bio_constraints(1)
    gold = np.array([[[0], [1], [2], [0]]])  # [1, 4, 1]
    emissions = np.where(np.arange(3) == gold[..., None], np.float32(1e4), np.float32(-1e4))  # [1, 4, 1, 3]
    crf = layer_with(np.zeros((1, 3, 3)), allowed=allowed, allowed_start=starts)
    assert float(nll(crf, emissions, gold, ALL)) == pytest.approx(0.0, abs=1e-2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_and_emissions_in_half_precision(dtype):
    rng = np.random.default_rng(0)
    allowed, starts = bio_constraints(2)
    nodes = rng.normal(0, 3, (2, 6, 3, 5)).astype(np.float32)  # [b, l, r, k]
    tags, lengths = np.zeros((2, 6, 3), dtype=np.int64), np.array([6, 4])
    moves = rng.normal(0, 1, (3, 5, 5))  # [r, k, k]
    plain = layer_with(moves, allowed=allowed, allowed_start=starts)
    half = layer_with(moves, allowed=allowed, allowed_start=starts)
    half.to(dtype=dtype)
    losses = half(paddle.to_tensor(nodes).astype(dtype), paddle.to_tensor(tags), paddle.to_tensor(lengths))  # [b, r]
    np.testing.assert_allclose(losses.numpy(), nll(plain, nodes, tags, lengths).numpy(), rtol=0.02)
    losses.sum().backward()
    assert half.transitions.grad.dtype == half.transitions.dtype and np.isfinite(half.transitions.grad.astype("float32").numpy()).all()
    assert half.masked_transitions().dtype == paddle.float32 and np.isfinite(half.masked_transitions().numpy()).all()


# -- padding -----------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(problems(), st.integers(1, 3), st.integers(0, 1000))
def test_nothing_beyond_the_length_counts(problem, extra, seed):
    emissions, transitions, lengths, allowed, starts = problem
    b, length, r, k = emissions.shape
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, k, (b, length, r))
    longer = np.concatenate([emissions, np.zeros((b, extra, r, k), np.float32)], axis=1)  # [b, l + extra, r, k]
    gold_longer = np.concatenate([gold, rng.integers(0, k, (b, extra, r))], axis=1)  # [b, l + extra, r]
    beyond = np.arange(length + extra) >= lengths[:, None]  # [b, l + extra]
    longer[beyond] = rng.normal(0, 50, longer[beyond].shape)
    gold_longer[beyond] = rng.integers(0, k, gold_longer[beyond].shape)
    crf = layer_with(transitions, allowed=allowed, allowed_start=starts)
    plain = paddle.to_tensor(emissions, stop_gradient=False)  # [b, l, r, k]
    padded = paddle.to_tensor(longer, stop_gradient=False)  # [b, l + extra, r, k]
    short = crf(plain, paddle.to_tensor(gold), paddle.to_tensor(lengths))  # [b, r]
    long = crf(padded, paddle.to_tensor(gold_longer), paddle.to_tensor(lengths))  # [b, r]
    np.testing.assert_allclose(short.numpy(), long.numpy(), rtol=1e-5, atol=1e-4)
    long.sum().backward()
    assert not padded.grad.numpy()[beyond].any()
    masked = crf.masked_transitions().numpy()  # [r, k, k]
    assert (viterbi(emissions, masked, lengths, starts=starts)[0] == viterbi(longer, masked, lengths, starts=starts)[0][:, :length]).all()
    np.testing.assert_allclose(
        forward_backward(emissions, masked, lengths).log_partition,
        forward_backward(longer, masked, lengths).log_partition,
        rtol=1e-5,
        atol=1e-4,
    )


# -- wrong arguments ---------------------------------------------------------------------------------------------


def test_errors_name_both_values():
    with pytest.raises(ValueError, match="num_tags=1"):
        LinearChainCRF(1)
    with pytest.raises(ValueError, match="num_chains=0"):
        LinearChainCRF(3, num_chains=0)
    with pytest.raises(ValueError, match=r"\(3, 3\), found \(2, 2\)"):
        LinearChainCRF(3, allowed=np.ones((2, 2)))
    with pytest.raises(ValueError, match="forbids every tag"):
        LinearChainCRF(3, allowed_start=np.zeros(3))
    crf = LinearChainCRF(3, num_chains=2)
    lengths = paddle.to_tensor([1])  # [1]
    with pytest.raises(ValueError, match=r"\[b, l, 2, 3\], found \[1, 4, 3, 2\]"):
        crf.log_partition(paddle.zeros([1, 4, 3, 2]), lengths)
    with pytest.raises(ValueError, match="length 0"):
        crf.log_partition(paddle.zeros([1, 0, 2, 3]), lengths)


# -- bad input ---------------------------------------------------------------------------------------------------


def test_tags_behind_the_length_may_be_anything():
    crf = layer_with(MOVES)
    tags, lengths = np.array([[[0], [1], [-100], [77]]]), np.array([2])  # [1, 4, 1], [1]
    assert float(nll(crf, NODES, tags, lengths)) == pytest.approx(1.7551280764933, abs=1e-6)


@pytest.mark.parametrize(
    ("tags", "lengths", "message"),
    [
        ([[[0], [1], [2], [2]]], [0], r"lengths must be 1 to 4, found 0 to 0"),
        ([[[0], [1], [2], [2]]], [4, 4], r"need lengths \[1\], found \[2\]"),
        ([[[0], [3], [2], [2]]], [4], r"tags within the lengths must be 0 to 2, found 0 to 3"),
        ([[[0], [-1], [2], [2]]], [4], r"must be 0 to 2, found -1 to 2"),
        ([[[0], [1]]], [4], r"need tags \[1, 4, 1\], found \[1, 2, 1\]"),
    ],
)
def test_wrong_lengths_and_tags_are_named(tags, lengths, message):
    with pytest.raises(ValueError, match=message):
        nll(layer_with(MOVES), NODES, np.array(tags), np.array(lengths))
