"""Records to arrays: windows beside their question, offsets, and every place of every reference."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from shared.text.windows import split_windows
from tasks.reading.features import QUESTION_TOKENS, Lost, ReadingFeatures, make_features
from tasks.reading.records import Answer, ReadingRecord, read_records

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "reading"
TEXT = "温青禾把旧伞给了Mira Tolden，温青禾很高兴"
DIGITS = "一二三四五六七八九十"


def tokenizer(*texts):
    return Tokenizer(Vocabulary.build(texts, max_size=3000))


def record(text, *answers, question="谁", identity="a"):
    """Answers are texts, or (text, offset)."""
    made = tuple(Answer(answer) if isinstance(answer, str) else Answer(*answer) for answer in answers)
    return ReadingRecord(identity, question, text, made or None)


def features_of(*records, window=100, overlap=10):
    words = tokenizer(*(text for row in records for text in (row.question, row.text)))
    return make_features(records, words, window=window, overlap=overlap)


def said(features, records, index):
    """(reference, text, offset) of every answer place of one question."""
    starts, ends = features.starts[index], features.ends[index]
    return [(number, records[index].text[starts[a] : ends[b]], int(starts[a])) for number, a, b in features.answers[index].tolist()]


# -- answers -----------------------------------------------------------------------------------------------------


def test_without_an_offset_every_occurrence_is_a_place():
    one = record(TEXT, "温青禾", "Mira Tolden")
    features = features_of(one)
    assert said(features, [one], 0) == [(0, "温青禾", 0), (0, "温青禾", TEXT.rindex("温")), (1, "Mira Tolden", 8)]
    assert (features.lost_count, features.lost) == (0, ())
    assert said(features_of(two := record("哈哈哈", "哈哈")), [two], 0) == [(0, "哈哈", 0), (0, "哈哈", 1)]


def test_an_offset_is_the_only_place():
    one = record(TEXT, ("温青禾", TEXT.rindex("温")), ("旧伞", 4))
    assert said(features_of(one), [one], 0) == [(0, "温青禾", TEXT.rindex("温")), (1, "旧伞", 4)]


def test_blank_references_have_no_place_and_keep_their_number():
    one = record(TEXT, "", " 　", "旧伞")
    features = features_of(one)
    assert said(features, [one], 0) == [(2, "旧伞", 4)] and not features.lost


def test_a_place_at_the_very_end_and_the_whole_passage():
    one = record(TEXT, ("高兴", len(TEXT) - 2), (TEXT, 0))
    assert said(features_of(one), [one], 0) == [(0, "高兴", len(TEXT) - 2), (1, TEXT, 0)]


@pytest.mark.parametrize(
    ("answers", "answer", "reason"),
    [
        (["岑若川"], "岑若川", "stands nowhere in the passage"),
        (["\u200b"], "\u200b", "no token touches it"),
        ([" 伞 "], " 伞 ", "blanks at its ends"),
        ([("21", 1)], "21", "its tokens stand for '2140'"),
        (["九一二三四五六七八"], "九一二三四五六七八", "longer than what two windows share (9 tokens)"),
        (["", " "], "", "blank"),
        (["", "岑若川", " "], "岑若川", "stands nowhere in the passage"),
    ],
)
def test_what_cannot_be_given_back_is_counted_with_its_cause(answers, answer, reason):
    characters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"约台伞谁", "2140", *DIGITS]
    one = record("约2140台\u200b 伞 九一二三四五六七八约台台台台台台台", *answers)
    features = make_features([one], Tokenizer(Vocabulary.from_tokens(characters)), window=14, overlap=3)
    assert features.lost == (Lost("a", answer, reason),) and features.lost_count == 1
    near = {"blanks at its ends": "伞", "its tokens stand for '2140'": "2140", "longer than what two windows share (9 tokens)": answer}
    assert [text for _, text, _ in said(features, [one], 0)] == ([near[reason]] if reason in near else [])


def test_one_exact_reference_is_enough_and_the_others_go():
    one = record(TEXT, " 旧伞", "岑若川", "温青禾很")
    one = ReadingRecord("a", "谁", one.text.replace("旧", " 旧"), one.answers)
    features = features_of(one)
    assert [(number, text) for number, text, _ in said(features, [one], 0)] == [(2, "温青禾很")] and not features.lost


def test_a_question_without_labels_is_not_lost():
    features = features_of(record(TEXT))
    assert len(features) == 1 and features.answers[0].shape == (0, 3) and features.lost_count == 0


# -- windows -----------------------------------------------------------------------------------------------------


def test_a_short_passage_is_one_window():
    features = features_of(record(TEXT, question="谁很高兴"))
    assert len(features) == len(features.ids) == 1 and features.windows.tolist() == [[0, 0]] and features.first.tolist() == [0, 1]
    assert features.lengths.tolist() == [1 + 4 + 1 + len(features.starts[0]) + 1]
    assert features.windows_of(0) == [(0, 0, len(features.ids[0]))]


def test_a_long_passage_is_cut_beside_its_question():
    rows = [record(DIGITS * 3, question="几点"), record("三四", question="谁", identity="b")]
    features = features_of(*rows, window=15, overlap=4)
    borders = split_windows(30, 15 - 2 - 1, 4)
    assert [window[1:] for window in features.windows_of(0)] == borders and len(borders) > 2
    whole = tokenizer(*(text for row in rows for text in (row.question, row.text))).encode(rows[0].text).ids
    for number, begin, end in features.windows_of(0):
        assert features.ids[number].tolist() == whole[begin:end].tolist() and features.windows[number].tolist() == [0, begin]
    assert features.windows_of(1) == [(len(borders), 0, 2)]
    assert features.lengths.tolist() == [len(borders) * (12 + 2 + 3), 2 + 1 + 3]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 90), st.integers(0, 200), st.integers(8, 90), st.integers(1, 89))
def test_any_window_fits_and_short_spans_lie_whole_in_one(question, passage, window, overlap):
    one = ReadingRecord("a", "问" * question, (DIGITS * 20)[:passage])
    features = features_of(one, window=window, overlap=overlap)
    asked = len(features.questions[0])
    assert asked == min(question, QUESTION_TOKENS, window // 2) and features.cut_questions == (asked < question)
    windows = features.windows_of(0)
    assert windows and all(asked + 1 + end - begin <= window for _, begin, end in windows)
    assert features.lengths.tolist() == [sum(asked + 3 + end - begin for _, begin, end in windows)]
    longest = min(overlap, (window - asked - 1) // 2, passage)
    for first in range(passage - longest + 1):
        assert any(begin <= first and first + longest <= end for _, begin, end in windows)
    assert windows[0][1] == 0 and windows[-1][2] == passage


def test_a_passage_of_no_token_has_one_empty_window():
    rows = [record("\u200b", question="谁"), record("有字", "有", question="什么", identity="b")]
    features = features_of(*rows)
    assert features.windows_of(0) == [(0, 0, 0)] and features.windows_of(1) == [(1, 0, 2)]
    assert features.lengths.tolist() == [4, 7] and len(features.starts[0]) == 0


def test_a_shared_passage_gives_every_question_its_own():
    rows = [record(TEXT, "旧伞", question="什么"), record(TEXT, "温青禾", question="谁把旧伞给人", identity="b")]
    features = features_of(*rows, window=16, overlap=5)
    assert said(features, rows, 0) == [(0, "旧伞", 4)]
    assert [text for _, text, _ in said(features, rows, 1)] == ["温青禾", "温青禾"]
    assert features.starts[0].tolist() == features.starts[1].tolist()
    assert len(features.ids[features.windows_of(0)[0][0]]) > len(features.ids[features.windows_of(1)[0][0]])
    assert [number for index in (0, 1) for number, _, _ in features.windows_of(index)] == list(range(len(features.ids)))


def test_a_window_too_small_is_refused():
    with pytest.raises(ValueError, match="widen the window"):
        features_of(record(TEXT, question="谁谁谁谁"), window=4, overlap=2)


# -- disk --------------------------------------------------------------------------------------------------------


def test_arrays_come_back_from_disk(tmp_path):
    rows = read_records(SAMPLES / "dev.json", labelled=True).records
    rows = [*rows, record("空", "满", identity="lost")]
    made = features_of(*rows, window=24, overlap=8)
    made.save(tmp_path / "f", {"file": "dev.json"})
    loaded = ReadingFeatures.load(tmp_path / "f")
    for name in ("ids", "questions", "starts", "ends", "answers"):
        np.testing.assert_array_equal(getattr(loaded, name).values, getattr(made, name).values)
        np.testing.assert_array_equal(getattr(loaded, name).offsets, getattr(made, name).offsets)
    np.testing.assert_array_equal(loaded.windows, made.windows)
    np.testing.assert_array_equal(loaded.first, made.first)
    assert loaded.lengths.tolist() == made.lengths.tolist() and len(loaded) == len(rows) < len(made.ids)
    assert loaded.lost_count == made.lost_count >= 1 and loaded.cut_questions == made.cut_questions
    assert json.loads((tmp_path / "f" / "manifest.json").read_text(encoding="utf-8"))["meta"]["file"] == "dev.json"


def test_no_records(tmp_path):
    made = features_of()
    made.save(tmp_path / "f", {})
    for features in (made, ReadingFeatures.load(tmp_path / "f")):
        assert len(features) == 0 and features.windows.shape == (0, 2) and features.lengths.tolist() == []


# -- any text ----------------------------------------------------------------------------------------------------

WORDS = tokenizer("常用字", "abc")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4), st.booleans(), st.integers(8, 30), st.data())
def test_any_unicode_is_held_or_reported(texts, with_offsets, window, data):
    """A question either has a place whose tokens are one of its references, whole in a window, or is among the lost ones."""
    rows = []
    for number, text in enumerate(texts):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        rows.append(record(text, (text[start:end], start if with_offsets else None), question=text[::-1], identity=str(number)))
    features = make_features(rows, WORDS, window=window, overlap=5)
    assert features.lost_count == len(features.lost) == len({fault.id for fault in features.lost})
    lost = {fault.id: fault for fault in features.lost}
    for index, row in enumerate(rows):
        places = said(features, rows, index)
        spans = features.answers[index].tolist()
        whole = [any(begin <= a and b < end for _, begin, end in features.windows_of(index)) for _, a, b in spans]
        if row.id in lost:
            assert lost[row.id].answer == row.answers[0].text and lost[row.id].reason
            assert not any(text == row.answers[0].text and held for (_, text, _), held in zip(places, whole, strict=True))
        else:
            assert places and all(whole) and all(text == row.answers[0].text for _, text, _ in places)
            assert not with_offsets or [offset for _, _, offset in places] == [row.answers[0].start]
