"""What is said of a pair of texts. Every model's decode ends here."""

from __future__ import annotations

from typing import Any, NamedTuple


class Prediction(NamedTuple):
    """``probability`` (1 + cosine) / 2 of the two texts' vectors, so that means of it are means of cosines; ``threshold``: the same of the cosine
    above which they count as alike. It is no measured probability."""

    probability: float
    threshold: float

    @property
    def score(self) -> float:
        """The cosine."""
        return 2 * self.probability - 1

    @property
    def alike(self) -> bool:
        return self.probability > self.threshold

    def as_row(self) -> dict[str, Any]:
        """Plain values."""
        return {"score": self.score, "alike": self.alike, "threshold": 2 * self.threshold - 1}


def predicted(cosine: float, threshold: float) -> Prediction:
    """A prediction from the cosine, and the one above which two texts count as alike."""
    return Prediction(min(1.0, max(0.0, (1 + cosine) / 2)), (1 + threshold) / 2)
