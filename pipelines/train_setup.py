"""What a training needs, made from official files and a recipe: features, encoder, model, and the loop around them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import input_error

from .console import say

if TYPE_CHECKING:
    from shared.training.loop import Training
    from shared.training.parallel import Ranks
    from tasks.recipe import Recipe, TrainingSettings

    from .data_files import LabelledData
    from .encoders import Encoder


@dataclass(frozen=True)
class Fold:
    """Fold ``number`` (from 1) of ``count``: these training records are held out, and what the model is evaluated on."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, text: str) -> bool:
        """Whether a record of this text is held out. The text alone decides: equal texts stay together, and every model has the same folds."""
        return fold_of(text, self.count) == self.number - 1


def fold_of(text: str, count: int) -> int:
    """The fold of ``count``, from 0, that a record of this text belongs to."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % count


@dataclass(frozen=True)
class Prepared:
    """``collate`` and ``lengths`` of what is trained on; ``predict_held_out`` predicts what is evaluated on, None where nothing is."""

    opened: LabelledData
    encoder: Encoder
    model: Any
    training: Training
    windows: int
    records: int


def prepare(
    opened: LabelledData, *, ranks: Ranks, fold: Fold | None, check: Callable[[], None] = lambda: None, quiet: bool = False
) -> Prepared:
    """Features of the training file and of what is evaluated on (from the cache or made now), encoder, model and the loop, at step 0.

    With several ranks the first makes what is not there yet. ``check`` is called while evaluations go on, and may raise.
    """
    import paddle

    from shared.optim.groups import freeze_backbone
    from shared.training.loop import Training

    from .encoders import open_encoder

    task, recipe = opened.task, opened.recipe
    paddle.seed(recipe.training.seed)
    encoder = open_encoder(recipe.encoder, texts=opened.texts, data=opened.folder)
    train, rows, held_out = _features(opened, encoder, ranks, fold)
    model = task.build_model(encoder.backbone, opened.schema, recipe)
    if encoder.pretrained is not None and hasattr(model, "adopt") and model.adopt(encoder.pretrained) and not quiet:
        say(f"{task.name}: the language-model head of {encoder.source} is taken over.")
    encoder.backbone.recompute = recipe.encoder.recompute
    if recipe.encoder.frozen_layers is not None:
        try:
            frozen = freeze_backbone(encoder.backbone, recipe.encoder.frozen_layers)
        except ValueError as error:
            raise input_error(
                "LIC-E003", found=str(error), expected="layers of this encoder", remedy="Correct encoder.frozen_layers."
            ) from error
        if not quiet:
            say(f"{task.name}: {frozen / 1e6:.1f} M numbers of the encoder do not learn (encoder.frozen_layers = {recipe.encoder.frozen_layers}).")
    _require_whole_batches(model, ranks)
    lengths = model.training_lengths(train)
    own = _units_that_teach(lengths, rows, opened, quiet=quiet or not ranks.first)  # [n]

    def collate(batch: np.ndarray, *, epoch: int) -> Any:
        return model.collate(train, own[batch], encoder.vocabulary, labelled=True, epoch=epoch)

    evaluate = None if held_out is None else _evaluation(opened, encoder, model, held_out, ranks, check)
    settings, teachers = loop_settings(recipe.training), None
    if recipe.training.teachers:
        from .teachers import open_teachers

        teachers = open_teachers(opened, encoder, model, train, own, fold=fold, quiet=quiet or not ranks.first)
    training = Training(
        model, lengths=lengths[own], collate=collate, evaluate=evaluate, settings=settings, ranks=ranks, teachers=teachers
    )
    return Prepared(opened, encoder, model, training, len(train.ids), len(np.unique(train.record_index[own])))


def _require_whole_batches(model: Any, ranks: Ranks) -> None:
    if ranks.world > 1 and not getattr(model, "divisible", True):
        raise input_error(
            "LIC-M006",
            found=f"{ranks.world} processes",
            expected="one: the pairs of a batch are told apart from each other, so no batch can be shared out",
            remedy="Leave --devices out.",
        )


def _units_that_teach(lengths: np.ndarray, rows: np.ndarray | None, opened: LabelledData, *, quiet: bool) -> np.ndarray:
    """Of the units ``rows`` (None: all) those that training takes a token of, [n]; the others are counted and said."""
    units = np.arange(len(lengths)) if rows is None else rows  # [m]
    teaching: np.ndarray = units[lengths[units] > 0]  # [n]
    if not len(teaching):
        found = f"{len(units)} records that teach this model nothing"
        remedy = "Give labelled records of the kind that it learns from."
        raise input_error("LIC-X033", file=opened.paths["train"], found=found, expected="something to train on", remedy=remedy)
    if len(teaching) < len(units) and not quiet:
        say(f"{opened.task.name}: {len(units) - len(teaching):,} of {len(units):,} records teach this model nothing.")
    return teaching


def loop_settings(training: TrainingSettings) -> Any:
    """The part of a recipe's ``[training]`` that the loop knows."""
    from shared.training.settings import LoopSettings

    names = LoopSettings.__dataclass_fields__
    return LoopSettings(**{name: value for name, value in training.model_dump().items() if name in names})


def _features(
    opened: LabelledData, encoder: Encoder, ranks: Ranks, fold: Fold | None
) -> tuple[Any, np.ndarray | None, tuple[list[Any], Any] | None]:
    """Features to train on, the units of them in use (None: all), and records with features to evaluate on (this rank's share)."""
    from .extra_data import with_extra
    from .preprocess import features_of_file

    task, recipe = opened.task, opened.recipe
    settings = recipe.features

    def of_file(split: str, limit: int | None = None) -> Any:
        if not ranks.first:
            ranks.wait()  # until the first one has made them
        path = opened.paths[split]
        found = features_of_file(
            task, path, opened.schema, encoder, settings, skip_bad=opened.skip_bad, limit=limit, workers=opened.workers
        ).features
        if ranks.first:
            ranks.wait()
        return found

    def share(records: list[Any]) -> tuple[list[Any], Any]:
        own = records[ranks.rank :: ranks.world]
        return own, task.make_features(own, opened.schema, encoder.tokenizer, settings)

    def beside(train: Any, rows: np.ndarray | None, evaluated: list[Any]) -> tuple[Any, np.ndarray | None]:
        if not ranks.first:
            ranks.wait()
        found = with_extra(opened, encoder, train, rows, evaluated=evaluated)
        if ranks.first:
            ranks.wait()
        return found

    train = of_file("train", recipe.training.max_records)
    if recipe.training.train_on == "train+dev":
        return *beside(train.joined(of_file("dev")), None, opened.dev), None
    if fold is None:
        return *beside(train, None, opened.dev), (opened.dev, of_file("dev")) if ranks.world == 1 else share(opened.dev)
    inside = np.fromiter((fold.holds(text) for text in opened.texts), dtype=bool)  # [records]
    indices = np.flatnonzero(inside)  # [held out]
    if not len(indices) or inside.all():
        raise input_error(
            "LIC-U021",
            file=opened.paths["train"],
            found=f"fold {fold} with {len(indices)} of {len(inside)} records",
            expected="records on both sides",
            remedy="Take fewer folds, or more training records.",
        )
    held_out = opened.train_records(indices.tolist())
    return *beside(train, np.flatnonzero(~inside[train.record_index]), held_out), share(held_out)


def _evaluation(
    opened: LabelledData, encoder: Encoder, model: Any, held_out: tuple[list[Any], Any], ranks: Ranks, check: Callable[[], None]
) -> Callable[[], tuple[dict[str, Any], float]]:
    task = opened.task
    records, features = held_out
    everything = ranks.merge(records) if ranks.world > 1 else records

    def progress(done: int, total: int) -> None:
        if ranks.world == 1:  # several ranks stop after the same event or not at all
            check()

    def evaluate() -> tuple[dict[str, Any], float]:
        found = task.predict(model, features, records, opened.schema, encoder.vocabulary, opened.recipe, progress=progress) if records else []
        scores = task.score(everything, ranks.merge(found))
        return {name: scores[name] for name in task.shown_scores}, scores[task.shown_scores[-1]]

    return evaluate


def differing_keys(old: Recipe, new: Recipe) -> list[str]:
    """``key = old, new`` of every value that differs."""

    def flat(table: dict[str, Any], under: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in table.items():
            found.update(flat(value, f"{under}{key}.") if isinstance(value, dict) else {f"{under}{key}": value})
        return found

    left, right = flat(old.as_dict()), flat(new.as_dict())
    return [f"{key} = {left.get(key)}, asked for {right.get(key)}" for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)]
