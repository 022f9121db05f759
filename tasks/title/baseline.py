"""What position alone finds: how the abstract begins. A model has to beat it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.text.cutting import cut_at_punctuation

from .predictions import Prediction
from .records import TitleRecord

LONGEST = 32
"""Characters that the first piece may have where punctuation allows it: what a title of :attr:`max_target` tokens may have."""


def lead(rows: Sequence[TitleRecord]) -> list[list[Prediction]]:
    """The first piece of every abstract between punctuation marks (the whole of one without any); probability 1."""
    return [[Prediction((cut_at_punctuation(one.text, LONGEST) or [one.text.strip()])[0], 1.0)] for one in rows]
