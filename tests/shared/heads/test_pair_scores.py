"""Losses over pairs in parts against the plain forms over all scores, values and gradients."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads import EfficientGlobalPointer, GlobalPointer
from shared.heads.pair_scores import PairParts, pair_cross_entropy, pair_divergence, scores_at
from shared.losses import multilabel_cross_entropy


def pointer(seed, k, spread=1.0, **given):
    paddle.seed(seed)
    layer = EfficientGlobalPointer(6, k, 4, **given)
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter.set_value(parameter.numpy() + rng.normal(0, spread, parameter.shape).astype(np.float32))
    return layer


def right_pairs(rng, b, k, lengths, triangle, share=0.3):
    """Places [n, 4] of right pairs among those that may be."""
    places = [
        (row, label, first, last)
        for row, label in np.ndindex(b, k)
        for first, last in np.ndindex(lengths[row], lengths[row])
        if (first <= last or not triangle) and rng.random() < share
    ]
    return np.asarray(places, dtype=np.int64).reshape(-1, 4)


def plain(scores, places, smoothing):
    """The loss over all scores [b, k, l, l]."""
    labels = np.zeros(scores.shape, dtype=np.float32)  # [b, k, l, l]
    labels[tuple(places.T)] = 1
    flat = scores.reshape([*scores.shape[:2], -1])  # [b, k, l * l]
    gold = multilabel_cross_entropy(flat, paddle.to_tensor(labels).reshape(flat.shape)).sum()
    none = multilabel_cross_entropy(flat, paddle.zeros_like(flat)).sum()
    return gold * (1 - smoothing) + none * smoothing


def gradients(layer, hidden, loss):
    loss.backward()
    found = [hidden.grad.numpy(), *(np.zeros(p.shape) if p.grad is None else p.grad.numpy() for p in layer.parameters())]
    hidden.clear_grad()
    layer.clear_gradients()
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.3, 2.0]))
def test_the_loss_in_parts_is_that_over_all_scores(seed, triangle, smoothing, share, spread):
    rng = np.random.default_rng(seed)
    b, k, l = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 7))
    lengths = rng.integers(1, l + 1, b)
    mask = paddle.to_tensor((np.arange(l) < lengths[:, None]).astype(np.float32))  # [b, l]
    places = right_pairs(rng, b, k, lengths, triangle, share)
    layer = pointer(seed % 1000, k, spread, upper_triangle=triangle)
    hidden = paddle.to_tensor(rng.normal(0, 1, (b, l, 6)).astype(np.float32), stop_gradient=False)  # [b, l, 6]
    expected = plain(layer(hidden, mask), places, smoothing)
    wanted = gradients(layer, hidden, expected)
    for scores in (layer.parts(hidden, mask), layer(hidden, mask)):
        loss = pair_cross_entropy(scores, places, smoothing=smoothing)
        assert loss.shape == [] and float(loss) == pytest.approx(float(expected), rel=1e-4, abs=1e-5)
        for found, gradient in zip(gradients(layer, hidden, loss), wanted, strict=True):
            np.testing.assert_allclose(found, gradient, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(gradient).max()))


@pytest.mark.parametrize("triangle", [True, False])
def test_parts_are_the_scores(triangle):
    layer, rng = pointer(1, 3, upper_triangle=triangle), np.random.default_rng(1)
    hidden = paddle.to_tensor(rng.normal(0, 1, (2, 5, 6)).astype(np.float32))  # [2, 5, 6]
    mask = paddle.to_tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    parts, scores = layer.parts(hidden, mask), layer(hidden, mask).numpy()  # [2, 3, 5, 5]
    allowed = scores > -60000
    np.testing.assert_allclose(parts.full().numpy()[allowed], scores[allowed], rtol=1e-5)
    assert (parts.full().numpy()[~allowed] < -60000).all() and np.isfinite(parts.full().numpy()).all()
    places = np.argwhere(allowed)
    np.testing.assert_allclose(scores_at(parts, places).numpy(), scores[allowed], rtol=1e-5)
    np.testing.assert_allclose(layer.parts(hidden[:1]).full().numpy()[allowed[:1]], scores[:1][allowed[:1]], rtol=1e-5)


def test_right_pairs_far_above_all_others_keep_the_loss_of_the_rest():
    """Where the sum over all minus the right ones would be rounding alone."""
    pairs = paddle.to_tensor([[[60.0, -2.0], [-1.0, -3.0]]])  # [1, 2, 2]
    parts = PairParts(pairs, paddle.zeros([1, 1, 2]), paddle.zeros([1, 1, 2]))
    loss = pair_cross_entropy(parts, np.array([[0, 0, 0, 0]]))
    assert float(loss) == pytest.approx(np.log(1 + np.exp([-2.0, -1.0, -3.0]).sum()), rel=1e-5)


def test_a_label_that_wants_another_last_token_than_the_pairs():
    """The greatest of each part are far apart, so that the product of what they have together is 0 in 32 bits."""
    pairs = paddle.to_tensor([[[0.0, -100.0], [-100.0, -3.0]]], stop_gradient=False)  # [1, 2, 2]
    last = paddle.to_tensor([[[-100.0, 0.0], [1.0, 2.0]]], stop_gradient=False)  # [1, 2, 2]
    first = paddle.to_tensor([[[98.0, 1.0], [0.0, 0.0]]], stop_gradient=False)  # [1, 2, 2]
    parts = PairParts(pairs, first, last)
    for places, left in ((np.zeros((0, 4), dtype=np.int64), [-2.0, -2.0, -99.0, -2.0]), (np.array([[0, 0, 0, 1]]), [-2.0, -99.0, -2.0])):
        expected = np.log1p(np.exp(left).sum()) + np.log1p(np.exp([1.0, -98.0, -99.0, -1.0]).sum())
        expected += np.log1p(np.exp(2.0)) if len(places) else 0.0
        loss = pair_cross_entropy(parts, places)
        assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    share = 1 / (2 + np.exp(2.0))
    np.testing.assert_allclose(first.grad.numpy()[0, 0, 0], share - 1 / (1 + np.exp(-2.0)), rtol=1e-4)


def test_scores_of_any_size_give_finite_losses_and_gradients():
    rng = np.random.default_rng(0)
    for scale in (30.0, 1e3, 6e4):
        arrays = [(rng.normal(0, scale, shape)).astype(np.float32) for shape in ((2, 4, 4), (2, 3, 4), (2, 3, 4))]
        parts = PairParts(*(paddle.to_tensor(array, stop_gradient=False) for array in arrays))
        others = PairParts(*(paddle.to_tensor(array[::-1].copy()) for array in arrays))
        places = np.array([[0, 1, 2, 3], [1, 0, 0, 0]])
        total = pair_cross_entropy(parts, places, smoothing=0.1) + pair_divergence(parts, others, places)
        total.backward()
        assert np.isfinite(float(total)) and all(np.isfinite(part.grad.numpy()).all() for part in parts)


@pytest.mark.parametrize("triangle", [True, False])
def test_divergence_by_definition(triangle):
    rng = np.random.default_rng(2)
    hidden = paddle.to_tensor(rng.normal(0, 1, (2, 5, 6)).astype(np.float32))  # [2, 5, 6]
    mask = paddle.to_tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    layers = [pointer(seed, 3, 0.5, upper_triangle=triangle) for seed in (3, 4)]
    places = right_pairs(rng, 2, 3, (5, 3), triangle)
    flat = [layer(hidden, mask).numpy().astype(np.float64).reshape(2, 3, -1) for layer in layers]  # [2, 3, 25] each
    p, q = (np.exp(x) / (1 + np.exp(x).sum(axis=-1, keepdims=True)) for x in flat)
    p, q = (np.concatenate([x, 1 - x.sum(axis=-1, keepdims=True)], axis=-1) for x in (p, q))
    seen = p > 0
    expected = ((p - q)[seen] * np.log(p[seen] / q[seen])).sum() / 2
    at = [layer(hidden, mask).numpy()[tuple(places.T)].astype(np.float64) for layer in layers]
    yes, other = (1 / (1 + np.exp(-x)) for x in at)
    expected += ((yes - other) * (at[0] - at[1])).sum() / 2
    for scores, others in ((layer.parts(hidden, mask) for layer in layers), (layer(hidden, mask) for layer in layers)):
        assert float(pair_divergence(scores, others, places)) == pytest.approx(expected, rel=1e-4)
        assert float(pair_divergence(others, scores, places)) == pytest.approx(expected, rel=1e-4)
        assert float(pair_divergence(scores, scores, places)) == 0


def test_a_start_with_few_positives():
    rng = np.random.default_rng(0)
    hidden = paddle.to_tensor(rng.normal(0, 1, (2, 5, 6)).astype(np.float32))  # [2, 5, 6]
    for layer in (GlobalPointer(6, 3, 4, bias=-8.0), EfficientGlobalPointer(6, 3, 4, bias=-8.0)):
        plain_layer = type(layer)(6, 3, 4)
        plain_layer.set_state_dict({name: value for name, value in layer.state_dict().items() if value.shape != [3]})
        if isinstance(layer, EfficientGlobalPointer):
            plain_layer.label.bias.set_value(paddle.zeros([6]))
        allowed = plain_layer(hidden).numpy() > -60000
        np.testing.assert_allclose(layer(hidden).numpy()[allowed], plain_layer(hidden).numpy()[allowed] - 8, atol=1e-4)


def test_wrong_input_is_named():
    parts = PairParts(paddle.zeros([1, 2, 2]), paddle.zeros([1, 3, 2]), paddle.zeros([1, 3, 2]))
    for places, smoothing, message in (
        (np.zeros((1, 3), dtype=np.int64), 0.0, r"\[n, 4\] of \(row, label, first, last\), found shape \[1, 3\]"),
        (np.array([[0, 3, 0, 0]]), 0.0, r"\[0, 3, 0, 0\] does not lie within 1 rows, 3 labels and 2 tokens"),
        (np.array([[0, 0, 0, -1]]), 0.0, "does not lie within"),
        (np.zeros((2, 4), dtype=np.int64), 0.0, "given twice"),
        (np.zeros((0, 4), dtype=np.int64), 1.0, "found 1.0"),
    ):
        for scores in (parts, parts.full()):
            with pytest.raises(ValueError, match=message):
                pair_cross_entropy(scores, places, smoothing=smoothing)
