"""What memory alone finds: triples of the training file whose every mention stands in the text. A model has to beat it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .predictions import Mention, Prediction
from .records import RelationRecord, Spo


def memorised(train: Sequence[RelationRecord], rows: Sequence[RelationRecord]) -> list[list[Prediction]]:
    """Every triple of ``train`` of which subject and object stand in a text of ``rows``; probability 1."""
    by_subject: dict[str, dict[Spo, None]] = defaultdict(dict)
    for record in train:
        for spo in record.spos or ():
            if spo.subject and all(text for _, text in spo.object):
                by_subject[spo.subject][Spo(spo.predicate, spo.subject, spo.object)] = None
    lengths = sorted({len(subject) for subject in by_subject})
    found = []
    for record in rows:
        text = record.text
        subjects = {text[at : at + length] for length in lengths for at in range(len(text) - length + 1)} & by_subject.keys()
        spos = [spo for subject in sorted(subjects) for spo in by_subject[subject] if all(value in text for _, value in spo.object)]
        found.append([_prediction(spo, text) for spo in spos])
    return found


def _prediction(spo: Spo, text: str) -> Prediction:
    def mention(string: str) -> Mention:
        return Mention(string, text.index(string), text.index(string) + len(string))

    return Prediction(spo.predicate, mention(spo.subject), tuple((slot, mention(value)) for slot, value in spo.object), 1.0)
