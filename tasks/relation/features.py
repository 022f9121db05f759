"""Relation records as arrays: token windows, character offsets, and gold triples as token spans of every mention."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.features.ragged import Ragged, id_type, load_arrays, save_arrays
from shared.text import Encoding, Tokenizer, occurrences
from shared.text.windows import split_windows

from .records import RelationRecord, Spo
from .schema import RelationSchema

VERSION = 3
"""Raised whenever the arrays below change; part of the cache key."""

Span = tuple[int, int]
Rows = list[tuple[int, ...]]


@dataclass(frozen=True)
class Lost:
    """A gold triple that these features cannot give back exactly, and why. ``line`` is its record's."""

    line: int | None
    spo: Spo
    reason: str


@dataclass(frozen=True)
class RelationFeatures:
    """Arrays of n records in w windows. Spans are inclusive token ranges of their window. Every mention of a gold string is a span, but not
    those inside a longer gold mention when the string also stands on its own, nor those that tokens widen when another comes back exactly.

    ``ids``: token ids of each window without [CLS] and [SEP], Ragged [w] of :func:`shared.features.ragged.id_type`.
    ``windows`` [w, 3] int32: record index, first token, number of tokens of the whole text.
    ``starts``, ``ends``: half-open character span of each token of each record, Ragged int32 [n].
    ``subjects``: (subject, first, last), Ragged int32 [w]; ``subject`` numbers the distinct subjects of the window: strings, but those that
    share a span are one, since no tag tells them apart. Every span stands once.
    ``objects``: (subject, pair, first, last), Ragged int32 [w]; ``pair`` is a (predicate, slot) of the schema.
    ``links``: (subject, pair, first, last, pair, first, last), Ragged int32 [w]: two slots of one object, the smaller pair first.
    ``lost``: gold triples that cannot be given back exactly (not kept on disk; counted in ``lost_count``).
    """

    ids: Ragged
    windows: np.ndarray
    starts: Ragged
    ends: Ragged
    subjects: Ragged
    objects: Ragged
    links: Ragged
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
        names = ("ids", "windows", "starts", "ends", "subjects", "objects", "links")
        return {name: getattr(self, name) for name in names}

    def counts(self) -> dict[str, int]:
        return {"lost_count": self.lost_count}

    def joined(self, other: RelationFeatures) -> RelationFeatures:
        """The records of both, in memory; those of ``other`` are numbered on."""
        windows = np.array(other.windows)  # [w, 3]
        windows[:, 0] += len(self.starts)
        ragged = {name: getattr(self, name).joined(getattr(other, name)) for name in ("ids", "starts", "ends", "subjects", "objects", "links")}
        return RelationFeatures(
            **ragged,
            windows=np.concatenate([self.windows, windows]),  # [w, 3]
            lost_count=self.lost_count + other.lost_count,
        )

    def save(self, folder: Path, meta: dict[str, Any]) -> None:
        save_arrays(folder, self.arrays(), {**meta, **self.counts()})

    @classmethod
    def load(cls, folder: Path) -> RelationFeatures:
        arrays, meta = load_arrays(folder)
        return cls(**arrays, lost_count=meta["lost_count"])


def make_features(
    records: Sequence[RelationRecord], schema: RelationSchema, tokenizer: Tokenizer, *, window: int, overlap: int
) -> RelationFeatures:
    """Tokenises, cuts windows and places gold triples. A text of no token has no window; its prediction is empty."""
    ids, windows, starts, ends = [], [], [], []
    stores: tuple[list[Rows], list[Rows], list[Rows]] = ([], [], [])
    lost: list[Lost] = []
    for index, (record, encoding) in enumerate(zip(records, tokenizer.encode_batch([record.text for record in records]), strict=True)):
        starts.append(encoding.starts)
        ends.append(encoding.ends)
        length = len(encoding.ids)
        borders = split_windows(length, window, overlap)
        gold = _Gold(record, encoding, schema, lost, borders)
        for begin, end in borders:
            ids.append(encoding.ids[begin:end])
            windows.append((index, begin, length))
            for store, rows in zip(stores, gold.inside(begin, end), strict=True):
                store.append(rows)
    subjects, objects, links = stores
    return RelationFeatures(
        ids=Ragged.from_rows(ids, dtype=id_type(len(tokenizer.vocabulary))),
        windows=np.asarray(windows, dtype=np.int32).reshape(-1, 3),  # [w, 3]
        starts=Ragged.from_rows(starts, dtype=np.int32),
        ends=Ragged.from_rows(ends, dtype=np.int32),
        subjects=Ragged.from_rows(subjects, dtype=np.int32, width=3),
        objects=Ragged.from_rows(objects, dtype=np.int32, width=4),
        links=Ragged.from_rows(links, dtype=np.int32, width=7),
        lost_count=len(lost),
        lost=tuple(lost),
    )


class _Gold:
    """The gold triples of one record as strings, and each string's mentions in tokens of the whole text."""

    def __init__(
        self, record: RelationRecord, encoding: Encoding, schema: RelationSchema, lost: list[Lost], borders: Sequence[tuple[int, int]]
    ):
        self.schema = schema
        self.spos = list(dict.fromkeys(record.spos or ()))
        strings = dict.fromkeys(text for spo in self.spos for text in (spo.subject, *(value for _, value in spo.object)))
        starts, ends = encoding.starts.tolist(), encoding.ends.tolist()
        placed = {string: _mentions(record.text, starts, ends, string) for string in strings}
        self.mentions = _outermost({string: spans for string, (spans, _) in placed.items()})
        for spo in self.spos:
            texts = [spo.subject, *(value for _, value in spo.object)]
            reason = next((placed[text][1] for text in texts if placed[text][1]), None)
            if reason is None and not any(all(self._within(text, begin, end) for text in texts) for begin, end in borders):
                reason = "no window holds all of it"
            if reason is None and any(_part_of(spo, other) for other in self.spos):
                reason = "its object is a part of another triple's"
            if reason is not None:
                lost.append(Lost(record.line, spo, reason))

    def _within(self, string: str, begin: int, end: int) -> list[Span]:
        return [(first - begin, last - begin) for first, last in self.mentions[string] if begin <= first and last < end]

    def inside(self, begin: int, end: int) -> tuple[Rows, Rows, Rows]:
        """Rows of ``subjects``, ``objects`` and ``links`` of one window."""
        numbers: dict[str, int] = {}
        owners: dict[Span, int] = {}
        objects: dict[tuple[int, int, int, int], None] = {}
        links: dict[tuple[int, ...], None] = {}
        for spo in self.spos:
            places = self._within(spo.subject, begin, end)
            if not places:
                continue
            if spo.subject not in numbers:
                number = next((owners[place] for place in places if place in owners), len(set(owners.values())))
                numbers[spo.subject] = number
                for place in places:
                    owners.setdefault(place, number)
            subject = numbers[spo.subject]
            slots = sorted(
                (self.schema.pair_index[spo.predicate, slot], first, last)
                for slot, value in spo.object
                for first, last in self._within(value, begin, end)
            )
            objects.update(dict.fromkeys((subject, *slot) for slot in slots))
            links.update(dict.fromkeys((subject, *left, *right) for left in slots for right in slots if left[0] < right[0]))
        return [(number, *place) for place, number in owners.items()], list(objects), list(links)


def _part_of(spo: Spo, other: Spo) -> bool:
    """Whether ``other`` says the same and more: decoding takes the larger of the two."""
    return (spo.predicate, spo.subject) == (other.predicate, other.subject) and set(spo.object) < set(other.object)


def _mentions(text: str, starts: list[int], ends: list[int], string: str) -> tuple[list[Span], str | None]:
    """Token spans of every place where ``string`` stands, and why none gives it back exactly (None: one does).

    ``starts`` and ``ends`` are the tokens' characters; for the few places of a string a search in lists is faster than one in arrays.
    A string that stands nowhere is looked for without regard to case, as the metric has none.
    """
    if not string:
        return [], "an empty slot"
    places, width = occurrences(text, string), len(string)
    if not places and len(text.lower()) == len(text) and len(string.lower()) == width:
        places = occurrences(text.lower(), string.lower())
    if not places:
        return [], f"{string!r} stands nowhere in the text"
    touched = [(bisect_right(ends, place), bisect_left(starts, place + width) - 1) for place in places]
    exact = [
        (first, last)
        for (first, last), place in zip(touched, places, strict=True)
        if first <= last and starts[first] == place and ends[last] == place + width
    ]
    if exact:
        return exact, None
    spans = [(first, last) for first, last in touched if first <= last]
    if not spans:
        return [], f"{string!r} touches no token"
    got = text[starts[spans[0][0]] : ends[spans[0][1]]]
    return spans, f"the tokens of {string!r} stand for {got!r}"


def _outermost(mentions: dict[str, list[Span]]) -> dict[str, list[Span]]:
    """Leaves out a mention inside a longer gold mention when the string also stands on its own: there it is a part of another name."""
    every = {span for spans in mentions.values() for span in spans}
    kept = {}
    for string, spans in mentions.items():
        alone = [
            (first, last) for first, last in spans if not any(a <= first and last <= b and (a, b) != (first, last) for a, b in every)
        ]
        kept[string] = alone or spans
    return kept
