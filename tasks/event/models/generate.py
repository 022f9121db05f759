"""Arguments as written by an encoder that reads the text: type, then role and argument after role and argument, and the next type.

The types of a text come in the order of their first arguments, the arguments of a type in that of their places. Events of one type are one
group, as no metric tells them apart. A group may only have roles of its type.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from shared.backbone import Backbone
from shared.text import Vocabulary

from ...generation import GenerateSettings, Generator
from ...generation_groups import length, write
from ...generation_rows import Target
from ...generation_words import spelled
from ...recipe import Recipe
from ..features import EventFeatures
from ..schema import EventSchema
from .generate_form import EventForm


class EventGenerateSettings(GenerateSettings):
    """The ``[model]`` table of a recipe whose model is ``generate``."""

    name: Literal["generate"] = "generate"


class EventGenerator(Generator):
    """A :class:`tasks.generation.Generator` of the event track."""

    def __init__(self, backbone: Backbone, *, schema: EventSchema, recipe: Recipe, settings: EventGenerateSettings):
        form = EventForm(schema)
        super().__init__(backbone, names=form.form.names, settings=settings, recipe=recipe)
        self.event_form = form

    def training_lengths(self, features: EventFeatures) -> np.ndarray:
        """Tokens of each window with its target, [w]; of names that the vocabulary cannot tell apart the distinguishing ones are not counted."""
        sizes = [len(spelled(name)) for name in self.names]
        targets = np.asarray([length(self.event_form.groups(features, row), sizes) + 1 for row in range(len(features))], dtype=np.int64)  # [w]
        self.say_cut(targets)
        lengths: np.ndarray = features.lengths + np.minimum(targets, self.settings.max_target)  # [w]
        return lengths

    def collate(
        self, features: EventFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch, see :meth:`Generator.rows`. Nothing is drawn."""
        sources = [features.ids[int(row)] for row in rows]
        targets = None
        if labelled:
            codes, room = self.codes(vocabulary), self.settings.max_target - 1
            targets = [Target(*write(self.event_form.groups(features, int(row)), codes, room=room)) for row in rows]
        return self.rows(sources, sources, vocabulary, targets)
