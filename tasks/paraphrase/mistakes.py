"""Every pair that is called by the wrong label, in the form of :mod:`tasks.mistakes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .records import ParaphraseRecord

if TYPE_CHECKING:
    from .features import Lost
    from .predictions import Prediction


def mistakes(
    rows: Sequence[ParaphraseRecord], predictions: Sequence[Sequence[Prediction]], lost: Sequence[Lost] | None = None
) -> list[dict[str, Any]]:
    """``missing``: two wordings of one meaning that were not seen to be; ``extra``: the reverse; ``label`` is the pair's source. The surest
    mistakes come first. With ``lost``, what features cannot give back, every mistake has a ``cause``."""
    causes = {one.line: one.reason for one in lost or ()}
    found = []
    for record, row in zip(rows, predictions, strict=True):
        made, alike = row[0], record.label == 1
        if made.alike == alike:
            continue
        mistake: dict[str, Any] = {
            "line": record.line,
            "fault": "missing" if alike else "extra",
            "label": record.source or "alike",
            "gold": {"text": record.text, "pair": record.pair} if alike else None,
            "predicted": None if alike else {"text": record.text, "pair": record.pair, **made.as_row()},
            "score": made.score,
            "context": [{"start": 0, "text": text} for text in (record.text, record.pair)],
        }
        if lost is not None:
            mistake["cause"] = causes.get(record.line, "")
        found.append((-abs(made.score - made.threshold), mistake))
    return [mistake for _, mistake in sorted(found, key=lambda pair: pair[0])]
