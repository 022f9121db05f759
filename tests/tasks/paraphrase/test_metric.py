"""Scores against scipy and scikit-learn, and what is said where nothing is ranked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, roc_auc_score

from tasks.paraphrase.metric import score


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.booleans())
def test_scores_are_those_of_scipy_and_scikit_learn(seed, n, ties):
    rng = np.random.default_rng(seed)
    labels = np.asarray([0, 1, *rng.integers(0, 2, n)])  # [n + 2]
    scores = np.round(rng.uniform(-1, 1, n + 2), 1 if ties else 9)  # [n + 2]
    scores[0] -= 0.01
    told = score(labels, scores, scores > 0.2)
    assert told["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert told["spearman"] == pytest.approx(spearmanr(scores, labels).statistic)
    assert told["accuracy"] == accuracy_score(labels, scores > 0.2)
    assert told["best_accuracy"] == max(accuracy_score(labels, scores > value) for value in [-2, *scores])
    assert told["best_accuracy"] == accuracy_score(labels, scores > told["threshold"])
    assert (told["pairs"], told["alike"]) == (n + 2, labels.sum())


def test_each_source_by_itself():
    labels, scores, sources = [1, 0, 1, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.1], ["甲", "甲", None, "乙", "甲"]
    told = score(labels, scores, [True, True, False, True, False], sources)
    assert list(told["per_source"]) == ["甲", "", "乙"]
    assert told["per_source"]["甲"] == score([1, 0, 0], [0.9, 0.8, 0.1], [True, True, False])
    assert "per_source" not in score(labels, scores, [True] * 5, [None] * 5)


@pytest.mark.parametrize(("labels", "scores"), [([1, 1], [0.1, 0.9]), ([1, 0], [0.5, 0.5]), ([0], [0.3])])
def test_nothing_is_ranked(labels, scores):
    told = score(labels, scores, [True] * len(labels))
    assert (told["auc"], told["spearman"]) == (0.5, 0.0)


@pytest.mark.parametrize(("labels", "scores"), [([], []), ([1, 0], [0.5]), ([1, 2], [0.1, 0.2]), ([0, 1], [0.1, float("nan")])])
def test_what_cannot_be_scored(labels, scores):
    with pytest.raises(ValueError):
        score(labels, scores, [True] * len(labels))
