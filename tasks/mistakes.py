"""What tells predictions from gold, one line a mistake: the parts that the tracks share.

A mistake is a dictionary of JSON values: ``id`` (where the track has ids) and ``line`` of the record; ``fault``, one of :data:`FAULTS`;
``label``, the predicate, type or question kind; ``gold`` and ``predicted``, what should and what does stand there (None: nothing), with
offsets and probability where they are known; ``context``, the text around both. Taking every ``gold`` away from gold and adding every
``predicted`` gives the predictions, as the track's metric compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

FAULTS = (
    "wrong slots", "wrong boundary", "wrong role", "wrong type", "wrong predicate", "elsewhere", "other words", "missing", "extra", "wrong event",
)  # fmt: skip
"""``wrong …``: a prediction that is right but for that; ``elsewhere``: an answer from another place; ``other words``: a title that is not gold's;
``missing``: gold without a prediction that is nearly it; ``extra``: the reverse; ``wrong event``: arguments that are all there, but not together
(of ceilings alone, beside the rest)."""
MARGIN = 40
"""Characters of context on either side."""

Gold = TypeVar("Gold")
Made = TypeVar("Made")


def pair_up(
    gold: Sequence[Gold], predicted: Sequence[Made], compare: Callable[[Gold, Made], tuple[str, float] | None]
) -> Iterator[tuple[str, Gold | None, Made | None]]:
    """(fault, gold, prediction) for what is left of both when the right ones are gone; each is in one of them.

    ``compare`` gives the fault of a pair and how near the two are, or None where they are no pair. Nearer faults (earlier in :data:`FAULTS`)
    go first, then nearer pairs, then the order given.
    """
    candidates = [
        (FAULTS.index(told[0]), -told[1], row, column)
        for row, wanted in enumerate(gold)
        for column, made in enumerate(predicted)
        if (told := compare(wanted, made)) is not None
    ]
    partner: dict[int, tuple[str, int]] = {}
    taken: set[int] = set()
    for fault, _, row, column in sorted(candidates):
        if row not in partner and column not in taken:
            partner[row] = FAULTS[fault], column
            taken.add(column)
    for row, wanted in enumerate(gold):
        if row in partner:
            fault_name, column = partner[row]
            yield fault_name, wanted, predicted[column]
        else:
            yield "missing", wanted, None
    for column, made in enumerate(predicted):
        if column not in taken:
            yield "extra", None, made


def overlap(left: tuple[int, int], right: tuple[int, int]) -> int:
    """Characters that two half-open spans share."""
    return max(0, min(left[1], right[1]) - max(left[0], right[0]))


def surroundings(text: str, spans: Iterable[tuple[int, int] | None], *, margin: int = MARGIN) -> list[dict[str, Any]]:
    """The parts of ``text`` around the (half-open) spans, as ``start`` and ``text``, joined where they meet; the beginning if there is no span."""
    parts: list[list[int]] = []
    for start, end in sorted({span for span in spans if span is not None} or {(0, 0)}):
        first, last = max(0, start - margin), min(len(text), end + margin)
        if parts and first <= parts[-1][1]:
            parts[-1][1] = max(parts[-1][1], last)
        else:
            parts.append([first, last])
    return [{"start": first, "text": text[first:last]} for first, last in parts]
