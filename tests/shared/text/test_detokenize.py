import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from shared.text.detokenize import detokenize, pieces

LETTERS = "你好吗去hello world playing 3.14 ,!?;:，。？Éé글'"
VOCABULARY = Vocabulary.build([LETTERS, "playing played plays play"] * 2, max_size=200)
TOKENIZER = Tokenizer(VOCABULARY)
CASED = Tokenizer(Vocabulary.build([LETTERS, "HW"], max_size=200, lower_case=False), lower_case=False)
texts = st.text(st.sampled_from(LETTERS + "\n\u3000"), max_size=30)


def back(text, tokenizer=TOKENIZER):
    return detokenize(tokenizer.encode(text).ids, tokenizer)


def test_words_ideographs_and_marks():
    assert back("你好，去hello world吗？") == "你好，去hello world吗？"
    assert back("hello, world!") == "hello, world!"
    assert back("Hello ,  world 3.14") == "hello, world 3.14"
    assert back("你好 吗") == "你好吗"
    assert back("") == ""


def test_pieces_join_and_special_tokens_are_silent():
    ids = [VOCABULARY.id(token) for token in ("[CLS]", "你", "##d", "play", "[MASK]", "##e", "##d", "[SEP]", "[PAD]")]
    assert detokenize(ids, TOKENIZER) == "你d played"
    assert detokenize([VOCABULARY.id("##d"), VOCABULARY.unk_id, VOCABULARY.id("好")], TOKENIZER) == "d[UNK]好"


def test_an_id_outside_the_vocabulary_is_refused():
    with pytest.raises(IndexError, match="outside the vocabulary"):
        detokenize([len(VOCABULARY)], TOKENIZER)


@settings(max_examples=300, deadline=None)
@given(texts, st.sampled_from([TOKENIZER, CASED]))
def test_the_text_of_the_ids_has_the_same_ids(text, tokenizer):
    ids = tokenizer.encode(text).ids
    if tokenizer.vocabulary.unk_id not in ids:
        again = detokenize(ids, tokenizer)
        assert tokenizer.encode(again).ids.tolist() == ids.tolist()
        assert detokenize(tokenizer.encode(again).ids, tokenizer) == again


@settings(max_examples=200, deadline=None)
@given(texts, st.sampled_from([TOKENIZER, CASED]))
def test_every_token_has_its_piece(text, tokenizer):
    ids = tokenizer.encode(text).ids
    parts = list(pieces(ids, tokenizer))
    assert ["".join(parts[:count]) for count in range(len(ids) + 1)] == [detokenize(ids[:count], tokenizer) for count in range(len(ids) + 1)]


@given(st.lists(st.sampled_from(["你", "好", "，", "？", "去"]) | st.just("hello"), max_size=12))
def test_normalised_chinese_comes_back_letter_by_letter(words):
    text = ""
    for word in words:
        text += " " + word if word == "hello" and text.endswith("hello") else word
    assert back(text) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["hello", "world", "playing", "3"]), max_size=8))
def test_english_words_keep_one_blank_between_them(words):
    assert back("  ".join(words)) == " ".join(words)


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of real data")
def test_real_questions_come_back():
    data = Path(os.environ["LIC_REAL_DATA"])
    file, vocabulary = data / "paraphrase" / "dev.jsonl", data / "weights" / "e5-small-bertvocab-zh" / "vocab.txt"
    if not file.is_file() or not vocabulary.is_file():
        pytest.skip("LIC_REAL_DATA holds no paraphrase/dev.jsonl or no vocabulary")
    tokenizer = Tokenizer(Vocabulary.from_file(vocabulary))
    with open(file, encoding="utf-8") as lines:
        questions = [json.loads(line)["text"] for line in lines]
    known = [(text, found.ids) for text, found in zip(questions, tokenizer.encode_batch(questions), strict=True)]
    known = [(text, ids) for text, ids in known if tokenizer.vocabulary.unk_id not in ids]
    assert len(known) > 0.9 * len(questions)
    again = [detokenize(ids, tokenizer) for _, ids in known]
    assert all(one.ids.tolist() == ids.tolist() for one, (_, ids) in zip(tokenizer.encode_batch(again), known, strict=True))
    assert sum(one == text for one, (text, _) in zip(again, known, strict=True)) > 0.9 * len(known)
