"""The Synthesizer kinds against their formulas (arXiv 2005.00743v1, kexue.fm article 7430), in NumPy."""

import numpy as np
import paddle
import pytest

from shared.attention import (
    DenseSynthesizer,
    FactorizedDenseSynthesizer,
    FactorizedRandomSynthesizer,
    Mixture,
    MultiHeadAttention,
    Places,
    RandomSynthesizer,
    count_parameters,
    even_factors,
    kind_names,
    selections,
)
from shared.masks import causal_mask, padding_mask

HIDDEN, HEADS, LONGEST = 12, 3, 8
KINDS = [*kind_names(), "random+dot_product", "dense+dot_product", "factorized_random+dense"]


def attention(kind, **settings):
    paddle.seed(3)
    layer = MultiHeadAttention(hidden_size=HIDDEN, num_heads=HEADS, kind=kind, max_length=LONGEST, **settings)
    for parameter in layer.parameters():  # wide enough for the scores to matter
        parameter.set_value(paddle.randn(parameter.shape))
    layer.eval()
    return layer


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def scores_by_formula(kind, scores, queries, keys, length):
    """Scores [b, n, l, l] from the projected heads [b, n, l, d], in NumPy; ``scores`` is our layer, for its weights only."""
    if "+" in kind:
        shares = softmax(scores.bias_parts.numpy().T).T if scores.bias_parts is not None else np.ones((len(scores.parts), HEADS))
        total = 0.0
        for name, part, share in zip(kind.split("+"), scores.parts, shares, strict=True):
            total = total + share[:, None, None] * scores_by_formula(name, part, queries[: part.query_parts], keys, length)
            queries = queries[part.query_parts :]
        return total
    if kind == "dot_product":
        return queries[0] @ keys[0].transpose(0, 1, 3, 2) / np.sqrt(HIDDEN // HEADS)
    weights = {name: value.numpy() for name, value in scores.named_parameters()}
    if kind in ("random", "fixed_random"):
        return weights["weight"][None, :, :length, :length]
    if kind == "factorized_random":
        return (weights["rows"] @ weights["columns"].transpose(0, 2, 1))[None, :, :length, :length]
    inner = np.maximum(queries[0], 0.0)
    if kind == "dense":
        return (inner @ weights["weight"] + weights["bias"])[..., :length]
    a, b = (inner @ weights[f"weight_{x}"] + weights[f"bias_{x}"] for x in "ab")
    return (a[..., :, None] * b[..., None, :]).reshape([*a.shape[:-1], -1])[..., :length]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_its_formula(kind):
    layer = attention(kind)
    length = 6
    hidden = paddle.randn([2, length, HIDDEN])  # [2, 6, 12]
    projected = hidden.numpy() @ layer.qkv.weight.numpy() + layer.qkv.bias.numpy()
    heads = projected.reshape(2, length, layer.parts, HEADS, HIDDEN // HEADS).transpose(2, 0, 3, 1, 4)
    asked = layer.scores.query_parts
    scores = scores_by_formula(kind, layer.scores, heads[:asked], heads[asked:-1], length)
    allowed = np.tril(np.ones((length, length), dtype=bool)) & (np.arange(length) < np.array([6, 4])[:, None])[:, None, None, :]
    weights = softmax(np.where(allowed, scores, -np.inf))
    expected = (weights @ heads[-1]).transpose(0, 2, 1, 3).reshape(2, length, HIDDEN) @ layer.out.weight.numpy() + layer.out.bias.numpy()
    out = layer(hidden, causal_mask(length) & padding_mask([6, 4], length))
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_places_in_order_are_the_default(kind):
    layer = attention(kind)
    hidden = paddle.randn([2, 5, HIDDEN])  # [2, 5, 12]
    in_order = paddle.arange(5).unsqueeze(0).expand([2, 5])  # [2, 5]
    np.testing.assert_allclose(layer(hidden).numpy(), layer(hidden, places=in_order).numpy(), atol=1e-6)
    shifted = layer(hidden, places=in_order + 2).numpy()
    assert (np.abs(layer(hidden).numpy() - shifted).max() > 1e-3) == (kind != "dot_product")


@pytest.mark.parametrize("trainable", [True, False])
def test_random_scores_do_not_look_at_the_input_and_learn_only_if_asked(trainable):
    scores = RandomSynthesizer(HEADS, LONGEST, trainable=trainable)
    assert list(scores([], [], Places(4, 5)).shape) == [1, HEADS, 4, 5]
    assert scores.weight.stop_gradient is not trainable
    assert float(scores.weight.std()) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("make", [DenseSynthesizer, FactorizedDenseSynthesizer])
def test_a_dense_row_depends_on_its_own_token_alone(make):
    scores = make(HEADS, 4, LONGEST)
    query = paddle.randn([1, HEADS, 6, 4])  # [1, 3, 6, 4]
    other = query.clone()  # [1, 3, 6, 4]
    other[:, :, 2] = 5.0
    one, two = (scores([x], [], Places(6, 6)).numpy() for x in (query, other))
    changed = np.abs(one - two).max(axis=(0, 1, 3)) > 0
    assert changed.tolist() == [False, False, True, False, False, False]


def test_the_factorized_matrix_has_at_most_the_rank_asked_for():
    scores = FactorizedRandomSynthesizer(HEADS, 16, rank=3)
    matrices = scores([], [], Places(16, 16)).numpy()[0]
    assert [np.linalg.matrix_rank(matrix, tol=1e-4) for matrix in matrices] == [3, 3, 3]


@pytest.mark.parametrize(
    ("a", "b", "tiling", "expected"),
    [
        ([1, 2], [10, 20], "tile", [10, 40, 10, 40]),
        ([1, 2], [10, 20], "repeat", [10, 20, 20, 40]),
        ([1, 2], [10, 20, 30], "tile", [10, 40, 30, 20, 20, 60]),
        ([1, 2], [10, 20, 30], "repeat", [10, 20, 30, 20, 40, 60]),
    ],
)
def test_both_tilings(a, b, tiling, expected):
    first, second = selections(len(a), len(b), tiling)
    assert ((a @ first) * (b @ second)).tolist() == expected


@pytest.mark.parametrize("tiling", ["tile", "repeat"])
def test_the_layer_tiles_as_asked(tiling):
    scores = FactorizedDenseSynthesizer(1, 2, 6, factors=(2, 3), tiling=tiling)
    for parameter in scores.parameters():
        parameter.set_value(paddle.zeros_like(parameter))
    scores.bias_a.set_value(np.array([[[1, 2]]], dtype="float32"))
    scores.bias_b.set_value(np.array([[[10, 20, 30]]], dtype="float32"))
    found = scores([paddle.zeros([1, 1, 1, 2])], [], Places(1, 6)).numpy().ravel().tolist()  # [1, 1, 1, 2]
    assert found == {"tile": [10, 40, 30, 20, 20, 60], "repeat": [10, 20, 30, 20, 40, 60]}[tiling]


def test_replaced_parameters_are_the_papers_table_1():
    sizes = {"hidden_size": 512, "length": 256, "rank": 8, "factors": (16, 16)}
    table = {"dot_product": 524288, "random": 65536, "factorized_random": 4096, "dense": 393216, "factorized_dense": 278528}
    assert {kind: count_parameters(kind, **sizes) for kind in table} == table
    assert count_parameters("random", 512, 256, num_heads=8) == 8 * 65536
    assert count_parameters("dense", 512, 256, num_heads=8) == table["dense"]
    assert count_parameters("random+dot_product", 512, 256) == table["random"] + table["dot_product"]


@pytest.mark.parametrize("kind", KINDS)
def test_counted_parameters_are_those_of_the_layer(kind):
    layer = attention(kind)
    values_and_output = 2 * HIDDEN * HIDDEN
    weights = sum(int(value.size) for name, value in layer.named_parameters() if "bias" not in name.split(".")[-1])
    assert weights - values_and_output == count_parameters(kind, HIDDEN, LONGEST, num_heads=HEADS)


def test_shares_sum_to_one_and_start_even():
    mixture = attention("random+dense+dot_product").scores
    assert isinstance(mixture, Mixture)
    np.testing.assert_allclose(mixture.shares().numpy().sum(axis=0), np.ones(HEADS), rtol=1e-6)
    new = Mixture([RandomSynthesizer(HEADS, 4), RandomSynthesizer(HEADS, 4)], HEADS)
    np.testing.assert_allclose(new.shares().numpy(), np.full((2, HEADS), 0.5))


def test_a_sum_is_the_sum_of_its_parts():
    parts = [RandomSynthesizer(HEADS, 4), RandomSynthesizer(HEADS, 4)]
    total = Mixture(parts, HEADS, combine="sum")([], [], Places(4, 4))
    np.testing.assert_allclose(total.numpy()[0], (parts[0].weight + parts[1].weight).numpy(), rtol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 7, 30, 128, 256, 509, 512])
def test_even_factors_reach_the_length(length):
    a, b = even_factors(length)
    assert a <= b
    assert length <= a * b < length + b


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dot_product"])
def test_longer_texts_than_there_are_weights_for_are_refused(kind):
    with pytest.raises(ValueError, match=r"9 tokens do not fit the 8"):
        attention(kind)(paddle.randn([1, 9, HIDDEN]))  # [1, 9, 12]


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="factors 2 x 3 = 6 do not reach max_length 8"):
        FactorizedDenseSynthesizer(1, 4, 8, factors=(2, 3))
    with pytest.raises(ValueError, match="tiling must be 'repeat' or 'tile', found 'roll'"):
        FactorizedDenseSynthesizer(1, 4, 8, tiling="roll")
    with pytest.raises(ValueError, match="combine must be 'mix' or 'sum', found 'max'"):
        Mixture([RandomSynthesizer(1, 4)] * 2, 1, combine="max")
    with pytest.raises(ValueError, match="at least two parts, found 1"):
        Mixture([RandomSynthesizer(1, 4)], 1)
    with pytest.raises(ValueError, match="rank must be at least 1, found 0"):
        FactorizedRandomSynthesizer(1, 4, rank=0)
    with pytest.raises(ValueError, match="give max_length, found None"):
        MultiHeadAttention(hidden_size=8, num_heads=2, kind="dense")
    with pytest.raises(ValueError, match="unknown attention kind 'rnadom'"):
        MultiHeadAttention(hidden_size=8, num_heads=2, kind="rnadom+dense", max_length=4)


@pytest.mark.parametrize("kind", ["dot_product", "random", "dense+dot_product"])
def test_weights_are_those_that_forward_mixes_the_values_with(kind):
    paddle.seed(0)
    attention = MultiHeadAttention(hidden_size=8, num_heads=2, kind=kind, max_length=5)
    hidden, mask = paddle.randn([3, 5, 8]), causal_mask(5)
    weights = attention.weights(hidden, mask)  # [3, 2, 5, 5]
    assert weights.shape == [3, 2, 5, 5]
    np.testing.assert_allclose(weights.sum(axis=-1).numpy(), 1, rtol=1e-5)
    assert float((weights * (1 - paddle.tril(paddle.ones([5, 5])))).abs().max()) < 1e-20
    values = attention.qkv(hidden)[:, :, -8:].reshape([3, 5, 2, 4]).transpose([0, 2, 1, 3])  # [3, 2, 5, 4]
    mixed = paddle.matmul(weights, values).transpose([0, 2, 1, 3]).reshape([3, 5, 8])  # [3, 5, 8]
    np.testing.assert_allclose(attention.out(mixed).numpy(), attention(hidden, mask).numpy(), rtol=1e-4, atol=1e-6)
