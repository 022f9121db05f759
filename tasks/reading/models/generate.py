"""The answer as written by an encoder that reads question and passage: the tokens of the answer, or one token that says that there is none here.

A row is `[CLS] question [SEP] passage [SEP] answer [SEP]`. Every window of a passage is a row of its own; in training one that holds no answer
whole writes the no-answer token, so that windows can be compared by what they leave to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from shared.backbone import Backbone
from shared.features.rows import row_draws
from shared.text import Vocabulary

from ...generation import GenerateSettings, Generator, Target
from ...generation_words import Words
from ...recipe import Recipe
from ..features import ReadingFeatures
from .span_batch import Piece, holds, sampled


class ReadingGenerateSettings(GenerateSettings):
    """The ``[model]`` table of a recipe whose model is ``generate``."""

    name: Literal["generate"] = "generate"
    max_target: int = Field(128, ge=8, description="tokens of the longest answer, its end included")
    train_windows: int = Field(4, ge=1, description="windows of one question in a training step: one with the answer, others at random")


def spans_of(features: ReadingFeatures, row: int) -> list[tuple[int, int]]:
    """The places of a question's answers, in tokens of the whole passage: those of the first reference first."""
    return [(first, last) for _, first, last in sorted(features.answers[row].tolist())]


def gold_answer(features: ReadingFeatures, window: Piece, spans: Sequence[tuple[int, int]], *, longest: int) -> tuple[int, ...] | None:
    """The tokens of the answer that a window is to give: the first place that it holds whole, of at most ``longest`` tokens if there is one.

    None where it holds none.
    """
    number, begin, _ = window
    held = [span for span in spans if holds(window, span)]
    fitting = [(first, last) for first, last in held if last - first < longest] or held
    return tuple(features.ids[number][fitting[0][0] - begin : fitting[0][1] + 1 - begin].tolist()) if fitting else None


class ReadingGenerator(Generator):
    """A :class:`tasks.generation.Generator` of the reading track. ``seed``: of the windows that a training step takes."""

    def __init__(self, backbone: Backbone, *, recipe: Recipe, settings: ReadingGenerateSettings):
        super().__init__(backbone, names=(), settings=settings, recipe=recipe)
        self.train_windows, self.seed = settings.train_windows, recipe.training.seed

    def training_lengths(self, features: ReadingFeatures) -> np.ndarray:
        """Tokens of each question with the windows that a training step takes of it and their targets, [n]."""
        counts = np.minimum(np.diff(features.first), self.train_windows)  # [n]
        sizes = features.ids.lengths[features.first[:-1]]  # [n]: windows of one passage are equally long
        targets = np.full(len(features), 2, dtype=np.int64)  # [n]
        for row in range(len(features)):
            spans = spans_of(features, row)
            answers = [gold_answer(features, window, spans, longest=self.settings.max_target - 1) for window in features.windows_of(row)]
            targets[row] = max([2, *(len(answer) + 1 for answer in answers if answer is not None)])
        self.say_cut(targets)
        lengths: np.ndarray = counts * (sizes + features.questions.lengths + 3 + np.minimum(targets, self.settings.max_target))  # [n]
        return lengths

    def collate(
        self, features: ReadingFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch of the windows of the questions ``rows``, see :meth:`Generator.rows`.

        Labelled, ``train_windows`` of a question at most: which depends on the recipe's seed, the epoch and the question alone.
        """
        most, taken = max(int(features.first[row + 1] - features.first[row]) for row in rows), self.train_windows
        draws = row_draws(self.seed, epoch, rows, 1 + most if labelled and most > taken else 0)  # [q, d]
        windows: list[Piece] = []
        targets: list[Target] | None = [] if labelled else None
        for row, drawn in zip(rows, draws.tolist(), strict=True):
            own, spans = features.windows_of(int(row)), spans_of(features, int(row))
            if targets is not None:
                own = sampled(own, spans, taken, drawn) if len(own) > taken else own
                targets += [self._target(features, window, spans, vocabulary) for window in own]
            windows += own
        return self.windows(features, [number for number, _, _ in windows], vocabulary, targets)[0]

    def windows(
        self, features: ReadingFeatures, numbers: Sequence[int], vocabulary: Vocabulary, targets: Sequence[Target] | None = None
    ) -> tuple[dict[str, np.ndarray], Words]:
        """Windows as rows, see :meth:`Generator.rows`; an answer's tokens are those of the passage."""
        passages = [features.ids[number] for number in numbers]
        sources = [
            np.concatenate([features.questions[int(features.windows[number, 0])], [vocabulary.sep_id], passage])
            for number, passage in zip(numbers, passages, strict=True)
        ]
        return self.rows(sources, passages, vocabulary, targets)

    def _target(self, features: ReadingFeatures, window: Piece, spans: Sequence[tuple[int, int]], vocabulary: Vocabulary) -> Target:
        room = self.settings.max_target - 1
        answer = gold_answer(features, window, spans, longest=room)
        if answer is None:
            return Target([self.codes(vocabulary).field])
        return Target(answer[:room], len(answer) <= room)
