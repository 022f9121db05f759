import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from shared.text.normalize import CONTROL, ISOLATED, MARK, SPACE, WORD, character_kinds
from shared.text.tokenizer import MAX_WORD_CHARACTERS

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [
    "bert",
    "##4",
    "##k",
    "##eras",
    "cafe",
    "play",
    "##ing",
    "hello",
    "world",
    "##s",
    "ⅱ",
    "##ii",
    "ii",
    "한",
    "σ",
    "##π",
    "##δ",
    "##ς",
    "##σ",
]
CHARACTERS = list("abeiknqz0149你想吃啥好，。！!?[]#、—你")
JAMO = list(unicodedata.normalize("NFD", "한글"))
VOCABULARY = Vocabulary.from_tokens(
    dict.fromkeys(
        SPECIALS
        + PIECES
        + CHARACTERS
        + JAMO
        + ["##" + jamo for jamo in JAMO[1:]]
        + ["##" + letter for letter in "abeiknz019"]
        + ["istanbul", "unk", "B", "Bert", "é", "ａ", "##ａ", "=", "<", "`", "豈", "來", "😀"]
    )
)
TOKENIZERS = {lower_case: Tokenizer(VOCABULARY, lower_case=lower_case) for lower_case in (True, False)}

# Every class of trouble often, any code point sometimes.
trouble = st.sampled_from(
    list("aAbBeEkKzZ019 iıİßﬁ½你好，。!?[]#_")
    + ["\u200b", "\ufeff", "\x00", "\x7f", "\ufffd", "\ue000", "\r\n", "\t", "\n", "\u3000", "\xa0", "\u2028", "\x0b", "\x85"]
    + ["\u0301", "\u0323", "\u0345", "\ufe0f", "\u302e", "\u1b44", "\U0001d165", "\u0cc8", "\u0344", "\U0001e944", "\U0001d160"]
    + [
        "é",
        "Å",
        "Ⅱ",
        "σ",
        "Σ",
        "π",
        "δ",
        "ς",
        "한",
        "각",
        "Ａ",
        "，",
        "😀",
        "👨\u200d👩",
        "豈",
        "\U0002f9f4",
        "\U0002b820",
        "\U00020000",
        "≠",
        "\u1fef",
    ]
    + ["\ua7cb", "\U00016ea0", "\u1e9e", "hello", "playing", "[UNK]", "[SEP]", "##s", "z" * 50]
)
any_character = st.characters(exclude_categories=["Cs"])
texts = st.lists(st.one_of(trouble, trouble, any_character), max_size=30).map("".join)


@pytest.fixture(scope="module")
def references():
    tokenizers = pytest.importorskip("tokenizers", reason="the reference, Hugging Face tokenizers, is not installed")
    made = {}
    for lower_case in (True, False):
        vocabulary = {token: index for index, token in enumerate(VOCABULARY)}
        reference = tokenizers.BertWordPieceTokenizer(
            vocabulary, clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower_case
        )
        reference._tokenizer.encode_special_tokens = True  # "[SEP]" written in a text is text
        made[lower_case] = reference
    return made


def tokens_and_spans(text, lower_case=True):
    tokenizer = TOKENIZERS[lower_case]
    encoding = tokenizer.encode(text)
    return list(zip(tokenizer.tokens(text), encoding.starts.tolist(), encoding.ends.tolist(), strict=True))


@settings(max_examples=600, deadline=None)
@given(texts, st.booleans())
def test_tokens_equal_hugging_face(references, text, lower_case):
    expected = references[lower_case].encode(text, add_special_tokens=False)
    assert TOKENIZERS[lower_case].encode(text).ids.tolist() == expected.ids
    assert TOKENIZERS[lower_case].tokens(text) == expected.tokens


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="aAbBeEkKzZ019 你好，。!?[]#\t\r\n\u3000\u200bσπ😀", max_size=40))
def test_spans_equal_hugging_face_where_no_character_grows_or_vanishes(references, text):
    expected = references[True].encode(text, add_special_tokens=False)
    encoding = TOKENIZERS[True].encode(text)
    spans = list(zip(encoding.starts.tolist(), encoding.ends.tolist(), strict=True))
    assert spans == expected.offsets


@settings(max_examples=400, deadline=None)
@given(st.one_of(texts, st.text(st.characters(), max_size=20)), st.booleans())
def test_spans_are_in_order_and_cover_every_visible_character_once(text, lower_case):
    encoding = TOKENIZERS[lower_case].encode(text)
    kinds = character_kinds(lower_case=lower_case)[[ord(character) for character in text]] if text else np.empty(0, np.uint8)
    assert [array.dtype for array in encoding] == [np.int32] * 3
    covered = np.zeros(len(text), dtype=int)
    previous = (0, 0)
    for span in zip(encoding.starts.tolist(), encoding.ends.tolist(), strict=True):
        start, end = span
        assert 0 <= start < end <= len(text)
        assert span == previous or start >= previous[1]
        if span != previous:
            covered[start:end] += 1
        previous = span
    assert covered.max(initial=0) <= 1
    assert (covered[(kinds == WORD) | (kinds == ISOLATED)] == 1).all()
    assert (covered[kinds == SPACE] == 0).all()
    for index in np.flatnonzero((kinds == MARK) & (covered == 0)).tolist():
        before = [kind for kind in kinds[:index].tolist() if kind not in (MARK, CONTROL)]
        assert not before or before[-1] == SPACE  # an accent goes without a token only where it stands on nothing


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=6), st.booleans())
def test_a_batch_gives_what_single_texts_give(batch, lower_case):
    tokenizer = TOKENIZERS[lower_case]
    encodings = tokenizer.encode_batch(batch)
    assert len(encodings) == len(batch)
    for text, encoding in zip(batch, encodings, strict=True):
        for array, expected in zip(encoding, tokenizer.encode(text), strict=True):
            assert array.dtype == np.int32
            np.testing.assert_array_equal(array, expected)


def test_a_batch_longer_than_one_chunk():
    tokenizer = TOKENIZERS[True]
    batch = ["你好 bert4k，" * n for n in (1, 4000, 0, 9000, 3)]
    for text, encoding in zip(batch, tokenizer.encode_batch(iter(batch)), strict=True):
        single = tokenizer.encode(text)
        assert all(np.array_equal(a, b) for a, b in zip(encoding, single, strict=True))
        assert len(single.ids) == 6 * text.count("你")


def test_check_values_of_the_published_rematch():
    assert tokens_and_spans("BERT4Keras 你想吃啥") == [
        ("bert", 0, 4),
        ("##4", 4, 5),
        ("##k", 5, 6),
        ("##eras", 6, 10),
        ("你", 11, 12),
        ("想", 12, 13),
        ("吃", 13, 14),
        ("啥", 14, 15),
    ]
    assert tokens_and_spans("Café，playing  hello worlds!") == [
        ("cafe", 0, 4),
        ("，", 4, 5),
        ("play", 5, 9),
        ("##ing", 9, 12),
        ("hello", 14, 19),
        ("world", 20, 25),
        ("##s", 25, 26),
        ("!", 26, 27),
    ]


def test_a_capital_that_grows_when_lowered_shifts_nothing():
    assert len("İ".lower()) == 2
    assert tokens_and_spans("İstanbul 你") == [("istanbul", 0, 8), ("你", 9, 10)]
    assert tokens_and_spans("İİ 你", lower_case=False) == [("[UNK]", 0, 2), ("你", 3, 4)]


def test_accents_belong_to_the_character_before():
    assert tokens_and_spans("Cafe\u0301  你") == [("cafe", 0, 5), ("你", 7, 8)]
    assert tokens_and_spans("你\u0301\ufe0f好") == [("你", 0, 3), ("好", 3, 4)]
    assert tokens_and_spans(" \u0301你") == [("你", 2, 3)]
    assert tokens_and_spans(" \u0301b") == [("b", 1, 3)]
    assert tokens_and_spans("bert\u03014k") == [("bert", 0, 5), ("##4", 5, 6), ("##k", 6, 7)]


def test_control_characters_vanish_but_do_not_cut_words():
    assert tokens_and_spans("\ufeffpl\u200bay\x00ing\x7f") == [("play", 1, 6), ("##ing", 7, 10)]
    assert tokens_and_spans("\ufffd\u200d\x00") == []
    assert tokens_and_spans("你\ud83d好") == [("你", 0, 1), ("好", 2, 3)]  # a lone surrogate, as careless JSON holds it


def test_greek_and_roman_numerals():
    assert tokens_and_spans("σπδς") == [("σ", 0, 1), ("##π", 1, 2), ("##δ", 2, 3), ("##ς", 3, 4)]
    assert tokens_and_spans("ΣΠΔΣ") == [("σ", 0, 1), ("##π", 1, 2), ("##δ", 2, 3), ("##σ", 3, 4)]  # no final sigma: one character at a time
    assert tokens_and_spans("Ⅱ") == [("ⅱ", 0, 1)]


def test_tokens_cut_from_one_character_share_its_span():
    assert [(start, end) for _, start, end in tokens_and_spans("你글好")] == [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]


def test_runs_of_unknown_characters_are_one_unknown_word_each():
    assert tokens_and_spans("你 ☃☃☃ ☃好☃☃") == [("你", 0, 1), ("[UNK]", 2, 5), ("[UNK]", 6, 7), ("好", 7, 8), ("[UNK]", 8, 10)]
    assert tokens_and_spans("龘龘") == [("[UNK]", 0, 1), ("[UNK]", 1, 2)]


def test_words_of_more_than_a_hundred_characters_are_unknown():
    known, unknown = "b" + "a" * (MAX_WORD_CHARACTERS - 1), "b" + "a" * MAX_WORD_CHARACTERS
    assert len(tokens_and_spans(known)) == MAX_WORD_CHARACTERS
    assert tokens_and_spans(unknown) == [("[UNK]", 0, MAX_WORD_CHARACTERS + 1)]


def test_special_tokens_in_the_text_are_text():
    assert tokens_and_spans("[UNK][SEP]") == [("[", 0, 1), ("unk", 1, 4), ("]", 4, 5), ("[", 5, 6), ("[UNK]", 6, 9), ("]", 9, 10)]


def test_the_empty_text():
    assert tokens_and_spans("") == tokens_and_spans(" \u3000\n") == []
    assert TOKENIZERS[True].encode_batch([]) == []


def test_the_word_cache_is_bounded_and_harmless(monkeypatch):
    monkeypatch.setattr("shared.text.tokenizer._CACHED_RUNS", 3)
    tokenizer = Tokenizer(VOCABULARY)
    words = ["bert", "cafe", "hello", "world", "playing", "bert4k", "9" * 70]
    for text in words * 2:
        np.testing.assert_array_equal(tokenizer.encode(text).ids, TOKENIZERS[True].encode(text).ids)
        assert len(tokenizer._cache) <= 3
