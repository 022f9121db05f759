import json
import zlib  # noqa: F401  (before paddle: see shared/environment.py)
from pathlib import Path

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

from shared.backbone import BackboneConfig
from shared.errors import InputError
from shared.masks import causal_mask, padding_mask, unilm_mask
from shared.pretrained import load_backbone, new_backbone, save_encoder_config

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "initializer_range": 0.5,  # wide, so that a tensor in the wrong place shows
}
IDS = [[2, 7, 9, 11, 3, 30, 31, 3], [2, 5, 6, 3, 20, 3, 0, 0], [2, 4, 3, 8, 0, 0, 0, 0]]
SEGMENTS = [[0] * 5 + [1] * 3, [0] * 4 + [1] * 2 + [0] * 2, [0] * 3 + [1] + [0] * 4]
KINDS = {
    "bert": ("BertModel", "BertConfig", {}),
    "ernie_1": ("ErnieModel", "ErnieConfig", {"hidden_act": "relu"}),
    "ernie_3": ("ErnieModel", "ErnieConfig", {"use_task_id": True, "task_type_vocab_size": 3, "task_id": 1, "hidden_act": "gelu"}),
    "roberta": ("RobertaModel", "RobertaConfig", {}),
}


def write_vocabulary(folder, count: int = 50) -> None:
    (Path(folder) / "vocab.txt").write_text("".join(f"token{place}\n" for place in range(count)), encoding="utf-8")


def published(kind: str, folder, *, safe: bool = False, head: str | None = None):
    """A random PaddleNLP model, saved to ``folder`` with a vocabulary; returned in evaluation mode."""
    transformers = pytest.importorskip("paddlenlp.transformers", reason="PaddleNLP is not installed")
    model_name, config_name, extra = KINDS[kind]
    paddle.seed(11)
    config = getattr(transformers, config_name)(**SIZES, **extra)
    whole = getattr(transformers, head or model_name)(config)
    for name, parameter in whole.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.set_value(parameter + 0.2 * paddle.randn(parameter.shape))
    whole.eval()
    whole.save_pretrained(str(folder), safe_serialization=safe)
    write_vocabulary(folder)
    return whole


def outputs(model, encoder, mask):
    ids, segments = paddle.to_tensor(IDS), paddle.to_tensor(SEGMENTS)  # [3, 8]
    theirs = model(ids, segments, attention_mask=None if mask is None else mask.additive())[0]  # [3, 8, 16]
    return theirs.numpy(), encoder(ids, segment_ids=segments, mask=mask).hidden.numpy()


@pytest.mark.parametrize("safe", [False, True], ids=["pdparams", "safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_output_equals_paddlenlps(kind, safe, tmp_path):
    model = published(kind, tmp_path, safe=safe)
    loaded = load_backbone(tmp_path)
    loaded.backbone.eval()
    segments, ids = paddle.to_tensor(SEGMENTS), paddle.to_tensor(IDS)  # [3, 8]
    masks = {
        "none": None,
        "causal": causal_mask(8) & padding_mask(ids != 0),
        "unilm": unilm_mask(segments, ids != 0),
    }
    for name, mask in masks.items():
        theirs, ours = outputs(model, loaded.backbone, mask)
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0, err_msg=name)
    plain = model(ids)[0]  # [3, 8, 16]
    np.testing.assert_allclose(loaded.backbone(ids).hidden.numpy(), plain.numpy(), atol=1e-5, rtol=0)
    assert np.abs(plain.numpy() - theirs).max() > 1e-2  # the masks and segments do something
    assert sorted(loaded.ignored) == ["pooler.dense.bias", "pooler.dense.weight"]
    assert loaded.vocabulary_tokens[7] == "token7" and len(loaded.vocabulary_tokens) == 50
    assert loaded.source == str(tmp_path)


@pytest.mark.parametrize("kind", ["bert", "ernie_3"])
def test_a_models_head_is_set_aside_by_name(kind, tmp_path):
    whole = published(kind, tmp_path, head={"bert": "BertForMaskedLM", "ernie_3": "ErnieForTokenClassification"}[kind])
    loaded = load_backbone(tmp_path)
    loaded.backbone.eval()
    body = whole.bert if kind == "bert" else whole.ernie
    theirs, ours = outputs(body, loaded.backbone, None)
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
    assert loaded.ignored
    assert all(name.startswith(("cls.", "classifier.", "bert.pooler.", "ernie.pooler.")) for name in loaded.ignored)


def test_an_old_paddlenlp_folder(tmp_path):
    model = published("ernie_1", tmp_path)
    values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").unlink()
    body = {key: values[key] for key in (*SIZES, "hidden_act", "pad_token_id")}
    old = {"init_args": [{**body, "init_class": "ErnieModel"}], "num_classes": 2, "init_class": "ErnieForSequenceClassification"}
    (tmp_path / "model_config.json").write_text(json.dumps(old), encoding="utf-8")
    loaded = load_backbone(tmp_path)
    loaded.backbone.eval()
    theirs, ours = outputs(model, loaded.backbone, None)
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


# -- Hugging Face folders ------------------------------------------------------------------------------------------------

HF_CONFIG = {
    **SIZES,
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def hugging_face_tensors(seed: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    hidden, inner = 16, 24

    def draw(*shape, centre=0.0):
        return (centre + 0.3 * rng.normal(size=shape)).astype("float32")

    tensors = {
        "embeddings.word_embeddings.weight": draw(50, hidden),
        "embeddings.position_embeddings.weight": draw(20, hidden),
        "embeddings.token_type_embeddings.weight": draw(2, hidden),
        "embeddings.LayerNorm.weight": draw(hidden, centre=1.0),
        "embeddings.LayerNorm.bias": draw(hidden),
    }
    for layer in range(3):
        shapes = {
            "attention.self.query": (hidden, hidden),
            "attention.self.key": (hidden, hidden),
            "attention.self.value": (hidden, hidden),
            "attention.output.dense": (hidden, hidden),
            "intermediate.dense": (inner, hidden),
            "output.dense": (hidden, inner),
        }
        for name, shape in shapes.items():
            tensors[f"encoder.layer.{layer}.{name}.weight"] = draw(*shape)
            tensors[f"encoder.layer.{layer}.{name}.bias"] = draw(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"encoder.layer.{layer}.{name}.weight"] = draw(hidden, centre=1.0)
            tensors[f"encoder.layer.{layer}.{name}.bias"] = draw(hidden)
    return tensors


def hugging_face_folder(folder, *, dtype="float32", prefix="", extra=None, config=None, drop=(), **settings):
    tensors = {prefix + name: value.astype(dtype) for name, value in hugging_face_tensors().items() if name not in drop}
    save_file({**tensors, **(extra or {})}, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps({**HF_CONFIG, **(config or {})}), encoding="utf-8")
    write_vocabulary(folder, settings.get("tokens", 50))
    return folder


def reference_forward(tensors: dict[str, np.ndarray], ids: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """BERT's published equations in double precision."""
    erf = np.vectorize(__import__("math").erf)
    tensors = {name: value.astype("float64") for name, value in tensors.items()}

    def norm(x, name):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def dense(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def heads(x):
        return x.reshape(*x.shape[:2], 4, 4).transpose(0, 2, 1, 3)

    names = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    hidden = tensors[names[0]][ids] + tensors[names[1]][: ids.shape[1]] + tensors[names[2]][segments]
    hidden = norm(hidden, "embeddings.LayerNorm")
    for layer in range(3):
        at = f"encoder.layer.{layer}"
        query, key, value = (heads(dense(hidden, f"{at}.attention.self.{kind}")) for kind in ("query", "key", "value"))
        scores = np.where((ids != 0)[:, None, None], query @ key.transpose(0, 1, 3, 2) / 2.0, -1e30)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ value).transpose(0, 2, 1, 3).reshape(hidden.shape)
        hidden = norm(hidden + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        inner = dense(hidden, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        hidden = norm(hidden + dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return hidden


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_hugging_face_folder_gives_berts_equations(dtype, prefix, tmp_path):
    extra = {
        f"{prefix}embeddings.position_ids": np.arange(20)[None],
        f"{prefix}pooler.dense.weight": np.zeros((16, 16), "float32"),
        "cls.predictions.bias": np.zeros(50, "float32"),
    }
    loaded = load_backbone(hugging_face_folder(tmp_path, dtype=dtype, prefix=prefix, extra=extra))
    loaded.backbone.eval()
    ids, segments = np.array(IDS), np.array(SEGMENTS)
    expected = reference_forward({name: value.astype(dtype) for name, value in hugging_face_tensors().items()}, ids, segments)
    found = loaded.backbone(paddle.to_tensor(ids), segment_ids=paddle.to_tensor(segments)).hidden.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    assert sorted(loaded.ignored) == sorted(extra)
    assert loaded.backbone.embeddings.token.weight.dtype == paddle.float32


def test_the_first_layers_are_kept(tmp_path):
    folder = hugging_face_folder(tmp_path)
    whole, ids = load_backbone(folder).backbone, paddle.to_tensor(IDS)  # [3, 8]
    whole.eval()
    layers = whole(ids, all_layers=True).layers
    for count in (1, 2, 3):
        loaded = load_backbone(folder, num_layers=count)
        loaded.backbone.eval()
        assert loaded.backbone.config.num_layers == count
        np.testing.assert_array_equal(loaded.backbone(ids).hidden.numpy(), layers[count - 1].numpy())
        assert len(loaded.ignored) == 16 * (3 - count)
    for count in (0, 4):
        with pytest.raises(ValueError, match=f"num_layers is {count}.*has 3 layers"):
            load_backbone(folder, num_layers=count)


def test_dropout_rates_can_be_replaced(tmp_path):
    folder = hugging_face_folder(tmp_path, config={"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3})
    config = load_backbone(folder).backbone.config
    assert (config.dropout, config.attention_dropout) == (0.2, 0.3)
    config = load_backbone(folder, dropout=0.0, attention_dropout=0.1).backbone.config
    assert (config.dropout, config.attention_dropout) == (0.0, 0.1)


@pytest.mark.parametrize(("content", "expected"), [(None, True), ({}, True), ({"do_lower_case": False}, False)])
def test_lower_casing_is_read(content, expected, tmp_path):
    hugging_face_folder(tmp_path)
    if content is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_backbone(tmp_path).lower_case is expected


def test_vocabulary_lines_are_kept_as_they_are(tmp_path):
    hugging_face_folder(tmp_path)
    tokens = ["[PAD]", "\u2028", "\u3000", "", "##\u4e00", "\x85", *map(str, range(40))]
    for ending in ("\n", "\r\n"):
        (tmp_path / "vocab.txt").write_bytes(ending.join([*tokens, ""]).encode())
        assert load_backbone(tmp_path).vocabulary_tokens == tokens


# -- our own run folders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooler", [False, True])
def test_a_run_folder_comes_back_equal(pooler, tmp_path):
    paddle.seed(2)
    config = BackboneConfig(
        vocab_size=50,
        hidden_size=16,
        num_layers=2,
        num_heads=4,
        intermediate_size=24,
        max_positions=20,
        has_pooler=pooler,
        num_task_types=2,
    )
    encoder = new_backbone(config)
    encoder.eval()
    tensors = {f"backbone.{name}": value.numpy() for name, value in encoder.state_dict().items()}
    save_file({**tensors, "head.weight": np.zeros((3, 2), "float32")}, str(tmp_path / "weights.safetensors"))
    save_encoder_config(tmp_path, config, lower_case=False)
    write_vocabulary(tmp_path)
    loaded = load_backbone(tmp_path)
    loaded.backbone.eval()
    assert loaded.backbone.config == config
    assert loaded.lower_case is False
    assert loaded.ignored == ("head.weight",)
    ids = paddle.to_tensor(IDS)  # [3, 8]
    np.testing.assert_array_equal(loaded.backbone(ids).hidden.numpy(), encoder(ids).hidden.numpy())


def test_a_run_config_with_a_strange_key_is_refused(tmp_path):
    (tmp_path / "encoder.json").write_text(json.dumps({"vocab_size": 5, "depth": 3}), encoding="utf-8")
    with pytest.raises(InputError, match=r"encoder\.json.*LIC-W011.*unknown keys depth"):
        load_backbone(tmp_path)


def test_the_same_seed_gives_the_same_new_backbone():
    config = BackboneConfig(vocab_size=50, hidden_size=16, num_layers=1, num_heads=4, intermediate_size=24)
    weights = []
    for seed in (1, 1, 2):
        paddle.seed(seed)
        weights.append(new_backbone(config).blocks[0].expand.weight.numpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


# -- what is refused -----------------------------------------------------------------------------------------------------


def refusal(folder) -> str:
    with pytest.raises(InputError) as caught:
        load_backbone(folder)
    return str(caught.value)


@pytest.mark.parametrize("path", ["/no/such/folder", "./no-such-folder"])
def test_a_folder_that_is_not_there(path):
    assert "LIC-W001" in refusal(path) and path in refusal(path)


def test_folders_without_their_files(tmp_path):
    assert "LIC-W002" in refusal(tmp_path)
    hugging_face_folder(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    assert "LIC-W008" in refusal(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert "LIC-W003" in refusal(tmp_path) and "pytorch_model.bin" in refusal(tmp_path)


def test_a_vocabulary_of_another_model(tmp_path):
    message = refusal(hugging_face_folder(tmp_path, tokens=51))
    assert "LIC-W006" in message and "51 tokens" in message and "at most 50" in message
    message = refusal(hugging_face_folder(tmp_path, tokens=44))
    assert "LIC-W006" in message and "44 tokens" in message and "not less than 45" in message


def test_missing_unexpected_and_misshapen_tensors_are_all_listed(tmp_path):
    message = refusal(
        hugging_face_folder(
            tmp_path,
            drop=("encoder.layer.1.attention.self.key.weight", "encoder.layer.2.output.dense.bias", "embeddings.LayerNorm.bias"),
            extra={
                "encoder.layer.0.adapter.weight": np.zeros((2, 2), "float32"),
                "encoder.layer.7.output.dense.bias": np.zeros(16, "float32"),
                "embeddings.LayerNorm.bias": np.zeros(17, "float32"),
            },
        )
    )
    assert "LIC-W012" in message
    assert "missing blocks.1.attention.qkv.weight (key)" in message
    assert "missing blocks.2.contract.bias" in message
    assert "unexpected encoder.layer.0.adapter.weight [2, 2]" in message
    assert "unexpected encoder.layer.7.output.dense.bias [16]" in message
    assert "embeddings.LayerNorm.bias is [17] where the configuration asks for [16]" in message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2Model"]}, "gpt2"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"hidden_act": "mish"}, "mish"),
        ({"num_attention_heads": 5}, "not a multiple of num_heads 5"),
        ({"num_hidden_layers": "three"}, "LIC-W011"),
    ],
)
def test_configurations_that_are_not_ours(config, words, tmp_path):
    message = refusal(hugging_face_folder(tmp_path, config=config))
    assert "LIC-W011" in message and words in message


def test_damaged_files_are_named(tmp_path):
    hugging_face_folder(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-100])
    assert "LIC-W009" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(whole)
    (tmp_path / "config.json").write_text('{\n "model_type": "bert",\n oops}', encoding="utf-8")
    assert "config.json:3" in refusal(tmp_path)
    hugging_face_folder(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00")
    assert "LIC-W008" in refusal(tmp_path)
