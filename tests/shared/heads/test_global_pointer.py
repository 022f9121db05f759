"""Pair scores against the articles' formulas in float64 NumPy, their losses, what is barred, and the decode as a round trip."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads import EfficientGlobalPointer, GlobalPointer
from shared.heads.global_pointer import BARRED, pairs_above, rotate
from shared.losses import multilabel_cross_entropy

POINTERS = [GlobalPointer, EfficientGlobalPointer]


def states(seed, b=2, l=5, h=6):
    return paddle.to_tensor(np.random.default_rng(seed).normal(0, 1, (b, l, h)).astype(np.float32))  # [b, l, h]


def weights(linear):
    return linear.weight.numpy().astype(np.float64), linear.bias.numpy().astype(np.float64)


def turned(x):
    """Rotary positions by complex numbers: ``x`` [l, d] float64."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None] * 10_000.0 ** (-2 * np.arange(half) / x.shape[-1])
    product = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([product.real, product.imag], axis=-1)


def expected_scores(layer, hidden):
    """Scores [k, l, l] of one row [l, h], float64."""
    place = turned if layer.rotary else np.array
    k, d = layer.num_labels, layer.head_size
    weight, bias = weights(layer.project)
    projected = hidden.astype(np.float64) @ weight + bias  # [l, ...]
    if isinstance(layer, GlobalPointer):
        query, key = projected.reshape(len(hidden), 2, k, d).transpose(1, 2, 0, 3)  # [k, l, d] each
        return np.stack([place(q) @ place(x).T / np.sqrt(d) for q, x in zip(query, key, strict=True)])
    weight, bias = weights(layer.label)
    types = projected @ weight + bias  # [l, 2 k]
    pairs = place(projected[:, :d]) @ place(projected[:, d:]).T / np.sqrt(d)
    return pairs + types[:, :k].T[:, :, None] / 2 + types[:, k:].T[:, None, :] / 2


# -- scores ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("pointer", POINTERS)
def test_scores_are_those_of_the_formula(pointer, rotary):
    paddle.seed(1)
    layer = pointer(6, 3, 4, rotary=rotary, upper_triangle=False)
    for parameter in layer.parameters():
        parameter.set_value(paddle.randn(parameter.shape))
    hidden = states(0)
    scores = layer(hidden)  # [2, 3, 5, 5]
    assert scores.shape == [2, 3, 5, 5] and scores.dtype == paddle.float32
    for row in range(2):
        np.testing.assert_allclose(scores[row].numpy(), expected_scores(layer, hidden[row].numpy()), rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 4, 10]))
def test_rotated_products_depend_on_the_distance_alone(seed, d):
    rng = np.random.default_rng(seed)
    query, key = (paddle.to_tensor(np.repeat(rng.normal(size=(1, d)), 7, axis=0)) for _ in range(2))  # [7, d] float64
    query, key = (rotate(x.unsqueeze(1)).squeeze(1) for x in (query, key))  # [7, d]
    products = paddle.matmul(query, key, transpose_y=True).numpy()  # [7, 7]
    for distance in range(-6, 7):
        np.testing.assert_allclose(np.diff(np.diagonal(products, distance)), 0.0, atol=1e-5)
    np.testing.assert_allclose(products[0, 0], float((query[0] * key[0]).sum()), atol=1e-6)
    assert np.ptp(products) > 1e-6


def test_double_precision_stays_double():
    layer = GlobalPointer(6, 2, 4)
    layer.to(dtype="float64")
    assert layer(states(0).astype("float64")).dtype == paddle.float64


def test_weights_of_another_label():
    def count(pointer, labels):
        return sum(int(parameter.size) for parameter in pointer(768, labels, 64).parameters())

    assert count(GlobalPointer, 11) - count(GlobalPointer, 10) == 2 * 64 * 768 + 2 * 64
    assert count(EfficientGlobalPointer, 11) - count(EfficientGlobalPointer, 10) == 4 * 64 + 2


@pytest.mark.parametrize("pointer", POINTERS)
def test_padding_and_turned_pairs_are_barred(pointer):
    paddle.seed(2)
    mask = paddle.to_tensor([[True, True, True, False], [True, False, False, False]])
    real = np.einsum("bi,bj->bij", mask.numpy(), mask.numpy())[:, None].repeat(3, axis=1)  # [2, 3, 4, 4]
    upper = np.triu(np.ones((4, 4), dtype=bool))
    hidden = states(1, l=4)
    for triangle, allowed in ((True, real & upper), (False, real)):
        layer = pointer(6, 3, 4, upper_triangle=triangle)
        scores = layer(hidden, mask).numpy()
        assert ((scores == BARRED) == ~allowed).all()
        assert np.isfinite(scores.astype(np.float16)).all()
    np.testing.assert_array_equal(layer(hidden, mask).numpy(), layer(hidden, mask.astype("float32")).numpy())
    open_row = pointer(6, 3, 4)(hidden).numpy()
    assert ((open_row == BARRED) == ~upper).all()


@pytest.mark.parametrize("pointer", POINTERS)
def test_padding_changes_nothing(pointer):
    paddle.seed(3)
    layer = pointer(6, 2, 4)
    short = states(4, b=1, l=3)
    wide = paddle.concat([short, 50 * states(5, b=1, l=2)], axis=1)  # [1, 5, 6]
    wide.stop_gradient = False
    mask = paddle.to_tensor([[1, 1, 1, 0, 0]])
    spans = paddle.to_tensor([[[[0, 1], [2, 2]], [[1, 2], [-1, -1]]]])  # [1, 2, 2, 2]
    np.testing.assert_allclose(layer(wide, mask)[:, :, :3, :3].numpy(), layer(short).numpy(), rtol=1e-5, atol=1e-5)
    loss = layer.sparse_loss(layer(wide, mask), spans)
    assert float(loss) == pytest.approx(float(layer.sparse_loss(layer(short), spans)), rel=1e-5)
    loss.backward()
    assert not wide.grad[:, 3:].numpy().any() and wide.grad[:, :3].numpy().any()


# -- losses ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(POINTERS), st.sampled_from([-1, -100]), st.booleans())
def test_dense_and_sparse_losses_are_equal(seed, pointer, padding, triangle):
    rng = np.random.default_rng(seed)
    b, k, l, m = rng.integers(1, 3), rng.integers(1, 4), rng.integers(1, 6), rng.integers(0, 4)
    labels = np.zeros((b, k, l, l), dtype=np.float32)
    spans = np.full((b, k, m, 2), padding, dtype=np.int64)
    for row, label, slot in np.ndindex(b, k, m):
        if rng.random() < 0.6:
            pair = rng.integers(0, l, 2)
            spans[row, label, slot] = np.sort(pair) if triangle else pair
            labels[row, label, spans[row, label, slot, 0], spans[row, label, slot, 1]] = 1
    paddle.seed(seed % 1000)
    layer = pointer(6, int(k), 4, upper_triangle=triangle)
    logits = layer(states(seed % 1000, b=int(b), l=int(l)))  # [b, k, l, l]
    dense = layer.loss(logits, paddle.to_tensor(labels))
    sparse = layer.sparse_loss(logits, paddle.to_tensor(spans), padding=padding)
    assert dense.shape == sparse.shape == []
    assert float(sparse) == pytest.approx(float(dense), rel=1e-5, abs=1e-6)
    rows = multilabel_cross_entropy(logits.reshape([int(b), int(k), -1]), paddle.to_tensor(labels.reshape(b, k, -1)))  # [b, k]
    assert float(dense) == pytest.approx(float(rows.numpy().sum(axis=1).mean()), rel=1e-5)


@pytest.mark.parametrize("pointer", POINTERS)
def test_a_label_on_a_barred_pair_costs_much_and_stays_finite(pointer):
    layer = pointer(6, 1, 4)
    loss = layer.sparse_loss(layer(states(0, b=1)), paddle.to_tensor([[[[3, 1]]]]))
    assert float(loss) == pytest.approx(-BARRED, rel=1e-3)


@pytest.mark.parametrize("pointer", POINTERS)
def test_overlapping_and_nested_spans_are_learnt_and_decoded(pointer):
    """Spans that a tagging cannot hold at once: nested, overlapping, one text with two labels; through the sparse loss alone."""
    wanted = [[(0, 0, 4), (0, 1, 2), (1, 1, 2)], [(0, 2, 4), (0, 3, 5), (1, 0, 0)]]
    spans = np.full((2, 2, 2, 2), -1, dtype=np.int64)
    for row, found in enumerate(wanted):
        slots = [0, 0]
        for label, first, last in found:
            spans[row, label, slots[label]] = first, last
            slots[label] += 1
    paddle.seed(5)
    layer = pointer(16, 2, 8)
    hidden = states(6, l=6, h=16)
    optimizer = paddle.optimizer.Adam(0.03, parameters=layer.parameters())
    for _ in range(80):
        layer.sparse_loss(layer(hidden), paddle.to_tensor(spans)).backward()
        optimizer.step()
        optimizer.clear_grad()
    assert layer.decode(layer(hidden)) == wanted


# -- decode ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([0.0, -1.5, 2.0]))
def test_decode_gives_back_every_pair_above_the_threshold(b, k, l, seed, threshold):
    scores = np.random.default_rng(seed).normal(threshold, 1, (b, k, l, l)).astype(np.float32)
    expected = [
        [(label, first, last) for label, first, last in np.ndindex(k, l, l) if scores[row, label, first, last] > threshold] for row in range(b)
    ]
    assert pairs_above(scores, threshold=threshold) == expected
    if b:
        assert pairs_above(paddle.to_tensor(scores), threshold=threshold) == expected


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pointer", POINTERS)
def test_wrong_input_is_named(pointer):
    layer = pointer(6, 2, 4)
    scores = layer(states(0))  # [2, 2, 5, 5]
    pairs = paddle.zeros([2, 2, 1, 2], dtype="int64")  # [2, 2, 1, 2]
    for call, message in (
        (lambda: pointer(6, 0, 4), "num_labels must be at least 1, found 0"),
        (lambda: pointer(6, 2, 5), "even for rotary positions, found 5"),
        (lambda: layer(paddle.zeros([2, 5, 7])), r"\[b, l, 6\], found \[2, 5, 7\]"),
        (lambda: layer(paddle.zeros([2, 6])), r"found \[2, 6\]"),
        (lambda: layer(paddle.zeros([2, 0, 6])), "no token"),
        (lambda: layer(states(0), paddle.ones([2, 4])), r"mask \[2, 4\] and hidden \[2, 5\]"),
        (lambda: layer(states(0), paddle.to_tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])), "row 1 of the mask hides all 5 tokens"),
        (lambda: layer.loss(scores, paddle.zeros([2, 2, 5])), r"labels \[2, 2, 5\]"),
        (lambda: layer.sparse_loss(scores, pairs[:, :1]), r"found \[2, 1, 1, 2\]"),
        (lambda: layer.sparse_loss(scores, pairs + 5), r"pair \[5, 5\] does not lie within 5 tokens"),
        (lambda: layer.sparse_loss(scores, pairs - 2), r"pair \[-2, -2\]"),
        (lambda: pairs_above(np.zeros((2, 2, 2))), r"found shape \[2, 2, 2\]"),
        (lambda: rotate(paddle.zeros([3, 1, 5])), r"even d, found \[3, 1, 5\]"),
        (lambda: rotate(paddle.zeros([3, 4])), r"found \[3, 4\]"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
