"""Every question that is not answered exactly, in the form of :mod:`tasks.mistakes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.text import occurrences
from tasks.mistakes import overlap, surroundings

from . import metric
from .questions import kind_of
from .records import ReadingRecord

if TYPE_CHECKING:
    from .features import Lost
    from .predictions import Prediction

UNLIKELY = "longer than decode.max_answer_tokens, or another span is likelier"


def mistakes(
    rows: Sequence[ReadingRecord], predictions: Sequence[Sequence[Prediction]], lost: Sequence[Lost] | None = None
) -> list[dict[str, Any]]:
    """The questions with an exact match of 0, by the first answer predicted; each with its ``question`` and ``f1``. With ``lost``,
    what features cannot give back, every mistake has a ``cause``: the predictions are taken for the ceiling of these features."""
    causes = {one.id: one.reason for one in lost or ()}
    found: list[dict[str, Any]] = []
    for record, row in zip(rows, predictions, strict=True):
        made = row[0]
        exact, f1 = metric.score_answer(made.text, [answer.text for answer in record.answers or ()])
        if exact:
            continue
        spans = [(start, start + len(text)) for text, starts in _places(record) for start in starts]
        near = any(overlap(span, (made.start, made.end)) for span in spans)
        mistake: dict[str, Any] = {
            "id": record.id,
            "line": record.line,
            "fault": "missing" if not made.text else "extra" if not record.answers else "wrong boundary" if near else "elsewhere",
            "label": kind_of(record.question),
            "question": record.question,
            "gold": {"references": [{"text": text, "starts": starts} for text, starts in _places(record)]},
            "predicted": made._asdict(),
            "f1": f1,
            "context": surroundings(record.text, [(made.start, made.end), *spans[:1]]),
        }
        if lost is not None:
            mistake["cause"] = causes.get(record.id, UNLIKELY)
        found.append(mistake)
    return found


def _places(record: ReadingRecord) -> list[tuple[str, list[int]]]:
    """Every reference with the offsets at which it stands: the one that the file gives, else all."""
    return [
        (answer.text, [answer.start] if answer.start is not None else occurrences(record.text, answer.text) if answer.text else [])
        for answer in record.answers or ()
    ]
