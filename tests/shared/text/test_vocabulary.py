import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.text import Tokenizer, Vocabulary

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def problems(path):
    with pytest.raises(InputError) as caught:
        Vocabulary.from_file(path)
    return [(problem.code, problem.line) for problem in caught.value.problems]


def test_ids_are_line_numbers_and_a_saved_vocabulary_is_the_same(tmp_path):
    vocabulary = Vocabulary.from_tokens([*SPECIALS, "好", "##s", "\u2028", "\u3000"])
    assert (vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id) == (0, 1, 2, 3, None)
    assert Vocabulary.from_tokens(["[MASK]", *SPECIALS]).mask_id == 0
    vocabulary.save(tmp_path / "vocab.txt")
    again = Vocabulary.from_file(tmp_path / "vocab.txt")
    assert again == vocabulary and again.tokens == vocabulary.tokens
    assert len(again) == 8
    assert [again.token(again.id(token)) for token in vocabulary] == list(vocabulary)
    assert again.sha256 == hashlib.sha256((tmp_path / "vocab.txt").read_bytes()).hexdigest()


def test_a_file_without_a_last_line_feed_is_whole(tmp_path):
    assert list(Vocabulary.from_file(write(tmp_path / "v.txt", "\n".join([*SPECIALS, "a"])))) == [*SPECIALS, "a"]


def test_unknown_tokens_and_ids_are_refused():
    vocabulary = Vocabulary.from_tokens(SPECIALS)
    assert "a" not in vocabulary and vocabulary.get("a") is None
    with pytest.raises(KeyError, match="'a' is not among the 4 tokens"):
        vocabulary.id("a")
    for wrong in (-1, 4):
        with pytest.raises(IndexError, match="4 tokens"):
            vocabulary.token(wrong)


def test_every_problem_of_a_file_is_reported_with_its_line(tmp_path):
    path = tmp_path / "vocab.txt"
    text = "\n".join(SPECIALS) + "\n"
    assert problems(path) == [("LIC-V001", None)]
    assert problems(write(path, b"\xef\xbb\xbf" + text.encode())) == [("LIC-V002", 1)]
    assert problems(write(path, text + "a\r\nb\r\n")) == [("LIC-V003", 5)]
    assert problems(write(path, text.encode() + b"\xff\xfe\n")) == [("LIC-V004", 5)]
    assert problems(write(path, text + "\na\n\n")) == [("LIC-V005", 5), ("LIC-V005", 7)]
    assert problems(write(path, text + "a\na\n")) == [("LIC-V006", 6)]
    assert problems(write(path, "[PAD]\n[CLS]\n")) == [("LIC-V007", None), ("LIC-V007", None)]
    assert problems(write(path, "")) == [("LIC-V007", None)] * 4


def test_wrong_token_lists_are_refused():
    wrong = [
        (["[PAD]"], "no \\[UNK\\]"),
        ([*SPECIALS, "a", "a"], "\\[4, 5\\]"),
        ([*SPECIALS, ""], "token 4"),
        ([*SPECIALS, "a\n"], "token 4"),
    ]
    for tokens, word in wrong:
        with pytest.raises(ValueError, match=word):
            Vocabulary.from_tokens(tokens)


def test_a_built_vocabulary_knows_every_word_of_its_texts():
    texts = ["Hello 世界，hello2020", "Café 10,000元", "hello helios"]
    vocabulary = Vocabulary.build(texts, max_size=500)
    tokens = [token for text in texts for token in Tokenizer(vocabulary).tokens(text)]
    assert "[UNK]" not in tokens
    assert {"hello", "##o", "h", "世", "，", "##0"} <= set(vocabulary)
    assert "##世" not in vocabulary and "##，" not in vocabulary
    assert Tokenizer(vocabulary).tokens("ohel") == ["o", "##h", "##el"]  # "el" continues two words, hello and helios
    assert Vocabulary.build(reversed(texts), max_size=500) == vocabulary


def test_the_size_of_a_built_vocabulary_is_kept_and_the_frequent_stay():
    vocabulary = Vocabulary.build(["好好好好你你我"], max_size=7)
    assert list(vocabulary) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "好", "你"]
    assert list(Vocabulary.build(["好好你"], max_size=100, min_count=2))[5:] == ["好"]
    assert "Hello" in Vocabulary.build(["Hello"], max_size=100, lower_case=False)
    for wrong in ({"max_size": 4}, {"max_size": 9, "min_count": 0}):
        with pytest.raises(ValueError, match=r"max_size|min_count"):
            Vocabulary.build([], **wrong)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=5), st.booleans())
def test_no_built_vocabulary_leaves_short_words_of_its_texts_unknown(texts, lower_case):
    vocabulary = Vocabulary.build(texts, max_size=10_000, lower_case=lower_case)
    tokenizer = Tokenizer(vocabulary, lower_case=lower_case)
    assert all(vocabulary.unk_id not in encoding.ids for encoding in tokenizer.encode_batch(texts))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab1 世，é\u0301\n"), max_size=12), max_size=8), st.integers(1, 20))
def test_texts_count_the_same_however_many_are_counted_together(texts, together):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.text.vocabulary._COUNTED_CHARACTERS", together)
        assert Vocabulary.build(iter(texts), max_size=500) == Vocabulary.build(["\n".join(texts)], max_size=500)


def test_of_very_many_words_the_most_frequent_give_tokens(monkeypatch):
    texts = ["hello hello helios", "rare"]
    assert {"rare", "##el", "helios"} <= set(Vocabulary.build(texts, max_size=500))
    monkeypatch.setattr("shared.text.vocabulary._MOST_WORDS", 1)
    few = Vocabulary.build(texts, max_size=500)
    assert "hello" in few and not {"rare", "##el", "helios"} & set(few)
    assert {"r", "##r", "s", "##s"} <= set(few)  # every character of every word stays
