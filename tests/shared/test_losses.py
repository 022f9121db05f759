"""The losses against float64 NumPy and their published values."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.losses import (
    in_batch_similarity,
    multilabel_cross_entropy,
    powered_bce,
    powered_divergence,
    seq2seq_cross_entropy,
    share,
    softmax_divergence,
    sparse_multilabel_cross_entropy,
    token_cross_entropy,
)

LOGITS = np.linspace(-60, 60, 241, dtype=np.float32)  # [n]


def reference(logits, targets, power):
    """-t log p^n - (1 - t) log(1 - p^n) in float64, from logits so that nothing is rounded to 0 or 1."""
    logits = logits.astype(np.float64)
    log_p = -np.logaddexp(0, -logits)  # [n]
    log_other = np.log(-np.expm1(power * log_p))  # [n]
    return -targets * power * log_p - (1 - targets) * log_other


def loss_of(logits, targets, power):
    return powered_bce(paddle.to_tensor(logits), paddle.to_tensor(targets), power).numpy()


@pytest.mark.parametrize("power", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_equals_the_formula(power, target):
    targets = np.full_like(LOGITS, target)
    np.testing.assert_allclose(loss_of(LOGITS, targets, power), reference(LOGITS, targets, power), rtol=2e-6, atol=1e-6)


def test_check_values_at_logit_zero():
    zero = np.zeros(1)
    for power, positive, negative in ((1, 0.6931471806, 0.6931471806), (2, 1.3862943611, 0.2876820725), (4, 2.7725887222, 0.0645385211)):
        assert loss_of(zero, zero + 1, power)[0] == pytest.approx(positive, abs=5e-11)
        assert loss_of(zero, zero, power)[0] == pytest.approx(negative, abs=5e-11)


def test_power_one_is_plain_cross_entropy():
    targets = (np.arange(len(LOGITS)) % 2).astype(np.float32)
    plain = paddle.nn.functional.binary_cross_entropy_with_logits(paddle.to_tensor(LOGITS), paddle.to_tensor(targets), reduction="none")
    np.testing.assert_allclose(loss_of(LOGITS, targets, 1), plain.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("power", [1, 2, 4, 5])
def test_gradients_are_those_of_the_formula(power):
    targets = (np.arange(len(LOGITS)) % 2).astype(np.float32)
    x = paddle.to_tensor(LOGITS, stop_gradient=False)
    powered_bce(x, paddle.to_tensor(targets), power).sum().backward()
    step = 1e-4
    higher, lower = (reference(LOGITS.astype(np.float64) + shift, targets, power) for shift in (step, -step))
    assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(x.grad.numpy(), (higher - lower) / (2 * step), atol=1e-5)


@pytest.mark.parametrize("power", [1, 2, 4])
def test_second_derivative(power):
    logits = np.linspace(-6, 6, 25, dtype=np.float32)  # [n]
    targets = (np.arange(len(logits)) % 2).astype(np.float32)
    x = paddle.to_tensor(logits, stop_gradient=False)
    (first,) = paddle.grad(powered_bce(x, paddle.to_tensor(targets), power).sum(), x, create_graph=True)
    (second,) = paddle.grad(first.sum(), x)
    step = 1e-3
    places = [reference(logits.astype(np.float64) + shift, targets, power) for shift in (step, 0.0, -step)]
    np.testing.assert_allclose(second.numpy(), (places[0] - 2 * places[1] + places[2]) / step**2, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), max_size=3))
def test_any_shape_element_by_element(power, seed, shape):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 8, shape).astype(np.float32)
    targets = rng.integers(0, 2, shape).astype(np.float32)
    found = loss_of(logits, targets, power)
    assert found.shape == tuple(shape)
    np.testing.assert_allclose(found, reference(logits, targets, power), rtol=1e-5, atol=2e-6)


def test_power_below_one_is_refused():
    with pytest.raises(ValueError, match="found 0"):
        powered_bce(paddle.zeros([1]), paddle.zeros([1]), 0)


def test_a_share_is_the_total_over_the_count_and_nothing_over_none():
    total = paddle.to_tensor(6.0, stop_gradient=False)
    for count, value in ((3.0, 2.0), (0.0, 0.0)):
        found = share(total, count)
        found.backward()
        assert float(found) == pytest.approx(value) and float(total.grad) == pytest.approx(value / 6)
        total.clear_gradient()


# -- two passes --------------------------------------------------------------------------------------------------


def symmetric(p, q):
    """The mean of both directions of the divergence of distributions on the last axis, float64."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(p > 0, p * np.log(p / q), 0.0) + np.where(q > 0, q * np.log(q / p), 0.0)
    return each.sum(axis=-1) / 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), max_size=2), st.integers(1, 6), st.floats(0.1, 6))
def test_softmaxes_of_two_passes(seed, shape, n, spread):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, spread, (2, *shape, n)).astype(np.float32)  # [..., n] each
    p, q = (np.exp(x.astype(np.float64)) / np.exp(x.astype(np.float64)).sum(axis=-1, keepdims=True) for x in (first, second))
    found = softmax_divergence(paddle.to_tensor(first), paddle.to_tensor(second)).numpy()
    np.testing.assert_allclose(found, symmetric(p, q), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(softmax_divergence(paddle.to_tensor(first), paddle.to_tensor(first)).numpy(), np.zeros(shape))
    turned = softmax_divergence(paddle.to_tensor(second), paddle.to_tensor(first)).numpy()
    np.testing.assert_allclose(turned, found, rtol=1e-5, atol=1e-6)


def test_what_is_hidden_in_both_passes_adds_nothing():
    left, right = np.array([1.0, 2.0, -1e30, 0.0], dtype=np.float32), np.array([0.5, -1.0, -1e30, 3.0], dtype=np.float32)
    seen = [0, 1, 3]
    x = paddle.to_tensor(left, stop_gradient=False)
    found = softmax_divergence(x, paddle.to_tensor(right))
    found.backward()
    assert float(found) == pytest.approx(float(softmax_divergence(paddle.to_tensor(left[seen]), paddle.to_tensor(right[seen]))), rel=1e-6)
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("power", [1, 2, 4])
def test_powered_sigmoids_of_two_passes(power):
    grid = np.linspace(-30, 30, 61, dtype=np.float32)  # [n]
    first, second = (part.reshape(-1) for part in np.meshgrid(grid, grid))  # [n * n], [n * n]
    logs = [-power * np.logaddexp(0, -x.astype(np.float64)) for x in (first, second)]  # log p, log q
    yes = (np.exp(logs[0]) - np.exp(logs[1])) * (logs[0] - logs[1])
    others = [np.log(-np.expm1(log)) for log in logs]
    expected = (yes - (np.exp(logs[0]) - np.exp(logs[1])) * (others[0] - others[1])) / 2
    x = paddle.to_tensor(first, stop_gradient=False)
    found = powered_divergence(x, paddle.to_tensor(second), power)
    found.sum().backward()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_array_equal(powered_divergence(x, x, power).numpy(), np.zeros_like(first))


# -- multilabel --------------------------------------------------------------------------------------------------


def log_sum(scores):
    """log sum e^scores over the last axis, float64; -inf for none."""
    return np.logaddexp.reduce(np.concatenate([np.full((*scores.shape[:-1], 1), -np.inf), scores], axis=-1), axis=-1)


def expected_multilabel(logits, labels):
    logits = logits.astype(np.float64)
    return np.logaddexp(0, log_sum(np.where(labels, -np.inf, logits))) + np.logaddexp(0, log_sum(np.where(labels, -logits, -np.inf)))


def places_of(labels, m, padding, rng):
    """Labels [..., n] as places [..., m] in any order, some of them twice where there is room."""
    rows = labels.reshape(-1, labels.shape[-1])
    found = np.full((len(rows), m), padding, dtype=np.int64)
    for row, marks in zip(found, rows, strict=True):
        places = np.flatnonzero(marks)
        if len(places) and len(places) < m:
            places = np.append(places, places[:1])
        slots = rng.permutation(m)[: len(places)]
        row[slots] = places
    return found.reshape(*labels.shape[:-1], m)


@st.composite
def multilabel_problems(draw, spread=(0.1, 3.0, 30.0, 1e4, 1e20)):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (*draw(st.lists(st.integers(1, 3), max_size=2)), draw(st.integers(1, 7)))
    logits = (rng.normal(0, 1, shape) * draw(st.sampled_from(spread))).astype(np.float32)
    labels = rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return logits, labels, rng


@settings(max_examples=120, deadline=None)
@given(multilabel_problems(), st.sampled_from([-1, -100, 99]))
def test_multilabel_dense_and_sparse_equal_the_formula(problem, padding):
    logits, labels, rng = problem
    expected = expected_multilabel(logits, labels)
    places = places_of(labels, labels.shape[-1] + 1, padding, rng)
    scores = paddle.to_tensor(logits)
    for found in (
        multilabel_cross_entropy(scores, paddle.to_tensor(labels)),
        multilabel_cross_entropy(scores, paddle.to_tensor(labels.astype(np.float32)), double_backward=True),
        sparse_multilabel_cross_entropy(scores, paddle.to_tensor(places), padding=padding),
    ):
        assert found.shape == list(labels.shape[:-1])
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(multilabel_problems(spread=(0.1, 3.0, 1e4)))
def test_multilabel_gradients(problem):
    """Of a wrong label e^s / (1 + sum over wrong), of a right one -e^-s / (1 + sum over right)."""
    logits, labels, rng = problem
    exact = logits.astype(np.float64)
    wrong, right = np.where(labels, -np.inf, exact), np.where(labels, -exact, -np.inf)
    expected = np.exp(wrong - np.logaddexp(0, log_sum(wrong))[..., None]) - np.exp(right - np.logaddexp(0, log_sum(right))[..., None])
    places = paddle.to_tensor(places_of(labels, labels.shape[-1] + 1, -1, rng))
    for loss in (
        lambda x: multilabel_cross_entropy(x, paddle.to_tensor(labels)),
        lambda x: multilabel_cross_entropy(x, paddle.to_tensor(labels), double_backward=True),
        lambda x: sparse_multilabel_cross_entropy(x, places),
    ):
        x = paddle.to_tensor(logits, stop_gradient=False)
        loss(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=2e-6)


def test_multilabel_values_by_hand():
    logits = paddle.zeros([1, 3], dtype="float64")
    labels = paddle.to_tensor([[True, False, False]])
    assert float(multilabel_cross_entropy(logits, labels)) == pytest.approx(np.log(3) + np.log(2), abs=1e-12)
    assert float(multilabel_cross_entropy(logits, paddle.zeros([1, 3]))) == pytest.approx(np.log(4), abs=1e-12)
    assert float(sparse_multilabel_cross_entropy(logits, paddle.to_tensor([[0, -1]]))) == pytest.approx(np.log(3) + np.log(2), abs=1e-12)
    assert float(sparse_multilabel_cross_entropy(logits, paddle.zeros([1, 0], dtype="int64"))) == pytest.approx(np.log(4), abs=1e-12)


def test_sparse_keeps_what_subtraction_would_lose():
    """One right label at 30: the wrong ones' share of the sum over all is 1e-13, below what float32 can subtract."""
    logits = np.array([[30.0, -2.0, -3.0]], dtype=np.float32)
    x = paddle.to_tensor(logits, stop_gradient=False)
    loss = sparse_multilabel_cross_entropy(x, paddle.to_tensor([[0]]))
    assert float(loss) == pytest.approx(float(expected_multilabel(logits, np.array([[True, False, False]]))), rel=1e-6)
    loss.backward()
    assert (x.grad.numpy()[0, 1:] > 0.04).all()


def test_padding_may_be_a_place_that_is_right_for_none():
    logits = paddle.to_tensor([[-5.0, 1.0, 2.0]])
    article = sparse_multilabel_cross_entropy(logits, paddle.to_tensor([[2, 0, 0]]), padding=0)
    assert float(article) == pytest.approx(float(multilabel_cross_entropy(logits, paddle.to_tensor([[0.0, 0.0, 1.0]]))), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_computed_in_float32(dtype):
    values = np.array([[65000.0, -65000.0, 0.5], [11.0, -3.0, 64.0]])
    labels = paddle.to_tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    logits = paddle.to_tensor(values, dtype="float32").astype(dtype)  # [2, 3]
    same = logits.astype("float32")  # [2, 3]
    places = paddle.to_tensor([[1], [2]])
    ids, segments = paddle.to_tensor([[0, 1], [0, 2]]), paddle.to_tensor([[0, 1], [0, 1]])
    rows = paddle.stack([same, same], axis=1)  # [2, 2, 3]
    for loss, half in (
        (lambda x: multilabel_cross_entropy(x, labels), logits),
        (lambda x: sparse_multilabel_cross_entropy(x, places), logits),
        (lambda x: powered_bce(x, labels, 2), logits),
        (lambda x: token_cross_entropy(x, places[:, 0], label_smoothing=0.1), logits),
        (lambda x: seq2seq_cross_entropy(x, ids, segments), rows.astype(dtype)),
        (in_batch_similarity, logits),
    ):
        found, expected = loss(half), loss(half.astype("float32"))
        assert found.dtype == paddle.float32
        assert np.isfinite(found.numpy()).all()
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multilabel_cross_entropy(paddle.zeros([2, 3]), paddle.zeros([2, 4])), r"\[2, 3\] and labels \[2, 4\]"),
        (lambda: multilabel_cross_entropy(paddle.zeros([2, 0]), paddle.zeros([2, 0])), "no label"),
        (lambda: sparse_multilabel_cross_entropy(paddle.zeros([2, 3]), paddle.zeros([1, 1], dtype="int64")), r"positions \[1, 1\]"),
        (lambda: sparse_multilabel_cross_entropy(paddle.zeros([1, 3]), paddle.to_tensor([[1, 3]])), "position 3 is not one of the 3 labels"),
        (lambda: sparse_multilabel_cross_entropy(paddle.zeros([1, 3]), paddle.to_tensor([[-2, 1]])), "position -2"),
        (lambda: sparse_multilabel_cross_entropy(paddle.zeros([1, 3]), paddle.to_tensor([[-1, 1]]), padding=0), "position -1"),
    ],
)
def test_wrong_multilabel_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- the next token ----------------------------------------------------------------------------------------------


def expected_tokens(logits, labels, smoothing):
    """Cross entropy with the smoothed distribution, place by place, float64: ``logits`` [n, v], ``labels`` [n]."""
    logits = logits.astype(np.float64)
    log_p = logits - log_sum(logits)[..., None]
    target = np.full(logits.shape, smoothing / logits.shape[-1])
    target[np.arange(len(labels)), labels] += 1 - smoothing
    return -(target * log_p).sum(-1)


def target_segments(rng, b, l):
    """Source, target, padding: rows of 0, 1, 0; at least one target token behind the first place."""
    segments = np.zeros((b, l), dtype=np.int64)
    for row in segments:
        begin = rng.integers(0, l)
        row[begin : rng.integers(begin, l) + 1] = 1
    segments[0, l - 1] = 1
    return segments


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.1, 5.0, 1e4]), st.booleans())
def test_seq2seq_is_the_mean_over_target_tokens(seed, smoothing, spread, double_backward):
    rng = np.random.default_rng(seed)
    b, l, v = rng.integers(1, 4), rng.integers(2, 6), rng.integers(1, 6)
    logits = (rng.normal(0, 1, (b, l, v)) * spread).astype(np.float32)
    ids, segments = rng.integers(0, v, (b, l)), target_segments(rng, b, l)
    wanted = segments[:, 1:] == 1
    losses = expected_tokens(logits[:, :-1][wanted], ids[:, 1:][wanted], smoothing)

    def loss(given_logits, given_ids, **settings):
        x = paddle.to_tensor(given_logits, stop_gradient=False)
        return x, seq2seq_cross_entropy(x, paddle.to_tensor(given_ids), paddle.to_tensor(segments), label_smoothing=smoothing, **settings)

    x, found = loss(logits, ids, double_backward=double_backward)
    assert found.shape == [] and float(found) == pytest.approx(losses.mean(), rel=1e-5, abs=1e-6)
    found.backward()
    elsewhere = np.concatenate([~wanted, np.ones((b, 1), dtype=bool)], axis=1)  # [b, l]
    assert not x.grad.numpy()[elsewhere].any()
    other_logits, other_ids = logits.copy(), ids.copy()
    other_logits[elsewhere] = 7.0
    other_ids[:, 1:][~wanted] = v + 5  # ids of places that are no target may be anything
    assert float(loss(other_logits, other_ids, double_backward=double_backward)[1]) == pytest.approx(float(found), rel=1e-6, abs=1e-7)


def test_seq2seq_divides_by_the_tokens_of_the_batch_not_by_row():
    logits = paddle.to_tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [[np.log(3.0), 0.0], [0.0, 0.0], [0.0, 0.0]]], dtype="float64")
    ids = paddle.to_tensor([[0, 1, 1], [0, 0, 1]])
    segments = paddle.to_tensor([[0, 1, 1], [0, 1, 0]])
    assert float(seq2seq_cross_entropy(logits, ids, segments)) == pytest.approx((2 * np.log(2) + np.log(4 / 3)) / 3, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seq2seq_cross_entropy(paddle.zeros([1, 3, 2]), paddle.to_tensor([[0, 1, 1]]), paddle.to_tensor([[1, 0, 0]])), "no target"),
        (lambda: seq2seq_cross_entropy(paddle.zeros([1, 1, 2]), paddle.to_tensor([[0]]), paddle.to_tensor([[1]])), "no target"),
        (lambda: seq2seq_cross_entropy(paddle.zeros([1, 2, 2]), paddle.to_tensor([[0]]), paddle.to_tensor([[1]])), r"\[1, 2, 2\], \[1, 1\]"),
        (lambda: token_cross_entropy(paddle.zeros([2, 3]), paddle.to_tensor([0, 3])), "label 3 is not one of the 3 tokens"),
        (lambda: token_cross_entropy(paddle.zeros([2, 3]), paddle.to_tensor([0, -1])), "label -1"),
        (lambda: token_cross_entropy(paddle.zeros([2, 3]), paddle.to_tensor([0])), r"\[2, 3\] and labels \[1\]"),
        (lambda: token_cross_entropy(paddle.zeros([0, 3]), paddle.zeros([0], dtype="int64")), "hold no token"),
        (lambda: token_cross_entropy(paddle.zeros([1, 3]), paddle.to_tensor([0]), label_smoothing=1.0), "found 1.0"),
    ],
)
def test_wrong_token_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- second derivatives ------------------------------------------------------------------------------------------

IDS, SEGMENTS = paddle.to_tensor([[0, 2, 1], [1, 3, 0]]), paddle.to_tensor([[0, 1, 1], [0, 1, 0]])
MARKS = paddle.to_tensor(np.random.default_rng(5).random((2, 3, 4)) < 0.4)


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (lambda x: multilabel_cross_entropy(x, MARKS, double_backward=True).sum(), (2, 3, 4)),
        (lambda x: seq2seq_cross_entropy(x, IDS, SEGMENTS, double_backward=True), (2, 3, 4)),
        (lambda x: seq2seq_cross_entropy(x, IDS, SEGMENTS, label_smoothing=0.2, double_backward=True), (2, 3, 4)),
        (lambda x: token_cross_entropy(x, IDS, double_backward=True), (2, 3, 4)),
        (lambda x: in_batch_similarity(x, 3.0, double_backward=True), (4, 3)),
    ],
)
def test_double_backward(loss, shape):
    """The gradient of the squared norm of the gradient, as a gradient penalty takes it, against finite differences."""
    values = np.random.default_rng(7).normal(0, 1, shape)
    direction = np.random.default_rng(8).normal(0, 1, shape)

    def penalty(point, create_graph=False):
        x = paddle.to_tensor(point, stop_gradient=False)
        (slope,) = paddle.grad(loss(x), x, create_graph=create_graph)
        return x, (slope * slope).sum()

    x, found = penalty(values, create_graph=True)
    (second,) = paddle.grad(found, x)
    up, down = (float(penalty(values + shift * direction)[1]) for shift in (1e-4, -1e-4))
    assert float((second.numpy() * direction).sum()) == pytest.approx((up - down) / 2e-4, rel=1e-5, abs=1e-9)


def test_a_similarity_of_numbers_that_are_none_is_refused():
    with pytest.raises(ValueError, match=r"\[2, 2\] hold 1 numbers that are NaN"):
        in_batch_similarity(paddle.to_tensor([[1.0, float("nan")], [0.0, 1.0]]))  # [2, 2]
