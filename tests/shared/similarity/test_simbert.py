import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from shared.backbone import Backbone, BackboneConfig
from shared.errors import InputError
from shared.losses import in_batch_similarity
from shared.pretrained import load_backbone
from shared.similarity import PairBatcher, SimBERT
from shared.text import Tokenizer, Vocabulary

THINGS = ["护照", "驾照", "宽带", "煤气", "社保卡", "房产证"]
FORMS = ["怎么办{}", "{}如何办理", "哪里能办{}呢"]
GROUPS = [[form.format(thing) for form in FORMS] for thing in THINGS]
TEXTS = [text for group in GROUPS for text in group]
TOKENIZER = Tokenizer(Vocabulary.build([*TEXTS, "hello world"], max_size=100))


def new_model(*, seed=5, max_length=12, pooling="first", **changes):
    """A tiny model with weights so wide that attention and segments matter."""
    paddle.seed(seed)
    sizes = {"hidden_size": 24, "num_layers": 2, "num_heads": 4, "intermediate_size": 32, "max_positions": 32, **changes}
    backbone = Backbone(BackboneConfig(vocab_size=len(TOKENIZER.vocabulary), **sizes))
    model = SimBERT(backbone, TOKENIZER, max_length=max_length, pooling=pooling)
    for parameter in model.parameters():
        parameter.set_value(parameter * 6 if parameter.ndim == 2 else parameter + 0.1 * paddle.randn(parameter.shape))
    model.eval()
    return model


def a_batch():
    return next(PairBatcher(GROUPS, TOKENIZER, batch_rows=8, max_length=12).batches())


# -- the joint step ------------------------------------------------------------------------------------------------------


POOLINGS = pytest.mark.parametrize("pooling", ["first", "mean"])


@POOLINGS
@pytest.mark.parametrize("double_backward", [False, True])
def test_the_loss_is_the_sum_of_both_from_one_forward_pass(double_backward, pooling):
    model, batch = new_model(double_backward=double_backward, pooling=pooling), a_batch()
    passes = []
    model.backbone.register_forward_post_hook(lambda *given: passes.append(1))
    found = model.loss(batch)
    assert len(passes) == 1
    ids, segments = paddle.to_tensor(batch.ids), paddle.to_tensor(batch.segment_ids)  # [8, l]
    seq2seq = float(model.unilm.loss(ids, segments))
    similarity = float(in_batch_similarity(model(ids, segments), 30.0))
    assert float(found.seq2seq) == pytest.approx(seq2seq, rel=1e-5)
    assert float(found.similarity) == pytest.approx(similarity, rel=1e-5)
    assert float(found.total) == pytest.approx(seq2seq + similarity, rel=1e-5)


@POOLINGS
def test_a_gradient_reaches_every_parameter(pooling):
    model = new_model(pooling=pooling)
    model.train()
    model.loss(a_batch()).total.backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None or not float(parameter.grad.abs().sum())]
    assert not silent


def test_inputs_are_read_in_place_of_the_ids():
    model, batch = new_model(), a_batch()
    ids = paddle.to_tensor(batch.ids)
    changed = paddle.where(paddle.to_tensor(batch.segment_ids) == 1, paddle.full_like(ids, 9), ids)  # [8, l]
    plain, found = model.loss(batch), model.loss(batch, inputs=changed)
    assert float(found.similarity) == pytest.approx(float(plain.similarity), abs=1e-6)  # the sources are as they were
    assert float(found.seq2seq) != pytest.approx(float(plain.seq2seq), abs=1e-3)


@POOLINGS
def test_a_vector_is_that_of_the_source_in_the_joint_pass(pooling):
    model, batch = new_model(pooling=pooling), a_batch()
    joint = model(paddle.to_tensor(batch.ids), paddle.to_tensor(batch.segment_ids)).numpy()  # [8, h]
    ends = [row.tolist().index(TOKENIZER.vocabulary.sep_id) + 1 for row in batch.ids]
    for row, end, vector in zip(batch.ids, ends, joint, strict=True):
        alone = model(paddle.to_tensor(row[None, :end])).numpy()[0]  # [h]
        np.testing.assert_allclose(vector, alone, rtol=0, atol=1e-6 * np.abs(alone).max())
    by_ids = {tuple(TOKENIZER.encode(text).ids.tolist()): text for text in TEXTS}
    texts = [by_ids[tuple(row[1 : end - 1].tolist())] for row, end in zip(batch.ids, ends, strict=True)]
    np.testing.assert_allclose(model.encode(texts), joint / np.linalg.norm(joint, axis=1, keepdims=True), rtol=0, atol=1e-6)


def test_the_pooler_begins_as_the_identity():
    paddle.seed(1)
    config = BackboneConfig(vocab_size=len(TOKENIZER.vocabulary), hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8)
    model = SimBERT(Backbone(config), TOKENIZER)
    model.eval()
    ids = paddle.to_tensor([[2, 7, 8, 3]])  # [1, 4]
    np.testing.assert_array_equal(model(ids).numpy(), model.backbone(ids).hidden[:, 0].numpy())
    model.pooling = "mean"
    padded = paddle.to_tensor([[2, 7, 8, 3, 0, 0]])  # [1, 6]
    np.testing.assert_allclose(model(padded).numpy(), model.backbone(ids).hidden.mean(axis=1).numpy(), atol=1e-6)
    assert model.new_parts == ("language_model_head", "pooler")


def test_vectors_can_be_exported(tmp_path):
    spec = paddle.static.InputSpec([None, None], "int64", name="ids")
    paddle.jit.save(paddle.jit.to_static(new_model(), input_spec=[spec], full_graph=True), str(tmp_path / "encoder"))
    exported, model = paddle.jit.load(str(tmp_path / "encoder")), new_model()
    for rows in ([[2, 7, 8, 9, 3], [2, 6, 3, 0, 0]], [[2, 9, 3]]):
        ids = paddle.to_tensor(rows)  # [b, l]
        np.testing.assert_allclose(exported(ids).numpy(), model(ids).numpy(), atol=1e-5, rtol=1e-5)


# -- vectors -------------------------------------------------------------------------------------------------------------

MODEL = new_model(dropout=0.2)
MEAN = new_model(dropout=0.2, pooling="mean")


@POOLINGS
@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(TEXTS) | st.text(st.sampled_from("护照怎么办"), min_size=1, max_size=14), max_size=12), st.integers(1, 9))
def test_neither_batch_nor_order_changes_a_vector(pooling, texts, batch_size):
    model = MODEL if pooling == "first" else MEAN
    vectors = model.encode(texts, batch_size=batch_size)
    assert vectors.shape == (len(texts), 24) and vectors.dtype == np.float32
    alone = np.concatenate([model.encode([text]) for text in texts]) if texts else vectors
    np.testing.assert_allclose(vectors, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_vectors_are_made_without_dropout_and_training_goes_on():
    quiet = MODEL.encode(TEXTS)
    MODEL.train()
    np.testing.assert_array_equal(MODEL.encode(TEXTS), quiet)
    assert MODEL.training and MODEL.backbone.training
    MODEL.eval()


def test_long_texts_are_cut():
    long = "护照怎么办" * 9
    np.testing.assert_array_equal(MODEL.encode([long]), MODEL.encode([long[:10]]))
    assert not np.allclose(MODEL.encode([long], max_length=32), MODEL.encode([long[:10]]), atol=1e-3)


def test_similar_texts_come_from_an_index():
    index = MODEL.index(TEXTS, backend="sklearn")
    found = MODEL.similar(TEXTS[4], index, top_k=3)
    assert found[0].text == TEXTS[4] and found[0].score == pytest.approx(1.0, abs=1e-5)
    cosines = MODEL.encode(TEXTS) @ MODEL.encode([TEXTS[4]])[0]
    np.testing.assert_allclose([score for _, score in found], sorted(cosines, reverse=True)[:3], atol=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="text 1 is '  ', which has no token"):
        MODEL.encode(["护照", "  "])
    with pytest.raises(ValueError, match="one string"):
        MODEL.encode("护照")
    with pytest.raises(ValueError, match="found 0"):
        MODEL.encode(["护照"], batch_size=0)
    for length in (2, 33):
        with pytest.raises(ValueError, match=f"max_length is {length}, but the encoder has 32"):
            MODEL.encode(["护照"], max_length=length)
    for length in (2, 17):
        with pytest.raises(ValueError, match="give 3 to 16"):
            SimBERT(MODEL.backbone, TOKENIZER, max_length=length)
    with pytest.raises(ValueError, match="scale must be a positive number, found 0"):
        SimBERT(MODEL.backbone, TOKENIZER, max_length=12, scale=0.0)
    with pytest.raises(ValueError, match="found 'max'"):
        SimBERT(MODEL.backbone, TOKENIZER, max_length=12, pooling="max")
    with pytest.raises(ValueError, match="vocabulary of the same model"):
        SimBERT(MODEL.backbone, Tokenizer(Vocabulary.from_tokens([*TOKENIZER.vocabulary, "one more"])))
    with pytest.raises(ValueError, match="vocabulary of the same model"):
        SimBERT(MODEL.backbone, Tokenizer(Vocabulary.from_tokens(["[UNK]", "[PAD]", "[CLS]", "[SEP]"])))


# -- files ---------------------------------------------------------------------------------------------------------------


def test_a_saved_model_is_the_same_model(tmp_path):
    model = new_model(max_length=10, pooling="mean")
    model.scale = 20.0
    model.save(tmp_path / "model")
    again = SimBERT.load(tmp_path / "model")
    assert (again.scale, again.max_length, again.pooling, again.new_parts, again.training) == (20.0, 10, "mean", (), False)
    assert SimBERT.from_pretrained(tmp_path / "model", pooling="first", max_length=12).pooling == "first"
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    batch = a_batch()
    assert [float(part) for part in again.loss(batch)] == [float(part) for part in model.loss(batch)]
    assert load_backbone(tmp_path / "model").backbone.config == model.backbone.config
    new_model(seed=6).save(tmp_path / "model")  # replaces the older one
    assert not np.allclose(SimBERT.load(tmp_path / "model").encode(TEXTS), model.encode(TEXTS), atol=1e-2)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folders_that_are_no_model_are_refused(tmp_path):
    folder = tmp_path / "model"
    new_model().save(folder)
    weights = load_file(str(folder / "weights.safetensors"))
    save_file({name: value for name, value in weights.items() if name != "pooler.bias"}, str(folder / "weights.safetensors"))
    with pytest.raises(ValueError, match="have no whole pooler"):
        SimBERT.load(folder)
    (folder / "simbert.json").write_text(json.dumps({"format": 2, "scale": 30, "max_length": 12}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"no file of SimBERT\.save"):
        SimBERT.load(folder)
    (folder / "simbert.json").unlink()
    with pytest.raises(ValueError, match=r"has no simbert\.json"):
        SimBERT.load(folder)
    with pytest.raises(ValueError, match="is left alone"):
        new_model().save(folder)
    with pytest.raises(InputError, match="LIC-W001"):
        SimBERT.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("safe", [False, True], ids=["pdparams", "safetensors"])
def test_a_paddlenlp_model_gives_its_pooler(safe, tmp_path):
    transformers = pytest.importorskip("paddlenlp.transformers", reason="PaddleNLP is not installed")
    paddle.seed(2)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24, "max_position_embeddings": 40}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=len(TOKENIZER.vocabulary), initializer_range=0.5, **sizes))
    model.eval()
    model.save_pretrained(str(tmp_path), safe_serialization=safe)
    TOKENIZER.vocabulary.save(tmp_path / "vocab.txt")
    found = SimBERT.from_pretrained(tmp_path, max_length=12)
    found.eval()
    assert found.new_parts == ("language_model_head",) and found.max_length == 12
    ids = paddle.to_tensor([[2, 7, 8, 9, 3], [2, 6, 3, 0, 0]])  # [2, 5]
    pooled = model(ids)[1].numpy()  # [2, h]: with a tanh
    np.testing.assert_allclose(np.tanh(found(ids).numpy()), pooled, atol=1e-5, rtol=0)


def test_a_hugging_face_model_gives_its_pooler_turned(tmp_path):
    model = new_model()
    h, state = 24, {name: value.numpy() for name, value in model.state_dict().items()}
    tensors = {"bert.pooler.dense.weight": state["pooler.weight"].T, "bert.pooler.dense.bias": state["pooler.bias"]}
    names = {"token.weight": "word_embeddings", "position.weight": "position_embeddings", "segment.weight": "token_type_embeddings"}
    for ours, theirs in names.items():
        tensors[f"bert.embeddings.{theirs}.weight"] = state[f"unilm.backbone.embeddings.{ours}"]
    parts = {"attention.out": "attention.output.dense", "attention_norm": "attention.output.LayerNorm"}
    parts |= {"expand": "intermediate.dense", "contract": "output.dense", "output_norm": "output.LayerNorm"}
    for kind in ("weight", "bias"):
        tensors[f"bert.embeddings.LayerNorm.{kind}"] = state[f"unilm.backbone.embeddings.norm.{kind}"]
        for layer in range(2):
            for ours, theirs in parts.items():
                tensors[f"bert.encoder.layer.{layer}.{theirs}.{kind}"] = state[f"unilm.backbone.blocks.{layer}.{ours}.{kind}"].T
            for third, theirs in enumerate(("query", "key", "value")):
                fused = state[f"unilm.backbone.blocks.{layer}.attention.qkv.{kind}"][..., third * h : (third + 1) * h]
                tensors[f"bert.encoder.layer.{layer}.attention.self.{theirs}.{kind}"] = fused.T
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, str(tmp_path / "model.safetensors"))
    TOKENIZER.vocabulary.save(tmp_path / "vocab.txt")
    sizes = {"hidden_size": h, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32, "max_position_embeddings": 32}
    config = {"model_type": "bert", "vocab_size": len(TOKENIZER.vocabulary), "type_vocab_size": 2, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = SimBERT.from_pretrained(tmp_path, max_length=12)
    assert found.new_parts == ("language_model_head",)
    np.testing.assert_allclose(found.encode(TEXTS), model.encode(TEXTS), atol=1e-6)


# -- real weights --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of real data")
def test_a_joint_step_from_real_weights():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "weights" / "e5-small-bertvocab-zh"
    if not folder.is_dir():
        pytest.skip("LIC_REAL_DATA holds no weights/e5-small-bertvocab-zh")
    model = SimBERT.from_pretrained(folder, num_layers=2)
    assert model.new_parts == ("language_model_head", "pooler")
    paddle.seed(0)
    model.train()
    loss = model.loss(next(islice(PairBatcher(GROUPS, model.tokenizer, batch_rows=8).stream(), 1)))
    assert all(np.isfinite(float(part)) for part in loss)
    loss.total.backward()
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in model.parameters() if parameter.grad is not None)
    vectors = model.encode([*TEXTS, "去年冬天在哈尔滨看冰灯的人真多呀，今年还会那么多吗"], batch_size=4)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])  # [n, h]
    np.testing.assert_allclose(vectors[:-1], alone, rtol=0, atol=1e-6)
