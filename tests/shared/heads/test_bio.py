"""The BIO scheme: which tags may follow each other, and spans read back from tags."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads.crf_decode import bio_constraints, bio_spans


def test_bio_constraints():
    allowed, starts = bio_constraints(2)  # O, B0, I0, B1, I1
    assert starts.tolist() == [True, True, False, True, False]
    assert [(a, c) for a in range(5) for c in range(5) if not allowed[a, c]] == [(0, 2), (0, 4), (1, 4), (2, 4), (3, 2), (4, 2)]


@st.composite
def spans_of_a_chain(draw):
    spans, position, length = [], 0, draw(st.integers(1, 20))
    while position < length:
        position += draw(st.integers(0, 3))
        last = position + draw(st.integers(0, 4))
        if last >= length:
            break
        spans.append((draw(st.integers(0, 3)), position, last))
        position = last + 1
    return spans, length


@settings(max_examples=100, deadline=None)
@given(spans_of_a_chain(), st.integers(0, 3))
def test_bio_spans_read_back_what_was_tagged(case, padding):
    spans, length = case
    tags = np.zeros(length + padding, dtype=np.int64)  # [l]
    for label, first, last in spans:
        tags[first] = 2 * label + 1
        tags[first + 1 : last + 1] = 2 * label + 2
    allowed, starts = bio_constraints(4)
    assert starts[tags[0]] and all(allowed[a, c] for a, c in itertools.pairwise(tags))
    assert bio_spans(tags, length) == spans


def test_bio_spans_open_no_span_at_a_stray_inside():
    assert bio_spans(np.array([2, 0, 1, 4, 4, 3, 2]), 7) == [(0, 2, 2), (1, 5, 5)]
    assert bio_spans(np.array([1, 2, 2, 2]), 2) == [(0, 0, 1)]
