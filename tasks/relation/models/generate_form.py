"""Triples as groups: what an output of the model ``generate`` states, and gold in its form. Needs numpy only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product

from ...generation_groups import Group, GroupForm, Item, Tokens
from ..features import RelationFeatures
from ..schema import VALUE, RelationSchema

MOST_LINKED = 12
"""Strings of one slot that are tried with one value."""


class RelationForm:
    """What outputs name: the schema's predicates, then its different further slots. ``pairs``: the number of (predicate, slot) by the numbers of
    both names, a predicate with itself for ``@value``."""

    def __init__(self, schema: RelationSchema):
        slots = list(dict.fromkeys(slot for _, slot in schema.pairs if slot != VALUE))
        number = {slot: len(schema.predicates) + place for place, slot in enumerate(slots)}
        predicates = {predicate: place for place, predicate in enumerate(schema.predicates)}
        own = {place: tuple(number[slot] for slot in schema.slots[name] if slot != VALUE) for name, place in predicates.items()}
        self.form = GroupForm((*schema.predicates, *slots), None, tuple(range(len(predicates))), own, once=True)
        self.names_of = [(predicates[name], predicates[name] if slot == VALUE else number[slot]) for name, slot in schema.pairs]
        self.pairs = {names: pair for pair, names in enumerate(self.names_of)}

    def groups(self, features: RelationFeatures, row: int) -> list[Group]:
        """What a window's gold triples come to; of equal strings the first mention says where they stand."""
        words = features.ids[row].tolist()
        subjects: dict[int, tuple[int, int]] = {}
        for number, first, last in sorted(features.subjects[row].tolist(), key=lambda subject: subject[1:]):
            subjects.setdefault(number, (first, last))
        values: dict[int, dict[tuple[int, Tokens], tuple[int, int]]] = defaultdict(dict)
        slots: dict[int, dict[tuple[int, Tokens], None]] = defaultdict(dict)
        for subject, pair, first, last in sorted(features.objects[row].tolist(), key=lambda slot: slot[2:]):
            predicate, name = self.names_of[pair]
            key = (pair, tuple(words[first : last + 1]))
            if predicate == name:
                values[subject].setdefault(key, (first, last))
            else:
                slots[subject].setdefault(key)
        linked = {
            (subject, a, tuple(words[i : j + 1]), b, tuple(words[m : n + 1])) for subject, a, i, j, b, m, n in features.links[row].tolist()
        }
        groups = []
        for subject, (first, last) in sorted(subjects.items(), key=lambda one: one[1]):
            items: list[Item] = []
            for value in sorted(values[subject], key=lambda slot: (values[subject][slot], slot[0])):
                for chosen in self._objects(subject, value, list(slots[subject]), linked):
                    items += [Item(self.names_of[pair][1], span) for pair, span in (value, *chosen)]
            if items:
                groups.append(Group(tuple(words[first : last + 1]), tuple(items)))
        return groups

    def _objects(
        self, subject: int, value: tuple[int, Tokens], slots: Sequence[tuple[int, Tokens]], linked: set[tuple]
    ) -> Iterator[tuple[tuple[int, Tokens], ...]]:
        """Every largest set of further slots that are linked with a value and each other, in the schema's order."""

        def link(left: tuple[int, Tokens], right: tuple[int, Tokens]) -> bool:
            return (subject, *left, *right) in linked

        kinds: dict[int, list[tuple[int, Tokens]]] = defaultdict(list)
        for slot in slots:
            if link(value, slot):
                kinds[slot[0]].append(slot)
        choices = []
        for choice in product(*([*group[:MOST_LINKED], None] for _, group in sorted(kinds.items()))):
            chosen = tuple(slot for slot in choice if slot is not None)
            if all(link(left, right) for left, right in combinations(chosen, 2)):
                choices.append(chosen)
        for chosen in choices:
            if not any(set(chosen) < set(other) for other in choices):
                yield chosen
