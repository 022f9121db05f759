"""Patterns made of patterns: a literal, one of several, one after another, several times.

A grammar of these with tries (the names of a schema) and substring automata (spans of the text) is what structured output needs:

    name = Trie(names)
    span = SubstringAutomaton(texts, without=[colon, comma, stop])
    triple = Sequence(name, Literal([colon]), span, Literal([comma]), span, Literal([stop]))
    grammar = Repeat(triple, end_id=end)

Where a token could belong to two parts, both readings are kept until one fails; so that an output reads in one way only,
separators must be tokens that the parts beside them cannot hold (``without``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Sequence as Tokens
from typing import Any

from .patterns import Pattern, Trie, remember


class Literal(Trie):
    """Exactly these tokens."""

    def __init__(self, tokens: Tokens[int], end_id: int | None = None):
        super().__init__([tokens], end_id)


class _Composite(Pattern):
    """A state is (source, readings): a frozenset of (place in the pattern, state of the part there)."""

    def __init__(self, end_id: int | None):
        super().__init__()
        self.end_id = end_id
        self._moves: dict[Any, Any] = {}
        self._starts: dict[int, Any] = {}

    def _first(self, source: int) -> Iterable[tuple[Any, Any]]:
        """The readings before the first token."""
        raise NotImplementedError

    def _part(self, place: Any) -> Pattern:
        raise NotImplementedError

    def _after(self, source: int, place: Any) -> Iterable[tuple[Any, Any]]:
        """The readings that begin where the part at ``place`` stops."""
        raise NotImplementedError

    def _may_end(self, place: Any) -> bool:
        """Whether the pattern may stop where the part at ``place`` does."""
        raise NotImplementedError

    def _rest(self, source: int, place: Any) -> float:
        """The fewest tokens after the part at ``place``."""
        raise NotImplementedError

    def start(self, source: int) -> Any:
        if source not in self._starts:
            remember(self._starts, source, self._close(source, self._first(source)))
        return self._starts[source]

    def follow(self, state: Any) -> frozenset[int]:
        return frozenset().union(*(self._part(place).follow(inner) for place, inner in state[1]))

    def move(self, state: Any, token: int) -> Any:
        key = (state, token)
        if key not in self._moves:
            readings = [
                (place, self._part(place).move(inner, token)) for place, inner in state[1] if token in self._part(place).follow(inner)
            ]
            remember(self._moves, key, self._close(state[0], readings))
        return self._moves[key]

    def accepts(self, state: Any) -> bool:
        return any(self._may_end(place) and self._part(place).accepts(inner) for place, inner in state[1])

    def shortest(self, state: Any) -> float:
        source, readings = state
        return min((self._part(place).shortest(inner) + self._rest(source, place) for place, inner in readings), default=math.inf)

    def _close(self, source: int, readings: Iterable[tuple[Any, Any]]) -> tuple[int, frozenset]:
        """With the readings that go on where a part may stop, without those that can never be completed."""
        closed: set[tuple[Any, Any]] = set()
        waiting = list(readings)
        while waiting:
            place, inner = reading = waiting.pop()
            part = self._part(place)
            if reading in closed or part.shortest(inner) + self._rest(source, place) == math.inf:
                continue
            closed.add(reading)
            if part.accepts(inner):
                waiting.extend(self._after(source, place))
        return source, frozenset(closed)


class Choice(_Composite):
    """One of ``patterns``. Raises ValueError if there is none."""

    def __init__(self, *patterns: Pattern, end_id: int | None = None):
        super().__init__(end_id)
        self.patterns = _checked(patterns, type(self).__name__)

    def _first(self, source: int) -> Iterable[tuple[Any, Any]]:
        return [(place, pattern.start(source)) for place, pattern in enumerate(self.patterns)]

    def _part(self, place: int) -> Pattern:
        return self.patterns[place]

    def _after(self, source: int, place: int) -> Iterable[tuple[Any, Any]]:
        return ()

    def _may_end(self, place: int) -> bool:
        return True

    def _rest(self, source: int, place: int) -> float:
        return 0

    def wait(self, source: int) -> float:
        return max(pattern.wait(source) for pattern in self.patterns)


class Sequence(_Composite):
    """All of ``patterns``, one after another. Raises ValueError if there is none."""

    def __init__(self, *patterns: Pattern, end_id: int | None = None):
        super().__init__(end_id)
        self.patterns = _checked(patterns, type(self).__name__)
        self._rests: dict[int, list[float]] = {}

    def _first(self, source: int) -> Iterable[tuple[Any, Any]]:
        return [(0, self.patterns[0].start(source))]

    def _part(self, place: int) -> Pattern:
        return self.patterns[place]

    def _after(self, source: int, place: int) -> Iterable[tuple[Any, Any]]:
        return () if self._may_end(place) else [(place + 1, self.patterns[place + 1].start(source))]

    def _may_end(self, place: int) -> bool:
        return place == len(self.patterns) - 1

    def _rest(self, source: int, place: int) -> float:
        if source not in self._rests:
            sizes = [pattern.shortest(pattern.start(source)) for pattern in self.patterns]
            remember(self._rests, source, [sum(sizes[after:]) for after in range(1, len(sizes) + 1)])
        return self._rests[source][place]

    def wait(self, source: int) -> float:
        return sum(pattern.wait(source) for pattern in self.patterns)


class Repeat(_Composite):
    """``pattern`` from ``minimum`` to ``maximum`` times (None: without limit), with ``separator`` between two.

    Raises ValueError for bounds that cross.
    """

    def __init__(
        self,
        pattern: Pattern,
        minimum: int = 0,
        maximum: int | None = None,
        *,
        separator: Pattern | None = None,
        end_id: int | None = None,
    ):
        super().__init__(end_id)
        if minimum < 0 or (maximum is not None and maximum < max(minimum, 1)):
            raise ValueError(f"minimum {minimum} and maximum {maximum} leave nothing to repeat: give 0 <= minimum <= maximum, from 1")
        self.pattern, self.minimum, self.maximum = pattern, minimum, maximum
        self.separator = Literal([]) if separator is None else separator

    # a place is (times completed before, 0 in the pattern, 1 in the separator, 2 nothing at all)

    def _first(self, source: int) -> Iterable[tuple[Any, Any]]:
        nothing = [((0, 2), 0)] if self.minimum == 0 else []
        return [*nothing, ((0, 0), self.pattern.start(source))]

    def _part(self, place: tuple[int, int]) -> Pattern:
        return (self.pattern, self.separator, _NOTHING)[place[1]]

    def _after(self, source: int, place: tuple[int, int]) -> Iterable[tuple[Any, Any]]:
        times, phase = place
        if phase == 1:
            return [((times, 0), self.pattern.start(source))]
        if phase == 2 or times + 1 == self.maximum:
            return ()
        counted = times + 1 if self.maximum is not None else min(times + 1, self.minimum)
        return [((counted, 1), self.separator.start(source))]

    def _may_end(self, place: tuple[int, int]) -> bool:
        times, phase = place
        return phase == 2 or (phase == 0 and times + 1 >= self.minimum)

    def _rest(self, source: int, place: tuple[int, int]) -> float:
        times, phase = place
        missing = 0 if phase == 2 else max(self.minimum - times - 1, 0)
        size = self._size(source)
        between = self.separator.shortest(self.separator.start(source))
        rest = missing * (size + between) if missing else 0.0
        return rest + size if phase == 1 else rest

    def _size(self, source: int) -> float:
        return self.pattern.shortest(self.pattern.start(source))

    def wait(self, source: int) -> float:
        between = self.separator.wait(source)
        return self.pattern.wait(source) + between + max(self.minimum, 1) * (self.pattern.wait(source) + between)


_NOTHING = Literal([])


def _checked(patterns: tuple[Pattern, ...], name: str) -> tuple[Pattern, ...]:
    if not patterns:
        raise ValueError(f"{name} of 0 patterns: give at least 1")
    return patterns
