"""A BERT folder that we write is one that we, and others, read."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import paddle
import pytest
from safetensors import safe_open

from shared.backbone import Backbone, BackboneConfig
from shared.huggingface import encoder_tensors, save_huggingface, whats_not_bert
from shared.pretrained import load_backbone
from shared.text import Tokenizer, Vocabulary
from shared.unilm import UniLM

VOCABULARY = Vocabulary.build(["温青禾出任导演abc"], max_size=60)
CONFIG = BackboneConfig(len(VOCABULARY), 16, 2, 2, 24, activation="relu", max_positions=20, dropout=0.05, layer_norm_eps=1e-7, pad_id=0)


@pytest.mark.parametrize("with_head", [False, True])
@pytest.mark.parametrize("pooler", [False, True])
def test_what_is_written_is_read_back(tmp_path, with_head, pooler):
    paddle.seed(3)
    unilm = UniLM(Backbone(dataclasses.replace(CONFIG, has_pooler=pooler)))
    for parameter in unilm.parameters():
        parameter.set_value(paddle.randn(parameter.shape))
    unilm.eval()
    head = unilm.language_model_head if with_head else None
    save_huggingface(tmp_path / "bert", unilm.backbone, Tokenizer(VOCABULARY, lower_case=False), head=head)
    found = load_backbone(tmp_path / "bert")
    found.backbone.eval()
    assert found.layout == "huggingface" and not found.lower_case and found.vocabulary_tokens == list(VOCABULARY)
    assert found.backbone.config == CONFIG
    ids = paddle.to_tensor([[2, 7, 8, 9, 3], [2, 11, 3, 0, 0]])  # [2, 5]
    np.testing.assert_array_equal(found.backbone(ids).hidden.numpy(), unilm.backbone(ids).hidden.numpy())
    again = UniLM(found.backbone)
    assert bool(again.load_head(found)) == with_head
    if with_head:
        state, copied = unilm.language_model_head.state_dict(), again.language_model_head.state_dict()
        assert all(np.array_equal(value.numpy(), copied[name].numpy()) for name, value in state.items())
    said = json.loads((tmp_path / "bert" / "config.json").read_text())
    assert said["architectures"] == (["BertForMaskedLM"] if with_head else ["BertModel"]) and said["model_type"] == "bert"


def test_names_and_layout_are_berts():
    tensors = encoder_tensors(Backbone(CONFIG))
    assert tensors["encoder.layer.1.intermediate.dense.weight"].shape == (24, 16)
    assert tensors["encoder.layer.0.attention.self.key.bias"].shape == (16,)
    assert {name.partition(".")[0] for name in tensors} == {"embeddings", "encoder"} and len(tensors) == 5 + 2 * 16


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of real data")
def test_the_real_encoder_comes_back_under_the_names_it_had():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "weights" / "e5-small-bertvocab-zh"
    if not folder.is_dir():
        pytest.skip("LIC_REAL_DATA holds no weights/e5-small-bertvocab-zh")
    with safe_open(str(folder / "model.safetensors"), framework="np") as file:
        published = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        one = file.get_tensor("encoder.layer.3.attention.self.query.weight").astype(np.float32)
    tensors = encoder_tensors(load_backbone(folder).backbone)
    assert {name: list(value.shape) for name, value in tensors.items()} == published
    np.testing.assert_array_equal(tensors["encoder.layer.3.attention.self.query.weight"], one)


@pytest.mark.parametrize(("name", "value"), [("attention", "random"), ("convolution_width", 3), ("position_start", "after_padding")])
def test_what_is_no_bert_is_refused(tmp_path, name, value):
    config = dataclasses.replace(CONFIG, **{name: value})
    assert name in whats_not_bert(config) and whats_not_bert(CONFIG) is None
    with pytest.raises(ValueError, match=name):
        save_huggingface(tmp_path / "bert", Backbone(config), Tokenizer(VOCABULARY))
    assert not (tmp_path / "bert").exists()
