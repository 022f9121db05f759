"""Titles as predicted of an abstract. Every model's decode ends here."""

from __future__ import annotations

from typing import NamedTuple


class Prediction(NamedTuple):
    """``text``: a title, perhaps empty; ``probability``: what the model gives to all of its tokens, its end included."""

    text: str
    probability: float
