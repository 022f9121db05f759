"""Recipes: typed, closed TOML files that say everything about a run."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import InputError, Problem, input_error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Settings(BaseModel):
    """A closed table: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Settings)


class EncoderSettings(Settings):
    """Where the encoder comes from. ``scratch`` starts from nothing, with a vocabulary built from the training texts."""

    source: str
    num_layers: int | None = Field(None, ge=1, description="keep only the first k layers; with scratch: how many to make")
    frozen_layers: int | None = Field(None, ge=0, description="embeddings and the first k layers do not learn; 0: the embeddings alone")
    recompute: bool = Field(False, description="make a layer's inner values again in the backward pass: a third more time, less memory")
    dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.1, ge=0, lt=1)
    hidden_size: int = Field(128, ge=8, description="scratch only")
    num_heads: int = Field(4, ge=1, description="scratch only")
    intermediate_size: int = Field(512, ge=8, description="scratch only")
    vocab_size: int = Field(8000, ge=100, description="scratch only: upper limit")
    attention: str = Field("dot_product", description="scratch only: an attention kind of shared.attention, or several joined by +")
    activation: str = Field("gelu", description="scratch only: a name of shared.activations")
    convolution_width: int = Field(0, ge=0, description="scratch only: tokens that a convolution after the embeddings sees; odd, 0 for none")

    @model_validator(mode="after")
    def _heads_divide(self) -> EncoderSettings:
        if self.source == "scratch" and self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}")
        if self.convolution_width and self.convolution_width % 2 == 0:
            raise ValueError(f"convolution_width {self.convolution_width} is not odd")
        if self.frozen_layers is not None and self.num_layers is not None and self.frozen_layers > self.num_layers:
            raise ValueError(f"frozen_layers {self.frozen_layers} is more than num_layers {self.num_layers}")
        return self


class FeatureSettings(Settings):
    """Windows over long texts, in tokens without [CLS] and [SEP]."""

    window: int = Field(254, ge=8)
    overlap: int = Field(64, ge=1)

    @model_validator(mode="after")
    def _overlap_fits(self) -> FeatureSettings:
        if self.overlap >= self.window:
            raise ValueError(f"overlap {self.overlap} must be smaller than window {self.window}")
        return self


class TrainingSettings(Settings):
    """The loop. Rates are peak rates of a linear warm-up and decay. What a name stands for: :class:`shared.training.settings.LoopSettings`."""

    epochs: float = Field(gt=0)
    batch_tokens: int = Field(2048, ge=16, description="padded tokens a step, over all its parts and devices")
    accumulation: int = Field(1, ge=1, description="parts in which a step is computed one after the other: less memory, the same gradient")
    learning_rate: float = Field(2e-5, gt=0)
    head_learning_rate: float = Field(1e-4, gt=0, description="of everything above the encoder")
    layer_decay: float = Field(1.0, gt=0, le=1, description="rate of each encoder layer over that of the one above it")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the steps")
    weight_decay: float = Field(0.01, ge=0, description="not on biases, norms and transitions")
    clip_norm: float = Field(1.0, gt=0)
    optimizer: Literal["adamw", "adax", "adax_l2", "adax_w"] = Field("adamw", description="adax never decays, adax_l2 through the gradient")
    ema_decay: float | None = Field(None, ge=0, lt=1, description="moving average of the weights, which evaluation and prediction use")
    fgm_epsilon: float = Field(0.0, ge=0, description="adversarial training at the embeddings (FGM), e.g. 0.5; twice the time")
    penalty_epsilon: float = Field(0.0, ge=0, description="gradient penalty at the embeddings, e.g. 1; two or three times the time")
    penalty_form: Literal["central", "one_sided"] = Field("central", description="one_sided is a third cheaper and less exact")
    replacement_rows: float = Field(0.0, ge=0, le=1, description="share of the texts of which some input tokens are replaced by others of theirs")
    replacement_tokens: float = Field(0.3, ge=0, le=1, description="share of the tokens of such a text")
    replacement_pool: Literal["target", "all"] = Field("target", description="where the others come from: what may change, or the whole row")
    rdrop: float = Field(0.0, ge=0, description="weight of the divergence of two passes (R-Drop), e.g. 1; twice the time")
    teachers: list[str] = Field([], description="folders of trained runs whose mean outputs are soft targets (distillation)")
    teacher_weight: float = Field(0.5, ge=0, le=1, description="share of the divergence from the teachers in the loss; the rest is its own")
    teacher_out_of_fold: bool = Field(False, description="teachers are folds of this very file; a record is taught by those that did not see it")
    amp: Literal["O0", "O1", "O2"] = Field("O0", description="paddle's mixed precision; a device without it computes in float32")
    amp_dtype: Literal["bfloat16", "float16"] = "bfloat16"
    train_on: Literal["train", "train+dev"] = Field("train", description="train+dev: nothing is left to evaluate on, the last weights count")
    patience: int | None = Field(None, ge=1, description="stop after so many evaluations without a new best")
    evaluations_per_epoch: int = Field(1, ge=1)
    evaluation_tokens: int = Field(8192, ge=16, description="padded tokens a batch in evaluation and prediction")
    checkpoint_minutes: float = Field(10.0, gt=0, description="between two checkpoints; one more comes with every evaluation")
    checkpoint_steps: int | None = Field(None, ge=1, description="also one every so many steps")
    checkpoints_kept: int = Field(2, ge=1)
    max_records: int | None = Field(None, ge=1, description="train on the first n records only")
    extra: tuple[str, ...] = Field((), description="reading: further files to train on, shaped as SQuAD 1.1 or 2.0")
    weights: dict[str, float] = Field(
        {}, description="how often an epoch has a record, by the name of an extra file or the beginning of the record's id; 1 where nothing fits"
    )
    paraphrases: str | None = Field(None, description="reading: a file of lic data paraphrase, for model.paraphrase_share")
    seed: int = Field(42, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _adax_decays_nothing(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("optimizer") == "adax":
            return {"weight_decay": 0.0, **values}
        return values

    @model_validator(mode="after")
    def _goes_together(self) -> TrainingSettings:
        if any(not 0 <= weight <= 100 for weight in self.weights.values()):
            raise ValueError(f"weights {self.weights}: each must be from 0 to 100")
        if self.optimizer == "adax" and self.weight_decay:
            raise ValueError(f"optimizer adax has no weight decay, found {self.weight_decay}: take adax_w or adax_l2, or weight_decay = 0")
        if self.fgm_epsilon and self.penalty_epsilon:
            raise ValueError(f"fgm_epsilon {self.fgm_epsilon} and penalty_epsilon {self.penalty_epsilon} exclude each other: keep one")
        if self.penalty_epsilon and self.amp != "O0":
            raise ValueError(f"penalty_epsilon {self.penalty_epsilon} with amp {self.amp}: its differences need float32, take amp = O0")
        if self.teacher_out_of_fold and not self.teachers:
            raise ValueError("teacher_out_of_fold without teachers: name the folds' folders in training.teachers, or leave it out")
        if self.patience is not None and self.train_on != "train":
            raise ValueError(f"patience {self.patience} with train_on {self.train_on}: nothing is left to evaluate on, leave patience out")
        return self


class Recipe(Settings):
    """A whole run. ``model`` and ``decode`` are checked by the track's model."""

    encoder: EncoderSettings
    features: FeatureSettings = FeatureSettings()
    model: dict[str, Any]
    training: TrainingSettings
    decode: dict[str, Any] = {}

    @model_validator(mode="after")
    def _fgm_needs_embeddings(self) -> Recipe:
        if self.training.fgm_epsilon and self.encoder.frozen_layers is not None:
            raise ValueError(
                f"training.fgm_epsilon {self.training.fgm_epsilon} with encoder.frozen_layers {self.encoder.frozen_layers}: "
                "it moves the embeddings along their gradient, which frozen ones have not: leave one out"
            )
        return self

    def as_dict(self) -> dict[str, Any]:
        """Plain values; what is not set is left out, since TOML has no null."""
        return self.model_dump(exclude_none=True)

    def as_toml(self) -> str:
        return tomli_w.dumps(self.as_dict())


def recipe_names(folder: Path) -> list[str]:
    """Recipes that a track ships."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_recipe(folder: Path, name_or_file: str, overrides: Sequence[str] = (), *, check: Any = None) -> Recipe:
    """Reads a shipped recipe by name or any TOML file by path, applies ``a.b=value`` overrides, checks every key.

    ``check``: called with the recipe; the track's own checks of ``model`` and ``decode``.
    """
    path = folder / f"{name_or_file}.toml"
    if not path.is_file():
        path = Path(name_or_file)
        if not path.is_file():
            names = recipe_names(folder)
            raise input_error(
                "LIC-R001",
                found=f"recipe {name_or_file!r}, which is neither shipped nor a file",
                expected=f"one of {', '.join(names)} or a TOML file",
                remedy=_nearest(name_or_file, names) or "See lic train --help.",
            )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else None
        raise input_error(
            "LIC-R002", file=path, line=line, found=str(error), expected="a UTF-8 TOML file", remedy="Correct that place."
        ) from error
    given: dict[str, str] = {}
    for override in overrides:
        given[_apply(table, override)] = override
    try:
        recipe = parse_settings(Recipe, table)
        if check is not None:
            check(recipe)
    except SettingsError as error:
        raise InputError(*_placed(error, given, path)) from None
    return recipe


def override(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A recipe with some values set anew, ``a.b=value`` each."""
    table = recipe.as_dict()
    for one in overrides:
        _apply(table, one)
    return parse_settings(Recipe, table)


def parse_overrides(kind: type[Kind], table: Mapping[str, Any], overrides: Sequence[str]) -> Kind:
    """Settings of any class from a table and ``key=value`` overrides. Raises InputError that names the override with a wrong key or value."""
    made, given = dict(table), {}
    for one in overrides:
        given[_apply(made, one)] = one
    try:
        return parse_settings(kind, made)
    except SettingsError as error:
        raise InputError(*_placed(error, given)) from None


def _placed(error: SettingsError, given: Mapping[str, str], file: Path | None = None) -> list[Problem]:
    """The problems of an error, each with the ``--set`` or the file that it comes from."""
    return [
        replace(problem, file=_origin(key, given) or _string(file)) for problem, key in zip(error.problems, error.keys, strict=True)
    ]


def _origin(key: str, given: Mapping[str, str]) -> str | None:
    """The ``--set`` that gave the value of ``key``, the table above it or something inside it; None when the file did."""
    for name, override in reversed(list(given.items())):
        if f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}."):
            return f"--set {override}"
    return None


def _apply(table: dict[str, Any], override: str) -> str:
    """Sets one value; returns its dotted key."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise input_error(
            "LIC-R003", found=f"--set {override}", expected="--set table.key=value", remedy="For example --set training.epochs=3."
        )
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise input_error(
                "LIC-R003", found=f"--set {override}", expected=f"{part} to be a table", remedy="Look at the recipe's tables."
            )
        table = inner
    table[parts[-1]] = value
    return ".".join(parts)


class SettingsError(InputError):
    """Wrong keys or values; ``keys`` are the dotted ones of the problems."""

    def __init__(self, problems: Sequence[Problem], keys: Sequence[str]):
        super().__init__(*problems)
        self.keys = tuple(keys)


def parse_settings(kind: type[Kind], table: Mapping[str, Any], *, file: Path | str | None = None, under: str = "") -> Kind:
    """Checks a table against a settings class; every wrong key or value becomes one Problem, misspelt keys with the nearest right name."""
    try:
        return kind.model_validate(dict(table))
    except ValidationError as error:
        problems: list[Problem] = []
        wheres: list[str] = []
        for fault in error.errors():
            keys = [str(part) for part in fault["loc"]]
            where = ".".join([under, *keys] if under else keys) or "the recipe"
            wheres.append(where)
            if fault["type"] == "extra_forbidden":
                names = _names_at(kind, fault["loc"][:-1])
                remedy = _nearest(keys[-1], names) or "Take the key out."
                problems.append(Problem("LIC-R004", f"unknown key {where}", f"one of {', '.join(names)}", remedy, _string(file)))
            elif fault["type"] == "missing":
                problems.append(Problem("LIC-R005", f"no key {where}", "a value", "Add it.", _string(file)))
            else:
                message = fault["msg"].removeprefix("Value error, ")
                problems.append(Problem("LIC-R006", f"{where} = {fault['input']!r}", message, "Correct the value.", _string(file)))
        raise SettingsError(problems, wheres) from None


def _names_at(kind: type[BaseModel], location: Sequence[Any]) -> list[str]:
    for part in location:
        inner = kind.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            kind = inner
    return sorted(kind.model_fields)


def _nearest(word: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, names, 1, 0.5)
    return f"Did you mean {close[0]!r}?" if close else ""


def _string(file: Path | str | None) -> str | None:
    return None if file is None else str(file)
