"""Arguments as written by an encoder that reads the text: type, then role and argument after role and argument, and the next type.

The types of a text come in the order of their first arguments, the arguments of a type in that of their places. Events of one type are one
group, as no metric tells them apart. A group may only have roles of its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from shared.backbone import Backbone
from shared.text import Vocabulary

from ...generation import GenerateSettings, Generator, Target
from ...generation_groups import Group, GroupForm, Item, length, write
from ...generation_words import spelled
from ...recipe import Recipe
from ..features import EventFeatures
from ..schema import EventSchema


class EventGenerateSettings(GenerateSettings):
    """The ``[model]`` table of a recipe whose model is ``generate``."""

    name: Literal["generate"] = "generate"


class EventForm:
    """What outputs name: the schema's types, then its different roles. ``pairs``: the number of (type, role) by the numbers of both names."""

    def __init__(self, schema: EventSchema):
        roles = list(dict.fromkeys(role for _, role in schema.pairs))
        number = {role: len(schema.types) + place for place, role in enumerate(roles)}
        own = {place: tuple(number[role] for role in schema.roles[kind]) for place, kind in enumerate(schema.types)}
        self.form = GroupForm((*_short(schema.types), *roles), tuple(range(len(schema.types))), (), own, once=False)
        type_of = {kind: place for place, kind in enumerate(schema.types)}
        self.names_of = [(type_of[kind], number[role]) for kind, role in schema.pairs]
        self.pairs = {names: pair for pair, names in enumerate(self.names_of)}

    def groups(self, features: EventFeatures, row: int) -> list[Group]:
        """What a window's gold arguments come to."""
        words = features.ids[row].tolist()
        found: dict[int, dict[tuple[int, tuple[int, ...]], Item]] = {}
        for label, first, last in sorted(features.spans[row].tolist(), key=lambda span: (span[1], span[2], span[0])):
            if label < len(self.names_of):
                kind, role = self.names_of[label]
                span = tuple(words[first : last + 1])
                found.setdefault(kind, {}).setdefault((role, span), Item(role, span))
        return [Group(kind, tuple(items.values())) for kind, items in found.items()]


def _short(types: Sequence[str]) -> tuple[str, ...]:
    """Types without their class, the part before the first hyphen, if they still differ."""
    short = tuple(kind.split("-", 1)[-1] for kind in types)
    return short if len(set(short)) == len(short) and all(spelled(kind) for kind in short) else tuple(types)


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
        return self.rows(sources, sources, vocabulary, targets)[0]
