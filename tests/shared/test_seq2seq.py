"""An encoder of any attention kind learns to write under the UniLM mask, is saved, loaded, and decoded with its cache."""

import numpy as np
import paddle
import pytest

from shared.attention import kind_names
from shared.backbone import Backbone, BackboneConfig
from shared.decoding import greedy
from shared.training.checkpoint import load_weights, save_weights
from shared.unilm import UniLM

START, END, FIRST, VOCABULARY, LENGTH = 2, 3, 5, 13, 3


def new_model(kind, seed):
    paddle.seed(seed)
    config = BackboneConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        intermediate_size=64,
        max_positions=9,
        dropout=0.0,
        attention_dropout=0.0,
        initializer_range=0.1,
        attention=kind,
    )
    return UniLM(Backbone(config))


def batch(rng, size=32):
    """Rows `[CLS] x [SEP] reversed x [SEP]` with segment ids."""
    words = rng.integers(FIRST, VOCABULARY, (size, LENGTH))
    start, end = np.full((size, 1), START), np.full((size, 1), END)
    ids = np.concatenate([start, words, end, words[:, ::-1], end], axis=1)
    segments = np.concatenate([np.zeros((size, LENGTH + 2)), np.ones((size, LENGTH + 1))], axis=1).astype("int64")
    return paddle.to_tensor(ids), paddle.to_tensor(segments)


@pytest.mark.parametrize("kind", [*kind_names(), "random+dot_product"])
def test_it_learns_to_write_backwards(kind, tmp_path):
    model, rng = new_model(kind, 0), np.random.default_rng(0)
    optimizer = paddle.optimizer.AdamW(5e-3, parameters=model.parameters())
    model.train()
    for _ in range(90):
        model.loss(*batch(rng)).backward()
        optimizer.step()
        optimizer.clear_grad()
    save_weights(model, tmp_path / "weights.safetensors")
    loaded = new_model(kind, 1)
    load_weights(loaded, tmp_path / "weights.safetensors")
    loaded.eval()
    ids, _ = batch(np.random.default_rng(9), 40)
    sources = ids[:, : LENGTH + 2]  # [40, 5]
    written = [result.tokens for result in greedy(loaded.step(sources), end_id=END, max_length=LENGTH + 1)]
    right = np.mean([list(tokens) == row[1 : LENGTH + 1][::-1] for tokens, row in zip(written, sources.tolist(), strict=True)])
    assert right > 0.8
    whole = greedy(loaded.step(sources, cached=False), end_id=END, max_length=LENGTH + 1)
    assert [result.tokens for result in whole] == written
