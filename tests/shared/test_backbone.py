import json

import numpy as np
import paddle
import pytest

from shared.attention import MultiHeadAttention
from shared.backbone import Backbone, BackboneConfig
from shared.dropout import dropout
from shared.linear import Linear
from shared.masks import causal_mask, padding_mask, unilm_mask

CONFIG = BackboneConfig(vocab_size=40, hidden_size=16, num_layers=3, num_heads=4, intermediate_size=24, max_positions=20, dropout=0.0)
ROWS = [[2, 7, 9, 11, 3, 30, 31, 3], [2, 5, 6, 3, 0, 0, 0, 0]]


@pytest.fixture
def backbone():
    paddle.seed(7)
    encoder = Backbone(CONFIG)
    for parameter in encoder.parameters():  # wide enough for attention to matter
        parameter.set_value(parameter * 8 if parameter.ndim == 2 else parameter + 0.1 * paddle.randn(parameter.shape))
    encoder.eval()
    return encoder


def largest(a, b) -> float:
    return float((a - b).abs().max())


def test_config_survives_json_and_refuses_what_it_does_not_know():
    assert BackboneConfig.from_dict(json.loads(json.dumps(CONFIG.as_dict()))) == CONFIG
    with pytest.raises(ValueError, match="unknown keys depth, wdith"):
        BackboneConfig.from_dict({**CONFIG.as_dict(), "wdith": 3, "depth": 2})
    with pytest.raises(ValueError, match="missing keys hidden_size"):
        BackboneConfig.from_dict({key: value for key, value in CONFIG.as_dict().items() if key != "hidden_size"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 5}, "16 is not a multiple of num_heads 5"),
        ({"num_layers": 0}, "num_layers must be at least 1, found 0"),
        ({"dropout": 1.0}, r"\[0, 1\), found 1.0"),
        ({"activation": "mish"}, "'mish'"),
        ({"num_task_types": 3, "task_type": 3}, "task_type 3"),
        ({"position_start": "one"}, "'one'"),
    ],
)
def test_impossible_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        BackboneConfig.from_dict({**CONFIG.as_dict(), **change})


def test_padding_changes_nothing(backbone):
    together = backbone(paddle.to_tensor(ROWS))
    for row, length in zip(range(2), (8, 4), strict=True):
        alone = backbone(paddle.to_tensor([ROWS[row][:length]]))
        assert largest(together.hidden[row, :length], alone.hidden[0]) < 1e-5
        assert largest(together.pre_norm[row, :length], alone.pre_norm[0]) < 1e-5


def test_the_default_mask_is_the_padding_mask(backbone):
    ids = paddle.to_tensor(ROWS)  # [2, 8]
    assert largest(backbone(ids).hidden, backbone(ids, mask=padding_mask([8, 4], 8)).hidden) == 0
    assert largest(backbone(ids).hidden, backbone(ids, mask=padding_mask([8, 8])).hidden) > 1e-3


def test_unilm_source_does_not_see_the_target(backbone):
    segments = paddle.to_tensor([[0, 0, 0, 0, 0, 1, 1, 1]])  # [1, 8]
    ids, other = (paddle.to_tensor([ROWS[0][:5] + target]) for target in ([30, 31, 3], [12, 13, 14]))  # [1, 8]
    one = backbone(ids, segment_ids=segments, mask=unilm_mask(segments)).hidden  # [1, 8, 16]
    two = backbone(other, segment_ids=segments, mask=unilm_mask(segments)).hidden  # [1, 8, 16]
    assert largest(one[:, :5], two[:, :5]) <= 1e-6
    assert largest(one[:, 5:], two[:, 5:]) > 1e-3
    alone = backbone(ids[:, :5]).hidden  # [1, 5, 16]
    assert largest(one[:, :5], alone) <= 1e-5


def test_causal_prefixes_do_not_see_what_follows(backbone):
    ids = paddle.to_tensor(ROWS[:1])  # [1, 8]
    whole = backbone(ids, mask=causal_mask(8)).hidden  # [1, 8, 16]
    for length in (1, 4, 7):
        assert largest(whole[:, :length], backbone(ids[:, :length], mask=causal_mask(length)).hidden) < 1e-5


def test_layers_and_pre_norm_are_what_they_say(backbone):
    out = backbone(paddle.to_tensor(ROWS), all_layers=True)
    assert len(out.layers) == 3
    assert largest(out.layers[-1], out.hidden) == 0
    assert largest(backbone.blocks[-1].output_norm(out.pre_norm), out.hidden) == 0
    assert backbone(paddle.to_tensor(ROWS)).layers is None


def test_positions_and_segments_are_used(backbone):
    ids = paddle.to_tensor(ROWS[:1])  # [1, 8]
    plain = backbone(ids).hidden  # [1, 8, 16]
    counted = paddle.arange(8)  # [8]
    assert largest(plain, backbone(ids, positions=counted).hidden) == 0
    assert largest(plain, backbone(ids, positions=counted.unsqueeze(0), segment_ids=paddle.zeros_like(ids)).hidden) == 0
    assert largest(plain, backbone(ids, positions=counted + 1).hidden) > 1e-3
    assert largest(plain, backbone(ids, segment_ids=paddle.ones_like(ids)).hidden) > 1e-3


def test_too_long_inputs_are_refused_with_both_numbers(backbone):
    with pytest.raises(ValueError, match=r"21 tokens do not fit the 20 positions.*windows of at most 20"):
        backbone(paddle.ones([1, 21], dtype="int64"))  # [1, 21]
    with pytest.raises(ValueError, match=r"\[8\]"):
        backbone(paddle.ones([8], dtype="int64"))  # [8]


@pytest.mark.parametrize("task_types", [0, 3])
def test_every_parameter_gets_a_gradient(task_types):
    paddle.seed(0)
    config = BackboneConfig.from_dict({**CONFIG.as_dict(), "num_task_types": task_types, "has_pooler": True, "dropout": 0.1})
    encoder = Backbone(config)
    out = encoder(paddle.to_tensor(ROWS), segment_ids=paddle.to_tensor([[0] * 5 + [1] * 3, [0] * 8]))
    ((out.hidden**3).sum() + out.pooled.sum()).backward()
    idle = [name for name, parameter in encoder.named_parameters() if parameter.grad is None or float(parameter.grad.abs().sum()) == 0]
    assert idle == []


def test_training_and_evaluation_mode_agree_without_dropout(backbone):
    """The paths that make training fast on CPU compute the same function, gradients included."""
    ids = paddle.to_tensor(ROWS)  # [2, 8]
    encoder = Backbone(BackboneConfig.from_dict({**CONFIG.as_dict(), "attention_dropout": 0.0}))
    encoder.set_state_dict(backbone.state_dict())
    found = []
    for mode in (encoder.train, encoder.eval):
        mode()
        hidden = encoder(ids).hidden  # [2, 8, 16]
        (hidden * paddle.arange(16).astype("float32")).sum().backward()
        found.append([hidden] + [parameter.grad.clone() for parameter in encoder.parameters()])
        encoder.clear_gradients()
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-3, atol=2e-3)


def test_paddle_seed_fixes_the_weights_and_the_dropout():
    def run(seed):
        paddle.seed(seed)
        encoder = Backbone(BackboneConfig.from_dict({**CONFIG.as_dict(), "dropout": 0.3}))
        encoder.train()
        return encoder(paddle.to_tensor(ROWS)).hidden.numpy()

    np.testing.assert_array_equal(run(1), run(1))
    assert np.abs(run(1) - run(2)).max() > 1e-3


def test_new_weights_have_the_deviation_asked_for():
    paddle.seed(0)
    config = BackboneConfig(vocab_size=500, hidden_size=64, num_layers=1, num_heads=4, intermediate_size=128, initializer_range=0.05)
    values = Backbone(config).embeddings.token.weight.numpy()
    assert abs(values.mean()) < 2e-3
    assert 0.04 < values.std() < 0.051  # cutting at two deviations narrows it by an eighth


def test_dropout_keeps_the_mean_and_drops_the_share_asked_for():
    paddle.seed(5)
    x = paddle.ones([400, 500])  # [400, 500]
    out = dropout(x, 0.1, True).numpy()
    assert abs((out == 0).mean() - 0.1) < 0.003
    assert out.max() == pytest.approx(1 / 0.9, rel=1e-4)
    assert abs(out.mean() - 1) < 0.004
    assert dropout(x, 0.1, False) is x
    assert dropout(x, 0.0, True) is x
    assert (dropout(x, 0.1, True).numpy() != out).any()
    with pytest.raises(ValueError, match=r"1\.5"):
        dropout(x, 1.5, True)


def test_dropout_gradient_is_its_own_factor():
    x = paddle.ones([30, 30])  # [30, 30]
    x.stop_gradient = False
    out = dropout(x, 0.5, True)  # [30, 30]
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.numpy())


def test_linear_is_the_same_map_in_both_modes():
    paddle.seed(0)
    linear = Linear(5, 7)
    linear.bias.set_value(paddle.randn([7]))
    x = paddle.randn([2, 3, 5])  # [2, 3, 5]
    expected = x.numpy() @ linear.weight.numpy() + linear.bias.numpy()
    for mode in (linear.train, linear.eval):
        mode()
        out = linear(x)  # [2, 3, 7]
        np.testing.assert_allclose(out.numpy(), expected, atol=1e-5)
        (out * out).sum().backward()
        np.testing.assert_allclose(linear.bias.grad.numpy(), 2 * expected.reshape(-1, 7).sum(0), rtol=1e-4, atol=1e-4)
        linear.clear_gradients()


def test_attention_equals_its_formula():
    paddle.seed(3)
    attention = MultiHeadAttention(hidden_size=6, num_heads=2)
    attention.eval()
    x = paddle.randn([1, 4, 6])  # [1, 4, 6]
    query, key, value = np.split(x.numpy()[0] @ attention.qkv.weight.numpy() + attention.qkv.bias.numpy(), 3, axis=-1)
    allowed = np.tri(4, dtype=bool)
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = np.where(allowed, query[:, head] @ key[:, head].T / np.sqrt(3), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ value[:, head])
    expected = np.concatenate(heads, -1) @ attention.out.weight.numpy() + attention.out.bias.numpy()
    np.testing.assert_allclose(attention(x, causal_mask(4)).numpy()[0], expected, atol=1e-5)
    with pytest.raises(ValueError, match="6 is not a multiple of num_heads 4"):
        MultiHeadAttention(hidden_size=6, num_heads=4)
