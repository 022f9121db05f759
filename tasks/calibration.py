"""How far the probabilities of candidates can be taken at their word, and mappings that make them so.

Reliability tables and the expected calibration error as in Guo et al. 2017 (arXiv 1706.04599); Platt scaling (Platt 1999), whose slope is one
over their temperature, and isotonic regression (Zadrozny and Elkan 2002) by scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 10
KINDS = ("platt", "isotonic")
_EDGE = 1e-6


def reliability(probability: Any, right: Any, *, bins: int = BINS) -> dict[str, Any]:
    """``bins`` (each ``from``, ``to``, ``count``, mean ``confidence`` and ``accuracy``, None where empty), ``count``, the expected calibration
    error ``ece`` and the ``brier`` score of n predictions. ``probability`` [n], ``right`` [n] (0 or 1)."""
    given, hit = np.asarray(probability, dtype=float), np.asarray(right, dtype=float)  # [n], [n]
    place = np.minimum((given * bins).astype(int), bins - 1)  # [n]
    rows: list[dict[str, Any]] = []
    error = 0.0
    for number in range(bins):
        inside = place == number  # [n]
        count = int(inside.sum())
        confidence, accuracy = (float(values[inside].mean()) if count else None for values in (given, hit))
        rows.append({"from": number / bins, "to": (number + 1) / bins, "count": count, "confidence": confidence, "accuracy": accuracy})
        if confidence is not None and accuracy is not None:
            error += count / len(given) * abs(confidence - accuracy)
    brier = float(((given - hit) ** 2).mean()) if len(given) else 0.0
    return {"bins": rows, "count": len(given), "ece": error, "brier": brier}


@dataclass(frozen=True)
class Calibration:
    """A mapping of probabilities that keeps their order: ``platt`` by slope and offset of the logit, ``isotonic`` by knots [k, 2]."""

    kind: str
    values: tuple[tuple[float, float], ...]

    def __call__(self, probability: Any) -> np.ndarray:
        """[n] to [n]"""
        given = np.asarray(probability, dtype=float)  # [n]
        if self.kind == "platt":
            slope, offset = self.values[0]
            mapped: np.ndarray = 1 / (1 + np.exp(-(slope * _logit(given) + offset)))  # [n]
            return mapped
        knots = np.asarray(self.values)  # [k, 2]
        return np.asarray(np.interp(given, knots[:, 0], knots[:, 1]))  # [n]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "values": [list(pair) for pair in self.values]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Raises KeyError, TypeError or ValueError for anything but :meth:`as_dict`."""
        pairs = tuple((float(a), float(b)) for a, b in values["values"])
        if values["kind"] not in KINDS or not pairs:
            raise ValueError(f"no calibration: {values['kind']!r} of {len(pairs)} values")
        return cls(values["kind"], pairs)


def fit_calibration(probability: Any, right: Any, kind: str) -> Calibration | None:
    """A mapping fitted on n predictions, ``probability`` [n] and ``right`` [n] (0 or 1); None where all or none are right, which fixes none.

    Raises ValueError for an unknown kind.
    """
    given, hit = np.asarray(probability, dtype=float), np.asarray(right, dtype=float)  # [n], [n]
    if kind not in KINDS:
        raise ValueError(f"calibration {kind!r}; expected one of {', '.join(KINDS)}")
    if len(given) == 0 or hit.min() == hit.max():
        return None
    if kind == "platt":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1e4, max_iter=1000).fit(_logit(given)[:, None], hit > 0.5)
        slope = max(float(model.coef_[0, 0]), _EDGE)  # the order stays
        return Calibration(kind, ((slope, float(model.intercept_[0])),))
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(given, hit)
    return Calibration(kind, tuple(zip(model.X_thresholds_.tolist(), model.y_thresholds_.tolist(), strict=True)))


def cross_fitted(probability: np.ndarray, right: np.ndarray, groups: np.ndarray, kind: str) -> np.ndarray:
    """Every probability [n] under a mapping that was fitted without its group; ``groups`` [n]. Where none can be fitted, as given."""
    mapped = np.asarray(probability, dtype=float).copy()  # [n]
    for number in np.unique(groups):
        own = groups == number  # [n]
        fitted = fit_calibration(probability[~own], right[~own], kind)
        if fitted is not None:
            mapped[own] = fitted(probability[own])
    return mapped


def calibrated(rows: Sequence[Sequence[Any]], calibration: Calibration | None) -> list[list[Any]]:
    """Predictions with their probabilities mapped."""
    if calibration is None:
        return [list(row) for row in rows]
    return [
        [one._replace(probability=float(value)) for one, value in zip(row, calibration([one.probability for one in row]), strict=True)]
        if row
        else []
        for row in rows
    ]


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability, _EDGE, 1 - _EDGE)  # [n]
    return np.asarray(np.log(clipped / (1 - clipped)))  # [n]
