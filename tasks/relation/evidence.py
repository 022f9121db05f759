"""What speaks for a triple beside the model that found it: triples of the training records, and the other candidates of its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..evidence import rival_names, rivals
from . import metric
from .records import RelationRecord, as_triples
from .schema import VALUE

if TYPE_CHECKING:
    from ..evidence import Evidence
    from .predictions import Mention, Prediction

_STOPS = frozenset("，。；！？,;!?")
_OPENING, _CLOSING = frozenset("《“\"'‘（("), frozenset("》”\"'’）)")
_RIVALS = ("predicate and object", "predicate and subject", "subject and object", "predicate", "text", "subject", "object", "pair turned round")
_KNOWN = (
    "times the triple is known",
    "times the subject has the predicate",
    "times the predicate has the object",
    "times the pair has any predicate",
    "times the pair has another predicate",
    "times the subject is one",
    "times the object is one",
    "times the subject has other predicates",
    "times the object has other predicates",
    "times the subject is the predicate's object",
    "times the object is the predicate's subject",
    "times the predicate is known",
    "predicate's number",
)
_PLACES = (
    "subject's length",
    "object's length",
    "slots",
    "characters between them",
    "subject first",
    "times the subject stands in the text",
    "times the object stands in the text",
    "text's length",
    "stops between them",
    "sentence ends between them",
    "subject is opened by a mark",
    "object is opened by a mark",
    "subject is closed by a mark",
    "object is closed by a mark",
    "subject's place",
    "object's place",
)


class RelationEvidence:
    """``known``: how many training texts say a triple, as the metric compares them."""

    names: ClassVar[tuple[str, ...]] = (*rival_names(*_RIVALS), *_KNOWN, *_PLACES)

    def __init__(self, known: Mapping[metric.Normalised, int]) -> None:
        self.known = dict(known)
        self._predicate: Counter[str] = Counter()
        self._subject: Counter[tuple[str, ...]] = Counter()
        self._object: Counter[tuple[str, ...]] = Counter()
        self._pair: Counter[tuple[str, str]] = Counter()
        for (predicate, subject, slots), count in self.known.items():
            thing = dict(slots).get(VALUE, "")
            self._predicate[predicate] += count
            for key in ((subject,), (predicate, subject)):
                self._subject[key] += count
            for key in ((thing,), (predicate, thing)):
                self._object[key] += count
            self._pair[subject, thing] += count
        self._number = {predicate: number for number, (predicate, _) in enumerate(sorted(self._predicate.items(), key=lambda row: (-row[1], row[0])))}

    @classmethod
    def gather(cls, records: Sequence[RelationRecord]) -> RelationEvidence:
        return cls(Counter(key for record in records for key in {metric.normalise(triple) for triple in as_triples(record)}))

    def as_dict(self) -> dict[str, Any]:
        return {
            "triples": [
                [predicate, subject, [text for slot in slots for text in slot], count]
                for (predicate, subject, slots), count in sorted(self.known.items())
            ]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RelationEvidence:
        return cls(
            {
                (str(predicate), str(subject), tuple(zip(map(str, slots[::2]), map(str, slots[1::2]), strict=True))): int(count)
                for predicate, subject, slots, count in values["triples"]
            }
        )

    def features(self, record: RelationRecord, candidates: Sequence[Prediction]) -> np.ndarray:
        probability = np.asarray([one.probability for one in candidates])  # [c]
        keys = [
            (one.predicate, metric.normalise_mention(one.subject.text), metric.normalise_mention(one.object[0][1].text)) for one in candidates
        ]
        groups: tuple[list[Any], ...] = (
            [(predicate, thing) for predicate, _, thing in keys],
            [(predicate, subject) for predicate, subject, _ in keys],
            [(subject, thing) for _, subject, thing in keys],
            [predicate for predicate, _, _ in keys],
            [None] * len(keys),
            [subject for _, subject, _ in keys],
            [thing for _, _, thing in keys],
            [(predicate, *sorted((subject, thing))) for predicate, subject, thing in keys],
        )
        return np.concatenate(
            [
                *(rivals(probability, group) for group in groups),
                np.asarray([self._known(one, key) for one, key in zip(candidates, keys, strict=True)], dtype=float).reshape(-1, len(_KNOWN)),
                np.asarray([_places(record.text, one) for one in candidates], dtype=float).reshape(-1, len(_PLACES)),
            ],
            axis=1,
        )  # [c, f]

    def _known(self, one: Prediction, key: tuple[str, str, str]) -> list[float]:
        predicate, subject, thing = key
        whole = predicate, subject, tuple(sorted((slot, metric.normalise_mention(mention.text)) for slot, mention in one.object))
        triple = self.known.get(whole, 0)
        with_predicate, predicate_with = self._subject[predicate, subject], self._object[predicate, thing]
        pair, subject_any, object_any = self._pair[subject, thing], self._subject[subject,], self._object[thing,]
        return [
            triple,
            with_predicate,
            predicate_with,
            pair,
            pair - triple,
            subject_any,
            object_any,
            subject_any - with_predicate,
            object_any - predicate_with,
            self._object[predicate, subject],
            self._subject[predicate, thing],
            self._predicate[predicate],
            self._number.get(predicate, -1),
        ]


def _places(text: str, one: Prediction) -> list[float]:
    subject, thing = one.subject, one.object[0][1]
    between = text[min(subject.end, thing.end) : max(subject.start, thing.start)]
    return [
        len(subject.text),
        len(thing.text),
        len(one.object),
        len(between),
        subject.start < thing.start,
        text.count(subject.text),
        text.count(thing.text),
        len(text),
        sum(char in _STOPS for char in between),
        between.count("。"),
        *(_before(text, mention) in _OPENING for mention in (subject, thing)),
        *(text[mention.end : mention.end + 1] in _CLOSING for mention in (subject, thing)),
        subject.start,
        thing.start,
    ]


def _before(text: str, mention: Mention) -> str:
    return text[mention.start - 1] if mention.start else ""


if TYPE_CHECKING:
    _fulfils: Evidence = RelationEvidence({})
