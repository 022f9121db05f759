"""The parts that the tracks' mistakes share: pairs of what is nearly right, and the text around spans."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tasks.mistakes import FAULTS, overlap, pair_up, surroundings

SPANS = st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))


def compare(left, right):
    """Pairs of neighbouring numbers: the same even one, or one apart."""
    if left == right:
        return "wrong slots", 1
    return ("wrong boundary", -abs(left - right)) if abs(left - right) <= 3 else None


@given(st.lists(st.integers(0, 12)), st.lists(st.integers(0, 12)))
def test_everything_is_in_exactly_one_mistake(gold, predicted):
    found = list(pair_up(gold, predicted, compare))
    assert sorted(one for _, one, _ in found if one is not None) == sorted(gold)
    assert sorted(one for _, _, one in found if one is not None) == sorted(predicted)
    for fault, wanted, made in found:
        assert fault in FAULTS and (fault == "missing") == (made is None) and (fault == "extra") == (wanted is None)
        assert wanted is None or made is None or compare(wanted, made)[0] == fault
    left = {one for fault, one, _ in found if fault == "missing"}
    assert not any(compare(one, made) for one in left for fault, _, made in found if fault == "extra")


def test_the_nearer_fault_goes_first_and_then_the_nearer_pair():
    assert list(pair_up([5, 8], [8, 6], compare)) == [("wrong boundary", 5, 6), ("wrong slots", 8, 8)]
    assert list(pair_up([1], [4, 2], compare)) == [("wrong boundary", 1, 2), ("extra", None, 4)]


@given(SPANS, SPANS)
def test_overlap_counts_shared_characters(left, right):
    assert overlap(left, right) == len(set(range(*left)) & set(range(*right)))


@given(st.text(min_size=70, max_size=90), st.lists(st.none() | SPANS, max_size=4), st.integers(0, 12))
def test_surroundings_are_cut_out_of_the_text_and_hold_every_span(text, spans, margin):
    parts = surroundings(text, spans, margin=margin)
    assert all(text[part["start"] : part["start"] + len(part["text"])] == part["text"] for part in parts)
    ends = [(part["start"], part["start"] + len(part["text"])) for part in parts]
    assert all(left[1] < right[0] for left, right in itertools.pairwise(ends))
    for start, end in filter(None, spans):
        assert any(first <= max(0, start - margin) and last >= min(len(text), end + margin) for first, last in ends)


def test_without_a_span_the_beginning_is_shown():
    assert surroundings("海螺湾有九条船", [None], margin=3) == [{"start": 0, "text": "海螺湾"}]
