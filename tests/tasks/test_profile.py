"""What makes a text or a label suspicious, whatever the track."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.profile import Profile, crossing, odd_characters, odd_mention, odd_text, two_widths

TEXT = "岑若川在《夜航》（上）里唱了Ｎｏｖａ"


def kinds(found):
    return [what for what, _ in found]


@pytest.mark.parametrize(
    ("character", "what"),
    [
        ("\x00", "a NUL"),
        ("\x07", "a control character"),
        ("\x9f", "a control character"),
        ("\ue123", "a private-use character"),
        ("\U000f0001", "a private-use character"),
        ("\ufffd", "a replacement character U+FFFD"),
        ("\u200b", "an invisible character"),
        ("\ufeff", "an invisible character"),
        ("\u3000", "a blank that is no plain space"),
        ("\xa0", "a blank that is no plain space"),
        ("\n", "a tab or line break"),
        ("&nbsp;", "remains of HTML"),
        ("<br/>", "remains of HTML"),
    ],
)
def test_odd_characters_are_named_with_their_place(character, what):
    ((told, found),) = odd_characters("text", f"海螺{character}湾")
    assert told == f"texts with {what}" and found.endswith(" at 2")
    assert kinds(odd_text("text", f"海螺湾里{character}有船")) == [told]


@pytest.mark.parametrize("text", ["海螺湾有船", "A < B 且 C > D 的船", "AT&T的船很大", "船 船，“船”😀"])
def test_plain_texts_are_not_suspicious(text):
    assert list(odd_text("text", text)) == []


def test_texts_as_a_whole():
    assert kinds(odd_text("text", " 有船在海上 ")) == ["texts with blanks at an edge"]
    assert kinds(odd_text("text", "a ship at sea")) == ["texts without a Chinese character"]
    assert kinds(odd_text("text", "有船")) == ["texts of fewer than 5 characters"]
    assert kinds(odd_text("text", "船" * 511)) == ["texts of more than 510 characters"]
    assert list(odd_text("text", "船" * 511, longest=None)) == []


@pytest.mark.parametrize(
    ("mention", "told"),
    [
        ("岑若川", []),
        ("（上）里唱", []),
        ("《夜航》", ["in brackets as a whole"]),
        ("《夜航》（上）", []),
        ("《夜航", ["with half a pair of brackets at an edge"]),
        ("夜航》", ["with half a pair of brackets at an edge"]),
        ("nova", ["not in their text, yet in other case or width"]),
        ("陆明", ["not in their text"]),
        ("", ["that are empty"]),
        (" ", ["that are empty"]),
    ],
)
def test_mentions(mention, told):
    assert kinds(odd_mention("mention", mention, TEXT, longest=20)) == [f"mentions {what}" for what in told]


def test_edges_and_length_of_mentions():
    text = "有 船，海螺湾"
    assert kinds(odd_mention("mention", "有 ", text, longest=9)) == ["mentions with blanks at an edge"]
    assert kinds(odd_mention("mention", "船，", text, longest=9)) == ["mentions with punctuation at an edge"]
    assert kinds(odd_mention("mention", "海螺湾", text, longest=2)) == ["mentions of more than 2 characters"]


def test_one_mention_in_two_widths():
    given_ones = [(0, "Ｎｏｖａ"), (1, "海螺湾"), (2, "Nova"), (3, "Ａ座"), (4, "Ｎｏｖａ")]
    found = two_widths("mention", given_ones)
    assert [index for _, index, _ in found] == [0, 4]
    assert {(what, shown) for what, _, shown in found} == {("mentions written in full and in half width", "Ｎｏｖａ and Nova")}


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)).map(lambda pair: (pair[0], sum(pair))), max_size=6))
def test_crossing_is_that_of_all_pairs(spans):
    nested = crosses = False
    for left, right in combinations(set(spans), 2):
        shared = min(left[1], right[1]) - max(left[0], right[0])
        if shared > 0:
            inside = shared == min(left[1] - left[0], right[1] - right[0])
            nested, crosses = nested or inside, crosses or not inside
    assert crossing(spans) == (nested, crosses)


def test_a_record_is_suspected_once_a_finding():
    made = Profile()
    made.suspect(3, [("odd", "a"), ("odd", "a"), ("odd", "b")])
    assert made.suspects == [("odd", 3, "a"), ("odd", 3, "b")]
