"""What ``lic data check`` tabulates of DuIE records: see :mod:`tasks.profile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from tasks.profile import Profile, fold, odd_mention, odd_text, two_widths

from .metric import normalise
from .records import RelationRecord, as_triples
from .schema import VALUE, RelationSchema

LONG_MENTION = 40
OVERLAPS = (
    "normal: no mention shared",
    "single-entity overlap (SEO)",
    "entity-pair overlap (EPO)",
    "subject-object overlap (SOO)",
    "a triple with several slots",
    "a mention inside another",
    "a mention that occurs several times",
)
"""The first three are the classes of Zeng et al. (2018, CopyRE); a text can be in both of the overlapping ones."""


def profile(rows: Sequence[RelationRecord], schema: RelationSchema | None) -> Profile:
    """Lengths of texts, counts of predicates and slots, overlaps of triples, suspicious places."""
    made = Profile(lines=[record.line for record in rows])
    made.lengths["text"] = [len(record.text) for record in rows]
    made.keys["text"] = [record.text for record in rows]
    made.labels = {"predicate": Counter(), "side slot": Counter()}
    if schema is not None:
        side = tuple(f"{predicate} · {slot}" for predicate, slot in schema.pairs if slot != VALUE)
        made.known = {"predicate": schema.predicates, "side slot": side}
    made.overlaps = dict.fromkeys(OVERLAPS, 0)
    mentions: list[tuple[int, str]] = []
    for index, record in enumerate(rows):
        made.suspect(index, odd_text("text", record.text))
        if record.spos is None:
            made.answers.append(None)
            continue
        made.labelled += 1
        made.answers.append(repr(sorted(set(map(normalise, as_triples(record))))))
        made.labels["predicate"].update(spo.predicate for spo in record.spos)
        made.labels["side slot"].update(f"{spo.predicate} · {slot}" for spo in record.spos for slot, _ in spo.object if slot != VALUE)
        for kind, present in zip(OVERLAPS, _overlaps(record), strict=True):
            made.overlaps[kind] += present
        made.suspect(index, _odd_labels(record, schema))
        mentions += [(index, mention) for mention in _mentions(record)]
    made.suspects += two_widths("mention", mentions)
    return made


def _mentions(record: RelationRecord) -> dict[str, None]:
    """Every distinct string that the triples name, in order."""
    return dict.fromkeys(text for spo in record.spos or () for text in (spo.subject, *(text for _, text in spo.object)))


def _overlaps(record: RelationRecord) -> tuple[bool, ...]:
    """Which of :data:`OVERLAPS` a labelled record has."""
    spos = record.spos or ()
    ends = {(spo.predicate, spo.subject, dict(spo.object).get(VALUE, "")) for spo in spos}
    pairs = [frozenset(end[1:]) for end in ends]
    distinct = set(pairs)
    same_pair = len(distinct) < len(pairs)
    shared = any(left & right for left, right in combinations(distinct, 2))
    texts = [text for text in _mentions(record) if text]
    return (
        bool(spos) and not same_pair and not shared,
        shared,
        same_pair,
        any(subject and value and (subject in value or value in subject) for _, subject, value in ends),
        any(len(spo.object) > 1 for spo in spos),
        any(left in right or right in left for left, right in combinations(texts, 2)),
        any(record.text.count(text) > 1 for text in texts),
    )


def _odd_labels(record: RelationRecord, schema: RelationSchema | None) -> Iterator[tuple[str, str]]:
    if not record.spos:
        yield "labelled texts without a triple", record.text
        return
    folded = None
    for mention in _mentions(record):
        if folded is None and mention not in record.text:
            folded = fold(record.text)
        yield from odd_mention("mention", mention, record.text, folded=folded, longest=LONG_MENTION)
        if len(mention) == 1:
            yield "mentions of one character", mention
    distinct = {(spo.predicate, spo.subject, spo.object) for spo in record.spos}
    if len(distinct) < len(record.spos):
        yield "triples given twice", record.text
    for spo in record.spos:
        if spo.subject == dict(spo.object).get(VALUE):
            yield "subjects equal to their object", f"{spo.predicate}: {spo.subject}"
        if schema is not None and spo.subject_type is not None and schema.subject_types.get(spo.predicate) not in (None, spo.subject_type):
            yield "subject types other than the schema's", f"{spo.predicate}: {spo.subject_type}"
        types = schema.object_types.get(spo.predicate, {}) if schema is not None else {}
        for slot, kind in spo.object_types:
            if types.get(slot, kind) != kind:
                yield "object types other than the schema's", f"{spo.predicate}: {slot} {kind}"
