"""How well scores of pairs and rankings of texts agree with what people say. Scores are cosines, or any numbers: higher is more alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Threshold(NamedTuple):
    """``accuracy``: the share of pairs put right by calling those alike whose score is above ``value``."""

    value: float
    accuracy: float


def accuracy_at(scores: Sequence[float] | np.ndarray, labels: Sequence[int] | np.ndarray, threshold: float = 0.9) -> float:
    """The share of pairs whose label (1 alike, 0 not) equals ``score > threshold``; both [n].

    At .9 the published SimBERT reaches .7982 on LCQMC's validation set. Raises ValueError for shapes that differ, no pair, scores
    that are not finite or labels other than 0 and 1.
    """
    scored, alike = _pairs(scores, labels)  # [n], [n]
    return float(np.mean((scored > threshold) == alike))


def best_threshold(scores: Sequence[float] | np.ndarray, labels: Sequence[int] | np.ndarray) -> Threshold:
    """The threshold with the highest :func:`accuracy_at`, halfway between two scores; the lowest of equally good ones.

    Chosen and measured on the same pairs it flatters: choose it on one set and measure it on another. Raises ValueError as
    :func:`accuracy_at` does.
    """
    scored, alike = _pairs(scores, labels)  # [n], [n]
    order = np.argsort(scored, kind="stable")  # [n]
    scored, alike = scored[order], alike[order]  # [n], [n]
    n = len(scored)
    below = np.concatenate([[0], np.cumsum(~alike)])  # [n + 1]: unlike pairs among the k lowest, called unlike
    above = int(alike.sum()) - np.concatenate([[0], np.cumsum(alike)])  # [n + 1]
    possible = np.concatenate([[True], scored[1:] > scored[:-1], [True]])  # [n + 1]: no border between equal scores
    right = np.where(possible, below + above, -1)  # [n + 1]
    cut = int(right.argmax())
    if cut == 0:
        value = float(np.nextafter(scored[0], -np.inf))
    elif cut == n:
        value = float(scored[-1])
    else:
        value = float(scored[cut - 1] + (scored[cut] - scored[cut - 1]) / 2)
        value = value if value < scored[cut] else float(scored[cut - 1])  # neighbouring numbers have no middle
    return Threshold(value, float(right[cut]) / n)


def spearman(scores: Sequence[float] | np.ndarray, labels: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation of two lists of n numbers, ties by their mean rank (scipy). Raises ValueError for shapes that differ,
    fewer than two numbers, numbers that are not finite, or a list of equal numbers, which has no ranks."""
    from scipy import stats

    first, second = (np.asarray(values, dtype=np.float64) for values in (scores, labels))  # [n], [n]
    _same_shape(first, second)
    for name, values in (("scores", first), ("labels", second)):
        _finite(name, values)
        if len(values) < 2 or (values == values[0]).all():
            raise ValueError(f"the {len(values)} {name} are all {values[:1].tolist()}: a rank correlation needs two different numbers")
    return float(stats.spearmanr(first, second).statistic)


def retrieval_accuracy(found: Sequence[Sequence[int]] | np.ndarray, wanted: Sequence[int] | np.ndarray, k: int = 1) -> float:
    """The share of queries whose wanted text is among the first ``k`` found: ``found`` [queries, at least k] from the best down, ``wanted``
    [queries], both ids as :meth:`RetrievalIndex.search` gives them. Raises ValueError for shapes that do not fit, or fewer than ``k`` found.
    """
    ranked, right = np.asarray(found), np.asarray(wanted)  # [q, m], [q]
    if ranked.ndim != 2 or right.ndim != 1 or len(ranked) != len(right) or not len(right):
        raise ValueError(f"found is {list(ranked.shape)} and wanted {list(right.shape)}: give [queries, k] and [queries], at least one query")
    if not 1 <= k <= ranked.shape[1]:
        raise ValueError(f"k is {k}, but {ranked.shape[1]} texts were found for every query: search for k at least, and count from 1")
    return float((ranked[:, :k] == right[:, None]).any(axis=1).mean())


def first_right(found: Sequence[Sequence[int]] | np.ndarray, queries: Sequence[int] | np.ndarray, groups: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where every query meets another text of its own group first: its place from 1 among what was ``found`` [queries, m], or 0, [queries].

    Queries are texts of the index themselves: ``queries`` [queries] are their ids, ``groups`` [texts] the group of every text. A query that
    finds itself does not count it, nor a place for it; so search for one more than is wanted. Raises ValueError for shapes that do not fit.
    """
    ranked, asked, group = np.asarray(found), np.asarray(queries), np.asarray(groups)  # [q, m], [q], [n]
    if ranked.ndim != 2 or asked.ndim != 1 or group.ndim != 1 or len(ranked) != len(asked) or not ranked.shape[1]:
        shapes = f"found is {list(ranked.shape)}, queries {list(asked.shape)} and groups {list(group.shape)}"
        raise ValueError(f"{shapes}: give [queries, m], [queries] and [texts], with one text found at least")
    others = ranked != asked[:, None]  # [q, m]
    right = others & (group[ranked] == group[asked][:, None])  # [q, m]
    places = np.take_along_axis(others.cumsum(axis=1), right.argmax(axis=1)[:, None], axis=1)[:, 0]  # [q]
    return np.asarray(np.where(right.any(axis=1), places, 0))  # [q]


def recall_at(ranks: Sequence[int] | np.ndarray, k: int) -> float:
    """The share of the queries whose place of :func:`first_right` is ``k`` or before. Raises ValueError for ``k`` below 1 and without a query."""
    places = np.asarray(ranks)  # [q]
    if k < 1 or not places.size:
        raise ValueError(f"k is {k} for {places.size} queries: count from 1, and give one query at least")
    return float(((places >= 1) & (places <= k)).mean())


def _pairs(scores: Sequence[float] | np.ndarray, labels: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scored, labelled = np.asarray(scores, dtype=np.float64), np.asarray(labels)  # [n], [n]
    _same_shape(scored, labelled)
    if not len(scored):
        raise ValueError("there is no pair: give at least one score and its label")
    _finite("scores", scored)
    strange = labelled[(labelled != 0) & (labelled != 1)]
    if strange.size:
        raise ValueError(f"labels are 1 (alike) or 0 (not), found {strange[0]!r} and {strange.size - 1} others: translate them first")
    return scored, labelled == 1


def _same_shape(first: np.ndarray, second: np.ndarray) -> None:
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"scores are {list(first.shape)} and labels {list(second.shape)}: give two lists of the same length")


def _finite(name: str, values: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(f"number {bad[0]} of the {len(values)} {name} is {values[bad[0]]}: only finite numbers can be ranked")
