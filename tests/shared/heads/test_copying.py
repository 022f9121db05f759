"""The copy head against its definition in NumPy, one token at a time, and against itself in a search."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.backbone import Backbone, BackboneConfig
from shared.heads import CopyHead
from shared.heads.copying_decode import with_copies
from shared.unilm import UniLM


def head(seed=0, size=4, **given):
    paddle.seed(seed)
    made = CopyHead(6, size, **given)
    rng = np.random.default_rng(seed)
    for parameter in made.parameters():
        parameter.set_value(parameter.numpy() + rng.normal(0, 0.5, parameter.shape).astype(np.float32))
    return made


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_one_softmax_for_writing_and_copying(seed, twice):
    rng = np.random.default_rng(seed)
    b, s, u = (int(rng.integers(1, most)) for most in (4, 6, 6))
    owners = np.sort(rng.integers(0, b, int(rng.integers(1, 8))))  # rows without a target token among them
    copied = rng.integers(-1, u, (b, s))
    logits, target, source = (rng.normal(0, 2, shape).astype(np.float32) for shape in ((len(owners), u), (len(owners), 6), (b, s, 6)))
    layer = head(seed % 1000, double_backward=twice)
    found = layer.with_copies(*map(paddle.to_tensor, (logits, target, source)), copied, owners).numpy()
    query, bias, key, constant = (part.numpy().astype(np.float64) for part in (layer.query.weight, layer.query.bias, layer.key.weight, layer.bias))
    mass = np.exp(logits.astype(np.float64))
    for token, row in enumerate(owners):
        for place, word in enumerate(copied[row]):
            if word >= 0:
                mass[token, word] += np.exp((target[token] @ query + bias) @ (source[row, place] @ key) / 2 + constant)[0]
    np.testing.assert_allclose(found, np.log(mass), rtol=1e-4, atol=1e-4)
    pointed = layer(paddle.to_tensor(target).unsqueeze(1), paddle.to_tensor(source[owners])).squeeze(1).numpy()
    np.testing.assert_allclose(with_copies(logits, pointed, copied[owners]), np.log(mass), rtol=1e-4, atol=1e-4)


def test_words_that_no_row_copies_may_stand_anywhere():
    """Behind the copied ones they cost nothing; scores, gradients and gradients of gradients are the same in any order."""
    rng = np.random.default_rng(3)
    owners, copied = np.array([0, 0, 1]), np.array([[1, -1, 0, 1], [0, -1, -1, 1]])
    logits, target, source = (rng.normal(0, 1, shape).astype(np.float32) for shape in ((3, 5), (3, 6), (2, 4, 6)))
    layer, found = head(double_backward=True), []
    for order in ([0, 1, 2, 3, 4], [4, 2, 3, 0, 1], [1, 4, 0, 2, 3]):
        place = np.argsort(order)  # of every word
        inputs = [paddle.to_tensor(part, stop_gradient=False) for part in (logits[:, order], target, source)]
        made = layer.with_copies(*inputs, np.where(copied < 0, -1, place[copied]), owners)
        first = paddle.grad((made * made).sum(), inputs, create_graph=True)
        second = paddle.grad(sum((one * one).sum() for one in first), inputs)
        given = [made, first[0], second[0]]
        found.append([*(one.numpy()[:, place] for one in given), *(one.numpy() for one in (*first[1:], *second[1:]))])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_allclose(same, one, rtol=1e-4, atol=1e-4)
            assert np.abs(one).max() > 0.1


def test_scores_of_any_size_are_finite():
    layer = head()
    layer.bias.set_value(paddle.to_tensor([500.0]))
    target, source = paddle.ones([2, 6]), paddle.ones([1, 3, 6])
    for logits in (paddle.full([2, 4], -1e30), paddle.full([2, 4], 1e3)):
        logits.stop_gradient = target.stop_gradient = False
        for copied in ([[0, 0, 3]], [[-1, -1, -1]]):
            made = layer.with_copies(logits, target, source, np.asarray(copied), np.zeros(2, dtype=np.int64))
            made.sum().backward()
            assert np.isfinite(made.numpy()).all() and np.isfinite(target.grad.numpy()).all()


@pytest.mark.parametrize("cached", [True, False])
def test_a_search_points_at_its_own_source(cached):
    paddle.seed(0)
    config = BackboneConfig(vocab_size=12, hidden_size=6, num_layers=2, num_heads=2, intermediate_size=8, dropout=0.0, attention_dropout=0.0)
    model = UniLM(Backbone(config), copy_head=head())
    model.eval()
    ids = paddle.to_tensor([[2, 5, 6, 3, 0], [2, 7, 8, 9, 3]])  # [b, s]
    copied = np.asarray([[-1, 5, 6, -1, -1], [-1, 7, 8, 9, -1]])
    step = model.step(ids, cached=cached, copied=copied)
    first, state = step(None, None)
    state = state.select(np.array([1, 0, 1]))
    second, _ = step(np.array([7, 5, 8]), state)
    whole = np.asarray([[2, 5, 6, 3, 5, 0], [2, 7, 8, 9, 3, 7], [2, 7, 8, 9, 3, 8]])
    segments = np.asarray([[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]])
    hidden = model.hidden(paddle.to_tensor(whole), paddle.to_tensor(segments))
    for found, rows, places in ((first, [0, 1], [3, 4]), (second, [1, 0, 2], [5, 4, 5])):
        target = paddle.stack([hidden[row, place] for row, place in zip(rows, places, strict=True)])
        own = copied[[0, 1, 1]][rows]
        expected = model.copy_head.with_copies(model.logits(target), target, hidden[:, :5][paddle.to_tensor(rows)], own, np.arange(len(rows)))
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="at least 1, found 0"):
        CopyHead(6, 0)
    config = BackboneConfig(vocab_size=12, hidden_size=6, num_layers=1, num_heads=2, intermediate_size=8)
    ids = paddle.to_tensor([[2, 5, 3]])
    with pytest.raises(ValueError, match=r"copied must be \[1, 3\] with a copy head"):
        UniLM(Backbone(config), copy_head=head()).step(ids)
    with pytest.raises(ValueError, match="is for one alone: found"):
        UniLM(Backbone(config)).step(ids, copied=ids)
