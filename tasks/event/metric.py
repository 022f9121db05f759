"""The official DuEE score, with the choices that its wording leaves open as options, and a strict view beside it.

The wording (DuEE 1.0 data README): case does not count; an argument scores [type right] x [role right] x a character match, which has
a P (shared characters / predicted ones) and an R (shared / gold ones); the scores are summed over the predicted arguments for P and over
the gold ones for R. No scorer was published, so:

* ``credit``: what a pair adds. ``precision_recall`` (default, and what our golden scores follow): its character P to the sum for P, its
  character R to the sum for R; ``f1`` (the wording taken to the letter): its character F1 to both, which scores about .01 lower;
* ``overlap``: shared characters as the overlap of the two multisets (default) or as the longest common subsequence;
* ``matching``: inside one (id, type, role) every gold argument serves one prediction, pairs chosen for the greatest total (default), or
  ``best``: each prediction takes its best gold (for P) and each gold its best prediction (for R);
* ``duplicates``: exact repetitions of (id, type, role, text) count once (default) or as often as they stand there.

Triggers and offsets are not scored. Plain structures go in: a dictionary from id to (type, role, text); a gold text may be a tuple of
mentions, of which the best counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

Mention = str | tuple[str, ...]
Triples = Mapping[str, Sequence[tuple[str, str, Mention]]]
Events = Mapping[str, Sequence[tuple[str, Sequence[tuple[str, Mention]]]]]
"""From id to events of (type, [(role, text), ...])."""
Event = tuple[str, frozenset[tuple[str, tuple[str, ...]]]]
Match = tuple[float, float, float]
"""Character F1, P and R of a predicted argument against a gold one."""
OPTIONS = {
    "credit": ("precision_recall", "f1"),
    "overlap": ("multiset", "lcs"),
    "matching": ("one_to_one", "best"),
    "duplicates": ("once", "keep"),
}


def score(
    gold: Triples,
    predicted: Triples,
    *,
    credit: str = "precision_recall",
    overlap: str = "multiset",
    matching: str = "one_to_one",
    duplicates: str = "once",
) -> dict[str, Any]:
    """``precision``, ``recall``, ``f1`` as unrounded fractions, with counts, the strict view and the same per type.

    Predictions for ids that ``gold`` does not have are left out of the score, as the contest does with its confusion data, and counted in
    ``unknown_ids``. Raises ValueError for an option value that does not exist.
    """
    options = {"credit": credit, "overlap": overlap, "matching": matching, "duplicates": duplicates}
    for name, value in options.items():
        if value not in OPTIONS[name]:
            raise ValueError(f"{name}={value!r}; expected one of {', '.join(OPTIONS[name])}")
    totals: dict[str, _Total] = defaultdict(_Total)
    for identity, gold_triples in gold.items():
        gold_groups = _group(gold_triples, duplicates)
        predicted_groups = _group(predicted.get(identity, ()), duplicates)
        for pair in gold_groups.keys() | predicted_groups.keys():
            ours, theirs = predicted_groups.get(pair, []), gold_groups.get(pair, [])
            total = totals[pair[0]]
            total.predicted += len(ours)
            total.gold += len(theirs)
            total.correct += len(exact_pairs(ours, theirs))
            for_precision, for_recall = _match(ours, theirs, credit, overlap, matching)
            total.for_precision += for_precision
            total.for_recall += for_recall
    everything = _Total()
    for event_type in sorted(totals):
        everything.add(totals[event_type])
    return {
        **everything.figures(),
        "strict": everything.strict(),
        "per_type": {name: {**totals[name].figures(), "strict": totals[name].strict()} for name in sorted(totals)},
        "ids": len(gold),
        "missing_ids": sum(identity not in predicted for identity in gold),
        "unknown_ids": sum(identity not in gold for identity in predicted),
        "options": options,
    }


def score_events(gold: Events, predicted: Events) -> dict[str, Any]:
    """``precision``, ``recall`` and ``f1`` of whole events, beside the official score, which sees arguments alone.

    An event is right if its type and all its arguments, without case, are those of a gold event of its own; events of one type are told
    apart, repetitions count once. Triggers are not compared, so events without an argument are left out and counted in ``without_arguments``.
    """
    wanted = found = correct = bare = 0
    for identity, events in gold.items():
        theirs, left = unmatched_events(events, predicted.get(identity, ()))
        ours = len({folded(event) for event in predicted.get(identity, ()) if event[1]})
        bare += sum(not arguments for _, arguments in events)
        correct += ours - left
        wanted += ours - left + len(theirs)
        found += ours
    return {**_prf(correct, correct, found, wanted), "correct": correct, "predicted": found, "gold": wanted, "without_arguments": bare}


def unmatched_events(
    gold: Sequence[tuple[str, Sequence[tuple[str, Mention]]]], predicted: Sequence[tuple[str, Sequence[tuple[str, Mention]]]]
) -> tuple[list[Event], int]:
    """The events of one text, folded and once each, that no prediction equals; and how many predictions equal none. Bare ones are left out."""
    theirs, ours = (list(dict.fromkeys(folded(event) for event in some if event[1])) for some in (gold, predicted))
    left = 0
    for event in ours:
        partner = next((other for other in theirs if _same_event(event, other)), None)
        if partner is None:
            left += 1
        else:
            theirs.remove(partner)
    return theirs, left


def folded(event: tuple[str, Sequence[tuple[str, Mention]]]) -> Event:
    """An event as it is compared: its type, and the (role, mentions) of its arguments."""
    return event[0], frozenset((role, fold(text)) for role, text in event[1])


def _same_event(ours: Event, theirs: Event) -> bool:
    if ours == theirs:
        return True
    if ours[0] != theirs[0] or len(ours[1]) != len(theirs[1]) or all(len(mentions) == 1 for _, mentions in theirs[1]):
        return False
    groups: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
    for side, (_, arguments) in enumerate((ours, theirs)):
        for role, mentions in sorted(arguments):
            groups[role][side].append(mentions)
    return all(len(left) == len(right) == len(exact_pairs(left, right)) for left, right in groups.values())


def match_characters(predicted: str, gold: str, *, overlap: str = "multiset") -> Match:
    """Character F1, P and R; all 0 where either text is empty. The case is the caller's to fold."""
    if not predicted or not gold:
        return 0.0, 0.0, 0.0
    if predicted == gold:
        return 1.0, 1.0, 1.0
    if overlap == "multiset":
        shared = (Counter(predicted) & Counter(gold)).total()
    else:
        shared = _longest_common_subsequence(predicted, gold)
    return 2 * shared / (len(predicted) + len(gold)), shared / len(predicted), shared / len(gold)


def _longest_common_subsequence(left: str, right: str) -> int:
    row = [0] * (len(right) + 1)
    for character in left:
        diagonal = 0
        for index, other in enumerate(right, 1):
            diagonal, row[index] = row[index], diagonal + 1 if character == other else max(row[index], row[index - 1])
    return row[-1]


class _Total:
    """Counts, and what the pairs add to the sums for P and for R."""

    def __init__(self) -> None:
        self.predicted = self.gold = self.correct = 0
        self.for_precision = self.for_recall = 0.0

    def add(self, other: _Total) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def figures(self) -> dict[str, Any]:
        return {**_prf(self.for_precision, self.for_recall, self.predicted, self.gold), "predicted": self.predicted, "gold": self.gold}

    def strict(self) -> dict[str, Any]:
        return {**_prf(self.correct, self.correct, self.predicted, self.gold), "correct": self.correct}


def _prf(for_precision: float, for_recall: float, predicted: int, gold: int) -> dict[str, float]:
    precision = for_precision / predicted if predicted else 0.0
    recall = for_recall / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def fold(mention: Mention) -> tuple[str, ...]:
    """The mentions, as they are compared."""
    return (mention.lower(),) if isinstance(mention, str) else tuple(one.lower() for one in mention)


def _group(triples: Sequence[tuple[str, str, Mention]], duplicates: str) -> dict[tuple[str, str], list[tuple[str, ...]]]:
    """(type, role) to the lower-cased mentions of its arguments, in order."""
    groups: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for event_type, role, text in triples:
        groups[event_type, role].append(fold(text))
    if duplicates == "once":
        return {pair: list(dict.fromkeys(group)) for pair, group in groups.items()}
    return groups


def exact_pairs(predicted: Sequence[tuple[str, ...]], gold: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
    """The predictions of one (id, type, role) that equal a gold argument of their own, as numbers of both; as many as can be."""
    if all(len(mentions) == 1 for mentions in gold):
        waiting: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number in reversed(range(len(gold))):
            waiting[gold[number]].append(number)
        return [(number, waiting[ours].pop()) for number, ours in enumerate(predicted) if waiting.get(ours)]
    table = [[float(not set(ours).isdisjoint(theirs)) for theirs in gold] for ours in predicted]
    return [(row, column) for row, column in _pairs(table) if table[row][column]] if predicted else []


def _match(predicted: list[tuple[str, ...]], gold: list[tuple[str, ...]], credit: str, overlap: str, matching: str) -> tuple[float, float]:
    """What the arguments of one (id, type, role) add to the sums for P and for R."""
    if not predicted or not gold:
        return 0.0, 0.0
    for_precision, for_recall = (1, 2) if credit == "precision_recall" else (0, 0)
    table = [
        [max(match_characters(left, right, overlap=overlap) for left in ours for right in theirs) for theirs in gold] for ours in predicted
    ]
    if matching == "best":
        rows = [max(row) for row in table]
        columns = [max(column) for column in zip(*table, strict=True)]
    else:
        rows = columns = [table[row][column] for row, column in _pairs([[match[0] for match in row] for row in table])]
    return sum(match[for_precision] for match in rows), sum(match[for_recall] for match in columns)


def _pairs(table: list[list[float]]) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) with the greatest total."""
    if len(table) == 1 and len(table[0]) == 1:
        return [(0, 0)]
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
