"""How well scores of pairs agree with their labels: by order (AUC, Spearman's rank correlation) and by threshold (accuracy).

AUC is scikit-learn's, Spearman scipy's. ``accuracy`` is that of the labels said, by a threshold that was fixed before; ``best_accuracy`` that of
the threshold which is best for these very pairs, the figure that papers mostly report and one that flatters; ``threshold`` is that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.similarity.measures import best_threshold, spearman


def score(labels: Sequence[int], scores: Sequence[float], alike: Sequence[bool], sources: Sequence[str | None] | None = None) -> dict[str, Any]:
    """Of n labelled pairs: ``pairs``, how many they are, ``alike``, how many of them mean the same, ``auc``, ``accuracy``, ``best_accuracy``,
    ``threshold`` and ``spearman``; with ``sources`` the same ``per_source``, the largest first.

    Where all labels or all scores are equal nothing is ranked: ``auc`` is then 0.5 and ``spearman`` 0.
    Raises ValueError for lists of different lengths, none, or labels other than 0 and 1.
    """
    known, cosines, said = np.asarray(labels), np.asarray(scores, dtype=np.float64), np.asarray(alike, dtype=bool)  # [n] each
    if not len(known) or known.shape != cosines.shape or known.shape != said.shape:
        raise ValueError(f"{len(known)} labels, {len(cosines)} scores and {len(said)} answers: give one of each for every pair, one pair at least")
    whole = _figures(known, cosines, said)
    if sources is None or not any(source is not None for source in sources):
        return whole
    names = np.asarray([source or "" for source in sources])  # [n]
    order = sorted(set(names.tolist()), key=lambda name: (-int((names == name).sum()), name))
    return {**whole, "per_source": {name: _figures(known[names == name], cosines[names == name], said[names == name]) for name in order}}


def _figures(labels: np.ndarray, scores: np.ndarray, alike: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    best = best_threshold(scores, labels)
    ranked = len(set(labels.tolist())) == 2 and len(set(scores.tolist())) > 1
    return {
        "pairs": len(labels),
        "alike": int(labels.sum()),
        "auc": float(roc_auc_score(labels, scores)) if ranked else 0.5,
        "accuracy": float(np.mean(alike == (labels == 1))),
        "best_accuracy": best.accuracy,
        "threshold": best.value,
        "spearman": spearman(scores, labels) if ranked else 0.0,
    }
