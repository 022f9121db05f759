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

from ...generation import GenerateSettings, Generator
from ...generation_rows import Target
from ...recipe import Recipe
from ..features import ReadingFeatures
from .generate_decode import gold_answer, sources_of, spans_of
from .span_batch import Piece, sampled


class ReadingGenerateSettings(GenerateSettings):
    """The ``[model]`` table of a recipe whose model is ``generate``."""

    name: Literal["generate"] = "generate"
    max_target: int = Field(128, ge=8, description="tokens of the longest answer, its end included")
    train_windows: int = Field(4, ge=1, description="windows of one question in a training step: one with the answer, others at random")


class ReadingGenerator(Generator):
    """A :class:`tasks.generation.Generator` of the reading track."""

    def __init__(self, backbone: Backbone, *, recipe: Recipe, settings: ReadingGenerateSettings):
        super().__init__(backbone, names=(), settings=settings, recipe=recipe)
        self.train_windows = settings.train_windows

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
        numbers = [number for number, _, _ in windows]
        return self.rows(*sources_of(features, numbers, vocabulary), vocabulary, targets)

    def _target(self, features: ReadingFeatures, window: Piece, spans: Sequence[tuple[int, int]], vocabulary: Vocabulary) -> Target:
        room = self.settings.max_target - 1
        answer = gold_answer(features, window, spans, longest=room)
        if answer is None:
            return Target([self.codes(vocabulary).field])
        return Target(answer[:room], len(answer) <= room)
