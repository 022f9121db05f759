"""What memory alone finds: argument strings of the training file that stand in the text. A model has to beat it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from .predictions import Prediction
from .records import EventRecord


def memorised(train: Sequence[EventRecord], rows: Sequence[EventRecord]) -> list[list[Prediction]]:
    """Every argument string of ``train`` that stands in a text of ``rows``, in the (type, role) it mostly has; strings inside longer found
    ones are left out. Probability 1."""
    pairs: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for record in train:
        for event in record.events or ():
            for argument in event.arguments:
                pairs[argument.text][event.type, argument.role] += 1
    mostly = {text: counts.most_common(1)[0][0] for text, counts in pairs.items() if text}
    lengths = sorted({len(text) for text in mostly}, reverse=True)
    found = []
    for record in rows:
        text, taken, row = record.text, [False] * len(record.text), []
        for length in lengths:
            for start in range(len(text) - length + 1):
                span = text[start : start + length]
                if span in mostly and not any(taken[start : start + length]):
                    taken[start : start + length] = [True] * length
                    row.append(Prediction(*mostly[span], span, start, start + length, 1.0))
        found.append(sorted(row, key=lambda made: made.start))
    return found
