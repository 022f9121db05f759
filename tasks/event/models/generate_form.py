"""Arguments as groups: what an output of the model ``generate`` states, and gold in its form. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence

from ...generation_groups import Group, GroupForm, Item
from ...generation_words import spelled
from ..features import EventFeatures
from ..schema import EventSchema


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
