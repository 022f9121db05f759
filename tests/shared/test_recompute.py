"""Recomputing changes memory, never numbers; freezing keeps what it names."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.optim.groups import freeze_backbone


def encoder(**changes):
    paddle.seed(3)
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_layers": 3, "num_heads": 2, "intermediate_size": 32, "dropout": 0.2}
    return Backbone(BackboneConfig(**{**sizes, **changes}))


def gradients(backbone, *, recompute, condition=None, frozen=None):
    backbone.recompute = recompute
    if frozen is not None:
        freeze_backbone(backbone, frozen)
    paddle.seed(9)
    ids = paddle.to_tensor(np.random.default_rng(0).integers(1, 40, (4, 7)))
    taken = None if condition is None else paddle.to_tensor(condition, stop_gradient=False)
    output = backbone(ids, condition=taken)
    ((output.hidden**2).mean() + (output.pre_norm * 0.3).mean()).backward()
    found = {name: None if p.grad is None else p.grad.numpy() for name, p in backbone.named_parameters()}
    return {**found, "condition": None if taken is None else taken.grad.numpy()}


@pytest.mark.parametrize("condition", [None, np.random.default_rng(1).normal(size=(4, 5)).astype("float32")], ids=["plain", "conditional"])
@pytest.mark.parametrize("frozen", [None, 0, 2])
def test_the_same_gradients_dropout_included(condition, frozen):
    changes = {} if condition is None else {"condition_size": 5}
    plain = gradients(encoder(**changes), recompute=False, condition=condition, frozen=frozen)
    again = gradients(encoder(**changes), recompute=True, condition=condition, frozen=frozen)
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        if gradient is None:
            assert again[name] is None, name
        else:
            np.testing.assert_array_equal(gradient, again[name], err_msg=name)


def test_blocks_run_twice():
    backbone, calls = encoder(), []
    backbone.blocks[1].register_forward_post_hook(lambda layer, given, output: calls.append(1))
    gradients(backbone, recompute=True)
    assert len(calls) == 2
    backbone.eval()
    backbone(paddle.ones([1, 3], dtype="int64"))
    assert len(calls) == 3


def test_what_freezing_keeps():
    backbone = encoder(convolution_width=3, has_pooler=True)
    frozen = freeze_backbone(backbone, 2)
    still = {name for name, parameter in backbone.named_parameters() if parameter.stop_gradient}
    assert still and all(name.startswith(("embeddings.", "convolution.", "blocks.0.", "blocks.1.")) for name in still)
    assert not any(name.startswith(("blocks.2.", "pooler.")) for name in still)
    assert {name for name, _ in backbone.named_parameters() if name.startswith(("embeddings.", "convolution.", "blocks.0."))} <= still
    assert frozen == sum(int(parameter.size) for parameter in backbone.parameters() if parameter.stop_gradient)
    with pytest.raises(ValueError, match="0 to 3"):
        freeze_backbone(backbone, 4)
