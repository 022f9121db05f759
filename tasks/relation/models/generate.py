"""Triples as written by an encoder that reads the text: a subject, then predicate and object after predicate and object, and the next subject.

Subjects come in the order of their first places, and so do a subject's objects. The further slots of an object follow its value, each behind its
name. A slot may only have a name that its predicate has, each once and in the schema's order.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from shared.backbone import Backbone
from shared.text import Vocabulary

from ...generation import GenerateSettings, Generator
from ...generation_groups import length, write
from ...generation_rows import Target
from ...generation_words import spelled
from ...recipe import Recipe
from ..features import RelationFeatures
from ..schema import RelationSchema
from .generate_form import RelationForm


class RelationGenerateSettings(GenerateSettings):
    """The ``[model]`` table of a recipe whose model is ``generate``."""

    name: Literal["generate"] = "generate"


class RelationGenerator(Generator):
    """A :class:`tasks.generation.Generator` of the relation track."""

    def __init__(self, backbone: Backbone, *, schema: RelationSchema, recipe: Recipe, settings: RelationGenerateSettings):
        form = RelationForm(schema)
        super().__init__(backbone, names=form.form.names, settings=settings, recipe=recipe)
        self.relation_form = form

    def training_lengths(self, features: RelationFeatures) -> np.ndarray:
        """Tokens of each window with its target, [w]; of names that the vocabulary cannot tell apart the distinguishing ones are not counted."""
        sizes = [len(spelled(name)) for name in self.names]
        targets = np.asarray([length(self.relation_form.groups(features, row), sizes) + 1 for row in range(len(features))], dtype=np.int64)  # [w]
        self.say_cut(targets)
        lengths: np.ndarray = features.lengths + np.minimum(targets, self.settings.max_target)  # [w]
        return lengths

    def collate(
        self, features: RelationFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, Any]:
        """One batch, see :meth:`Generator.rows`. Nothing is drawn."""
        sources = [features.ids[int(row)] for row in rows]
        targets = None
        if labelled:
            codes, room = self.codes(vocabulary), self.settings.max_target - 1
            targets = [Target(*write(self.relation_form.groups(features, int(row)), codes, room=room)) for row in rows]
        return self.rows(sources, sources, vocabulary, targets)
