"""Our own backward passes give the numbers of Paddle's operations, and give way wherever they are not meant."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.activations import gelu
from shared.attention import MultiHeadAttention
from shared.attention.fast import SelfAttention, softmax_
from shared.backbone import Backbone, BackboneConfig
from shared.dropout import drawn_factors
from shared.fast_gradients import affine, column_sums, row_sums, spread, trains_in_float32
from shared.linear import Linear
from shared.masks import causal_mask, padding_mask


def parameter(*shape, scale=1.0):
    tensor = paddle.randn(shape) * scale  # [...]
    tensor.stop_gradient = False
    return tensor


def gradients(function, *tensors):
    """The function's value, and the gradients of its sum with fixed weights by every tensor."""
    value = function(*tensors)
    weights = np.random.default_rng(0).standard_normal(value.shape).astype("float32")
    (value * paddle.to_tensor(weights)).sum().backward()
    found = [value.numpy(), *(tensor.grad.numpy() for tensor in tensors)]
    for tensor in tensors:
        tensor.clear_grad()
    return found


def same(found, wanted, tolerance=2e-6):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1.0, float(np.abs(other).max())))


def test_sums_by_products():
    rows = paddle.randn([5, 7])
    np.testing.assert_allclose(column_sums(rows).numpy(), rows.numpy().sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(row_sums(rows).numpy(), rows.numpy().sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
    sums = row_sums(rows.reshape([5, 1, 7]))
    np.testing.assert_array_equal(spread(sums, 3).numpy(), sums.numpy().repeat(3, axis=2))
    weight, bias = paddle.randn([7, 3]), paddle.randn([3])
    np.testing.assert_allclose(affine(rows, weight, bias).numpy(), rows.numpy() @ weight.numpy() + bias.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4), (2, 1, 3, 4)])
def test_linear(shape):
    layer = Linear(4, 5, double_backward=False)
    layer.train()
    x = parameter(*shape)
    plain = gradients(lambda x, *_: F.linear(x, layer.weight, layer.bias), x, layer.weight, layer.bias)
    same(gradients(lambda x, *_: layer(x), x, layer.weight, layer.bias), plain)


def test_gelu():
    x = paddle.to_tensor(np.concatenate([np.linspace(-12, 12, 97), [0.0, -1e-8, 1e-8, 40, -40]]).astype("float32"), stop_gradient=False)
    same(gradients(gelu, x), gradients(F.gelu, x), tolerance=5e-7)


@given(length=st.integers(1, 140), scale=st.sampled_from([0.1, 1.0, 30.0]), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_softmax(length, scale, seed):
    scores = np.random.default_rng(seed).standard_normal((2, 3, 4, length)).astype("float32") * scale
    scores[0, :, :, length // 2 + 1 :] = np.finfo("float32").min
    scores[1, 1, 2] = np.finfo("float32").min  # sees nothing: even
    found = softmax_(paddle.to_tensor(scores)).numpy()
    np.testing.assert_allclose(found, F.softmax(paddle.to_tensor(scores), axis=-1).numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[1, 1, 2], 1 / length, rtol=1e-6)


def attention(**changes):
    layers = []
    for double_backward in (False, True):  # the second one takes the plain way
        paddle.seed(1)
        layers.append(MultiHeadAttention(hidden_size=12, num_heads=3, double_backward=double_backward, **changes))
        layers[-1].train()
    return layers


@pytest.mark.parametrize("length", [1, 9, 130])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["none", "padding", "causal"])
def test_attention(length, rate, kind):
    fast, plain = attention(dropout=rate)
    paddle.seed(2)
    hidden = parameter(3, length, 12)
    mask = {"none": lambda: None, "padding": lambda: padding_mask([length, 1, (length + 1) // 2]), "causal": lambda: causal_mask(length)}[kind]
    found = []
    for layer in (fast, plain):
        paddle.seed(5)
        found.append(gradients(lambda hidden, *_, layer=layer: layer(hidden, mask()), hidden, *layer.parameters()))
    same(*found)


def test_the_fast_way_is_taken_in_training_alone(monkeypatch):
    taken = []
    apply = SelfAttention.apply
    monkeypatch.setattr(SelfAttention, "apply", lambda *arguments: taken.append(1) or apply(*arguments))
    fast, plain = attention()
    hidden = parameter(2, 5, 12)

    def ways(layer, x):
        taken.clear()
        layer(x)
        return len(taken)

    assert ways(fast, hidden) == 1 and ways(plain, hidden) == 0
    with paddle.no_grad():  # as where a block is to be computed again
        assert ways(fast, hidden) == ways(fast, hidden.detach()) == 1
    assert ways(fast, hidden.detach()) == 0
    fast.qkv.bias.stop_gradient = True
    assert ways(fast, hidden) == 0
    fast.qkv.bias.stop_gradient = False
    fast.eval()
    assert ways(fast, hidden) == 0
    other, _ = attention(kind="random", max_length=5)
    assert ways(other, hidden) == 0


def test_which_tensors_take_it():
    x = parameter(2, 2)
    assert trains_in_float32(x, parameter(1))
    assert not trains_in_float32(x, paddle.zeros([1])) and not trains_in_float32(x.astype("float64"))
    assert not trains_in_float32(x.detach())
    with paddle.no_grad():
        assert trains_in_float32(x.detach()) and not trains_in_float32(x, paddle.zeros([1]))


def test_a_frozen_part_trains_the_rest():
    paddle.seed(3)
    model = Backbone(BackboneConfig(vocab_size=20, hidden_size=12, num_layers=2, num_heads=3, intermediate_size=24))
    model.train()
    for name, weight in model.named_parameters():
        weight.stop_gradient = name.startswith(("embeddings.", "blocks.0.")) or name.endswith("blocks.1.expand.bias")
    (model(paddle.to_tensor([[3, 4, 5], [6, 7, 0]])).hidden ** 2).sum().backward()
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == {
        name for name, weight in model.named_parameters() if not weight.stop_gradient
    }


def test_what_dropout_multiplies_by():
    paddle.seed(9)
    one = drawn_factors([7, 33], 0.25)
    assert one.dtype == np.float32 and set(np.unique(one)) == {np.float32(0.0), np.float32(1 / 0.75)}
    paddle.seed(9)
    np.testing.assert_array_equal(drawn_factors([7, 33], 0.25), one)
    assert not np.array_equal(drawn_factors([7, 33], 0.25), one)
    paddle.seed(9)  # the same bytes as NumPy's generator of that seed hands out
    seed = int(paddle.randint(0, 2**31 - 1, [1]).item())
    draws = np.frombuffer(np.random.Generator(np.random.SFC64(seed)).bytes(2 * 7 * 33), dtype="<u2").reshape(7, 33)
    np.testing.assert_array_equal(one > 0, draws >= round(0.25 * 65536))
    assert abs((drawn_factors([1000, 200], 0.1) == 0).mean() - 0.1) < 0.005
