"""Every triple that predictions miss, add or get wrong, in the form of :mod:`tasks.mistakes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.text import occurrences
from tasks.mistakes import overlap, pair_up, surroundings

from .metric import Normalised, normalise, normalise_mention
from .records import RelationRecord, Spo
from .schema import VALUE

if TYPE_CHECKING:
    from .features import Lost
    from .predictions import Mention, Prediction

MIXED = "its spans or links cannot be told from those of other triples"


def mistakes(
    rows: Sequence[RelationRecord], predictions: Sequence[Sequence[Prediction]], lost: Sequence[Lost] | None = None
) -> list[dict[str, Any]]:
    """Triples count as the metric counts them: normalised, once a text, and of a repeated text its last line. With ``lost``, what
    features cannot give back, every mistake has a ``cause``: the predictions are taken for the ceiling of these features."""
    causes = {(one.line, _key(one.spo)): one.reason for one in lost or ()}
    found: list[dict[str, Any]] = []
    for record, row in {record.text: (record, row) for record, row in zip(rows, predictions, strict=True)}.values():
        gold: dict[Normalised, Spo] = {}
        for spo in record.spos or ():
            gold.setdefault(normalise((spo.predicate, spo.subject, dict(spo.object))), spo)
        made: dict[Normalised, Prediction] = {}
        for given in row:
            made.setdefault(normalise((given.predicate, given.subject.text, {slot: mention.text for slot, mention in given.object})), given)
        missed = [triple for triple in gold if triple not in made]
        wrong = [triple for triple in made if triple not in gold]
        for fault, missing, extra in pair_up(missed, wrong, _comparer(record.text, gold, made)):
            wanted, one = gold[missing] if missing else None, made[extra] if extra else None
            some = missing or extra
            assert some is not None
            mistake: dict[str, Any] = {
                "line": record.line,
                "fault": fault,
                "label": some[0],
                "gold": None if wanted is None else _row(wanted, record.text),
                "predicted": None if one is None else one.as_row(),
                "context": surroundings(record.text, [*_gold_spans(wanted, record.text), *_spans(one)]),
            }
            if lost is not None:
                mistake["cause"] = "" if wanted is None else causes.get((record.line, _key(wanted)), MIXED)
            found.append(mistake)
    return found


def _key(spo: Spo) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return spo.predicate, spo.subject, spo.object


def _comparer(
    text: str, gold: Mapping[Normalised, Spo], made: Mapping[Normalised, Prediction]
) -> Callable[[Normalised, Normalised], tuple[str, float] | None]:
    def compare(wanted: Normalised, given: Normalised) -> tuple[str, float] | None:
        ours, theirs = dict(given[2]).get(VALUE), dict(wanted[2]).get(VALUE)
        same_predicate, same_subject, same_value = wanted[0] == given[0], wanted[1] == given[1], ours == theirs
        if same_subject and same_value:
            return ("wrong slots", len(set(wanted[2]) & set(given[2]))) if same_predicate else ("wrong predicate", wanted[2] == given[2])
        if not same_predicate:
            return None
        spo, one = gold[wanted], made[given]
        subject = _shared(text, spo.subject, one.subject)
        value = _shared(text, dict(spo.object).get(VALUE, ""), dict(one.object)[VALUE])
        if (subject or same_subject) and (value or same_value):
            return "wrong boundary", subject + value + same_subject + same_value
        return None

    return compare


def _shared(text: str, wanted: str, made: Mention) -> int:
    """Characters that ``made`` shares with a place of ``wanted``; where that has none in the text, with its string."""
    if not wanted:
        return 0
    places = occurrences(text, wanted)
    if places:
        return max(overlap((start, start + len(wanted)), (made.start, made.end)) for start in places)
    ours, theirs = normalise_mention(made.text), normalise_mention(wanted)
    return min(len(ours), len(theirs)) if ours in theirs or theirs in ours else 0


def _row(spo: Spo, text: str) -> dict[str, Any]:
    return {
        "subject": spo.subject,
        "predicate": spo.predicate,
        "object": dict(spo.object),
        "subject_span": _only_place(text, spo.subject),
        "object_spans": {slot: _only_place(text, mention) for slot, mention in spo.object},
    }


def _only_place(text: str, mention: str) -> list[int] | None:
    """Its span, if there is but one: official triples have no offsets."""
    places = occurrences(text, mention) if mention else []
    return [places[0], places[0] + len(mention)] if len(places) == 1 else None


def _gold_spans(spo: Spo | None, text: str) -> list[tuple[int, int]]:
    """The first place of each mention."""
    mentions = [] if spo is None else [spo.subject, *(mention for _, mention in spo.object)]
    return [(text.find(mention), text.find(mention) + len(mention)) for mention in mentions if mention and mention in text]


def _spans(made: Prediction | None) -> list[tuple[int, int]]:
    return [] if made is None else [(mention.start, mention.end) for mention in (made.subject, *(mention for _, mention in made.object))]
