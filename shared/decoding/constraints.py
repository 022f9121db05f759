"""What the next token may be: sets of tokens, the protocol of a constraint, and the constraints that need no automaton.

Decoders bar tokens before top-k, top-p and the choice, so an output that breaks a hard constraint cannot come out. They do not
renormalise what is reported: ``Hypothesis.log_probability`` stays the model's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TokenSet:
    """These token ids, or with ``complement`` all ids but these. Closed under ``&`` and ``|``."""

    ids: frozenset[int]
    complement: bool = False

    def __and__(self, other: TokenSet) -> TokenSet:
        if self.complement and other.complement:
            return TokenSet(self.ids | other.ids, True)
        if self.complement:
            return TokenSet(other.ids - self.ids)
        return TokenSet(self.ids - other.ids if other.complement else self.ids & other.ids)

    def __or__(self, other: TokenSet) -> TokenSet:
        return ~(~self & ~other)

    def __invert__(self) -> TokenSet:
        return TokenSet(self.ids, not self.complement)

    def __contains__(self, token: int) -> bool:
        return (token in self.ids) != self.complement

    def is_empty(self, vocabulary: int) -> bool:
        """Whether none of the ids 0 .. ``vocabulary`` - 1 is in."""
        return len(self.ids) >= vocabulary if self.complement else not self.ids

    @cached_property
    def array(self) -> np.ndarray:
        """``ids`` as int64, ascending."""
        return np.array(sorted(self.ids), dtype=np.int64)


EVERY_TOKEN = TokenSet(frozenset(), complement=True)


class Constraint:
    """What the next token of an output may be, given the tokens so far.

    A state is an immutable value that has a hash: hypotheses share it. The end token is never given to ``advance``.
    ``soft``: gives way where it would leave no token that the hard constraints and the model allow.
    """

    soft = False

    def begin(self, source: int) -> Any:
        """The state of source number ``source`` of the batch, before its first token."""
        raise NotImplementedError

    def advance(self, state: Any, token: int) -> Any:
        """The state after one more token, which ``allowed`` had among its tokens (unless the constraint is soft)."""
        raise NotImplementedError

    def allowed(self, state: Any, budget: int) -> TokenSet:
        """The tokens that may come next. ``budget``: tokens that still fit ``max_length``, this one and the end token included;
        a constraint that can tell bars what could no longer be completed within it."""
        raise NotImplementedError

    def check(self, *, end_id: int) -> None:
        """Raises ValueError if the constraint cannot serve a decoder with this end token."""


class NGramBlock(Constraint):
    """Soft: no n-gram of the output comes twice, unless it holds a token of ``ignore`` (UniLM's decoder, with n = 3).

    Raises ValueError for n < 1.
    """

    soft = True

    def __init__(self, n: int, ignore: Iterable[int] = ()):
        if n < 1:
            raise ValueError(f"n-grams have at least 1 token, found n={n}: give e.g. n=3")
        self.n, self.ignore = n, frozenset(ignore)

    def begin(self, source: int) -> tuple[int, ...]:
        return ()

    def advance(self, state: Any, token: int) -> tuple[int, ...]:
        return (*state, token)

    def allowed(self, state: Any, budget: int) -> TokenSet:
        tokens, context = state, self.n - 1
        if len(tokens) < self.n:
            return EVERY_TOKEN
        tail = tokens[len(tokens) - context :]
        if not self.ignore.isdisjoint(tail):
            return EVERY_TOKEN
        seen = (tokens[place + context] for place in range(len(tokens) - context) if tokens[place : place + context] == tail)
        return TokenSet(frozenset(seen) - self.ignore, complement=True)


class MinLength(Constraint):
    """No end token before ``n`` tokens. Raises ValueError for n < 0.

    A pattern beside it does not know of it, and the two may meet a dead end: give a pattern a minimum of its own instead.
    """

    def __init__(self, n: int, end_id: int):
        if n < 0:
            raise ValueError(f"a minimum length is at least 0, found {n}: give the fewest tokens before the end token")
        self.n, self.end_id = n, end_id
        self._barred = TokenSet(frozenset([end_id]), complement=True)

    def begin(self, source: int) -> int:
        return 0

    def advance(self, state: int, token: int) -> int:
        return min(state + 1, self.n)

    def allowed(self, state: int, budget: int) -> TokenSet:
        return self._barred if state < self.n else EVERY_TOKEN

    def check(self, *, end_id: int) -> None:
        if end_id != self.end_id:
            raise ValueError(f"MinLength has end_id {self.end_id} and the decoder {end_id}: give both the same")


class Forbidden(Constraint):
    """None of these tokens, anywhere."""

    def __init__(self, ids: Iterable[int]):
        self._allowed = TokenSet(frozenset(ids), complement=True)

    def begin(self, source: int) -> None:
        return None

    def advance(self, state: Any, token: int) -> None:
        return None

    def allowed(self, state: Any, budget: int) -> TokenSet:
        return self._allowed


class Combined:
    """Several constraints at once, hard ones first: a state is the tuple of theirs.

    Raises ValueError for a constraint that does not fit the decoder's end token.
    """

    def __init__(self, constraints: Sequence[Constraint], *, end_id: int):
        for constraint in constraints:
            constraint.check(end_id=end_id)
        self.constraints = tuple(sorted(constraints, key=lambda constraint: constraint.soft))

    def __bool__(self) -> bool:
        return bool(self.constraints)

    def begin(self, source: int) -> tuple[Any, ...]:
        return tuple(constraint.begin(source) for constraint in self.constraints)

    def advance(self, states: tuple[Any, ...], token: int) -> tuple[Any, ...]:
        return tuple(constraint.advance(state, token) for constraint, state in zip(self.constraints, states, strict=True))

    def allowed(self, states: tuple[Any, ...], budget: int, vocabulary: int) -> tuple[TokenSet, TokenSet]:
        """What hard and soft constraints leave, and what the hard ones alone leave. A soft one that would leave nothing is skipped."""
        hard = narrow = EVERY_TOKEN
        for constraint, state in zip(self.constraints, states, strict=True):
            found = narrow & constraint.allowed(state, budget)
            if not constraint.soft:
                hard = narrow = found
            elif not found.is_empty(vocabulary):
                narrow = found
        return narrow, hard


def dead_end(source: int, prefix: Sequence[int], budget: int) -> ValueError:
    """The error for an output that can neither go on nor end."""
    return ValueError(
        f"source {source}: no token is allowed after {list(prefix)}, with room for {budget} more: the constraints and the model's -inf "
        "leave a dead end: raise max_length, or change the constraints so that every prefix can be completed"
    )

