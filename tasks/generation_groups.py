"""Structures in a row: groups of a head and items, each item a name of the schema and a span of the text.

    output = [group {GROUP group}] END        group = head FIELD item {FIELD item}        item = name FIELD span

A head is a span (a subject, whose items are predicates with objects) or a name (an event type, whose items are roles with arguments). Which names
an item may have depends on what was read before: any of ``free``, or one that belongs to the head or to the last free name. A separator is
no token of a name or a span, so an output reads in one way only; :class:`GroupGrammar` lets nothing else through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from shared.decoding import Pattern, SubstringAutomaton, Trie
from shared.decoding.patterns import remember

from .generation_words import Codes

Tokens = tuple[int, ...]
START, HEAD, NAME, SPAN = range(4)


class Item(NamedTuple):
    """``name``: a number; ``span``: tokens. ``begin`` and ``end``: which tokens of the output it is, half-open, its separators included."""

    name: int
    span: Tokens
    begin: int = 0
    end: int = 0


class Group(NamedTuple):
    """``head``: a name's number, or the tokens of a span; ``end``: tokens of the output before the first item, from ``begin`` on."""

    head: int | Tokens
    items: tuple[Item, ...]
    begin: int = 0
    end: int = 0


@dataclass(frozen=True)
class GroupForm:
    """What a schema allows. All numbers are those of ``names``.

    ``heads``: names that a group may begin with, None where it begins with a span; ``free``: names that any item may have; ``own``: to a head or
    free name those that may follow it, in order, each once if ``once``.
    """

    names: tuple[str, ...]
    heads: tuple[int, ...] | None
    free: tuple[int, ...]
    own: Mapping[int, tuple[int, ...]]
    once: bool

    @cached_property
    def _free(self) -> frozenset[int]:
        return frozenset(self.free)

    def follow(self, context: Any, name: int) -> Any:
        """The context after an item of that name; see :meth:`start`."""
        if name in self._free:
            return name, 0
        if not self.once:
            return context
        owner, _ = context
        return owner, self.own[owner].index(name) + 1

    def start(self, head: int | None) -> Any:
        """The context at a group's first item: (whose own names may come, those before this place of them may not)."""
        return None if head is None else (head, 0)

    def own_names(self, context: Any) -> tuple[int, ...]:
        """The names that an item in this context may have beside the free ones."""
        return () if context is None else self.own.get(context[0], ())[context[1] :]


def write(groups: Sequence[Group], codes: Codes, *, room: int) -> tuple[list[int], bool]:
    """The tokens of an output without its end, and whether it is whole: what does not fit into ``room`` tokens is left out, whole items
    from the last on."""
    tokens: list[int] = []
    for group in groups:
        head = list(codes.names[group.head]) if isinstance(group.head, int) else list(group.head)
        made = [codes.group, *head] if tokens else head
        for item in group.items:
            made += [codes.field, *codes.names[item.name], codes.field, *item.span]
            if len(tokens) + len(made) > room:
                return tokens, False
            tokens, made = tokens + made, []
    return tokens, True


def length(groups: Sequence[Group], sizes: Sequence[int]) -> int:
    """Tokens of such an output without its end, where a name has as many as ``sizes`` says."""
    total = max(0, len(groups) - 1)
    for group in groups:
        total += sizes[group.head] if isinstance(group.head, int) else len(group.head)
        total += sum(2 + sizes[item.name] + len(item.span) for item in group.items)
    return total


def read(tokens: Sequence[int], form: GroupForm, codes: Codes) -> list[Group]:
    """The groups that an output of :class:`GroupGrammar` states, in order. ``tokens`` are without the end."""
    groups: list[Group] = []
    at = 0
    for part in _split(tokens, codes.group):
        head, *fields = _split(part, codes.field)
        named = form.heads is not None
        begin, place = at, at + len(head)
        items = []
        for name, span in zip(fields[::2], fields[1::2], strict=True):
            stop = place + len(name) + len(span) + 2
            items.append(Item(codes.number_of[tuple(name)], tuple(span), place, stop))
            place = stop
        groups.append(Group(codes.number_of[tuple(head)] if named else tuple(head), tuple(items), begin, begin + len(head)))
        at = place + 1
    return groups


def _split(tokens: Sequence[int], separator: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in tokens:
        if token == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return [] if parts == [[]] else parts


class Tries:
    """The names of a form as automata over the places of ``codes.words``; those of one owner are made when it is first read."""

    def __init__(self, form: GroupForm, codes: Codes):
        self.form, self.codes = form, codes
        self.heads = self._trie(tuple(name for name in form.heads if form.own.get(name))) if form.heads is not None else None
        self.free = self._trie(form.free)
        self._own: dict[Any, tuple[Trie, tuple[int, ...]] | None] = {}
        longest = max((len(name) for name in codes.names), default=0)
        self.wait = 2 * longest + 5
        self._after: dict[int, float] = {}

    def _trie(self, names: tuple[int, ...]) -> tuple[Trie, tuple[int, ...]] | None:
        return (Trie([self.codes.local_names[name] for name in names]), names) if names else None

    def of(self, context: Any) -> tuple[tuple[Trie, tuple[int, ...]], ...]:
        """The automata of the names that may come in a context, each with the names' numbers: the free ones', the owner's."""
        if context not in self._own:
            self._own[context] = self._trie(self.form.own_names(context))
        return tuple(found for found in (self.free, self._own[context]) if found is not None)

    def shortest_item(self, context: Any) -> float:
        """The fewest tokens of an item, with the separator before its name."""
        return 3 + min(trie.shortest(trie.start(0)) for trie, _ in self.of(context))

    def head_rest(self, node: int) -> float:
        """The fewest tokens from a node of ``heads`` to the end of a group's first item."""
        assert self.heads is not None
        trie, names = self.heads
        if node not in self._after:
            ways = [self.head_rest(trie.move(node, token)) + 1 for token in trie.follow(node)]
            number = trie.number(node)
            if number is not None:
                ways.append(self.shortest_item(self.form.start(names[number])))
            self._after[node] = min(ways)
        return self._after[node]


class GroupGrammar(Pattern):
    """The outputs of a form over the texts of a batch: names through :class:`Tries`, spans by :class:`SubstringAutomaton`.

    ``texts``: their tokens, in the numbers of :class:`tasks.generation_words.Words`. No group at all is an output too, the only one of a text
    of no token.

    A state is (phase, source, context, inner): ``inner`` the span's or the head's own state, or of a name its nodes in :meth:`Tries.of`,
    -1 where it is none of theirs.
    """

    def __init__(self, tries: Tries, texts: Sequence[Sequence[int]]):
        super().__init__()
        self.end_id, self._field, self._group = range(3)
        self.tries, self.form = tries, tries.form
        self.spans = SubstringAutomaton(texts, without=[self.end_id, self._field, self._group])
        self._follow: dict[Any, frozenset[int]] = {}

    def start(self, source: int) -> Any:
        return START, source, None, self._head(source)

    def _head(self, source: int) -> Any:
        return self.spans.start(source) if self.form.heads is None else 0

    def follow(self, state: Any) -> frozenset[int]:
        if state not in self._follow:
            remember(self._follow, state, self._next(*state))
        return self._follow[state]

    def _next(self, phase: int, source: int, context: Any, inner: Any) -> frozenset[int]:
        field, group = frozenset([self._field]), frozenset([self._group])
        if phase == SPAN:
            following = self.spans.follow(inner)
            if not self.spans.accepts(inner):
                return following
            return following | group | (field if self.tries.of(context) else frozenset())
        if phase == NAME:
            found: frozenset[int] = frozenset()
            for (trie, _), node in zip(self.tries.of(context), inner, strict=True):
                if node >= 0:
                    found |= trie.follow(node) | (field if trie.accepts(node) else frozenset())
            return found
        if not self.spans.follow(self.spans.start(source)):
            return frozenset()  # nothing that an item could hold
        if self.form.heads is None:
            return self.spans.follow(inner) | (field if phase == HEAD and self.spans.accepts(inner) else frozenset())
        if self.tries.heads is None:
            return frozenset()
        trie, _ = self.tries.heads
        return trie.follow(inner) | (field if phase == HEAD and trie.accepts(inner) else frozenset())

    def move(self, state: Any, token: int) -> Any:
        phase, source, context, inner = state
        if phase == SPAN:
            if token == self._group:
                return HEAD, source, None, self._head(source)
            if token == self._field:
                return self._name(source, context)
            return SPAN, source, context, self.spans.move(inner, token)
        if phase == NAME:
            tries = self.tries.of(context)
            if token == self._field:
                ended = ((names, trie.number(node)) for (trie, names), node in zip(tries, inner, strict=True) if node >= 0)
                name = next(names[number] for names, number in ended if number is not None)
                return SPAN, source, self.form.follow(context, name), self.spans.start(source)
            both = zip(tries, inner, strict=True)
            nodes = tuple(trie.move(node, token) if node >= 0 and token in trie.follow(node) else -1 for (trie, _), node in both)
            return NAME, source, context, nodes
        if token != self._field:
            moved = self.spans.move(inner, token) if self.form.heads is None else self.tries.heads[0].move(inner, token)  # type: ignore[index]
            return HEAD, source, None, moved
        if self.form.heads is None:
            return self._name(source, self.form.start(None))
        trie, names = self.tries.heads  # type: ignore[misc]
        number = trie.number(inner)
        assert number is not None
        return self._name(source, self.form.start(names[number]))

    def _name(self, source: int, context: Any) -> Any:
        return NAME, source, context, tuple(trie.start(source) for trie, _ in self.tries.of(context))

    def accepts(self, state: Any) -> bool:
        phase, _, _, inner = state
        return phase == START or (phase == SPAN and self.spans.accepts(inner))

    def shortest(self, state: Any) -> float:
        phase, _, context, inner = state
        if phase == START:
            return 0
        if phase == SPAN:
            return self.spans.shortest(inner)
        if phase == NAME:
            return 2 + min(trie.shortest(node) for (trie, _), node in zip(self.tries.of(context), inner, strict=True) if node >= 0)
        if self.form.heads is None:
            return self.spans.shortest(inner) + self.tries.shortest_item(self.form.start(None))
        return self.tries.head_rest(inner)

    def wait(self, source: int) -> float:
        return self.tries.wait
