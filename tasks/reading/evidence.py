"""What speaks for an answer beside the model that found it: answers to training questions of its kind, and the other answers of its list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..evidence import counts_as_rows, counts_from_rows, overlapping, rival_names
from .questions import KINDS, kind_of
from .records import ReadingRecord

if TYPE_CHECKING:
    from ..evidence import Evidence
    from .predictions import Prediction

_FORMS = 6
"""Lengths are told apart in powers of two, up to 2 ** 5 characters and more."""
_PLACES = (
    "rank",
    "distance to the first",
    "length",
    "place",
    "passage's length",
    "place in the passage",
    "question's length",
    "times it stands there",
    "digits",
    "Latin letters",
    "marks inside",
    "starts the passage's sentence",
    "ends the passage's sentence",
    "characters of the question in it",
    "characters of the question around it",
    "kind of the question",
)
_KNOWN = ("share of its length in the kind", "share of its first character in the kind", "share of its last character in the kind", "known answer")
_MARKS = frozenset("，。；！？：、,;!?:\n ")
_AROUND = 15


class ReadingEvidence:
    """``counts`` of training answers by (what, kind of question, value); what: ``length``, ``first`` or ``last`` character, or ``text``."""

    names: ClassVar[tuple[str, ...]] = (*rival_names("characters in part"), *_PLACES, *_KNOWN)

    def __init__(self, counts: Counter[tuple[str, ...]]) -> None:
        self.counts = counts
        self._whole: Counter[str] = Counter()
        for (what, kind, _), count in counts.items():
            if what == "length":
                self._whole[kind] += count

    @classmethod
    def gather(cls, records: Sequence[ReadingRecord]) -> ReadingEvidence:
        counts: Counter[tuple[str, ...]] = Counter()
        for record in records:
            kind = kind_of(record.question)
            for text in {answer.text.strip() for answer in record.answers or ()} - {""}:
                counts.update((what, kind, value) for what, value in _said(text))
        return cls(counts)

    def as_dict(self) -> dict[str, Any]:
        return {"counts": counts_as_rows(self.counts)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ReadingEvidence:
        return cls(counts_from_rows(values["counts"]))

    def features(self, record: ReadingRecord, candidates: Sequence[Prediction]) -> np.ndarray:
        probability = np.asarray([one.probability for one in candidates])  # [c]
        spans = np.asarray([(one.start, one.end) for one in candidates], dtype=np.int64).reshape(-1, 2)  # [c, 2]
        kind = kind_of(record.question)
        asked = set(record.question) - _MARKS
        best = float(probability.max(initial=0.0))
        ranks = np.argsort(np.argsort(-probability, kind="stable"), kind="stable")  # [c]
        rows = []
        for one, rank in zip(candidates, ranks.tolist(), strict=True):
            text = record.text
            around = text[max(one.start - _AROUND, 0) : one.start] + text[one.end : one.end + _AROUND]
            rows.append(
                [
                    rank,
                    best - one.probability,
                    len(one.text),
                    one.start,
                    len(text),
                    one.start / max(len(text), 1),
                    len(record.question),
                    text.count(one.text) if one.text else 0,
                    sum(char.isdigit() for char in one.text),
                    sum(char.isascii() and char.isalpha() for char in one.text),
                    sum(char in _MARKS for char in one.text),
                    one.start == 0 or text[one.start - 1] in _MARKS,
                    one.end >= len(text) or text[one.end] in _MARKS,
                    sum(char in asked for char in set(one.text)) / max(len(set(one.text)), 1),
                    sum(char in asked for char in set(around)) / max(len(asked), 1),
                    KINDS.index(kind),
                    *self._known(one.text, kind),
                ]
            )
        known = np.asarray(rows, dtype=float).reshape(-1, len(_PLACES) + len(_KNOWN))  # [c, f - 4]
        return np.concatenate([overlapping(probability, spans), known], axis=1)  # [c, f]

    def _known(self, text: str, kind: str) -> list[float]:
        if not text:
            return [0.0] * len(_KNOWN)
        return [self.counts[what, kind, value] / max(self._whole[kind], 1) for what, value in _said(text)]


def _said(text: str) -> list[tuple[str, str]]:
    form = min(len(text).bit_length(), _FORMS)
    return [("length", str(form)), ("first", text[0]), ("last", text[-1]), ("text", text)]


if TYPE_CHECKING:
    _fulfils: Evidence = ReadingEvidence(Counter())
