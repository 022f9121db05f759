"""Writing token by token behind a source that is read once: the step function of :mod:`.decoding` over any engine. Needs numpy only.

A network that writes has two graphs. ``read`` takes sources and gives the scores of the first token and, of every layer, keys and values; ``write``
takes one new token a row, and keys and values of all tokens before. These are held once a source, whatever a search makes of it: the tokens that
its rows write are put behind its own, in the order in which they come, and a row is no more than the list of those that it has written. So a beam
is an index: to reorder, repeat or drop rows moves a few numbers, and no key.

Notation: b sources, r rows, g rows of the source that has most, s source tokens, k places that are kept of a source, t tokens that a row has written,
u words, n heads, d head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .heads.copying_decode import with_copies

if TYPE_CHECKING:
    from .inference import Engine

READ, WRITE = "read", "write"
BARRED = float(np.finfo(np.float32).min)
ROOM = 32
"""Steps that keys and values have room for before they are moved."""


@dataclass
class Kept:
    """What is kept of the sources that are still written for. Grows; what is in it stays where it is.

    ``parts``: of every layer the key parts and values, each [b, n, k, d] with room for more, arrays or what the engine keeps. ``by_source``: what
    ``write`` takes beside them, [b, ...] each. ``numbers`` [b]: which sources of the batch these are; ``lengths`` [b]: their tokens.
    ``seen`` [b, s]: 0 at a source's own tokens, :data:`BARRED` at padding. ``places`` [b, k]: where the tokens stand in their texts. ``used``: places
    that are taken.
    """

    parts: list[Any]
    by_source: dict[str, Any]
    numbers: np.ndarray
    lengths: np.ndarray
    seen: np.ndarray
    places: np.ndarray
    used: int


@dataclass(frozen=True)
class Written:
    """The state of a search: ``sources`` [r], which source of ``kept`` a row is of; ``slots`` [r, t]: where in ``kept`` its tokens are, in order."""

    kept: Kept
    sources: np.ndarray
    slots: np.ndarray

    def select(self, rows: np.ndarray) -> Written:
        """The rows ``rows`` [r2] (int64), in that order, repeated where named twice."""
        return Written(self.kept, self.sources[rows], self.slots[rows])


class Steps:
    """The step function for sources ``ids`` [b, s], padded on the right, over the graphs of ``engine``.

    The network's facts: ``pad_id``, ``first_position`` (of a text's first token), ``max_length`` (tokens of the longest text), ``placed`` (whether
    its attention asks for places), ``parts`` (how many outputs are keys and values) and ``by_source`` (outputs of ``read`` that ``write`` takes).

    ``words`` [u]: the only tokens that may be written, for the decoder numbered 0 to u - 1 in that order. ``writable`` [b, u], boolean: which of them
    each source may write; the others get minus infinity. ``copied`` [b, s], for a network with a copy head: which word every source token
    is, -1 for one that may not be copied. ``given``: further inputs of both graphs, [b, ...] each, of which every row gets its source's.

    Raises ValueError, while decoding, for more tokens than the network has positions.
    """

    def __init__(
        self,
        engine: Engine,
        ids: np.ndarray,
        *,
        words: np.ndarray | None = None,
        writable: np.ndarray | None = None,
        copied: np.ndarray | None = None,
        given: Mapping[str, np.ndarray] | None = None,
    ):
        self.engine, self.ids, self.words, self.writable, self.copied, self.given = engine, ids, words, writable, copied, given or {}
        self._by_source = list(engine.facts["by_source"])
        self._old = [f"kept_{part}" for part in range(engine.facts["parts"])]
        self._new = [f"new_{part}" for part in range(engine.facts["parts"])]

    def __call__(self, tokens: np.ndarray | None, state: Written | None) -> tuple[np.ndarray, Written]:
        """See :mod:`.decoding.steps`; logits [r, u]."""
        made, rows, state = self._read() if tokens is None or state is None else self._write(np.asarray(tokens), state)
        numbers = state.kept.numbers[state.sources]  # [r]
        logits = made["logits"]  # [r, u]
        if self.copied is not None:
            pointed = made["pointed"].reshape([-1, made["pointed"].shape[-1]])[rows]  # [r, s], of the cells [b, g, s]
            logits = with_copies(logits, pointed, self.copied[numbers, : pointed.shape[1]])  # [r, u]
        if self.writable is not None:
            logits = np.where(self.writable[numbers], logits, -np.inf).astype(logits.dtype)  # [r, u]
        return logits, state

    def _read(self) -> tuple[dict[str, Any], np.ndarray, Written]:
        """What the graph gives, the cell of every row [b], and the state."""
        b, s = self.ids.shape
        real = self.ids != self.engine.facts["pad_id"]  # [b, s]
        lengths = real.sum(axis=1)  # [b]
        made = self._run(READ, {"ids": self.ids, "last": np.arange(b) * s + lengths - 1, **self.given}, keep=[*self._old, *self._by_source])
        seen = np.where(real, 0.0, BARRED).astype(np.float32)  # [b, s]
        places = np.tile(np.arange(s), (b, 1))  # [b, s]
        kept = Kept(
            [made[name] for name in self._old], {name: made[name] for name in self._by_source}, np.arange(b), lengths, seen, places, s
        )
        return made, np.arange(b), Written(kept, np.arange(b), np.zeros([b, 0], dtype=np.int64))

    def _write(self, tokens: np.ndarray, state: Written) -> tuple[dict[str, Any], np.ndarray, Written]:
        facts, count = self.engine.facts, np.bincount(state.sources)  # [b]
        g = int(count.max())
        state = _with_room(state, g)
        kept, sources = state.kept, state.sources
        b, s, k = len(kept.numbers), kept.seen.shape[1], kept.places.shape[1]
        r, t = state.slots.shape
        position = kept.lengths[sources] + t  # [r], from 0
        if int(position.max()) >= facts["max_length"]:
            raise ValueError(
                f"{int(position.max()) + 1} tokens do not fit the {facts['max_length']} positions of this encoder: "
                "write less, or cut the source into windows"
            )
        cell = _ranks(sources)  # [r], within the source
        rows = sources * g + cell  # [r]
        cells = np.zeros(b * g, dtype=np.int64)  # [b * g]
        cells[rows] = np.arange(r)
        bias = np.full([b * g, k + g], BARRED, dtype=np.float32)  # [b * g, k + g]
        bias[rows, :s] = kept.seen[sources]
        bias[rows[:, None], state.slots] = 0.0
        bias[rows, k + cell] = 0.0
        inputs = {
            "ids": tokens if self.words is None else self.words[tokens],  # [r]
            "positions": position + facts["first_position"],  # [r]
            "rows": rows,
            "cells": cells.reshape([b, g]),
            "bias": bias.reshape([b, g, k + g]),
            **dict(zip(self._old, kept.parts, strict=True)),
            **kept.by_source,
            **{name: values[kept.numbers[sources]] for name, values in self.given.items()},
        }
        if facts["placed"]:
            own = np.zeros(b * g, dtype=np.int64)  # [b * g]
            own[rows] = position
            inputs["places"], inputs["key_places"] = own.reshape([b, g]), kept.places  # [b, g], [b, k]
        made = self._run(WRITE, inputs, keep=self._new)
        slots = kept.used + cell  # [r]
        for part, name in zip(kept.parts, self._new, strict=True):
            part[:, :, kept.used : kept.used + g] = made[name]
        kept.places[sources, slots] = position
        kept.used += g
        return made, rows, Written(kept, sources, np.concatenate([state.slots, slots[:, None]], axis=1))

    def _run(self, graph: str, inputs: dict[str, Any], *, keep: list[str]) -> dict[str, Any]:
        if self.words is not None:
            inputs["words"] = self.words  # [u]
        return self.engine.run(graph, inputs, keep=keep)


def _ranks(sources: np.ndarray) -> np.ndarray:
    """The number of every row [r] among those of its source, in order."""
    order = np.argsort(sources, kind="stable")  # [r]
    ordered = sources[order]  # [r]
    ranks = np.zeros_like(sources)  # [r]
    ranks[order] = np.arange(len(sources)) - np.searchsorted(ordered, ordered)
    return ranks


def _with_room(state: Written, g: int) -> Written:
    """The same state with room for ``g`` more tokens a source. What is moved for it is moved without finished sources and unused places; and so
    it is where most sources are finished."""
    kept = state.kept
    live = np.unique(state.sources)  # [b2]
    if kept.used + g <= kept.places.shape[1] and 2 * len(live) > len(kept.numbers):
        return state
    s = int(kept.lengths[live].max())
    place_of = np.zeros(len(kept.numbers), dtype=np.int64)  # [b]
    place_of[live] = np.arange(len(live))
    sources = place_of[state.sources]  # [r]
    wanted = np.zeros([len(live), kept.places.shape[1]], dtype=np.bool_)  # [b2, k]
    wanted[:, :s] = True
    wanted[sources[:, None], state.slots] = True
    moved_to = np.cumsum(wanted, axis=1) - 1  # [b2, k]
    used = int(wanted.sum(axis=1).max())
    order = np.argsort(~wanted, axis=1, kind="stable")[:, :used]  # [b2, used], those that are wanted first
    room = ROOM * g
    places = np.take_along_axis(kept.places[live], order, axis=1)  # [b2, used]
    moved = Kept(
        [_moved(part, live, order, room) for part in kept.parts],
        {name: value[live][:, :s] for name, value in kept.by_source.items()},
        kept.numbers[live],
        kept.lengths[live],
        kept.seen[live, :s],
        np.pad(places, ((0, 0), (0, room))),
        used,
    )
    return Written(moved, sources, moved_to[sources[:, None], state.slots])


def _moved(part: Any, live: np.ndarray, order: np.ndarray, room: int) -> Any:
    """Of keys or values [b, n, k, d] the sources ``live`` [b2] and of these the places ``order`` [b2, m], with room: [b2, n, m + room, d]."""
    _, n, k, d = part.shape
    index = (live[:, None, None] * n + np.arange(n)[:, None]) * k + order[:, None]  # [b2, n, m]
    shape = (len(live), n, order.shape[1] + room, d)
    if isinstance(part, np.ndarray):
        made = np.zeros(shape, dtype=part.dtype)  # [b2, n, m + room, d]
        made[:, :, : order.shape[1]] = part.reshape([-1, d])[index]
        return made
    import paddle

    chosen = paddle.index_select(part.reshape([-1, d]), paddle.to_tensor(index.ravel())).reshape([*index.shape, d])  # [b2, n, m, d]
    return paddle.concat([chosen, paddle.zeros([*index.shape[:2], room, d], dtype=part.dtype)], axis=2)  # [b2, n, m + room, d]
