"""What a pretraining needs, made from files of text and a recipe: features or pairs, encoder, objective, and the loop around them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import InputError, input_error
from tasks.pretraining.objective import Pretraining, objective_settings

from .console import progress, say, say_problems
from .preprocess import CACHE

if TYPE_CHECKING:
    from shared.training.loop import Training
    from shared.training.parallel import Ranks
    from tasks.pretraining.features import PretrainingFeatures
    from tasks.recipe import Recipe

    from .encoders import Encoder

SHOWN = 20


@dataclass(frozen=True)
class PreparedText:
    """``rows``: windows, or batches of pairs, to train on; ``passages``: lines, or groups of texts, that they are made of."""

    recipe: Recipe
    encoder: Encoder
    training: Training
    rows: int
    passages: int


def prepare_text(
    files: Sequence[Path], recipe: Recipe, *, ranks: Ranks, skip_bad: bool, check: Callable[[], None] = lambda: None, quiet: bool = False
) -> PreparedText:
    """Everything up to step 0. ``check`` is called while evaluations go on, and may raise.

    Raises InputError for files that cannot be read, too few texts, and an encoder that the objective does not fit.
    """
    settings = objective_settings(recipe)
    make = {"mlm": _masked, "simbert": _similar}[settings.name]
    return make(files, recipe, settings, ranks=ranks, skip_bad=skip_bad, check=check, quiet=quiet)


def _open_encoder(files: Sequence[Path], recipe: Recipe, texts: Any) -> Encoder:
    import paddle

    from shared.optim.groups import freeze_backbone

    from .encoders import open_encoder

    paddle.seed(recipe.training.seed)
    encoder = open_encoder(recipe.encoder, texts=texts, data=files[0].parent)
    encoder.backbone.recompute = recipe.encoder.recompute
    if recipe.encoder.frozen_layers is not None:
        try:
            freeze_backbone(encoder.backbone, recipe.encoder.frozen_layers)
        except ValueError as error:
            raise _unfit(error, "Correct encoder.frozen_layers.") from error
    return encoder


def _unfit(error: ValueError, remedy: str = "Correct the recipe, or give another encoder.") -> InputError:
    return input_error("LIC-E003", found=str(error), expected="an encoder that the objective can train", remedy=remedy)


def _evaluation(
    run: Callable[[], Iterator[dict[str, float]]], check: Callable[[], None], ranks: Ranks
) -> Callable[[], tuple[dict[str, float], float]]:
    """Goes through an objective's evaluation; its last score is the one to maximise."""

    def evaluate() -> tuple[dict[str, float], float]:
        scores: dict[str, float] = {}
        for scores in run():  # noqa: B007 (the last ones count)
            if ranks.world == 1:  # several ranks stop after the same event or not at all
                check()
        return scores, list(scores.values())[-1]

    return evaluate


# -- masked language model -------------------------------------------------------------------------------------------


def _masked(
    files: Sequence[Path], recipe: Recipe, settings: Any, *, ranks: Ranks, skip_bad: bool, check: Callable[[], None], quiet: bool
) -> PreparedText:
    from shared.training.loop import Training
    from tasks.pretraining.models.mlm import MaskedLanguageModel
    from tasks.pretraining.texts import Passages

    from .train_setup import loop_settings

    passages = Passages(tuple(files), skip_bad, recipe.training.max_records)
    encoder = _open_encoder(files, recipe, passages)
    longest = encoder.backbone.config.max_length - 2
    if recipe.features.window > longest:
        raise input_error(
            "LIC-E002",
            found=f"features.window = {recipe.features.window}",
            expected=f"at most {longest}, what this encoder reads beside [CLS] and [SEP]",
            remedy=f"Lower it: --set features.window={longest}.",
        )
    try:
        model = MaskedLanguageModel(
            encoder.backbone, encoder.vocabulary, settings, seed=recipe.training.seed, pretrained=encoder.pretrained
        )
    except ValueError as error:
        raise _unfit(error) from error
    if not ranks.first:
        ranks.wait()  # until the first one has made them
    features = _features(passages, encoder, recipe, settings)
    if ranks.first:
        ranks.wait()
    own, held = (np.flatnonzero(np.asarray(features.held_out) == value) for value in (0, 1))  # [n], [held]
    counts = features.counts
    if not len(own) or (settings.held_out and not len(held)):
        raise input_error(
            "LIC-M002",
            file=files[0],
            found=f"{counts['passages']} passages to train on and {counts['held_passages']} to evaluate on"
            f" ({counts['without_token']} lines have nothing visible in them)",
            expected="one at least of each",
            remedy="Give more text, another --set model.held_out, or 0 to evaluate nothing.",
        )
    if not quiet and ranks.first:
        for key, what in (("without_token", "lines without anything visible"), ("bad_lines", "lines that are not UTF-8")):
            if counts[key]:
                say(f"left out: {counts[key]} {what}.")
        head = "a new language-model head" if model.new_head else "the source's language-model head"
        say(
            f"{counts['passages']:,} passages in {len(own):,} windows to train on, {counts['held_passages']:,} in {len(held):,} held out "
            f"(the first {min(len(held), settings.evaluation_windows):,} evaluated on); {head}"
        )

    def collate(batch: np.ndarray, *, epoch: int) -> Any:
        return model.collate(features, own[batch], encoder.vocabulary, epoch=epoch)

    def run() -> Iterator[dict[str, float]]:
        shown = held[: settings.evaluation_windows]
        return model.evaluate(features, shown, encoder.vocabulary, tokens=recipe.training.evaluation_tokens, ranks=ranks)

    training = Training(
        model,
        lengths=model.training_lengths(features)[own],
        collate=collate,
        evaluate=_evaluation(run, check, ranks) if len(held) else None,
        settings=loop_settings(recipe.training),
        ranks=ranks,
    )
    return PreparedText(recipe, encoder, training, len(own), counts["passages"])


def _features(passages: Any, encoder: Encoder, recipe: Recipe, settings: Any) -> PretrainingFeatures:
    """Windows of the passages, from the cache or made now."""
    from shared.features.cache import folder_aside, move_in, newest_sound
    from shared.features.ragged import FORMAT
    from shared.files import digest
    from tasks.pretraining.features import VERSION, PretrainingFeatures, make_features
    from tasks.pretraining.words import word_cutter

    words = word_cutter() if settings.masking == "word" else None
    decides = [
        *(FORMAT, VERSION, [digest(path) for path in passages.paths if path.is_file()], passages.skip_bad, passages.limit),
        *(encoder.vocabulary.sha256, encoder.lower_case, recipe.features.window, settings.pack, settings.held_out, words is not None),
    ]
    key = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:20]
    usual = CACHE / Pretraining.name / key
    found, place, refused = newest_sound(usual, PretrainingFeatures.load)
    for error in refused:
        say_problems(error.problems)
        say(f"that folder is left as it is and passed over; the features are {'in' if found else 'made again in'} {place}.")
    if found is not None:
        return found
    with folder_aside(usual) as aside:
        new = aside / "new"
        new.mkdir()
        lines, bad = passages.count()
        with progress("passages to windows") as advance:
            counts = make_features(
                passages,
                encoder.tokenizer,
                new,
                aside / "parts",
                window=recipe.features.window,
                pack=settings.pack,
                held_out=settings.held_out,
                words=words,
                bad_lines=bad if passages.skip_bad else 0,
                progress=lambda done: advance(done, lines),
            )
        if not any(new.iterdir()):
            raise input_error(
                "LIC-M002",
                file=passages.paths[0],
                found=f"no passage ({counts['without_token']} lines have nothing visible in them)",
                expected="text, one passage a line",
                remedy="Give a file of text.",
            )
        place = move_in(new, usual)
        found = PretrainingFeatures.load(place)
        say(f"{len(found)} windows, {int(found.ids.lengths.sum())} tokens; features in {place}")
        return found


# -- pairs of one meaning ----------------------------------------------------------------------------------------------


def _similar(
    files: Sequence[Path], recipe: Recipe, settings: Any, *, ranks: Ranks, skip_bad: bool, check: Callable[[], None], quiet: bool
) -> PreparedText:
    from itertools import islice

    from shared.similarity import PairBatcher
    from shared.training.loop import Training
    from tasks.pretraining.models.simbert import SimilarityModel, batch_of, rows_of_budget
    from tasks.pretraining.texts import read_groups

    from .train_setup import loop_settings

    if ranks.world > 1:
        raise input_error(
            "LIC-M006",
            found=f"{ranks.world} processes",
            expected="one: the pairs of a batch are told apart from each other, so no batch can be shared out",
            remedy="Leave --devices out.",
        )
    read = read_groups(files)
    if read.problems and not skip_bad:
        raise InputError(*read.problems)
    if not quiet:
        if read.problems:
            say_problems(read.problems, limit=SHOWN, rest=f"{read.skipped} lines are left out")
        if read.different:
            say(f"left out: {read.different} pairs whose label says that they mean different things.")
    train, held = read.split(settings.held_out)
    encoder = _open_encoder(files, recipe, [text for group in read.groups for text in group])
    try:
        model = SimilarityModel(encoder.backbone, encoder.tokenizer, settings, pretrained=encoder.pretrained)
    except ValueError as error:
        raise _unfit(error) from error
    try:
        rows = rows_of_budget(recipe.training.batch_tokens, settings.max_length)
        options: dict[str, Any] = {"batch_rows": rows, "max_length": settings.max_length, "seed": recipe.training.seed}
        pairs = PairBatcher(train, encoder.tokenizer, **options)
        evaluated = list(islice(PairBatcher(held, encoder.tokenizer, **options).batches(), settings.evaluation_batches)) if settings.held_out else []
    except ValueError as error:
        raise input_error(
            "LIC-M004",
            file=files[0],
            found=f"{error} ({len(train)} groups to train on, {len(held)} held out)",
            expected="pairs of texts with one meaning, two at least to train on and two to evaluate on",
            remedy="Give more groups, another model.held_out (0: evaluate nothing), or a larger training.batch_tokens.",
        ) from error
    if not quiet:
        counts, new = pairs.counts, " and ".join(model.new_parts)
        say(
            f"{counts.used:,} groups to train on, {rows // 2} pairs a step, {pairs.left_out(0)} pairs of the first epoch in no batch; "
            f"{len(held):,} held out ({sum(len(batch.groups) for batch in evaluated):,} evaluated on){f'; new: {new}' if new else ''}"
        )
        if counts.single or counts.empty:
            say(f"left out: {counts.single} groups without two different texts, {counts.empty} texts without a token.")
    steps = pairs.steps(0)

    def collate(batch: np.ndarray, *, epoch: int) -> Any:
        return batch_of(pairs, int(batch[0]), epoch)

    training = Training(
        model,
        lengths=np.full(steps, rows * (2 * settings.max_length - 1), dtype=np.int64),  # [steps]: each more than half of the budget
        collate=collate,
        evaluate=_evaluation(lambda: model.evaluate(evaluated), check, ranks) if evaluated else None,
        settings=loop_settings(recipe.training),
        ranks=ranks,
    )
    return PreparedText(recipe, encoder, training, steps, pairs.counts.used)
