"""What speaks for an argument beside the model that found it: arguments of the training records, and the other candidates of its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..evidence import counts_as_rows, counts_from_rows, overlapping, rival_names, rivals
from . import metric
from .records import EventRecord, as_triples

if TYPE_CHECKING:
    from ..evidence import Evidence
    from .predictions import Prediction

_MARKS = frozenset("，。；！？,;!?《》“”\"'‘’（）()")
_KNOWN = (
    "times the argument is known",
    "times another type's same role has it",
    "times another role has it",
    "times the role is known",
    "share of its type's texts with the role",
    "times the type is known",
)
_PLACES = ("length", "place", "text's length", "place in the text", "times it stands there", "digits", "mark before", "mark behind", "role's number")


class EventEvidence:
    """``arguments``: how many training texts have a (type, role, lower-cased text); ``types``: how many have an event of a type."""

    names: ClassVar[tuple[str, ...]] = (
        *rival_names("role", "type", "argument"),
        *rival_names("characters in part", "role and characters in part"),
        *_KNOWN,
        *_PLACES,
    )

    def __init__(self, types: Counter[tuple[str, ...]], arguments: Counter[tuple[str, ...]]) -> None:
        self.types, self.arguments = types, arguments
        self._roles: Counter[tuple[str, str]] = Counter()
        self._by_role: Counter[tuple[str, str]] = Counter()
        self._by_text: Counter[str] = Counter()
        for (kind, role, text), count in arguments.items():
            self._roles[kind, role] += count
            self._by_role[role, text] += count
            self._by_text[text] += count
        self._number = {label: number for number, (label, _) in enumerate(sorted(self._roles.items(), key=lambda row: (-row[1], row[0])))}

    @classmethod
    def gather(cls, records: Sequence[EventRecord]) -> EventEvidence:
        types: Counter[tuple[str, ...]] = Counter()
        arguments: Counter[tuple[str, ...]] = Counter()
        for record in records:
            found = {(kind, role, mention) for kind, role, text in as_triples(record) for mention in metric.fold(text)}
            arguments.update(found)
            types.update({(kind,) for kind, _, _ in found})
        return cls(types, arguments)

    def as_dict(self) -> dict[str, Any]:
        return {"types": counts_as_rows(self.types), "arguments": counts_as_rows(self.arguments)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EventEvidence:
        return cls(counts_from_rows(values["types"]), counts_from_rows(values["arguments"]))

    def features(self, record: EventRecord, candidates: Sequence[Prediction]) -> np.ndarray:
        probability = np.asarray([one.probability for one in candidates])  # [c]
        spans = np.asarray([(one.start, one.end) for one in candidates], dtype=np.int64).reshape(-1, 2)  # [c, 2]
        roles = [(one.type, one.role) for one in candidates]
        return np.concatenate(
            [
                rivals(probability, roles),
                rivals(probability, [one.type for one in candidates]),
                rivals(probability, [one.text.lower() for one in candidates]),
                overlapping(probability, spans),
                overlapping(probability, spans, roles),
                np.asarray([self._known(one) for one in candidates], dtype=float).reshape(-1, len(_KNOWN)),
                np.asarray([self._place(record.text, one) for one in candidates], dtype=float).reshape(-1, len(_PLACES)),
            ],
            axis=1,
        )  # [c, f]

    def _known(self, one: Prediction) -> list[float]:
        text = one.text.lower()
        argument, role = self.arguments[one.type, one.role, text], self._roles[one.type, one.role]
        own_role, kind = self._by_role[one.role, text], self.types[one.type,]
        return [argument, own_role - argument, self._by_text[text] - own_role, role, role / max(kind, 1), kind]

    def _place(self, text: str, one: Prediction) -> list[float]:
        return [
            len(one.text),
            one.start,
            len(text),
            one.start / max(len(text), 1),
            text.count(one.text),
            sum(char.isdigit() for char in one.text),
            bool(one.start) and text[one.start - 1] in _MARKS,
            text[one.end : one.end + 1] in _MARKS,
            self._number.get((one.type, one.role), -1),
        ]


if TYPE_CHECKING:
    _fulfils: Evidence = EventEvidence(Counter(), Counter())
