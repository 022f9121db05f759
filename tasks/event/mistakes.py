"""Every argument that predictions miss, add or get wrong, in the form of :mod:`tasks.mistakes`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.mistakes import overlap, pair_up, surroundings

from . import metric
from .predictions import as_events
from .records import EventRecord
from .records import as_events as gold_events

if TYPE_CHECKING:
    from .features import Lost
    from .predictions import Prediction

COLLIDES = "overlaps a longer argument of its type and role"
PART = "its arguments are a part of another event's"
MIXED = "its links cannot be told from those of other events"


class Wanted(NamedTuple):
    """A gold argument; ``mentions``: it and its aliases as the metric compares them."""

    type: str
    role: str
    text: str
    span: tuple[int, int] | None
    mentions: tuple[str, ...]


def mistakes(
    rows: Sequence[EventRecord], predictions: Sequence[Sequence[Prediction]], lost: Sequence[Lost] | None = None
) -> list[dict[str, Any]]:
    """Arguments count as the metric counts them: once an (id, type, role, text), without case. With ``lost``, what features cannot give back,
    every mistake has a ``cause``: the predictions are taken for the ceiling of these features. Where these tell events of one type apart, events
    that are lost though every argument is there come behind them (``wrong event``)."""
    causes = {(one.id, one.type, one.role, one.text): one.reason for one in lost or ()}
    found: list[dict[str, Any]] = []
    for record, row in zip(rows, predictions, strict=True):
        for fault, wanted, made in pair_up(*_without_right_ones(_gold(record), row), _compare):
            some = wanted or made
            assert some is not None
            mistake: dict[str, Any] = {
                "id": record.id,
                "line": record.line,
                "fault": fault,
                "label": some.type,
                "gold": None if wanted is None else _row(wanted),
                "predicted": None if made is None else made._asdict(),
                "context": surroundings(record.text, (wanted and wanted.span, made and (made.start, made.end))),
            }
            if lost is not None:
                mistake["cause"] = "" if wanted is None else causes.get((record.id, wanted.type, wanted.role, wanted.text), COLLIDES)
            found.append(mistake)
        if lost is not None and any(made.events for made in row):
            found += _lost_events(record, row)
    return found


def _lost_events(record: EventRecord, row: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
    gold = gold_events(record)
    made = {(one.type, one.role, one.text.lower()) for one in row}
    for kind, arguments in metric.unmatched_events(gold, as_events(row))[0]:
        if any(all((kind, role, mention) not in made for mention in mentions) for role, mentions in arguments):
            continue
        larger = any(kind == other and arguments < theirs for other, theirs in map(metric.folded, gold))
        yield {
            "id": record.id,
            "line": record.line,
            "fault": "wrong event",
            "label": kind,
            "gold": {"type": kind, "arguments": [{"role": role, "text": mentions[0]} for role, mentions in sorted(arguments)]},
            "predicted": None,
            "context": surroundings(record.text, ()),
            "cause": PART if larger else MIXED,
        }


def _gold(record: EventRecord) -> list[Wanted]:
    wanted: dict[tuple[str, str, tuple[str, ...]], Wanted] = {}
    for event in record.events or ():
        for argument in event.arguments:
            mentions = metric.fold((argument.text, *argument.aliases))
            start = record.text.find(argument.text) if argument.start is None else argument.start
            span = (start, start + len(argument.text)) if start >= 0 else None
            wanted.setdefault((event.type, argument.role, mentions), Wanted(event.type, argument.role, argument.text, span, mentions))
    return list(wanted.values())


def _without_right_ones(gold: Sequence[Wanted], row: Sequence[Prediction]) -> tuple[list[Wanted], list[Prediction]]:
    """What is left of both when predictions that equal a gold argument of their own are gone with it."""
    theirs: dict[tuple[str, str], list[Wanted]] = defaultdict(list)
    ours: dict[tuple[str, str], dict[tuple[str, ...], Prediction]] = defaultdict(dict)
    for wanted in gold:
        theirs[wanted.type, wanted.role].append(wanted)
    for made in row:
        ours[made.type, made.role].setdefault(metric.fold(made.text), made)
    left, left_over = [], []
    for pair in dict.fromkeys((*theirs, *ours)):
        group, made_ones = theirs.get(pair, []), ours.get(pair, {})
        right = metric.exact_pairs(list(made_ones), [wanted.mentions for wanted in group])
        rows, columns = {made for made, _ in right}, {wanted for _, wanted in right}
        left += [wanted for index, wanted in enumerate(group) if index not in columns]
        left_over += [made for index, made in enumerate(made_ones.values()) if index not in rows]
    return left, left_over


def _compare(wanted: Wanted, made: Prediction) -> tuple[str, float] | None:
    if (wanted.type, wanted.role) == (made.type, made.role):
        shared = overlap(wanted.span, (made.start, made.end)) if wanted.span else 0
        return ("wrong boundary", shared) if shared else None
    if made.text.lower() in wanted.mentions:
        return ("wrong role" if wanted.type == made.type else "wrong type", wanted.span == (made.start, made.end))
    return None


def _row(wanted: Wanted) -> dict[str, Any]:
    start, end = wanted.span or (None, None)
    return {"type": wanted.type, "role": wanted.role, "text": wanted.text, "start": start, "end": end}
