"""Every title that is not gold's, in the form of :mod:`tasks.mistakes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.text.overlap import text_scores
from tasks.mistakes import surroundings

from .records import TitleRecord

if TYPE_CHECKING:
    from .features import Lost
    from .predictions import Prediction

SPELLED, CUT = "its tokens spell {!r}", "longer than max_target, or an n-gram comes twice"


def mistakes(rows: Sequence[TitleRecord], predictions: Sequence[Sequence[Prediction]], lost: Sequence[Lost] | None = None) -> list[dict[str, Any]]:
    """The records whose first predicted title differs from gold's, case aside, each with its ``rouge_l`` and ``bleu``. With ``lost``, what
    features cannot give back, every mistake has a ``cause``: the predictions are taken for the ceiling of these features."""
    causes = {one.record: SPELLED.format(one.spell) for one in lost or ()}
    found: list[dict[str, Any]] = []
    for number, (record, row) in enumerate(zip(rows, predictions, strict=True)):
        title, made = record.title or "", row[0]
        if made.text.lower() == title.lower():
            continue
        scores = text_scores(made.text, title)
        mistake: dict[str, Any] = {
            "line": record.line,
            "fault": "other words" if made.text else "missing",
            "label": "title",
            "gold": {"title": title},
            "predicted": {"title": made.text, "probability": made.probability} if made.text else None,
            "rouge_l": scores.rouge_l,
            "bleu": scores.bleu,
            "context": surroundings(record.text, []),
        }
        if lost is not None:
            mistake["cause"] = causes.get(number, CUT)
        found.append(mistake)
    return found
