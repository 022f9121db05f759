import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary, span_to_tokens, spans_to_tokens, token_span

TEXT = "你好 Café，playing 10\u3000好글"
JAMO = unicodedata.normalize("NFD", "글")
TOKENIZER = Tokenizer(Vocabulary.build([TEXT.replace("글", " ".join(JAMO)), "a" + JAMO, "b" + JAMO], max_size=80))
texts = st.text(st.sampled_from("你好Aaé\u0301 \u3000\u200b\x00İ글Ⅱ1，。😀\n\u302e\U0001d165"), max_size=25)


def test_spans_of_characters_and_tokens():
    encoding = TOKENIZER.encode(TEXT)
    assert token_span(encoding, *span_to_tokens(encoding, 0, 2)) == (0, 2)
    assert span_to_tokens(encoding, 0, 2) == (0, 1)
    assert span_to_tokens(encoding, 2, 3) is None  # a blank
    assert span_to_tokens(encoding, 1, 1) is None  # an empty span
    assert span_to_tokens(encoding, 1, 4) == (1, 2)
    first, last = span_to_tokens(encoding, TEXT.index("글"), TEXT.index("글") + 1)
    assert last > first and token_span(encoding, first, last) == (TEXT.index("글"), len(TEXT))


def test_wrong_spans_are_refused():
    encoding = TOKENIZER.encode("你好")
    for start, end in ((-1, 1), (2, 1)):
        with pytest.raises(ValueError, match="0 <= start <= end"):
            span_to_tokens(encoding, start, end)
        with pytest.raises(ValueError, match="0 <= start <= end"):
            spans_to_tokens(encoding, np.array([0, start]), np.array([1, end]))
    for first, last in ((-1, 0), (1, 0), (0, 2)):
        with pytest.raises(ValueError, match="of 2"):
            token_span(encoding, first, last)


@settings(max_examples=150, deadline=None)
@given(texts, st.data())
def test_token_ranges_survive_the_way_to_characters_and_back(text, data):
    encoding = TOKENIZER.encode(text)
    if not len(encoding.ids):
        return
    first = data.draw(st.integers(0, len(encoding.ids) - 1))
    last = data.draw(st.integers(first, len(encoding.ids) - 1))
    start, end = token_span(encoding, first, last)
    back = span_to_tokens(encoding, start, end)
    assert back[0] <= first <= last <= back[1]
    assert token_span(encoding, *back) == (start, end)
    for k in range(back[0], first):  # a range that begins inside a character takes in all tokens of that character
        assert token_span(encoding, k, k) == token_span(encoding, first, first)


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), max_size=8))
def test_many_spans_at_once_equal_a_search_through_all_tokens(text, spans):
    encoding = TOKENIZER.encode(text)
    starts, ends = np.array([a for a, _ in spans], dtype=int), np.array([b for _, b in spans], dtype=int)
    first, last, exact = spans_to_tokens(encoding, starts, ends)
    for k, (start, end) in enumerate(spans):
        touching = [i for i, (a, b) in enumerate(zip(encoding.starts, encoding.ends, strict=True)) if a < end and b > start and start < end]
        assert span_to_tokens(encoding, start, end) == ((touching[0], touching[-1]) if touching else None)
        assert (first[k], last[k]) == ((touching[0], touching[-1]) if touching else (-1, -1))
        assert exact[k] == bool(touching and (encoding.starts[touching[0]], encoding.ends[touching[-1]]) == (start, end))
