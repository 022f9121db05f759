"""Windows lose nothing: what they cut of long spans, merging puts together again."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text.windows import WindowSpan, in_text, merge_windows, split_windows

SIZES = st.integers(2, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size - 1)))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400), SIZES)
def test_windows_cover_the_text_with_the_overlap_asked_for(length, sizes):
    size, overlap = sizes
    windows = split_windows(length, size, overlap)
    if length == 0:
        assert windows == []
        return
    assert windows[0][0] == 0 and windows[-1][1] == length
    assert all(0 < end - begin <= size for begin, end in windows)
    assert length <= size or all(end - begin == size for begin, end in windows)
    for (begin, end), (following, _) in itertools.pairwise(windows):
        assert begin < following and end - following >= overlap


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), SIZES)
def test_no_more_windows_than_it_takes(length, sizes):
    size, overlap = sizes
    fewest = next(count for count in range(1, 500) if size + (count - 1) * (size - overlap) >= length)
    assert len(split_windows(length, size, overlap)) == fewest


@pytest.mark.parametrize(("size", "overlap"), [(8, 0), (8, 8), (8, 9), (1, 1), (0, 0)])
def test_impossible_windows(size, overlap):
    with pytest.raises(ValueError, match=f"overlap={overlap}, size={size}"):
        split_windows(10, size, overlap)


@st.composite
def labelled_texts(draw):
    """Length and spans (label, first, last) that do not overlap inside a label."""
    length = draw(st.integers(1, 120))
    spans = []
    for label in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, 5))
        while position < length:
            last = min(length - 1, position + draw(st.integers(0, 1) | st.integers(0, 60)))
            spans.append((label, position, last))
            position = last + 1 + draw(st.integers(0, 1) | st.integers(0, 20))
    return length, spans


def seen_by_windows(spans, length, size, overlap, score=lambda: 1.0):
    """What every window sees of the spans, cut at its borders as the event features cut them."""
    for window in split_windows(length, size, overlap):
        begin, end = window
        for label, first, last in spans:
            if first < end and last >= begin:
                yield in_text(label, max(first, begin) - begin, min(last, end - 1) - begin, score(), window, length)


@settings(max_examples=400, deadline=None)
@given(labelled_texts(), SIZES, st.randoms(use_true_random=False))
def test_spans_survive_any_windows(case, sizes, random):
    length, spans = case
    pieces = list(seen_by_windows(spans, length, *sizes, score=random.random))
    random.shuffle(pieces)
    merged = merge_windows(pieces)
    assert sorted((span.label, span.first, span.last) for span in merged) == sorted(spans)
    assert not any(span.cut_left or span.cut_right for span in merged)
    assert all(0 <= span.score <= 1 for span in merged)


@settings(max_examples=200, deadline=None)
@given(labelled_texts(), SIZES, st.data())
def test_merged_spans_never_overlap_inside_a_label(case, sizes, data):
    """Whatever windows claim, right or wrong."""
    length, _ = case
    size, overlap = sizes
    windows = split_windows(length, size, overlap)
    pieces = []
    for _ in range(data.draw(st.integers(0, 12))):
        begin, end = window = data.draw(st.sampled_from(windows))
        first = data.draw(st.integers(0, end - begin - 1))
        last = data.draw(st.integers(first, end - begin - 1))
        pieces.append(in_text(data.draw(st.integers(0, 1)), first, last, data.draw(st.floats(0, 1)), window, length))
    merged = merge_windows(pieces)
    assert bool(merged) == bool(pieces)
    assert merged == sorted(merged, key=lambda span: (span.first, span.last, span.label))
    for label in (0, 1):
        row = [span for span in merged if span.label == label]
        assert all(a.last < b.first for a, b in itertools.pairwise(row))
        assert {span.label for span in pieces} == {span.label for span in merged}


def test_in_text_knows_inner_borders_only():
    assert in_text(0, 0, 4, 1.0, (0, 5), 10) == WindowSpan(0, 0, 4, 1.0, False, True)
    assert in_text(0, 0, 4, 1.0, (5, 10), 10) == WindowSpan(0, 5, 9, 1.0, True, False)
    assert in_text(0, 0, 4, 1.0, (0, 5), 5) == WindowSpan(0, 0, 4, 1.0, False, False)


def test_halves_of_a_long_span_are_joined_with_the_lesser_score():
    halves = [WindowSpan(3, 2, 7, 0.9, False, True), WindowSpan(3, 5, 11, 0.4, True, False)]
    assert merge_windows(halves) == [WindowSpan(3, 2, 11, 0.4)]


def test_a_span_that_was_seen_to_end_is_not_prolonged():
    whole, remainder = WindowSpan(3, 2, 7, 0.9), WindowSpan(3, 5, 11, 0.4, True, False)
    assert merge_windows([whole, remainder]) == [whole]
    whole, remainder = WindowSpan(3, 2, 7, 0.4, False, True), WindowSpan(3, 5, 11, 0.9)
    assert merge_windows([whole, remainder]) == [remainder]


def test_a_cut_remainder_inside_a_whole_span_goes():
    spans = [WindowSpan(0, 4, 7, 0.99, False, True), WindowSpan(0, 4, 9, 0.5)]
    assert merge_windows(spans) == [WindowSpan(0, 4, 9, 0.5)]


def test_conflicts_go_by_score_and_then_by_length():
    assert merge_windows([WindowSpan(0, 0, 3, 0.6), WindowSpan(0, 2, 5, 0.7)]) == [WindowSpan(0, 2, 5, 0.7)]
    assert merge_windows([WindowSpan(0, 0, 3, 0.7), WindowSpan(0, 2, 6, 0.7)]) == [WindowSpan(0, 2, 6, 0.7)]
    both = [WindowSpan(0, 0, 3, 0.6), WindowSpan(1, 2, 5, 0.7)]
    assert merge_windows(both) == both


def test_equal_spans_count_once_with_the_best_score():
    assert merge_windows([WindowSpan(0, 1, 2, 0.2), WindowSpan(0, 1, 2, 0.8), WindowSpan(0, 1, 2, 0.5)]) == [WindowSpan(0, 1, 2, 0.8)]


def test_overlapping_spans_stay_where_they_may():
    inner, outer, other = WindowSpan(0, 2, 3, 0.9), WindowSpan(0, 1, 5, 0.5), WindowSpan(1, 2, 3, 0.1)
    cut = WindowSpan(0, 4, 5, 0.9, cut_left=True)
    assert merge_windows([inner, outer, other, cut, inner], overlaps=True) == [outer, inner, other]
    assert merge_windows([inner, outer, other, cut]) == [inner, other]
