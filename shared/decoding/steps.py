"""What the decoders run: any step function, its state, and the rows that go on.

``logits, state = step(tokens, state)``. The first call has ``tokens`` None and ``state`` None and returns the logits [b, v]
of the first token of every source. Later, ``tokens`` int64 [r] is the token just appended to each of the r live rows, and
the logits [r, v] are those of the next one: an array, or a tensor that NumPy can read. A state is None, a tensor or array whose first axis is
the rows, a tuple, list or dict of states, or an object with ``select(rows) -> state``, ``rows`` an int64 array [r2] (a key/value cache).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[["np.ndarray | None", Any], tuple[Any, Any]]


def select_rows(state: Any, rows: np.ndarray) -> Any:
    """The state of the rows ``rows`` (int64 [r2], repeated and left out at will). Raises TypeError for a state of another kind."""
    if state is None:
        return None
    if hasattr(state, "shape"):
        return state[rows]  # [r2, ...]
    if hasattr(state, "select"):
        return state.select(rows)
    if isinstance(state, dict):
        return {key: select_rows(value, rows) for key, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(select_rows(value, rows) for value in state))
    if isinstance(state, (tuple, list)):
        return type(state)(select_rows(value, rows) for value in state)
    raise TypeError(
        f"a decoder cannot choose rows of a {type(state).__name__}: give a state of tensors, tuples, lists and dicts, or one with select(rows)"
    )


class _Prefixes:
    """All tokens so far [r, t], and the source of each row [r]."""

    def __init__(self, tokens: np.ndarray, sources: np.ndarray):
        self.tokens, self.sources = tokens, sources

    def select(self, rows: np.ndarray) -> _Prefixes:
        return _Prefixes(self.tokens[rows], self.sources[rows])


def from_prefixes(function: Callable[[np.ndarray, np.ndarray], Any], sources: int) -> Step:
    """A step function for a model without a cache, over ``sources`` sources.

    ``function(prefixes, rows) -> logits [r, v]``: ``prefixes`` int64 [r, t], the tokens so far (t is 0 at first), ``rows``
    int64 [r], the source of each row. Raises ValueError for fewer than 1 source.
    """
    if sources < 1:
        raise ValueError(f"a batch needs at least 1 source, found {sources}: leave empty batches out")

    def step(tokens: np.ndarray | None, state: _Prefixes | None) -> tuple[Any, _Prefixes]:
        if tokens is None or state is None:
            state = _Prefixes(np.zeros([sources, 0], dtype=np.int64), np.arange(sources))
        else:
            state = _Prefixes(np.concatenate([state.tokens, np.asarray(tokens)[:, None]], axis=1), state.sources)
        return function(state.tokens, state.sources), state

    return step


class Runner:
    """Calls a step function and carries its state from rows to rows."""

    def __init__(self, step: Step, *, end_id: int):
        self._step = step
        logits, self._state = step(None, None)  # [b, v]
        if len(logits.shape) != 2:
            raise ValueError(f"a step returns logits [rows, vocabulary], found shape {list(logits.shape)}: take the last position only")
        self.sources, self.vocabulary = logits.shape
        if self.sources == 0:
            raise ValueError("a batch needs at least 1 source, found logits of 0 rows: leave empty batches out")
        if not 0 <= end_id < self.vocabulary:
            raise ValueError(f"end_id {end_id} is outside the vocabulary of {self.vocabulary} tokens: give the id of the end token")
        self.first = _floating(logits)  # [b, v]
        self._rows = self.sources

    def next(self, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
        """Logits [r, v] after ``tokens`` [r] followed the rows ``parents`` [r] of the call before."""
        if len(parents) != self._rows or not np.array_equal(parents, np.arange(self._rows)):
            self._state = select_rows(self._state, parents)
        logits, self._state = self._step(tokens, self._state)  # [r, v]
        self._rows = len(tokens)
        if list(logits.shape) != [self._rows, self.vocabulary]:
            raise ValueError(
                f"the step was given {self._rows} tokens and returned logits {list(logits.shape)}: return [{self._rows}, {self.vocabulary}]"
            )
        return _floating(logits)  # [r, v]


def _floating(logits: Any) -> np.ndarray:
    kind = str(logits.dtype)
    wide = logits if kind.endswith(("float32", "float64")) else logits.astype("float32")  # [r, v]
    return wide if isinstance(wide, np.ndarray) else wide.detach().numpy()  # [r, v]


def check_lengths(*, max_length: int, min_length: int) -> None:
    """Raises ValueError unless an output of ``min_length`` tokens and its end token fits ``max_length``."""
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, the end token, found {max_length}: give the longest output")
    if min_length < 0:
        raise ValueError(f"min_length must be at least 0, found {min_length}: give 0 for none")
    if min_length + 1 > max_length:
        raise ValueError(
            f"min_length {min_length} and the end token do not fit max_length {max_length}: "
            f"give max_length={min_length + 1} or a smaller min_length"
        )
