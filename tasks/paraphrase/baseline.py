"""What shared characters alone find: the cosine of TF-IDF vectors. A model has to beat it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.similarity.measures import best_threshold

from .predictions import Prediction, predicted
from .records import ParaphraseRecord


def tfidf(train: Sequence[ParaphraseRecord], rows: Sequence[ParaphraseRecord]) -> list[list[Prediction]]:
    """Cosines of the pairs of ``rows`` by the characters and pairs of characters that both texts have (scikit-learn's TF-IDF, fitted on the texts of
    ``train``); two texts count as alike above the threshold that is best for ``train``."""
    vectorizer = fit_tfidf(train)
    known = [record for record in train if record.label is not None]
    threshold = best_threshold(_cosines(vectorizer, known), [record.label or 0 for record in known]).value if known else 0.5
    return [[predicted(cosine, threshold)] for cosine in _cosines(vectorizer, rows).tolist()]


def fit_tfidf(train: Sequence[ParaphraseRecord]) -> Any:
    """The vectorizer behind it, whose ``transform`` makes of n texts a sparse matrix [n, f] with rows of length 1, or 0 where nothing was known."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True)
    return vectorizer.fit([text for record in train for text in (record.text, record.pair)])


def _cosines(vectorizer: Any, rows: Sequence[ParaphraseRecord]) -> np.ndarray:
    """[n]; 0 where nothing in a text was known."""
    if not rows:
        return np.zeros(0)  # [0]
    first, second = (vectorizer.transform([getattr(record, name) for record in rows]) for name in ("text", "pair"))  # [n, f] each, of length 1
    return np.asarray(first.multiply(second).sum(axis=1)).ravel()  # [n]
