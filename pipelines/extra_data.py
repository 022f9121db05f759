"""What a training takes beside the training file: further files of the track, shares of each, and other words for questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import input_error

from .console import say

if TYPE_CHECKING:
    from tasks.recipe import Recipe

    from .data_files import LabelledData
    from .encoders import Encoder


@dataclass(frozen=True)
class ExtraFile:
    """``features`` of a further file, in ``folder`` of the cache, and its ``units`` to train on: all but what dev or a held-out record asks too."""

    path: Path
    folder: Path
    features: Any
    units: np.ndarray


def extra_paths(recipe: Recipe) -> dict[str, Path]:
    """The files that a recipe names beside those of the data folder, by what they are called in a run's ``config.toml``."""
    training = recipe.training
    found = {f"extra {number}": Path(name) for number, name in enumerate(training.extra, 1)}
    return {**found, **({"paraphrases": Path(training.paraphrases)} if training.paraphrases else {})}


def check_extra(track: str, recipe: Recipe) -> None:
    """Raises InputError for a track that takes nothing beside its files, and for a file that is not there."""
    given = extra_paths(recipe)
    if given and track != "reading":
        found = f"{' and '.join(sorted({name.split()[0] for name in given}))} for the {track} track"
        raise input_error("LIC-X020", found=found, expected="none: only the reading track takes them", remedy="Leave them out.")
    for name, path in given.items():
        if not path.is_file():
            key = f"training.{name.split()[0]}"
            raise input_error("LIC-X021", file=path, found="no such file", expected=f"a file for {key}", remedy="Correct the path.")


def extra_files(opened: LabelledData, encoder: Encoder, *, evaluated: Sequence[Any]) -> list[ExtraFile]:
    """Features of the files of ``training.extra``, from the cache or made now; says what each holds and what is left out of it.

    ``evaluated``: records whose questions must not be trained on.
    """
    from tasks.reading.foreign import ForeignReading, leaks

    from .data_files import read_split
    from .preprocess import features_of_file

    task = ForeignReading()
    found = []
    for name in opened.recipe.training.extra:
        path = Path(name)
        made = features_of_file(task, path, None, encoder, opened.recipe.features, skip_bad=opened.skip_bad, workers=opened.workers)
        features = made.features
        records = read_split(task, path, None, labelled=True, skip_bad=opened.skip_bad, quiet=True)
        leaked = np.asarray(leaks(records, evaluated), dtype=bool)  # [n]
        kept = np.flatnonzero(~leaked[features.record_index])  # [units]
        without = int(features.impossible.sum())
        say(f"{path.name}: {len(records)} questions on {len({record.text for record in records})} contexts, {without} of them without an answer.")
        if leaked.any():
            say(f"{path.name}: {int(leaked.sum())} questions left out: what is evaluated on asks the same of the same context.")
        found.append(ExtraFile(path, made.folder, features, kept))
    return found


def repeated(weights: np.ndarray, units: np.ndarray) -> np.ndarray:
    """``units`` [n], each as often as its weight says: 2 twice, 0.5 every second of those with that weight, 0 never; in order."""
    copies = np.zeros(len(units), dtype=np.int64)  # [n]
    for weight in np.unique(weights):
        own = np.flatnonzero(weights == weight)
        copies[own] = np.diff(np.floor(weight * np.arange(len(own) + 1) + 1e-9)).astype(np.int64)
    return np.repeat(units, copies)


def weights_of(recipe: Recipe, identities: Sequence[str], extra: Sequence[ExtraFile]) -> tuple[np.ndarray, list[np.ndarray]]:
    """How often each training record comes, [records], and each unit in use of every extra file: by ``training.weights``, else once.

    A key is the name of an extra file or the beginning of ids of the training file, the longest that fits. Raises InputError for one that
    fits nothing.
    """
    table, used = recipe.training.weights, set()
    own = np.ones(len(identities))  # [records]
    for key in sorted(table, key=len):
        fitting = np.fromiter((identity.startswith(key) for identity in identities), dtype=bool, count=len(identities))  # [records]
        own[fitting] = table[key]
        if fitting.any():
            used.add(key)
    others = []
    for file in extra:
        used |= {file.path.name} & set(table)
        others.append(np.full(len(file.units), table.get(file.path.name, 1.0)))  # [units]
    if unknown := sorted(set(table) - used):
        raise input_error(
            "LIC-X022",
            found=f"training.weights with {', '.join(map(repr, unknown))}",
            expected="names of files of training.extra, or beginnings of ids of the training records in use",
            remedy="Correct the name, or leave it out.",
        )
    return own, others


def with_extra(
    opened: LabelledData, encoder: Encoder, train: Any, rows: np.ndarray | None, *, evaluated: Sequence[Any]
) -> tuple[Any, np.ndarray | None]:
    """The features ``train`` joined with those of the extra files, and the units in use, those of ``rows`` (None: all) and the others'.

    A unit stands several times where its weight says so. Without any option they come back as they are. ``evaluated``: see :func:`extra_files`.
    """
    recipe = opened.recipe
    training = recipe.training
    extra = extra_files(opened, encoder, evaluated=evaluated) if training.extra else []
    if extra or training.weights:
        units = np.arange(len(train)) if rows is None else rows  # [n]
        identities = _identities(opened) if training.weights else []
        own, others = weights_of(recipe, identities, extra)
        own = np.concatenate([own, np.ones(int(train.record_index.max(initial=-1)) + 1)])  # those behind the file's are dev's
        chosen = [repeated(own[train.record_index[units]], units) if training.weights else units]  # [n']
        name = opened.paths["train"].name
        if training.weights:
            say(f"{name}: {len(units)} units come {len(chosen[0])} times an epoch (training.weights).")
        for file, weights in zip(extra, others, strict=True):
            chosen.append(repeated(weights, file.units) + len(train))  # [n']
            say(f"{file.path.name}: {len(file.units)} units come {len(chosen[-1])} times an epoch.")
            train = train.joined(file.features)
        rows = np.concatenate(chosen)  # [n]
        if not len(rows):
            raise input_error("LIC-X022", found="weights of 0 throughout", expected="something to train on", remedy="Raise one of them.")
    if opened.task.name == "reading" and not recipe.model.get("no_answer") and (without := int(train.impossible.sum())):
        say(f"{without} questions have no answer and teach nothing: model.no_answer is not set.")
    if training.paraphrases:
        from tasks.reading.paraphrases import read_paraphrases, with_paraphrases

        known = read_paraphrases(training.paraphrases)
        train, count = with_paraphrases(train, known, encoder.tokenizer, window=recipe.features.window)
        say(f"{Path(training.paraphrases).name}: other words for {count} of {len(train)} questions.")
    return train, rows


def _identities(opened: LabelledData) -> list[str]:
    """Of the training records in use, in order."""
    return [opened.task.identity_of(record) for record in opened.records_in_use()]
