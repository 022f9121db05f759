"""From two texts to the cosine of their vectors, for predict, extract, evaluate and roundtrip alike. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shared.features.batches import pad
from shared.text import Vocabulary

from ..features import ParaphraseFeatures
from ..predictions import Prediction, predicted

if TYPE_CHECKING:
    from shared.inference import Engine

    from ...decoding import Decoder

Found = tuple[int, Prediction]
"""(unit, what is said of it)"""


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the rows of two matrices [m, h], [m] float64; 0 for a row of zeros."""
    left, right = first.astype(np.float64), second.astype(np.float64)  # [m, h], [m, h]
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)  # [m]
    return np.asarray((left * right).sum(axis=1) / np.maximum(norms, 1e-30))  # [m]


def engine_decoder(engine: Engine, features: ParaphraseFeatures, vocabulary: Vocabulary, *, threshold: float) -> Decoder:
    """Runs the vectors of both texts of every unit. ``threshold``: the cosine above which they count as alike."""

    def decode(units: np.ndarray) -> list[Found]:
        cls, sep = [vocabulary.cls_id], [vocabulary.sep_id]
        rows = [np.concatenate([cls, text, sep]) for unit in units.tolist() for text in features.texts_of(unit)]  # [l] each
        vectors = engine.run("vectors", {"ids": pad(rows, value=vocabulary.pad_id)})["vectors"]  # [2b, h]
        return said_of(units, cosines(vectors[::2], vectors[1::2]), threshold)

    return decode


def gold_decoder(features: ParaphraseFeatures, *, threshold: float) -> Decoder:
    """Gold in place of vectors: equal ones for pairs that are alike and for texts of the same tokens, which no network can tell apart."""

    def decode(units: np.ndarray) -> list[Found]:
        alike = (features.labels[units] == 1) | features.same[units]  # [b]
        first = np.tile([1.0, 0.0], (len(units), 1))  # [b, 2]
        second = np.stack([alike, ~alike], axis=1).astype(np.float64)  # [b, 2]
        return said_of(units, cosines(first, second), threshold)

    return decode


def said_of(units: np.ndarray, found: np.ndarray, threshold: float) -> list[Found]:
    """Of the cosines [b] of ``units`` [b] what is said."""
    return [(unit, predicted(cosine, threshold)) for unit, cosine in zip(units.tolist(), found.tolist(), strict=True)]


def in_order(found: Sequence[Found], count: int) -> list[list[Prediction]]:
    """One prediction for each of ``count`` records."""
    by_unit = dict(found)
    return [[by_unit[unit]] for unit in range(count)]
