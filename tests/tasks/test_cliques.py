"""Complete subgraphs against their definition, and that a graph with too many of them neither takes for ever nor loses anything."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cliques import maximal_cliques


def graph(n, edges):
    neighbours = [0] * n
    for left, right in edges:
        neighbours[left] |= 1 << right
        neighbours[right] |= 1 << left
    return neighbours


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 8), st.data())
def test_by_definition(n, data):
    pairs = list(combinations(range(n), 2))
    edges = set(data.draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else set()
    complete = [
        set(some) for size in range(1, n + 1) for some in combinations(range(n), size) if all(pair in edges for pair in combinations(some, 2))
    ]
    expected = sorted(tuple(sorted(some)) for some in complete if not any(some < other for other in complete))
    assert maximal_cliques(graph(n, edges), most=1000) == expected


def test_a_thing_may_name_itself():
    assert maximal_cliques([0b01, 0b10]) == [(0,), (1,)]


@pytest.mark.parametrize("n", [30, 120])
def test_of_too_many_some_are_found_and_everything_is_in_one(n):
    """Threes of which no two are linked: 3^(n/3) largest sets."""
    edges = {(left, right) for left, right in combinations(range(n), 2) if left // 3 != right // 3}
    found = maximal_cliques(graph(n, edges), most=10)
    assert 10 <= len(found) <= 10 + n and {place for clique in found for place in clique} == set(range(n))
    assert all(len(clique) == n // 3 and all(pair in edges for pair in combinations(clique, 2)) for clique in found)


def test_a_graph_must_be_symmetric():
    for neighbours in ([0b10, 0], [0b100]):
        with pytest.raises(ValueError, match=r"0 has the neighbour \d, but not the other way round"):
            maximal_cliques(neighbours)
