"""Pairing starts with ends as properties, the tagging, and the loss against float64 NumPy."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads.half_pointer import HalfPointer, span_tags
from shared.heads.half_pointer_decode import all_pairs, nearest_pairs

places = st.lists(st.integers(0, 30), max_size=8, unique=True).map(sorted)


# -- pairing -----------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(places, places)
def test_nearest_pairs_by_definition(starts, ends):
    expected = [(start, min(end for end in ends if end >= start)) for start in starts if any(end >= start for end in ends)]
    assert nearest_pairs(starts, ends) == expected


@settings(max_examples=200, deadline=None)
@given(places, places)
def test_all_pairs_use_every_end_that_has_a_start(starts, ends):
    near, pairs = nearest_pairs(starts, ends), all_pairs(starts, ends)
    assert pairs[: len(near)] == near and len(set(pairs)) == len(pairs)
    assert all(start in starts and end in ends and start <= end for start, end in pairs)
    assert {end for _, end in pairs} == {end for end in ends if starts and starts[0] <= end}
    left = set(ends) - {end for _, end in near}
    assert pairs[len(near) :] == [(max(s for s in starts if s <= end), end) for end in sorted(left) if any(s <= end for s in starts)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=8), st.lists(st.integers(1, 3), min_size=8, max_size=8))
def test_spans_side_by_side_come_back(lengths, gaps):
    spans, at = [], 0
    for length, gap in zip(lengths, gaps, strict=False):
        spans.append((at, at + length - 1))
        at += length + gap - 1
    starts, ends = [first for first, _ in spans], [last for _, last in spans]
    assert nearest_pairs(starts, ends) == all_pairs(starts, ends) == spans


def test_nested_spans_that_share_a_start():
    assert nearest_pairs([2], [4, 7]) == [(2, 4)]
    assert all_pairs([2], [4, 7]) == [(2, 4), (2, 7)]


def test_nested_spans_that_share_an_end():
    assert nearest_pairs([2, 5], [7]) == all_pairs([2, 5], [7]) == [(2, 7), (5, 7)]


def test_ends_before_every_start_and_starts_behind_every_end_stay_alone():
    assert all_pairs([5], [1, 3]) == nearest_pairs([5], [1, 3]) == []
    assert all_pairs([], [1]) == all_pairs([1], []) == []


# -- taggings ----------------------------------------------------------------------------------------------------


def test_span_tags():
    tags = span_tags(np.array([[0, 1, 3], [1, 2, 2], [0, 1, 1]]), 5, 2)
    assert tags.dtype == np.float32 and tags.shape == (5, 2, 2)
    assert np.argwhere(tags == 1).tolist() == [[1, 0, 0], [1, 0, 1], [2, 1, 0], [2, 1, 1], [3, 0, 1]]
    assert tags.sum() == 5
    assert not span_tags(np.zeros((0, 3), dtype=np.int32), 2, 1).any()


# -- the layer ---------------------------------------------------------------------------------------------------


def test_initial_probability_and_thresholds():
    square, fourth = HalfPointer(4, 1, power=2), HalfPointer(4, 3, power=4)
    hidden = paddle.zeros([2, 5, 4])
    assert square(hidden).shape == [2, 5, 1, 2] and fourth(hidden).shape == [2, 5, 3, 2]
    np.testing.assert_allclose(square.probabilities(square(hidden)).numpy(), 0.25, rtol=1e-6)
    np.testing.assert_allclose(fourth.probabilities(fourth(hidden)).numpy(), 0.0625, rtol=1e-6)
    for head, logit, plain in ((square, 0.54277, 0.63246), (fourth, 1.35699, 0.79527)):
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(plain, abs=5e-6)
        below, above = head.probabilities(paddle.to_tensor([logit - 1e-4, logit + 1e-4])).tolist()
        assert below < 0.4 < above


def test_new_biases():
    head = HalfPointer(4, 2, power=2, bias=-2.0)
    np.testing.assert_allclose(head(paddle.zeros([1, 1, 4])).numpy(), -2.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.integers(1, 4))
def test_loss_is_the_masked_mean(seed, b, l, k, power):
    rng = np.random.default_rng(seed)
    head = HalfPointer(4, k, power=power)
    logits = rng.normal(0, 2, (b, l, k, 2)).astype(np.float32)
    tags = rng.integers(0, 2, (b, l, k, 2)).astype(np.float32)
    lengths = rng.integers(1, l + 1, b)
    mask = (np.arange(l) < lengths[:, None]).astype(np.float32)  # [b, l]
    p = (1 / (1 + np.exp(-logits.astype(np.float64)))) ** power  # [b, l, k, 2]
    losses = -(tags * np.log(p) + (1 - tags) * np.log(1 - p))  # [b, l, k, 2]
    expected = sum(losses[row, :n].mean(axis=2).sum() for row, n in enumerate(lengths)) / lengths.sum()
    found = head.loss(paddle.to_tensor(logits), paddle.to_tensor(tags), paddle.to_tensor(mask))
    assert found.shape == [] and float(found) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    given = [paddle.to_tensor(array) for array in (logits, tags, mask)]
    assert float(head.loss(*given, divisor=7.0)) == pytest.approx(expected * lengths.sum() / 7, rel=1e-5, abs=1e-6)
    assert float(head.loss(given[0], given[1], paddle.zeros_like(given[2]), divisor=0.0)) == 0


def test_divergence_is_the_masked_mean_over_two_ends():
    rng = np.random.default_rng(3)
    head = HalfPointer(4, 2, power=3)
    first, second = rng.normal(0, 2, (2, 2, 4, 2, 2)).astype(np.float32)  # [b, l, k, 2] each
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=np.float32)  # [b, l]
    p, q = ((1 / (1 + np.exp(-x.astype(np.float64)))) ** 3 for x in (first, second))
    both = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)) + q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))) / 2
    total = (both.mean(axis=3).sum(axis=2) * mask).sum()
    given = [paddle.to_tensor(array) for array in (first, second, mask)]
    assert float(head.divergence(*given)) == pytest.approx(total / 6, rel=1e-4)
    assert float(head.divergence(*given, divisor=9.0)) == pytest.approx(total / 9, rel=1e-4)
    with pytest.raises(ValueError, match=r"\[2, 4, 2, 2\] and \[2, 3, 2, 2\] differ"):
        head.divergence(given[0], given[1][:, :3], given[2])


def test_padding_changes_nothing():
    rng = np.random.default_rng(0)
    head = HalfPointer(4, 2, power=4)
    hidden = paddle.to_tensor(rng.normal(size=(1, 3, 4)).astype(np.float32))
    wider = paddle.concat([hidden, paddle.full([1, 2, 4], 9.0)], axis=1)  # [1, 5, 4]
    tags = rng.integers(0, 2, (1, 3, 2, 2)).astype(np.float32)
    padded = np.concatenate([tags, np.ones((1, 2, 2, 2), dtype=np.float32)], axis=1)  # [1, 5, 2, 2]
    short = head.loss(head(hidden), paddle.to_tensor(tags), paddle.ones([1, 3]))
    long = head.loss(head(wider), paddle.to_tensor(padded), paddle.to_tensor([[1.0, 1.0, 1.0, 0.0, 0.0]]))
    assert float(long) == pytest.approx(float(short), rel=1e-6)
    long.backward()
    assert np.isfinite(head.project.weight.grad.numpy()).all()


def test_a_mask_that_hides_everything_and_wrong_shapes_are_named():
    head = HalfPointer(4, 2)
    logits = paddle.zeros([1, 3, 2, 2])  # [1, 3, 2, 2]
    with pytest.raises(ValueError, match="hides every token"):
        head.loss(logits, logits, paddle.zeros([1, 3]))
    with pytest.raises(ValueError, match=r"logits \[1, 3, 2, 2\] and mask \[1, 2\]"):
        head.loss(logits, logits, paddle.ones([1, 2]))
    with pytest.raises(ValueError, match=r"tags \[1, 3, 2\]"):
        head.loss(logits, paddle.zeros([1, 3, 2]), paddle.ones([1, 3]))
