"""What is said of a pair of texts. Every model's decode ends here."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

STEEPNESS = 10.0
"""How fast :attr:`Prediction.probability` grows with the distance from the threshold: .88 at .2 of it."""


class Prediction(NamedTuple):
    """``score``: the cosine of the two texts' vectors; they count as alike above ``threshold``. ``probability``: that the answer is right, by the
    distance between the two alone, until ``lic tune --calibration`` has measured it."""

    score: float
    threshold: float
    probability: float

    @property
    def alike(self) -> bool:
        return self.score > self.threshold

    def as_row(self) -> dict[str, Any]:
        """Plain values."""
        return {"alike": self.alike, "score": self.score, "threshold": self.threshold, "probability": self.probability}


def predicted(score: float, threshold: float) -> Prediction:
    """A prediction from the cosine, and the one above which two texts count as alike."""
    return Prediction(score, threshold, 1.0 / (1.0 + math.exp(-STEEPNESS * abs(score - threshold))))
