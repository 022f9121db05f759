"""Outputs of a given form: the protocol of a pattern, and two automata, one of the sequences of a list, one of the substrings of a source.

A pattern is a constraint by itself when it has an ``end_id``, and a part of a larger one (``grammar``) without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .constraints import Constraint, TokenSet

MEMORY = 50_000
"""Answers that a pattern remembers; all are forgotten when there are more."""


class Pattern(Constraint):
    """The token sequences of one language. Subclasses say how it goes on; this class adds the end token and the budget.

    As a part: ``start(source)`` gives a state (immutable, with a hash), ``follow(state)`` the tokens after which the pattern can
    still be completed, ``move(state, token)`` the state after one of them, ``accepts(state)`` whether it may stop here,
    ``shortest(state)`` the fewest tokens until it may (infinity if never), ``wait(source)`` a bound for ``shortest`` of
    every state that can be reached.
    """

    end_id: int | None = None

    def __init__(self) -> None:
        self._allowed: dict[Any, TokenSet] = {}

    def start(self, source: int) -> Any:
        raise NotImplementedError

    def follow(self, state: Any) -> frozenset[int]:
        raise NotImplementedError

    def move(self, state: Any, token: int) -> Any:
        raise NotImplementedError

    def accepts(self, state: Any) -> bool:
        raise NotImplementedError

    def shortest(self, state: Any) -> float:
        raise NotImplementedError

    def wait(self, source: int) -> float:
        raise NotImplementedError

    def begin(self, source: int) -> tuple[int, Any]:
        return source, self.start(source)

    def advance(self, state: Any, token: int) -> tuple[int, Any]:
        return state[0], self.move(state[1], token)

    def allowed(self, state: Any, budget: int) -> TokenSet:
        source, inner = state
        assert self.end_id is not None
        room = budget - 2  # after this token and the end token
        tight = room < self.wait(source)
        key = (state, room if tight else None)
        if key not in self._allowed:
            following = self.follow(inner)
            if tight:
                following = frozenset(token for token in following if self.shortest(self.move(inner, token)) <= room)
            following -= {self.end_id}  # an end token inside a part would end the output too early
            if self.accepts(inner):
                following |= {self.end_id}
            remember(self._allowed, key, TokenSet(following))
        return self._allowed[key]

    def check(self, *, end_id: int) -> None:
        if self.end_id is None:
            raise ValueError(f"{type(self).__name__} has no end_id and the decoder {end_id}: give the outermost pattern end_id={end_id}")
        if self.end_id != end_id:
            raise ValueError(f"{type(self).__name__} has end_id {self.end_id} and the decoder {end_id}: give both the same")


def remember(memory: dict, key: Any, value: Any) -> Any:
    """Puts ``value`` into ``memory`` and returns it; a full memory is emptied first."""
    if len(memory) >= MEMORY:
        memory.clear()
    memory[key] = value
    return value


class Trie(Pattern):
    """Exactly one of ``sequences``. States are nodes, shared prefixes share theirs.

    Raises ValueError for no sequence, and for one that holds the end token.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], end_id: int | None = None):
        super().__init__()
        self.end_id = end_id
        self._children: list[dict[int, int]] = [{}]
        self._final = [False]
        self._numbers: dict[int, int] = {}
        self._depth = 0
        count = 0
        for count, sequence in enumerate(sequences, start=1):
            if end_id is not None and end_id in sequence:
                raise ValueError(f"sequence {count - 1}, {list(sequence)}, holds the end token {end_id}: leave it out, the trie adds it")
            node = 0
            for token in sequence:
                if token not in self._children[node]:
                    self._children[node][int(token)] = len(self._children)
                    self._children.append({})
                    self._final.append(False)
                node = self._children[node][token]
            self._final[node] = True
            self._numbers.setdefault(node, count - 1)
            self._depth = max(self._depth, len(sequence))
        if not count:
            raise ValueError("a trie needs at least 1 sequence, found 0: give the sequences that may come out")
        self._shortest = [0] * len(self._children)
        for node in range(len(self._children) - 1, -1, -1):  # children have higher numbers
            if not self._final[node]:
                self._shortest[node] = 1 + min(self._shortest[child] for child in self._children[node].values())
        self._follow = [frozenset(children) for children in self._children]

    def start(self, source: int) -> int:
        return 0

    def follow(self, state: int) -> frozenset[int]:
        return self._follow[state]

    def move(self, state: int, token: int) -> int:
        return self._children[state][token]

    def accepts(self, state: int) -> bool:
        return self._final[state]

    def shortest(self, state: int) -> float:
        return self._shortest[state]

    def wait(self, source: int) -> float:
        return self._depth

    def number(self, state: int) -> int | None:
        """Which of the sequences ends here (the first, if it was given twice), or None."""
        return self._numbers.get(state)


class SubstringAutomaton(Pattern):
    """A run of consecutive tokens of the source: a suffix automaton per source (Blumer and others 1985), of linear size.

    ``sources``: the tokens of every source of the batch, in its order. ``min_length`` and ``max_length``: tokens of the run;
    0 allows the empty one. ``ends``: for every source the places whose token may be the last of a run (default: all).
    ``without``: tokens that no run holds, separators for one; the end token is always among them.
    A source that has no such run leaves no token allowed. Raises ValueError for lengths that cross, and for places outside a source.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        end_id: int | None = None,
        *,
        min_length: int = 1,
        max_length: int | None = None,
        ends: Sequence[Iterable[int]] | None = None,
        without: Iterable[int] = (),
    ):
        super().__init__()
        if min_length < 0 or (max_length is not None and max_length < max(min_length, 1)):
            raise ValueError(f"min_length {min_length} and max_length {max_length} leave no run: give 0 <= min_length <= max_length, from 1")
        if ends is not None and len(ends) != len(sources):
            raise ValueError(f"ends for {len(ends)} sources but {len(sources)} sources: give one list of places per source")
        self.end_id, self.min_length, self.max_length = end_id, min_length, max_length
        self._sources, self._ends = sources, ends
        self._without = frozenset(without) if end_id is None else frozenset(without) | {end_id}
        self._automata: dict[int, SuffixAutomaton] = {}
        self._cap = max(min_length, 1) if max_length is None else max_length

    def start(self, source: int) -> tuple[int, int, int]:
        if source not in self._automata:
            if not 0 <= source < len(self._sources):
                raise ValueError(f"source {source} of the batch, but tokens of {len(self._sources)} sources: give those of every source")
            ends = None if self._ends is None else self._ends[source]
            self._automata[source] = SuffixAutomaton(self._sources[source], without=self._without, ends=ends)
        return source, 0, 0  # source, node, tokens of the run, which are not counted beyond the cap

    def follow(self, state: tuple[int, int, int]) -> frozenset[int]:
        source, node, length = state
        if self.max_length is not None and length >= self.max_length:
            return frozenset()
        automaton = self._automata[source]
        needed = max(self.min_length - length - 1, 0)
        if needed == 0 and self.max_length is None:
            return automaton.follow[node]
        return frozenset(token for token in automaton.follow[node] if self.shortest(self.move(state, token)) < math.inf)

    def move(self, state: tuple[int, int, int], token: int) -> tuple[int, int, int]:
        source, node, length = state
        return source, self._automata[source].children[node][token], min(length + 1, self._cap)

    def accepts(self, state: tuple[int, int, int]) -> bool:
        source, node, length = state
        return length >= self.min_length and (length == 0 or self._automata[source].final[node])

    def shortest(self, state: tuple[int, int, int]) -> float:
        source, node, length = state
        if self.accepts(state):
            return 0
        needed = max(self.min_length - length, 1 if length == 0 else 0)
        steps = self._automata[source].shortest(node, needed)
        return steps if self.max_length is None or length + steps <= self.max_length else math.inf

    def wait(self, source: int) -> float:
        return len(self._sources[source]) if self._ends is not None else self.min_length


class SuffixAutomaton:
    """All substrings of ``tokens``, cut at the tokens of ``without``: at most 2 nodes and 3 edges per token; node 0 is the empty one.

    ``children[node]``: token to node. ``final[node]``: whether an occurrence ends at one of ``ends`` (None: every place).
    ``complete``: every node is final. Raises ValueError for an end outside the tokens.
    """

    def __init__(self, tokens: Sequence[int], *, without: frozenset[int] = frozenset(), ends: Iterable[int] | None = None):
        self.children: list[dict[int, int]] = [{}]
        self._link, self._length = [-1], [0]
        last_places = None if ends is None else set(ends)
        if last_places and not (min(last_places) >= 0 and max(last_places) < len(tokens)):
            raise ValueError(f"ends {sorted(last_places)} in a source of {len(tokens)} tokens: count places from 0 to {len(tokens) - 1}")
        self.complete = last_places is None
        self.final = [True]
        last = 0
        for place, token in enumerate(tokens):
            last = 0 if token in without else self._extend(last, int(token))
            if last_places is not None and last and place in last_places:
                self.final[last] = True
        order = sorted(range(1, len(self.children)), key=self._length.__getitem__, reverse=True)
        if self.complete:
            self.final = [True] * len(self.children)
        for node in order:  # what ends with a substring ends with its suffixes
            if self.final[node]:
                self.final[self._link[node]] = True
        self._nearest: list[float] = [0.0] * len(self.children)
        self._longest: list[float] = [0.0] * len(self.children)
        for node in [*order, 0]:  # edges lead to longer substrings
            following = self.children[node].values()
            self._nearest[node] = 0 if self.final[node] else 1 + min((self._nearest[child] for child in following), default=math.inf)
            self._longest[node] = 1 + max((self._longest[child] for child in following), default=-1)
        self.follow = [
            frozenset(token for token, child in children.items() if self._nearest[child] < math.inf) for children in self.children
        ]
        self._memory: dict[tuple[int, int], float] = {}

    def _extend(self, last: int, token: int) -> int:
        known = self.children[last].get(token)
        if known is not None:  # only after a cut: the run was seen before it
            return known if self._length[known] == self._length[last] + 1 else self._split(last, known, token)
        node = self._node({}, self._length[last] + 1, 0)
        place = last
        while place >= 0 and token not in self.children[place]:
            self.children[place][token] = node
            place = self._link[place]
        if place >= 0:
            other = self.children[place][token]
            self._link[node] = other if self._length[other] == self._length[place] + 1 else self._split(place, other, token)
        return node

    def _split(self, place: int, other: int, token: int) -> int:
        copy = self._node(dict(self.children[other]), self._length[place] + 1, self._link[other])
        self._link[other] = copy
        while place >= 0 and self.children[place].get(token) == other:
            self.children[place][token] = copy
            place = self._link[place]
        return copy

    def _node(self, children: dict[int, int], length: int, link: int) -> int:
        self.children.append(children)
        self._length.append(length)
        self._link.append(link)
        self.final.append(False)
        return len(self.children) - 1

    def shortest(self, node: int, needed: int) -> float:
        """Fewest further tokens, ``needed`` at least, until an occurrence ends at one of ``ends``; infinity if none does."""
        if needed == 0:
            return self._nearest[node]
        if self.complete:
            return needed if self._longest[node] >= needed else math.inf
        key = (node, needed)
        if key not in self._memory:
            below = [self.shortest(child, needed - 1) for child in self.children[node].values()]
            self._memory[key] = 1 + min(below, default=math.inf)
        return self._memory[key]
