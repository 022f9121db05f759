"""A real encoder in a Hugging Face folder, beside PaddleNLP's model with the same weights."""

import json
import os
import zlib  # noqa: F401  (before paddle: see shared/environment.py)
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

from shared.masks import causal_mask, padding_mask
from shared.pretrained import load_backbone

SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
)


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of real data")
def test_six_layers_of_the_real_encoder_equal_paddlenlps():
    transformers = pytest.importorskip("paddlenlp.transformers", reason="PaddleNLP is not installed")
    folder = Path(os.environ["LIC_REAL_DATA"]) / "weights" / "e5-small-bertvocab-zh"
    if not folder.is_dir():
        pytest.skip("LIC_REAL_DATA holds no weights/e5-small-bertvocab-zh")
    loaded = load_backbone(folder, num_layers=6)
    loaded.backbone.eval()
    assert len(loaded.vocabulary_tokens) == 21128
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    known = {key: config[key] for key in (*SIZES, "hidden_act", "layer_norm_eps")}
    model = transformers.BertModel(transformers.BertConfig(**{**known, "num_hidden_layers": 6}))
    tensors = load_file(str(folder / "model.safetensors"))
    names = {
        "attention.self.query": "self_attn.q_proj",
        "attention.self.key": "self_attn.k_proj",
        "attention.self.value": "self_attn.v_proj",
        "attention.output.dense": "self_attn.out_proj",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "linear1",
        "output.dense": "linear2",
        "output.LayerNorm": "norm2",
    }
    state = {}
    for name, value in tensors.items():
        value = value.astype("float32")
        if name.startswith("embeddings."):
            state[name.replace("LayerNorm", "layer_norm")] = value
            continue
        _, _, layer, *middle, kind = name.split(".")
        if int(layer) < 6:
            state[f"encoder.layers.{layer}.{names['.'.join(middle)]}.{kind}"] = value.T if value.ndim == 2 else value
    missing, unexpected = model.set_state_dict(state)
    assert not unexpected and all(name.startswith("pooler.") for name in missing)
    model.eval()
    ids = np.random.default_rng(0).integers(1000, 21000, size=(3, 24))
    ids[1, 15:] = 0
    given = paddle.to_tensor(ids)  # [3, 24]
    mask = causal_mask(24) & padding_mask(given != 0)
    real = (ids != 0)[..., None]
    for theirs, ours in (
        (model(given)[0], loaded.backbone(given).hidden),
        (model(given, attention_mask=mask.additive())[0], loaded.backbone(given, mask=mask).hidden),
    ):
        np.testing.assert_allclose(ours.numpy() * real, theirs.numpy() * real, atol=1e-5, rtol=0)
    assert replace(loaded.backbone.config, num_layers=12) == load_backbone(folder).backbone.config
