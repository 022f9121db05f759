import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.decoding import TokenSet
from shared.decoding.candidates import Scored, candidates

SETS = st.builds(TokenSet, st.frozensets(st.integers(0, 11), max_size=12), st.booleans())


def expected(logits, allowed, k):
    """Ids and log-probabilities of one row, by a full sort: falling logits, then rising ids."""
    own = [token for token in range(len(logits)) if token in allowed and logits[token] > -np.inf]
    best = sorted(own, key=lambda token: (-logits[token], token))[:k]
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(logits).sum())
    return best, [logits[token] - total for token in best]


@settings(deadline=None)
@given(
    # few different numbers: many ties
    logits=arrays(np.float64, (3, 12), elements=st.sampled_from([-np.inf, -2.0, 0.0, 0.5, 3.0])),
    sets=st.lists(SETS, min_size=3, max_size=3), k=st.integers(1, 12), constrained=st.booleans(),
)  # fmt: skip
def test_candidates_are_those_of_a_full_sort(logits, sets, k, constrained):
    sets = sets if constrained else [TokenSet(frozenset(), complement=True)] * 3
    found = candidates(Scored(logits), k, sets if constrained else None)
    for row in range(3):
        ids, values = expected(logits[row], sets[row], k)
        real = found.log_probabilities[row] > -np.inf
        assert found.ids[row, real].tolist() == ids
        assert found.log_probabilities[row, real] == pytest.approx(values, abs=1e-9)
        assert real.tolist() == [place < len(ids) for place in range(k)]


@pytest.mark.parametrize("barred", [0, 5, 200, 400, 699])
@pytest.mark.parametrize("kind", ["random", "ties", "equal"])
@pytest.mark.parametrize("k", [1, 6])
def test_few_and_many_barred_tokens_of_a_wide_vocabulary(barred, kind, k):
    random = np.random.default_rng(barred)
    logits = {"random": random.normal(size=[3, 700]), "ties": random.integers(0, 4, [3, 700]) * 1.0, "equal": np.zeros([3, 700])}[kind]
    best = np.argsort(-logits[0], kind="stable")
    sets = [TokenSet(frozenset(best[:barred].tolist()), complement=True), TokenSet(frozenset([3]), complement=True), TokenSet(frozenset([7, 9]))]
    found = candidates(Scored(logits.astype("float32")), k, sets)
    for row in range(3):
        ids, values = expected(logits[row].astype("float32").astype("float64"), sets[row], k)
        assert found.ids[row, : len(ids)].tolist() == ids
        assert found.log_probabilities[row, : len(ids)] == pytest.approx(values, abs=1e-5)
        assert np.all(found.log_probabilities[row, len(ids) :] == -np.inf)
