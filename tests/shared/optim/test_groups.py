"""Which parameters learn how fast, seen in what the optimizer really does."""

import numpy as np
import paddle
import pytest
from paddle import nn

from shared.heads.crf import LinearChainCRF
from shared.optim import parameter_groups


class Model(nn.Layer):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 3)
        self.frozen = nn.Linear(2, 2)
        self.crf = LinearChainCRF(3, learning_rate_multiplier=50.0)
        for parameter in self.frozen.parameters():
            parameter.stop_gradient = True


def step(gradient, *, rate=1e-3, decay=0.1):
    """Every parameter before and after one step under the same gradient everywhere."""
    paddle.seed(1)
    model = Model()
    for parameter in model.parameters():
        parameter.set_value(paddle.full(parameter.shape, 2.0))
    optimizer = paddle.optimizer.AdamW(learning_rate=rate, parameters=parameter_groups(model, head_ratio=5.0, weight_decay=decay), weight_decay=0.0)
    loss = sum((parameter * gradient).sum() for parameter in model.parameters())
    loss.backward()
    optimizer.step()
    return {name: 2.0 - float(parameter.numpy().ravel()[0]) for name, parameter in model.named_parameters()}


def test_rates():
    moved = step(1.0, decay=0.0)
    expected = {"backbone": 1e-3, "norm": 5e-3, "head": 5e-3, "crf": 0.25, "frozen": 0.0}
    for name, distance in moved.items():
        assert distance == pytest.approx(expected[name.split(".")[0]], rel=1e-3, abs=1e-7), name


def test_only_matrices_decay():
    moved = step(0.0)
    decays = {name: distance for name, distance in moved.items() if distance}
    assert set(decays) == {"backbone.weight", "head.weight"}
    assert decays["backbone.weight"] == pytest.approx(2.0 * 1e-3 * 0.1, rel=1e-2)
    assert decays["head.weight"] == pytest.approx(2.0 * 5e-3 * 0.1, rel=1e-2)


def test_each_trainable_parameter_is_in_one_group():
    model = Model()
    groups = parameter_groups(model, head_ratio=5.0, weight_decay=0.1)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    wanted = [id(parameter) for name, parameter in model.named_parameters() if not name.startswith("frozen")]
    assert sorted(grouped) == sorted(wanted)
    assert {(round(group["learning_rate"], 3), group["weight_decay"]) for group in groups} == {
        (1.0, 0.0), (1.0, 0.1), (5.0, 0.0), (5.0, 0.1), (250.0, 0.0)
    }  # fmt: skip


def test_another_prefix():
    groups = parameter_groups(Model(), head_ratio=5.0, weight_decay=0.0, backbone_prefix="head.")
    slow = next(group for group in groups if group["learning_rate"] == 1.0)
    assert sorted(tuple(parameter.shape) for parameter in slow["params"]) == [(3,), (4, 3)]
    assert np.isclose(max(group["learning_rate"] for group in groups), 250.0)


class Deep(nn.Layer):
    def __init__(self, blocks=3):
        super().__init__()
        self.backbone = nn.Layer()
        self.backbone.embeddings = nn.Embedding(5, 4)
        self.backbone.blocks = nn.LayerList([nn.Linear(4, 4) for _ in range(blocks)])
        self.backbone.pooler = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)


def test_each_block_learns_slower_than_the_one_above():
    model = Deep()
    ratios = {
        id(parameter): group["learning_rate"]
        for group in parameter_groups(model, head_ratio=5.0, weight_decay=0.1, layer_decay=0.5)
        for parameter in group["params"]
    }
    expected = {"embeddings": 0.125, "blocks.0": 0.25, "blocks.1": 0.5, "blocks.2": 1.0, "pooler": 1.0}
    for name, parameter in model.named_parameters():
        wanted = 5.0 if name.startswith("head") else next(value for key, value in expected.items() if key in name)
        assert ratios[id(parameter)] == pytest.approx(wanted), name


def test_a_layer_decay_of_one_changes_nothing():
    model = Deep()
    for one, other in zip(
        parameter_groups(model, head_ratio=5.0, weight_decay=0.1, layer_decay=1.0),
        parameter_groups(model, head_ratio=5.0, weight_decay=0.1),
        strict=True,
    ):
        assert [id(parameter) for parameter in one["params"]] == [id(parameter) for parameter in other["params"]]
        assert one["learning_rate"] == other["learning_rate"]


@pytest.mark.parametrize("layer_decay", [0.0, 1.5, -1.0, float("nan")])
def test_impossible_layer_decays(layer_decay):
    with pytest.raises(ValueError, match=f"found {layer_decay}"):
        parameter_groups(Deep(), head_ratio=5.0, weight_decay=0.1, layer_decay=layer_decay)


def test_layer_decay_needs_blocks():
    with pytest.raises(ValueError, match=r"backbone\.blocks\.N\., found none"):
        parameter_groups(Model(), head_ratio=5.0, weight_decay=0.1, layer_decay=0.9)
    with pytest.raises(ValueError, match=r"head\.blocks\.N\., found none"):
        parameter_groups(Deep(), head_ratio=5.0, weight_decay=0.1, layer_decay=0.9, backbone_prefix="head.")
