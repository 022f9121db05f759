"""The teachers of a distillation: trained runs, opened and checked to be of one kind with their student."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import InputError, Problem, input_error

from .console import say
from .run_folder import WEIGHTS, LoadedRun, StoredRun, find_run, load_run, stored_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.training.distillation import Teachers
    from tasks.recipe import Recipe

    from .data_files import LabelledData
    from .encoders import Encoder

PROBED = 4
"""Rows of which the outputs of teachers and student are compared before the training."""


def teacher_marks(recipe: Recipe) -> list[str]:
    """``FOLDER sha256:SUM`` of every teacher's weights: what a run remembers of them. Raises InputError for a folder without weights."""
    from shared.files import digest

    marks = []
    for name in recipe.training.teachers:
        weights = find_run("", Path(name)) / WEIGHTS
        if not weights.is_file():
            raise input_error(
                "LIC-U006", file=name, found="no weights.safetensors", expected="a trained run", remedy="Let lic train reach its first evaluation."
            )
        marks.append(f"{name} sha256:{digest(weights)}")
    return marks


def check_same_teachers(begun: Path, stored: StoredRun) -> None:
    """Raises InputError where a teacher's weights are not those that the run in ``begun`` started with."""
    now = teacher_marks(stored.recipe)
    changed = [mark.partition(" sha256:")[0] for mark in now if mark not in stored.teachers]
    if changed:
        raise input_error(
            "LIC-K007",
            file=begun,
            found=f"other weights in {', '.join(changed)} than the run began with",
            expected="the teachers whose checksums its config.toml has",
            remedy="Put them back, or begin a new run without --resume.",
        )


def open_teachers(
    opened: LabelledData, encoder: Encoder, model: Any, features: Any, rows: np.ndarray, *, fold: Any = None, quiet: bool = False
) -> Teachers:
    """The runs of ``training.teachers`` as teachers of ``model``, which learns from the units ``rows`` [n] of ``features``.

    Raises InputError with every teacher that is no trained run of the track, or of another design, schema, vocabulary, window or shape of
    outputs than the student; and with ``teacher_out_of_fold`` for teachers that are not all folds of this training file.
    """
    from shared.training.distillation import Teachers

    settings = opened.recipe.training
    runs = [load_run(find_run("", Path(name)), opened.task.name) for name in settings.teachers]
    probe = _probe(model, features, rows, encoder)
    problems = [problem for run in runs if (problem := _unfit(run, opened, encoder, model, probe)) is not None]
    if problems:
        raise InputError(*problems)
    if not settings.teacher_out_of_fold:
        if not quiet:
            say(f"{opened.task.name}: {len(runs)} teachers, {settings.teacher_weight:g} of the loss.")
        if fold is not None and not quiet:
            say(f"note: the teachers may have seen the records of fold {fold}: its scores are those of records that are not new.")
        return Teachers([[run.model for run in runs]])
    groups, group_of = _folds(runs, opened, features)
    if not quiet:
        say(
            f"{opened.task.name}: {len(runs)} teachers of {len(groups)} folds, {settings.teacher_weight:g} of the loss; "
            "each record is taught by those that were not trained on it."
        )
    return Teachers(groups, group_of[np.asarray(features.record_index)[rows]])


def _probe(model: Any, features: Any, rows: np.ndarray, encoder: Encoder) -> tuple[dict[str, Any], Any]:
    """A batch of the shortest units and what the student gives for it."""
    import paddle

    shortest = rows[np.argsort(model.training_lengths(features)[rows], kind="stable")[:PROBED]]  # [b]
    batch = model.collate(features, shortest, encoder.vocabulary, labelled=True, epoch=0)
    model.eval()
    with paddle.no_grad():
        return batch, model.examine(batch)[1]


def _unfit(run: LoadedRun, opened: LabelledData, encoder: Encoder, model: Any, probe: tuple[dict[str, Any], Any]) -> Problem | None:
    """Why a run cannot teach the student, or None."""
    import paddle

    from shared.training.distillation import find_difference

    def unfit(found: str, expected: str) -> Problem:
        remedy = "Teach with runs of the same design, schema and vocabulary; their encoders may be deeper or wider."
        return Problem("LIC-U040", f"a teacher with {found}", expected, remedy, str(run.folder))

    if type(run.model) is not type(model):
        return unfit(f"the model {run.recipe.model.get('name', type(run.model).__name__)}", f"the student's, {opened.recipe.model.get('name')}")
    if (run.schema and run.schema.as_lines()) != (opened.schema and opened.schema.as_lines()):
        return unfit("another schema", "the schema of the data folder, line by line")
    if run.vocabulary.sha256 != encoder.vocabulary.sha256 or run.tokenizer.lower_case != encoder.lower_case:
        said = f"{len(run.vocabulary)} tokens, lower_case {run.tokenizer.lower_case}"
        return unfit(f"another vocabulary ({said})", f"the student's ({len(encoder.vocabulary)} tokens, lower_case {encoder.lower_case})")
    window, longest = opened.recipe.features.window, run.model.backbone.config.max_length - 2
    if window > longest:
        return unfit(f"room for windows of {longest} tokens", f"room for the student's features.window = {window}")
    batch, outputs = probe
    try:
        with paddle.no_grad():
            difference = find_difference(outputs, run.model.examine(batch)[1])
    except (ValueError, IndexError, RuntimeError) as error:  # what a model says to labels of another shape
        difference = " ".join(str(error).split())[:200]
    return unfit(f"other outputs ({difference})", "outputs of the student's shape") if difference else None


def _folds(runs: Sequence[LoadedRun], opened: LabelledData, features: Any) -> tuple[list[list[Any]], np.ndarray]:
    """Models by the fold that they have not seen, and the fold, from 0, of every record of ``features`` [records]."""
    from shared.files import digest

    from .train_setup import fold_of

    sound = digest(opened.paths["train"])
    kept: list[tuple[int, int, Any]] = []
    problems = []
    for run in runs:
        said = stored_run(run.folder, opened.task.name)
        training = said.recipe.training
        own = said.checksums.get("train", "").partition("sha256:")[2]
        if said.fold is None or training.train_on != "train":
            problems.append(_no_fold(run.folder, "a run that was trained on every record"))
        elif own != sound:
            problems.append(_no_fold(run.folder, f"fold {said.fold} of another training file"))
        elif training.teachers and not training.teacher_out_of_fold:
            problems.append(_no_fold(run.folder, f"fold {said.fold}, whose own teachers may have seen its records"))
        else:
            number, count = map(int, said.fold.split("/"))
            kept.append((number, count, run.model))
    counts = {count for _, count, _ in kept}
    if not problems and len(counts) > 1:
        problems.append(_no_fold(None, f"folds of {' and '.join(map(str, sorted(counts)))} parts"))
    missing = sorted(set(range(1, max(counts, default=0) + 1)) - {number for number, _, _ in kept})
    if not problems and missing:
        problems.append(_no_fold(None, f"no teacher of fold {', '.join(map(str, missing))} of {max(counts)}"))
    if problems:
        raise InputError(*problems)
    count = counts.pop()
    groups = [[model for number, _, model in kept if number == wanted] for wanted in range(1, count + 1)]
    texts = list(opened.texts)
    if opened.recipe.training.train_on == "train+dev":
        texts += [opened.task.text_of(record) for record in opened.dev]
    group_of = np.fromiter((fold_of(text, count) for text in texts), dtype=np.int64)  # [records]
    records = int(np.max(features.record_index, initial=-1)) + 1
    if records > len(group_of):  # of further files nobody knows who was trained on them
        raise InputError(_no_fold(None, f"{records - len(group_of)} records that are not of the training file"))
    return groups, group_of


def _no_fold(folder: Path | None, found: str) -> Problem:
    remedy = "Train them by lic train --folds K on the same data, and name all K; or leave training.teacher_out_of_fold out."
    return Problem("LIC-U041", found, "every fold of the student's own training file", remedy, None if folder is None else str(folder))
