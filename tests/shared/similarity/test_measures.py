import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.similarity import accuracy_at, best_threshold, first_right, recall_at, retrieval_accuracy, spearman

pairs = st.lists(st.tuples(st.integers(-10, 10).map(lambda n: n / 10), st.integers(0, 1)), min_size=1, max_size=30)


def test_accuracy_at_a_threshold():
    scores, labels = [0.95, 0.9, 0.4, 0.97], [1, 1, 0, 0]
    assert accuracy_at(scores, labels) == 0.5  # .9 is not above .9
    assert accuracy_at(scores, labels, 0.5) == 0.75
    assert accuracy_at(scores, labels, -1.0) == accuracy_at(scores, labels, 1.0) == 0.5


def test_the_best_threshold_by_hand():
    found = best_threshold([0.2, 0.4, 0.6, 0.8], [0, 0, 1, 1])
    assert found.accuracy == 1.0 and found.value == pytest.approx(0.5)
    assert best_threshold([0.5, 0.5, 0.5], [1, 0, 1]).accuracy == pytest.approx(2 / 3)
    assert best_threshold([0.1, 0.2], [1, 1]).value < 0.1
    assert best_threshold([0.1, 0.2], [0, 0]).value == 0.2
    assert best_threshold([0.9, 0.1], [0, 1]) == (pytest.approx(np.nextafter(0.1, 0)), 0.5)  # the lowest of equally good ones


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_no_threshold_is_better_than_the_best(given_pairs):
    scores, labels = map(list, zip(*given_pairs, strict=True))
    best = best_threshold(scores, labels)
    assert accuracy_at(scores, labels, best.value) == pytest.approx(best.accuracy)
    assert best.accuracy == pytest.approx(max(accuracy_at(scores, labels, t) for t in [-2.0, *scores]))


def test_the_best_threshold_between_neighbouring_numbers():
    low, high = 0.3, float(np.nextafter(0.3, 1))
    best = best_threshold([low, high], [0, 1])
    assert best.accuracy == accuracy_at([low, high], [0, 1], best.value) == 1.0


def test_rank_correlation():
    assert spearman([0.1, 0.5, 0.9], [0, 3, 4]) == pytest.approx(1.0)
    assert spearman([0.9, 0.5, 0.1], [0, 3, 4]) == pytest.approx(-1.0)
    assert spearman([1, 2, 3, 4], [0, 1, 0, 1]) == pytest.approx(1 / np.sqrt(5))  # ranks 1.5, 3.5, 1.5, 3.5


def test_retrieval_accuracy():
    found = [[3, 1, 2], [0, 2, 1], [2, 0, 1], [1, 0, 3]]
    assert retrieval_accuracy(found, [3, 1, 0, 2]) == 0.25
    assert retrieval_accuracy(found, [3, 1, 0, 2], k=2) == 0.5
    assert retrieval_accuracy(found, [3, 1, 0, 2], k=3) == 0.75


def test_bad_input_is_refused():
    for call in (accuracy_at, best_threshold):
        with pytest.raises(ValueError, match=r"scores are \[2\] and labels \[1\]"):
            call([0.1, 0.2], [1])
        with pytest.raises(ValueError, match="no pair"):
            call([], [])
        with pytest.raises(ValueError, match="number 1 of the 2 scores is nan"):
            call([0.1, float("nan")], [0, 1])
        with pytest.raises(ValueError, match="found 2"):
            call([0.1, 0.2], [2, 1])
    with pytest.raises(ValueError, match="two different numbers"):
        spearman([0.1, 0.1], [0, 1])
    with pytest.raises(ValueError, match="two different numbers"):
        spearman([0.1], [0])
    with pytest.raises(ValueError, match="number 0 of the 2 labels is inf"):
        spearman([0.1, 0.2], [float("inf"), 0])
    with pytest.raises(ValueError, match="k is 3, but 2 texts"):
        retrieval_accuracy([[0, 1]], [0], k=3)
    with pytest.raises(ValueError, match="at least one query"):
        retrieval_accuracy(np.zeros((0, 2)), [])


def test_the_first_right_text_does_not_count_the_query_itself():
    groups = [7, 7, 8, 8, 9, 9]
    found = [[0, 2, 1], [2, 3, 0], [5, 4, 1], [1, 3, 0]]
    ranks = first_right(found, [0, 1, 2, 3], groups)
    assert ranks.tolist() == [2, 3, 0, 0]  # query 0 finds itself, which is no place; of what query 3 finds only itself is of its group
    assert [recall_at(ranks, k) for k in (1, 2, 3)] == [0.0, 0.25, 0.5]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.data())
def test_the_first_right_text_is_found_as_by_hand(groups, data):
    queries = data.draw(st.lists(st.integers(0, len(groups) - 1), min_size=1, max_size=4))
    found = [data.draw(st.permutations(range(len(groups)))) for _ in queries]
    ranks = first_right(found, queries, groups)
    for row, query, rank in zip(found, queries, ranks.tolist(), strict=True):
        others = [groups[text] == groups[query] for text in row if text != query]
        assert rank == (others.index(True) + 1 if any(others) else 0)
    shares = [recall_at(ranks, k) for k in range(1, len(groups))]
    assert shares == sorted(shares) and shares[-1] == np.mean(ranks > 0)


def test_shapes_that_fit_no_ranking_are_refused():
    with pytest.raises(ValueError, match="give \\[queries, m\\]"):
        first_right([[0, 1]], [0, 1], [0, 0])
    with pytest.raises(ValueError, match="one query at least"):
        recall_at([], 1)
