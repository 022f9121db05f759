"""Event records as arrays: token windows, character offsets, and gold arguments as token spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.features.ragged import Ragged, id_type, load_arrays, save_arrays
from shared.text import Encoding, Tokenizer, span_to_tokens
from shared.text.windows import split_windows

from .records import EventRecord
from .schema import EventSchema

VERSION = 4
"""Raised whenever the arrays below change; part of the cache key."""


@dataclass(frozen=True)
class Lost:
    """A gold argument that these features cannot give back exactly, and why."""

    id: str
    type: str
    role: str
    text: str
    reason: str


@dataclass(frozen=True)
class EventFeatures:
    """Arrays of n records in w windows.

    ``ids``: token ids of each window without [CLS] and [SEP], Ragged [w] of :func:`shared.features.ragged.id_type`.
    ``windows`` [w, 3] int32: record index, first token, number of tokens of the whole text.
    ``starts``, ``ends``: half-open character span of each token of each record, Ragged int32 [n].
    ``spans``: gold by window, Ragged int32 [w] of (label, first, last), window tokens, ``last`` inclusive. Labels: an argument's (type, role)
    pair, or the number of pairs plus the type for a trigger (which no metric counts, but a model may learn from).
    ``events``: which of the record's events a span is an argument of, Ragged int32 [w] of (event, row of the window's ``spans``).
    ``lost``: gold arguments that the arrays cannot hold exactly (not kept on disk; counted in ``lost_count``).
    """

    ids: Ragged
    windows: np.ndarray
    starts: Ragged
    ends: Ragged
    spans: Ragged
    events: Ragged
    lost_count: int = 0
    lost: tuple[Lost, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window with its [CLS] and [SEP], [w]."""
        return self.ids.lengths + 2

    @property
    def record_index(self) -> np.ndarray:
        """The record of each window, [w]."""
        return self.windows[:, 0]

    def arrays(self) -> dict[str, Ragged | np.ndarray]:
        names = ("ids", "windows", "starts", "ends", "spans", "events")
        return {name: getattr(self, name) for name in names}

    def counts(self) -> dict[str, int]:
        return {"lost_count": self.lost_count}

    def joined(self, other: EventFeatures) -> EventFeatures:
        """The records of both, in memory; those of ``other`` are numbered on."""
        windows = np.array(other.windows)  # [w, 3]
        windows[:, 0] += len(self.starts)
        ragged = {name: getattr(self, name).joined(getattr(other, name)) for name in ("ids", "starts", "ends", "spans", "events")}
        return EventFeatures(
            **ragged,
            windows=np.concatenate([self.windows, windows]),  # [w, 3]
            lost_count=self.lost_count + other.lost_count,
        )

    def save(self, folder: Path, meta: dict[str, Any]) -> None:
        save_arrays(folder, self.arrays(), {**meta, **self.counts()})

    @classmethod
    def load(cls, folder: Path) -> EventFeatures:
        arrays, meta = load_arrays(folder)
        return cls(**arrays, lost_count=meta["lost_count"])


def make_features(records: Sequence[EventRecord], schema: EventSchema, tokenizer: Tokenizer, *, window: int, overlap: int) -> EventFeatures:
    """Tokenises, cuts windows and places gold arguments. A text of no token has no window; its prediction is empty.

    Gold arguments cut by a window's border keep their inner part there, so that no window teaches that they are nothing.
    """
    ids, windows, starts, ends, spans, events = [], [], [], [], [], []
    lost: list[Lost] = []
    for index, (record, encoding) in enumerate(zip(records, tokenizer.encode_batch([record.text for record in records]), strict=True)):
        starts.append(encoding.starts)
        ends.append(encoding.ends)
        gold = _token_spans(record, encoding, schema, lost)
        length = len(encoding.ids)
        for begin, end in split_windows(length, window, overlap):
            ids.append(encoding.ids[begin:end])
            windows.append((index, begin, length))
            inside = [span for span in gold if span[1] < end and span[2] >= begin]
            spans.append([(pair, max(first, begin) - begin, min(last, end - 1) - begin) for pair, first, last in inside])
            events.append(sorted((event, row) for row, span in enumerate(inside) for event in gold[span]))
    return EventFeatures(
        ids=Ragged.from_rows(ids, dtype=id_type(len(tokenizer.vocabulary))),
        windows=np.asarray(windows, dtype=np.int32).reshape(-1, 3),  # [w, 3]
        starts=Ragged.from_rows(starts, dtype=np.int32),
        ends=Ragged.from_rows(ends, dtype=np.int32),
        spans=Ragged.from_rows(spans, dtype=np.int32, width=3),
        events=Ragged.from_rows(events, dtype=np.int32, width=2),
        lost_count=len(lost),
        lost=tuple(lost),
    )


def _token_spans(record: EventRecord, encoding: Encoding, schema: EventSchema, lost: list[Lost]) -> dict[tuple[int, int, int], set[int]]:
    """Every distinct span, with the events that it is an argument of."""
    spans: dict[tuple[int, int, int], set[int]] = {}
    for number, event in enumerate(record.events or ()):
        if event.trigger and event.trigger_start is not None:
            tokens = span_to_tokens(encoding, event.trigger_start, event.trigger_start + len(event.trigger))
            if tokens is not None:
                spans[len(schema.pairs) + schema.types.index(event.type), int(tokens[0]), int(tokens[1])] = set()
        for argument in event.arguments:
            start = record.text.find(argument.text) if argument.start is None else argument.start
            end = start + len(argument.text)
            tokens = None if start < 0 else span_to_tokens(encoding, start, end)
            if tokens is None:
                lost.append(Lost(record.id, event.type, argument.role, argument.text, "no token touches it"))
                continue
            first, last = int(tokens[0]), int(tokens[1])
            got = record.text[int(encoding.starts[first]) : int(encoding.ends[last])]
            if got != argument.text:
                lost.append(Lost(record.id, event.type, argument.role, argument.text, f"its tokens stand for {got!r}"))
            spans.setdefault((schema.pair_index[event.type, argument.role], first, last), set()).add(number)
    return spans
