"""Weights and vocabulary into the backbone: Hugging Face folders, PaddleNLP folders and zoo names, our own run folders.

The only file that touches PaddleNLP.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from .backbone import Backbone, BackboneConfig
from .errors import InputError, input_error
from .files import whole_folder, write_json
from .pdparams import read_pdparams
from .tensors import assign, layout_of, place_of
from .text import Tokenizer, Vocabulary
from .training.checkpoint import save_weights

ENCODER_FILE = "encoder.json"
VOCABULARY_FILE = "vocab.txt"
RUN_WEIGHTS_FILE = "weights.safetensors"
_SAFE_FILE, _PICKLE_FILE = "model.safetensors", "model_state.pdparams"
_ZERO_PADDING_FAMILIES = ("ernie", "roberta")
"""PaddleNLP's models of these families embed the padding token as zeros, whatever its row holds."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pretrained:
    """An encoder with the vocabulary it was trained on.

    ``ignored`` names every tensor of the source that the encoder has no place for (pooler, language-model head,
    position ids, layers above ``num_layers``). ``others`` holds those of them that are no layer of the encoder, by their names in the
    source: heads that another module may want. ``layout`` says how linear weights lie in them: ``huggingface`` [out, in], ``paddlenlp``
    and ``own`` [in, out].
    """

    backbone: Backbone
    vocabulary_tokens: list[str]
    lower_case: bool
    source: str
    ignored: tuple[str, ...] = ()
    layout: str = "own"
    others: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer of this vocabulary. Raises ValueError for a vocabulary that cannot make one, with its first faults."""
        return Tokenizer(Vocabulary.from_tokens(self.vocabulary_tokens), lower_case=self.lower_case)

    def without(self, used: Collection[str]) -> Pretrained:
        """The same, with tensors that found a place after all no longer among the ignored ones."""
        others = {name: tensor for name, tensor in self.others.items() if name not in used}
        return replace(self, ignored=tuple(name for name in self.ignored if name not in used), others=others)


def new_backbone(config: BackboneConfig) -> Backbone:
    """An encoder from nothing; ``paddle.seed`` before it fixes the weights."""
    return Backbone(config)


def save_encoder_config(folder: str | Path, config: BackboneConfig, lower_case: bool) -> None:
    """Writes ``encoder.json``, which with ``vocab.txt`` and ``weights.safetensors`` makes a run folder loadable."""
    write_json(Path(folder) / ENCODER_FILE, {**config.as_dict(), "lower_case": bool(lower_case)})


def save_encoder(folder: str | Path, model: Backbone | nn.Layer, tokenizer: Tokenizer) -> None:
    """Writes ``encoder.json``, ``vocab.txt`` and ``weights.safetensors`` of a :class:`Backbone`, or of any layer that has one as ``.backbone``:
    what :func:`load_backbone` reads. The folder is whole or absent; an older one of the kind is replaced, any other left alone (ValueError)."""
    if isinstance(model, Backbone):
        holder = nn.Layer()
        holder.backbone = model
        model = holder
    with whole_folder(folder, marker=ENCODER_FILE) as aside:
        save_encoder_config(aside, model.backbone.config, tokenizer.lower_case)
        tokenizer.vocabulary.save(aside / VOCABULARY_FILE)
        save_weights(model, aside / RUN_WEIGHTS_FILE)


def load_backbone(
    source: str | Path, *, num_layers: int | None = None, dropout: float | None = None, attention_dropout: float | None = None
) -> Pretrained:
    """The encoder of ``source``: a Hugging Face BERT folder, a PaddleNLP folder (BERT, ERNIE, RoBERTa), a run folder of
    ours, or a name of PaddleNLP's zoo. In evaluation mode its output equals the source model's to 1e-5.

    ``num_layers`` keeps the first blocks only; ``dropout`` and ``attention_dropout`` replace the source's rates.
    Raises InputError for a folder or name that cannot be loaded, ValueError for more layers than there are.
    """
    folder = Path(source)
    if folder.is_dir():
        found = _read_folder(folder)
    elif folder.exists() or str(source).startswith((".", "/", "~")) or "\\" in str(source):
        raise input_error(
            "LIC-W001",
            found="no folder of that name",
            expected="a folder with an encoder, or the name of a PaddleNLP model",
            remedy="Check the path.",
            file=source,
        )
    else:
        found = _read_zoo(str(source))
    config = found.config
    if num_layers is not None:
        if not 1 <= num_layers <= config.num_layers:
            raise ValueError(f"num_layers is {num_layers}, but {source} has {config.num_layers} layers: ask for 1 to {config.num_layers}")
        config = replace(config, num_layers=num_layers)
    if dropout is not None:
        config = replace(config, dropout=dropout)
    if attention_dropout is not None:
        config = replace(config, attention_dropout=attention_dropout)
    fewest = -(-config.vocab_size * 9 // 10)  # embeddings are padded by less; a far shorter vocabulary is that of another model
    if not fewest <= len(found.tokens) <= config.vocab_size:
        raise input_error(
            "LIC-W006",
            found=f"{len(found.tokens)} tokens in the vocabulary",
            expected=f"at most {config.vocab_size}, the rows of the token embedding, and not less than {fewest}",
            remedy="Put the vocabulary that belongs to these weights beside them.",
            file=found.vocabulary_file,
        )
    if len(found.tokens) < config.vocab_size:
        _log.info("%s: %d of %d embedding rows have no token", source, config.vocab_size - len(found.tokens), config.vocab_size)
    backbone = Backbone(config)
    ignored = assign(
        backbone,
        found.tensors,
        layout=found.layout,
        layers_in_source=found.config.num_layers,
        file=found.weights_file,
        zero_padding_row=found.padding_row_is_zero,
    )
    if ignored:
        _log.info("%s: %d tensors have no place in the encoder (Pretrained.ignored names them)", source, len(ignored))
    others = {name: found.tensors[name] for name in ignored if place_of(name, found.layout) == ""}
    return Pretrained(backbone, found.tokens, found.lower_case, str(source), ignored, found.layout, others)


# -- what a source holds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    config: BackboneConfig
    tensors: Mapping[str, np.ndarray]
    layout: str
    """``huggingface`` (linear weights [out, in]), ``paddlenlp`` or ``own`` ([in, out])."""
    tokens: list[str]
    lower_case: bool
    weights_file: str
    vocabulary_file: str
    padding_row_is_zero: bool = False


def _read_folder(folder: Path) -> _Found:
    if (folder / ENCODER_FILE).is_file():
        return _read_run(folder)
    for name in ("config.json", "model_config.json"):
        if (folder / name).is_file():
            config_file = folder / name
            break
    else:
        raise input_error(
            "LIC-W002",
            found="neither encoder.json nor config.json nor model_config.json",
            expected="a run folder, a Hugging Face BERT folder or a PaddleNLP folder",
            remedy="Give the folder that holds the model's own files.",
            file=folder,
        )
    if (folder / _SAFE_FILE).is_file():
        weights_file = folder / _SAFE_FILE
        tensors = _read_safetensors(weights_file)
    elif (folder / _PICKLE_FILE).is_file():
        weights_file = folder / _PICKLE_FILE
        tensors = read_pdparams(weights_file)
    else:
        others = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".ckpt", ".h5", ".pdparams"))
        raise input_error(
            "LIC-W003",
            found=f"no weights that can be read{' (but ' + ', '.join(others) + ')' if others else ''}",
            expected=f"{_SAFE_FILE} or {_PICKLE_FILE}",
            remedy="Save the model again as safetensors (save_pretrained with safe_serialization=True).",
            file=folder,
        )
    raw = _flat(_read_json(config_file))
    layout = layout_of(tensors)
    config = _config_of(raw, layout, config_file)
    tokenizer_file = folder / "tokenizer_config.json"
    lower_case = _read_json(tokenizer_file).get("do_lower_case", True) if tokenizer_file.is_file() else True
    vocabulary = folder / VOCABULARY_FILE
    zero_row = layout == "paddlenlp" and _family(raw) in _ZERO_PADDING_FAMILIES
    return _Found(config, tensors, layout, _read_vocabulary(vocabulary), bool(lower_case), str(weights_file), str(vocabulary), zero_row)


def _read_run(folder: Path) -> _Found:
    file = folder / ENCODER_FILE
    values = _read_json(file)
    lower_case = values.pop("lower_case", True)
    try:
        config = BackboneConfig.from_dict(values)
    except (ValueError, TypeError) as error:
        raise _bad_config(file, str(error)) from error
    weights, vocabulary = folder / RUN_WEIGHTS_FILE, folder / VOCABULARY_FILE
    if not weights.is_file():
        raise input_error(
            "LIC-W003", found="no such file", expected="the run's weights", remedy="Train the run, or copy the whole folder.", file=weights
        )
    return _Found(config, _read_safetensors(weights), "own", _read_vocabulary(vocabulary), bool(lower_case), str(weights), str(vocabulary))


def _read_zoo(name: str) -> _Found:
    remedy = (
        "Download the model where there is a network and give its folder (config.json or model_config.json, weights, vocab.txt), "
        "or check the name against PaddleNLP's list."
    )
    try:
        import zlib  # noqa: F401  (before paddle: see environment.py)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it imports, nothing that concerns the user
            from paddlenlp.transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise input_error(
            "LIC-W004",
            found=f"{name!r} is not a folder, and PaddleNLP cannot be imported ({error})",
            expected="a folder, or PaddleNLP to fetch the model by name",
            remedy="Install the package's 'cpu' or 'gpu' extra, or give a folder.",
        ) from error
    try:
        model = AutoModel.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except Exception as error:  # the zoo fails in as many ways as there are networks
        raise input_error(
            "LIC-W005",
            found=f"PaddleNLP could not load {name!r} ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            expected="a folder on this machine or a name of PaddleNLP's zoo that can be downloaded",
            remedy=remedy,
        ) from error
    raw = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    config = _config_of(raw, "paddlenlp", name)
    tensors = {key: value.numpy() for key, value in model.state_dict().items()}
    index = tokenizer.vocab.idx_to_token
    tokens = [index[place] for place in range(len(index))]
    lower_case = bool(getattr(tokenizer, "do_lower_case", True))
    return _Found(config, tensors, "paddlenlp", tokens, lower_case, name, name, _family(raw) in _ZERO_PADDING_FAMILIES)


# -- files ---------------------------------------------------------------------------------------------------------------


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise input_error(
            "LIC-W007", found=error.msg, expected="JSON", remedy="Copy the file again from its source.", file=file, line=error.lineno
        ) from error
    except UnicodeDecodeError as error:
        raise input_error(
            "LIC-W007", found=str(error), expected="UTF-8", remedy="Copy the file again from its source.", file=file
        ) from error
    if not isinstance(value, dict):
        raise _bad_config(file, f"a JSON {type(value).__name__}")
    return value


def _read_vocabulary(file: Path) -> list[str]:
    if not file.is_file():
        raise input_error(
            "LIC-W008",
            found="no such file",
            expected="the vocabulary, one token a line",
            remedy="Copy the vocab.txt that belongs to these weights into the folder.",
            file=file,
        )
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise input_error(
            "LIC-W008", found=str(error), expected="UTF-8", remedy="Copy vocab.txt again from its source.", file=file
        ) from error
    # not splitlines(): vocabularies hold other line separators as tokens
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="np") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, OSError) as error:
        raise input_error(
            "LIC-W009",
            found=f"a file that safetensors cannot read as float16 or float32 ({error})",
            expected="a whole safetensors file",
            remedy="Copy the file again from its source; save bfloat16 weights as float32 first.",
            file=file,
        ) from error


# -- configurations ------------------------------------------------------------------------------------------------------


def _bad_config(file: Any, found: str) -> InputError:
    return input_error(
        "LIC-W011",
        found=found,
        expected="the configuration of a BERT, ERNIE or RoBERTa encoder",
        remedy="Give the folder of a BERT-family model with absolute positions.",
        file=file,
    )


def _flat(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Old PaddleNLP folders nest the encoder's arguments under ``init_args``, one level for the head and one for the body."""
    flat = {key: value for key, value in raw.items() if key != "init_args"}
    for nested in raw.get("init_args", ()):
        if isinstance(nested, Mapping):
            inner = _flat(nested)
            flat = {**flat, **inner, "init_class": inner.get("init_class", flat.get("init_class", ""))}
    return flat


def _config_of(raw: Mapping[str, Any], layout: str, file: Any) -> BackboneConfig:
    family = _family(raw)
    if family is None:
        raise _bad_config(file, f"model_type {raw.get('model_type')!r}, class {raw.get('architectures') or raw.get('init_class')!r}")
    if raw.get("position_embedding_type", "absolute") != "absolute":
        raise _bad_config(file, f"position_embedding_type {raw['position_embedding_type']!r}")
    has_tasks = family == "ernie" and bool(raw.get("use_task_id"))
    # PaddleNLP's ErnieModel has its epsilon built in, whatever the file says
    built_in_eps = family == "ernie" and layout == "paddlenlp"
    try:
        return BackboneConfig(
            vocab_size=raw["vocab_size"],
            hidden_size=raw.get("hidden_size", 768),
            num_layers=raw.get("num_hidden_layers", 12),
            num_heads=raw.get("num_attention_heads", 12),
            intermediate_size=raw.get("intermediate_size", 3072),
            activation=raw.get("hidden_act", "gelu"),
            max_positions=raw.get("max_position_embeddings", 512),
            num_segments=raw.get("type_vocab_size", 2 if layout == "huggingface" else 16),
            num_task_types=raw.get("task_type_vocab_size", 3) if has_tasks else 0,
            layer_norm_eps=1e-12 if built_in_eps else raw.get("layer_norm_eps", 1e-12),
            dropout=raw.get("hidden_dropout_prob", 0.1),
            attention_dropout=raw.get("attention_probs_dropout_prob", 0.1),
            initializer_range=raw.get("initializer_range", 0.02),
            pad_id=raw.get("pad_token_id") or 0,
            task_type=raw.get("task_id", 0) if has_tasks else 0,
            position_start="after_padding" if family == "roberta" else "zero",
        )
    except KeyError as error:
        raise _bad_config(file, f"no key {error}") from error
    except (ValueError, TypeError) as error:
        raise _bad_config(file, str(error)) from error


def _family(raw: Mapping[str, Any]) -> str | None:
    """``bert``, ``ernie`` or ``roberta``, from the type, the class names (new folders) or the class (old PaddleNLP folders)."""
    named = [str(raw.get("model_type") or "")] + [str(name) for name in raw.get("architectures") or ()] + [str(raw.get("init_class") or "")]
    for name in named:
        for family in ("bert", "ernie", "roberta"):
            if name == family or name.lower().startswith((f"{family}model", f"{family}for")):
                return family
    return None
