"""The title as written by an encoder that reads the abstract, in any tokens of the vocabulary (kexue.fm article 7259).

The article's model has no pointer: ``copy_size = 0``. With one, a title's words come from its abstract as well as from the vocabulary, which
a small encoder learns in a fraction of the steps.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from shared.backbone import Backbone
from shared.text import Vocabulary

from ...generation import GenerateSettings, Generator
from ...generation_rows import Target
from ...generation_words import AnyWords
from ...recipe import Recipe
from ..features import TitleFeatures


class TitleGenerateSettings(GenerateSettings):
    """The ``[model]`` table of a recipe whose model is ``generate``."""

    name: Literal["generate"] = "generate"
    max_target: int = Field(32, ge=2, description="tokens of the longest title, its end included")


class TitleGenerator(Generator):
    """A :class:`tasks.generation.Generator` that writes any words.

    Over a whole vocabulary a head that says every token again is a bad start: the loss begins at 19 where a random one's begins at 10.
    """

    starts_as_identity = False

    def __init__(self, backbone: Backbone, *, recipe: Recipe, settings: TitleGenerateSettings):
        super().__init__(backbone, names=(), settings=settings, recipe=recipe)

    def spelling(self, vocabulary: Vocabulary) -> AnyWords:
        return AnyWords.of_vocabulary(vocabulary)

    def training_lengths(self, features: TitleFeatures) -> np.ndarray:
        """Tokens of each abstract with its title, [n]."""
        targets = features.targets.lengths + 1  # [n]
        self.say_cut(targets)
        lengths: np.ndarray = features.lengths + np.minimum(targets, self.settings.max_target)  # [n]
        return lengths

    def collate(
        self, features: TitleFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch, see :meth:`Generator.rows`. Nothing is drawn."""
        sources = [features.ids[int(row)] for row in rows]
        targets = None
        if labelled:
            room = self.settings.max_target - 1
            titles = [features.targets[int(row)] for row in rows]
            targets = [Target(title[:room].tolist(), len(title) <= room) for title in titles]
        return self.rows(sources, sources, vocabulary, targets)
