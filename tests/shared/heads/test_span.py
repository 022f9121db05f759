"""The span head's loss and decode against the enumeration of every span, in float64 NumPy."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads import SpanHead
from shared.heads.global_pointer import BARRED
from shared.heads.span import best_spans


def probabilities(logits):
    """Softmax over all tokens of all rows given, float64: [..., l] in all."""
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


def loss_of(logits, spans, **settings):
    spans = np.asarray(spans, dtype=np.int64).reshape(-1, *np.shape(spans)[1:]) if len(spans) else np.zeros((0, 3), dtype=np.int64)
    settings = {name: paddle.to_tensor(value) for name, value in settings.items()}
    return SpanHead(2).loss(paddle.to_tensor(logits), paddle.to_tensor(spans), **settings)


# -- scores ------------------------------------------------------------------------------------------------------


def test_scores_and_what_is_not_allowed():
    paddle.seed(0)
    head, hidden = SpanHead(3), paddle.randn([2, 4, 3])
    allowed = np.array([[0, 1, 1, 0], [1, 1, 1, 1]])
    plain = head(hidden)  # [2, 4, 2]
    np.testing.assert_allclose(plain.numpy(), hidden.numpy() @ head.project.weight.numpy() + head.project.bias.numpy(), atol=1e-6)
    scores = head(hidden, paddle.to_tensor(allowed)).numpy()
    assert scores.shape == (2, 4, 2) and scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.where(allowed[..., None], plain.numpy(), np.float32(BARRED)))


# -- loss --------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_loss_is_that_of_all_right_spans_together(seed):
    rng = np.random.default_rng(seed)
    b, l = rng.integers(1, 4), rng.integers(1, 6)
    logits = rng.normal(0, 3, (b, l, 2))
    spans = [(row, *np.sort(rng.integers(0, l, 2))) for row in range(b) for _ in range(rng.integers(0, 3))]
    found = loss_of(logits, spans)
    expected = []
    for row in sorted({span[0] for span in spans}):
        start, end = probabilities(logits[row, :, 0]), probabilities(logits[row, :, 1])
        expected.append(-np.log(sum(start[first] * end[last] for at, first, last in spans if at == row)) / 2)
    assert found.shape == [] and float(found) == pytest.approx(np.mean(expected) if expected else 0.0, rel=1e-9, abs=1e-12)


def test_one_span_costs_the_mean_of_two_cross_entropies():
    logits = np.random.default_rng(1).normal(0, 1, (1, 4, 2))
    expected = -(np.log(probabilities(logits[0, :, 0])[1]) + np.log(probabilities(logits[0, :, 1])[3])) / 2
    assert float(loss_of(logits, [(0, 1, 3)])) == pytest.approx(expected, rel=1e-12)


def test_windows_of_a_group_share_their_softmax():
    """Two windows side by side are one text; a second text stays by itself; a window without the answer pays for its scores."""
    logits = np.random.default_rng(2).normal(0, 2, (3, 3, 2))
    joined = np.concatenate([logits[0], logits[2]])[None]  # [1, 6, 2]
    both = float(loss_of(logits, [(2, 0, 1), (1, 1, 2)], groups=[0, 1, 0]))
    assert both == pytest.approx((float(loss_of(joined, [(0, 3, 4)])) + float(loss_of(logits[1:2], [(0, 1, 2)]))) / 2, rel=1e-12)
    assert both > float(loss_of(logits, [(2, 0, 1), (1, 1, 2)]))
    across = [[(0, 2), (2, 0)]]  # first token in one window, last in the other
    assert float(loss_of(logits, across, groups=[0, 1, 0])) == pytest.approx(float(loss_of(joined, [(0, 2, 3)])), rel=1e-12)


def test_no_span_costs_nothing_and_barred_tokens_get_no_gradient():
    paddle.seed(1)
    head, hidden = SpanHead(3), paddle.randn([2, 4, 3])
    hidden.stop_gradient = False
    scores = head(hidden, paddle.to_tensor([[1, 1, 0, 0], [1, 1, 1, 1]]))
    nothing = head.loss(scores, paddle.zeros([0, 3], dtype="int64"))
    nothing.backward(retain_graph=True)
    assert float(nothing) == 0.0 and not hidden.grad.numpy().any()
    head.loss(scores, paddle.to_tensor([[0, 0, 1], [1, 2, 3]])).backward()
    assert not hidden.grad[0, 2:].numpy().any() and hidden.grad[0, :2].numpy().any()
    assert all(parameter.grad.numpy().any() for parameter in head.parameters())


# -- decode ------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_best_spans_equal_enumeration(seed, longest, count, coarse):
    rng = np.random.default_rng(seed)
    l = int(rng.integers(1, 7))
    logits = rng.integers(0, 2, (l, 2)).astype(np.float64) if coarse else rng.normal(0, 2, (l, 2))
    logits[rng.random(l) < 0.3] = -np.inf
    found = best_spans(logits[:, 0], logits[:, 1], longest=longest, count=count)
    if np.isneginf(logits).all():
        assert found == []
        return
    start, end = probabilities(logits[:, 0]), probabilities(logits[:, 1])
    every = [(first, last, start[first] * end[last]) for first in range(l) for last in range(first, min(first + longest, l))]
    every = sorted((span for span in every if span[2] > 0), key=lambda span: (-round(span[2], 12), span[1] - span[0], span[0]))[:count]
    assert [span[:2] for span in found] == [span[:2] for span in every]
    np.testing.assert_allclose([span[2] for span in found], [span[2] for span in every], rtol=1e-9)


def test_a_head_decodes_each_row_within_its_mask():
    logits = np.zeros((2, 4, 2), dtype=np.float32)
    logits[:, 3] = 9.0
    logits[0, 2:] = BARRED
    logits[0, 1, 0] = logits[0, 1, 1] = 5.0
    found = SpanHead(2).decode(paddle.to_tensor(logits), longest=2, count=2)
    assert [span[:2] for span in found[0]] == [(1, 1), (0, 0)] or [span[:2] for span in found[0]] == [(1, 1), (0, 1)]
    assert found[1][0][:2] == (3, 3) and found[1][0][2] > 0.99


def test_no_token_has_no_span():
    assert best_spans(np.zeros(0), np.zeros(0), longest=3) == []


# -- bad input ---------------------------------------------------------------------------------------------------


def test_wrong_input_is_named():
    head = SpanHead(3)
    logits = np.zeros((2, 4, 2))
    barred = np.where(np.arange(4)[:, None] < 2, logits, BARRED)
    for call, message in (
        (lambda: SpanHead(0), "found 0"),
        (lambda: head(paddle.zeros([2, 4, 5])), r"\[b, l, 3\], found \[2, 4, 5\]"),
        (lambda: head(paddle.zeros([2, 0, 3])), "no token"),
        (lambda: head(paddle.zeros([2, 4, 3]), paddle.ones([2, 3])), r"mask \[2, 3\]"),
        (lambda: head(paddle.zeros([1, 2, 3]), paddle.zeros([1, 2])), "row 0 of the mask hides all 2 tokens"),
        (lambda: loss_of(np.zeros((2, 4)), [(0, 1, 1)]), r"logits must be \[b, l, 2\], found \[2, 4\]"),
        (lambda: loss_of(logits, [(0, 1)]), r"spans must be \[s, 3\] or \[s, 2, 2\], found \[1, 2\]"),
        (lambda: loss_of(logits, [(0, 1, 1)], groups=[0]), r"groups must be \[2\], found \[1\]"),
        (lambda: loss_of(logits, [(0, 1, 1)], groups=[0, -1]), "group -1 is negative"),
        (lambda: loss_of(logits, [(0, 1, 4)]), r"span \[\[0, 1\], \[0, 4\]\].*outside logits \[2, 4, 2\]"),
        (lambda: loss_of(logits, [(2, 1, 1)]), "outside logits"),
        (lambda: loss_of(logits, [(0, 2, 1)]), "ends before it starts"),
        (lambda: loss_of(logits, [[(0, 1), (1, 1)]]), "two groups"),
        (lambda: loss_of(barred, [(0, 1, 2)]), "not allowed"),
        (lambda: best_spans(np.zeros(3), np.zeros(3), longest=0), "found 0 and 1"),
        (lambda: best_spans(np.zeros(3), np.zeros(2), longest=1), "two equal"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
