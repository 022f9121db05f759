import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text.cutting import MARKS, WEAK_MARKS, cut_at_punctuation

texts = st.text(st.sampled_from("天气好去玩ab" + MARKS + "\u3000、"), max_size=60)


def test_the_published_example():
    text = "今天天气不错，我们去公园玩吧。明天下雨！那就在家,看书"
    assert cut_at_punctuation(text, 12) == ["今天天气不错", "我们去公园玩吧。", "明天下雨！那就在家,看书"]


def test_short_texts_stay_whole_and_weak_marks_leave_the_ends():
    assert cut_at_punctuation(" ，怎么去火车站？，", 30) == ["怎么去火车站？"]
    assert cut_at_punctuation("", 5) == [] and cut_at_punctuation(" ，; ", 5) == []


def test_strong_borders_come_before_weak_ones():
    assert cut_at_punctuation("东门，西门。南门，北门", 8) == ["东门，西门。", "南门，北门"]
    assert cut_at_punctuation("东门，西门。南门，北门", 5) == ["东门", "西门。", "南门，北门"]


def test_other_marks_and_nothing_to_strip():
    assert cut_at_punctuation("a/b/c/d", 4, marks="/", strip="") == ["a/b/", "c/d"]


def test_a_text_without_marks_is_not_cut():
    assert cut_at_punctuation("一" * 40, 30) == ["一" * 40]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="found 0"):
        cut_at_punctuation("你好", 0)


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(1, 20))
def test_pieces_are_the_text_without_what_was_stripped(text, limit):
    pieces = cut_at_punctuation(text, limit)
    stripped = WEAK_MARKS + " \n\u3000"
    place = 0
    for piece in pieces:
        assert piece and piece == piece.strip().strip(WEAK_MARKS)
        found = text.index(piece, place)
        assert not text[place:found].strip(stripped)
        place = found + len(piece)
    assert not text[place:].strip(stripped)


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(1, 20))
def test_a_piece_over_the_limit_holds_no_mark_but_repeated_ones_at_its_end(text, limit):
    for piece in cut_at_punctuation(text, limit):
        body = piece.rstrip(MARKS)
        assert len(body) <= limit or not set(body) & set(MARKS)


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(1, 20))
def test_pieces_are_not_cut_again(text, limit):
    for piece in cut_at_punctuation(text, limit):
        if len(piece) <= limit:
            assert cut_at_punctuation(piece, limit) == [piece]
