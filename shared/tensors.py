"""Where the tensors of published encoders go in ours: names, layouts, and the check that nothing is missing or left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .backbone import Backbone
from .errors import input_error

RUN_PREFIX = "backbone."
"""Of the encoder's tensors in a run folder's weights, which hold the task's head too."""

LANGUAGE_MODEL_PREFIX = "language_model_head."
"""Of :class:`UniLM`'s head, likewise."""

_EMBEDDINGS = {
    "word_embeddings.weight": "token.weight",
    "position_embeddings.weight": "position.weight",
    "token_type_embeddings.weight": "segment.weight",
    "task_type_embeddings.weight": "task.weight",
    "LayerNorm.weight": "norm.weight",
    "LayerNorm.bias": "norm.bias",
    "LayerNorm.gamma": "norm.weight",
    "LayerNorm.beta": "norm.bias",
    "layer_norm.weight": "norm.weight",
    "layer_norm.bias": "norm.bias",
}
_BLOCK = {
    "huggingface": {
        "attention.self.query": "attention.qkv#0",
        "attention.self.key": "attention.qkv#1",
        "attention.self.value": "attention.qkv#2",
        "attention.output.dense": "attention.out",
        "attention.output.LayerNorm": "attention_norm",
        "intermediate.dense": "expand",
        "output.dense": "contract",
        "output.LayerNorm": "output_norm",
    },
    "paddlenlp": {
        "self_attn.q_proj": "attention.qkv#0",
        "self_attn.k_proj": "attention.qkv#1",
        "self_attn.v_proj": "attention.qkv#2",
        "self_attn.out_proj": "attention.out",
        "norm1": "attention_norm",
        "linear1": "expand",
        "linear2": "contract",
        "norm2": "output_norm",
    },
}
_LANGUAGE_MODEL = {
    "cls.predictions.transform.dense": "transform",
    "cls.predictions.transform.LayerNorm": "norm",
    "cls.predictions.transform": "transform",
    "cls.predictions.layer_norm": "norm",
    "cls.predictions.bias": "bias",
    "cls.predictions.decoder_bias": "bias",
    "lm_head.dense": "transform",
    "lm_head.layer_norm": "norm",
    "lm_head.bias": "bias",
}
_ASIDE = ("pooler.", "cls.", "lm_head.", "classifier.", "qa_outputs.", "linear_start.", "linear_end.", "embeddings.position_ids")


def place_of(name: str, layout: str) -> str | None:
    """Where a source tensor goes: ``blocks.0.attention.qkv.weight#1`` (the second third of its columns); '' for a tensor
    that the encoder has no place for, None for one that is not known."""
    if layout == "own":
        return name[len(RUN_PREFIX) :] if name.startswith(RUN_PREFIX) else ""
    name = re.sub(r"^(bert|ernie|roberta)\.", "", name)
    if name.startswith(_ASIDE):
        return ""
    if name.startswith("embeddings."):
        inside = _EMBEDDINGS.get(name[len("embeddings.") :])
        return inside and f"embeddings.{inside}"
    match = re.fullmatch(r"encoder\.layers?\.(\d+)\.(.+)\.(weight|bias|gamma|beta)", name)
    if match is None or match[2] not in _BLOCK[layout]:
        return None
    target, _, third = _BLOCK[layout][match[2]].partition("#")
    kind = {"gamma": "weight", "beta": "bias"}.get(match[3], match[3])
    return f"blocks.{match[1]}.{target}.{kind}" + (f"#{third}" if third else "")


def language_model_tensors(others: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """A language-model head's tensors by our names, as float32 (linear weights [in, out]), and the names they had in the source."""
    values: dict[str, np.ndarray] = {}
    used = []
    for name, tensor in others.items():
        own = name.startswith(LANGUAGE_MODEL_PREFIX)
        stem, _, kind = name.rpartition(".")
        if own:
            place = name[len(LANGUAGE_MODEL_PREFIX) :]
        elif name in _LANGUAGE_MODEL:
            place = _LANGUAGE_MODEL[name]
        elif stem in _LANGUAGE_MODEL and kind in ("weight", "bias", "gamma", "beta"):
            place = f"{_LANGUAGE_MODEL[stem]}.{ {'gamma': 'weight', 'beta': 'bias'}.get(kind, kind)}"
        else:
            continue
        turned = place == "transform.weight" and (".dense" in stem)  # only Hugging Face's layout has it, and is [out, in]
        values[place] = (tensor.T if turned else tensor).astype("float32")
        used.append(name)
    return values, tuple(used)


def layout_of(names: Mapping[str, Any]) -> str:
    """``huggingface`` (linear weights [out, in]), ``paddlenlp`` or ``own`` (both [in, out])."""
    if any(name.startswith(RUN_PREFIX) for name in names):
        return "own"
    return "huggingface" if any(".attention.self." in name for name in names) else "paddlenlp"


def assign(
    backbone: Backbone,
    tensors: Mapping[str, np.ndarray],
    *,
    layout: str,
    layers_in_source: int,
    file: str,
    zero_padding_row: bool = False,
) -> tuple[str, ...]:
    """Puts every tensor into its parameter, as float32, and returns the names of those that have none.

    ``layers_in_source``: blocks of the source model; those above the backbone's own are left out. ``zero_padding_row``
    empties the padding token's embedding. Raises InputError that lists every tensor missing, unexpected or of another shape.
    """
    parameters = dict(backbone.named_parameters())
    wanted = _wanted(parameters, split=layout != "own")
    values: dict[str, np.ndarray] = {}
    ignored: list[str] = []
    wrong: list[str] = []
    for name, tensor in tensors.items():
        place = place_of(name, layout)
        block = re.match(r"blocks\.(\d+)\.", place or "")
        if place == "" or (block and backbone.config.num_layers <= int(block[1]) < layers_in_source):
            ignored.append(name)
        elif place not in wanted:
            wrong.append(f"unexpected {name} {list(tensor.shape)}")
        elif tensor.dtype.kind != "f":
            wrong.append(f"{name} holds {tensor.dtype} instead of floating point")
        else:
            turned = layout == "huggingface" and tensor.ndim == 2 and place.startswith(("blocks.", "pooler."))
            values[place] = tensor.T if turned else tensor
            if values[place].shape != wanted[place]:
                wrong.append(
                    f"{name} is {list(tensor.shape)} where the configuration asks for {list(wanted[place])[:: -1 if turned else 1]}"
                )
    wrong += [
        f"missing {place.replace('#0', ' (query)').replace('#1', ' (key)').replace('#2', ' (value)')}"
        for place in wanted
        if place not in values
    ]
    if wrong:
        raise input_error(
            "LIC-W012",
            found="; ".join(wrong),
            expected="exactly the tensors of the encoder that the configuration describes",
            remedy="Give weights and configuration of the same model.",
            file=file,
        )
    for name, parameter in parameters.items():
        parts = [values[name]] if name in values else [values[f"{name}#{third}"] for third in range(3)]
        value = np.concatenate([part.astype("float32") for part in parts], axis=-1)
        if zero_padding_row and name == "embeddings.token.weight":
            value[backbone.config.pad_id] = 0.0
        parameter.set_value(value)
    return tuple(ignored)


def _wanted(parameters: Mapping[str, Any], *, split: bool) -> dict[str, tuple[int, ...]]:
    """Shapes by place; with ``split`` a fused query-key-value parameter wants its three column blocks one by one."""
    wanted: dict[str, tuple[int, ...]] = {}
    for name, parameter in parameters.items():
        shape = tuple(parameter.shape)
        if split and ".qkv." in name:
            wanted.update({f"{name}#{third}": (*shape[:-1], shape[-1] // 3) for third in range(3)})
        else:
            wanted[name] = shape
    return wanted
