"""A pretrained language-model head comes along with its encoder, and the logits are the source model's."""

import zlib  # noqa: F401  (before paddle: see shared/environment.py)

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file, save_file

from shared.pretrained import load_backbone, save_encoder, save_encoder_config
from shared.text import Tokenizer, Vocabulary
from shared.training.checkpoint import save_weights
from shared.unilm import UniLM

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "initializer_range": 0.5,  # wide, so that a tensor in the wrong place shows
}
IDS = paddle.to_tensor([[2, 7, 9, 11, 3, 30, 31, 3], [2, 5, 6, 3, 20, 3, 0, 0]])  # [2, 8]
SEGMENTS = paddle.to_tensor([[0] * 5 + [1] * 3, [0] * 4 + [1] * 2 + [0] * 2])  # [2, 8]
MODELS = {"bert": ("BertForMaskedLM", "BertConfig"), "ernie": ("ErnieForMaskedLM", "ErnieConfig")}


def write_vocabulary(folder) -> None:
    (folder / "vocab.txt").write_text("".join(f"token{place}\n" for place in range(50)), encoding="utf-8")


@pytest.mark.parametrize("kind", MODELS)
def test_logits_equal_paddlenlps(kind, tmp_path):
    transformers = pytest.importorskip("paddlenlp.transformers", reason="PaddleNLP is not installed")
    model_name, config_name = MODELS[kind]
    paddle.seed(5)
    theirs = getattr(transformers, model_name)(getattr(transformers, config_name)(**SIZES))
    for parameter in theirs.parameters():
        parameter.set_value(parameter + 0.2 * paddle.randn(parameter.shape))
    theirs.eval()
    theirs.save_pretrained(str(tmp_path), safe_serialization=True)
    write_vocabulary(tmp_path)
    model, found = UniLM.from_pretrained(tmp_path)
    model.eval()
    assert found.ignored == () or all("pooler" in name or "decoder" in name for name in found.ignored)
    assert len(found.vocabulary_tokens) == 50
    hidden = model.backbone(IDS, segment_ids=SEGMENTS).hidden  # [2, 8, 16]
    ours, expected = model.logits(hidden).numpy(), theirs(IDS, SEGMENTS).numpy()
    # PaddleNLP's ERNIE embeds padding as zeros but scores it by its row; here the row is zero, and nobody writes padding
    np.testing.assert_allclose(ours[..., 1:], expected[..., 1:], atol=2e-5)


def test_a_folder_of_ours_gives_both_back(tmp_path):
    saved, _ = _saved(tmp_path / "run")
    model, found = UniLM.from_pretrained(tmp_path / "run")
    model.eval()
    assert found.ignored == ()
    np.testing.assert_array_equal(model(IDS, SEGMENTS).numpy(), saved(IDS, SEGMENTS).numpy())


def test_a_source_without_head_gives_a_new_one_and_keeps_its_other_tensors(tmp_path):
    _saved(tmp_path / "run")
    weights = tmp_path / "run" / "weights.safetensors"
    tensors = {name: value for name, value in load_file(str(weights)).items() if name != "language_model_head.bias"}
    save_file({**tensors, "tagger.weight": np.ones((2, 2), dtype="float32")}, str(weights))
    model, found = UniLM.from_pretrained(tmp_path / "run")
    assert "tagger.weight" in found.ignored and "language_model_head.transform.weight" in found.ignored
    np.testing.assert_array_equal(found.others["tagger.weight"], np.ones((2, 2)))
    np.testing.assert_array_equal(model.language_model_head.bias.numpy(), np.zeros(50))


def _saved(folder):
    from shared.backbone import Backbone, BackboneConfig

    paddle.seed(3)
    config = BackboneConfig(vocab_size=50, hidden_size=16, num_layers=2, num_heads=4, intermediate_size=24, attention="dense+dot_product")
    model = UniLM(Backbone(config))
    model.language_model_head.bias.set_value(paddle.randn([50]))
    model.eval()
    folder.mkdir()
    save_encoder_config(folder, config, lower_case=True)
    write_vocabulary(folder)
    save_weights(model, folder / "weights.safetensors")
    assert load_backbone(folder).backbone.config == config
    return model, config


@pytest.mark.parametrize("whole", [True, False])
def test_an_encoder_is_saved_with_its_tokenizer(whole, tmp_path):
    model, _ = _saved(tmp_path / "run")
    tokenizer = Tokenizer(Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(chr(0x4E00 + place) for place in range(45))]))
    save_encoder(tmp_path / "mine", model if whole else model.backbone, tokenizer)
    found = load_backbone(tmp_path / "mine")
    found.backbone.eval()
    np.testing.assert_array_equal(found.backbone(IDS).hidden.numpy(), model.backbone(IDS).hidden.numpy())
    assert bool(found.others) == whole
    assert found.tokenizer().encode("一丁").ids.tolist() == tokenizer.encode("一丁").ids.tolist() == [5, 6]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds no encoder\.json"):
        save_encoder(tmp_path / "other", model, tokenizer)
