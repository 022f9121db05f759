"""An encoder as a Hugging Face BERT folder, which other programs read as any published one: the way back of :mod:`.pretrained`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from .backbone import Backbone, BackboneConfig
from .files import atomic_write, whole_folder, write_json
from .heads.language_model import TiedLanguageModelHead
from .pretrained import VOCABULARY_FILE
from .text import Tokenizer

CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer_config.json"
_EMBEDDINGS = {
    "token": "word_embeddings",
    "position": "position_embeddings",
    "segment": "token_type_embeddings",
    "norm": "LayerNorm",
}
_BLOCK = {
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "expand": "intermediate.dense",
    "contract": "output.dense",
    "output_norm": "output.LayerNorm",
}
_HEAD = {
    "transform.weight": "transform.dense.weight",
    "transform.bias": "transform.dense.bias",
    "norm.weight": "transform.LayerNorm.weight",
    "norm.bias": "transform.LayerNorm.bias",
    "bias": "bias",
}


def whats_not_bert(config: BackboneConfig) -> str | None:
    """What of an encoder a BERT folder cannot say; None for one that it can."""
    plain = BackboneConfig(config.vocab_size, config.hidden_size, config.num_layers, config.num_heads, config.intermediate_size)
    for name in ("attention", "convolution_width", "condition_size", "num_task_types", "position_start"):
        if getattr(config, name) != getattr(plain, name):
            return f"{name} = {getattr(config, name)}"
    return None


_PADDLENLP = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def save_paddlenlp(folder: str | Path, backbone: Backbone, tokenizer: Tokenizer) -> None:
    """Writes the encoder as :func:`save_huggingface` does, with PaddleNLP's names and its layout of linear weights, [in, out].

    So PaddleNLP's ``AutoModel.from_pretrained`` takes it without a conversion. :func:`load_backbone` reads both. Raises ValueError likewise.
    """
    _refuse_others(backbone.config)
    tensors = {}
    for name, value in encoder_tensors(backbone).items():
        match = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
        if match is None:
            other = name.replace("embeddings.LayerNorm", "embeddings.layer_norm")
            tensors[other] = np.ascontiguousarray(value.T) if name == "pooler.dense.weight" else value
        else:
            turned = np.ascontiguousarray(value.T) if value.ndim == 2 else value  # [in, out] or [out]
            tensors[f"encoder.layers.{match[1]}.{_PADDLENLP[match[2]]}.{match[3]}"] = turned
    _write(folder, backbone.config, "BertModel", tokenizer, tensors, kind="np")


def save_huggingface(folder: str | Path, backbone: Backbone, tokenizer: Tokenizer, *, head: TiedLanguageModelHead | None = None) -> None:
    """Writes ``config.json``, ``vocab.txt``, ``tokenizer_config.json`` and ``model.safetensors`` (float32): what :func:`load_backbone` reads.

    ``head``: the masked-language-model head, which goes under ``cls.predictions``; its decoder is the table of token embeddings, as BERT has it.
    The folder is whole or absent; an older one of the kind is replaced. Raises ValueError for an encoder that is no BERT
    (:func:`whats_not_bert`), and where another folder has the name.
    """
    _refuse_others(backbone.config)
    prefix = "bert." if head is not None else ""
    tensors = {f"{prefix}{name}": value for name, value in encoder_tensors(backbone).items()}
    if head is not None:
        for name, parameter in head.state_dict().items():
            value = parameter.astype("float32").numpy()  # [...]
            tensors[f"cls.predictions.{_HEAD[name]}"] = np.ascontiguousarray(value.T if name == "transform.weight" else value)
    _write(folder, backbone.config, "BertForMaskedLM" if head is not None else "BertModel", tokenizer, tensors, kind="pt")


def _refuse_others(config: BackboneConfig) -> None:
    other = whats_not_bert(config)
    if other:
        raise ValueError(f"an encoder with {other} is no BERT: keep it in a folder of save_encoder")


def _write(
    folder: str | Path, config: BackboneConfig, architecture: str, tokenizer: Tokenizer, tensors: dict[str, np.ndarray], *, kind: str
) -> None:
    with whole_folder(folder, marker=CONFIG_FILE) as aside:
        write_json(aside / CONFIG_FILE, _config(config, architecture))
        write_json(aside / TOKENIZER_FILE, {"do_lower_case": tokenizer.lower_case, "tokenizer_class": "BertTokenizer"})
        tokenizer.vocabulary.save(aside / VOCABULARY_FILE)
        with atomic_write(aside / WEIGHTS_FILE) as file:
            file.write(save(tensors, metadata={"format": kind}))


def encoder_tensors(backbone: Backbone) -> dict[str, np.ndarray]:
    """The encoder's tensors under BERT's names and in its layout: linear weights [out, in], query, key and value apart."""
    tensors: dict[str, np.ndarray] = {}
    for name, parameter in backbone.named_parameters():
        value = parameter.astype("float32").numpy()  # [...]
        part, *rest = name.split(".")
        if part == "embeddings":
            tensors[f"embeddings.{_EMBEDDINGS[rest[0]]}.{rest[1]}"] = value
            continue
        if part == "pooler":
            tensors[f"pooler.dense.{rest[0]}"] = value.T if rest[0] == "weight" else value
            continue
        number, inside, kind = rest[0], ".".join(rest[1:-1]), rest[-1]
        turned = value.T if value.ndim == 2 else value  # [out, in] or [out]
        if inside == "attention.qkv":
            for third, which in zip(np.split(turned, 3), ("query", "key", "value"), strict=True):
                tensors[f"encoder.layer.{number}.attention.self.{which}.{kind}"] = third
        else:
            tensors[f"encoder.layer.{number}.{_BLOCK[inside]}.{kind}"] = turned
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def _config(config: BackboneConfig, architecture: str) -> dict[str, object]:
    return {
        "architectures": [architecture],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.intermediate_size,
        "hidden_act": config.activation,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.num_segments,
        "layer_norm_eps": config.layer_norm_eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "initializer_range": config.initializer_range,
        "pad_token_id": config.pad_id,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
