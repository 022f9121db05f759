"""The answer with the highest F1 to expect: minimum Bayes risk (Kumar and Byrne 2004) under the official metric, among likely spans.

Of a passage that says much the same in several places, and of a reader that is unsure where an answer ends, the likeliest single span is often
not the one that shares most with what may be right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import metric
from .predictions import Prediction


def by_expected_f1(found: Sequence[Prediction]) -> list[Prediction]:
    """``found`` with the answer first whose F1, taken against every one of them and weighted by their probabilities, is highest.

    The others follow as given; of equal ones the first leads. Equal texts count together.
    """
    texts = [metric.normalise(answer.text) for answer in found]
    different = list(dict.fromkeys(texts))
    if len(different) < 2:
        return list(found)
    weights = np.zeros(len(different))  # [t]
    place = {text: at for at, text in enumerate(different)}
    for text, answer in zip(texts, found, strict=True):
        weights[place[text]] += answer.probability
    expected = pairwise_f1(different) @ weights  # [t]
    best = max(range(len(found)), key=lambda at: (round(float(expected[place[texts[at]]]), 12), -at))
    return [found[best], *(answer for at, answer in enumerate(found) if at != best)]


def pairwise_f1(texts: Sequence[str]) -> np.ndarray:
    """The official F1 of each of n different normalised texts against each other, [n, n]; 0 where one of two is empty."""
    tokens = [metric.tokenise(text) for text in texts]
    framed = ["\0".join(["", *row, ""]) for row in tokens]
    found = np.zeros((len(texts), len(texts)))  # [n, n]
    for i, row in enumerate(tokens):
        found[i, i] = float(bool(row))
        for j in range(i):
            short, long = (i, j) if len(row) <= len(tokens[j]) else (j, i)
            if framed[short] in framed[long]:  # a run of the other, as spans of one passage mostly are: no search
                shared = len(tokens[short])
            else:
                shared = metric.longest_run(row, tokens[j])
            found[i, j] = found[j, i] = 2 * shared / max(len(row) + len(tokens[j]), 1)
    return found
