import itertools

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from shared.similarity import PairBatcher, group_pairs
from shared.text import Tokenizer, Vocabulary

GROUPS = [
    {"text": "怎么去火车站", "synonyms": ["去火车站怎么走？", "火车站在哪里"]},
    {"text": "几点开门", "synonyms": ["什么时候开门"]},
    ("今天会下雨吗", "今天有雨吗"),
    ("怎么煮面条", "面条如何煮", "煮面条的方法"),
    ("多少钱一斤", "一斤怎么卖"),
]
LETTERS = "".join(text for group in GROUPS for text in ([group["text"], *group["synonyms"]] if isinstance(group, dict) else group))
TOKENIZER = Tokenizer(Vocabulary.build([LETTERS + "，。天地玄黄abc"], max_size=200))
CLS, SEP, PAD = TOKENIZER.vocabulary.cls_id, TOKENIZER.vocabulary.sep_id, TOKENIZER.vocabulary.pad_id
texts = st.text(st.sampled_from("天地玄黄a"), min_size=1, max_size=4)


def read(batch):
    """The rows of a batch as pairs of token tuples, checked against their segments."""
    rows = []
    for ids, segments in zip(batch.ids.tolist(), batch.segment_ids.tolist(), strict=True):
        first = ids.index(SEP)
        second = ids.index(SEP, first + 1)
        assert ids[0] == CLS and set(ids[second + 1 :]) <= {PAD}
        assert segments == [0] * (first + 1) + [1] * (second - first) + [0] * (len(ids) - second - 1)
        rows.append((tuple(ids[1:first]), tuple(ids[first + 1 : second])))
    return rows


def ids_of(text):
    return tuple(TOKENIZER.encode(text).ids.tolist())


def test_a_batch_holds_every_pair_both_ways():
    batcher = PairBatcher(GROUPS, TOKENIZER, batch_rows=10, seed=1)
    (batch,) = batcher.batches(0)
    rows = read(batch)
    assert batch.ids.dtype == batch.segment_ids.dtype == np.int64 and len(rows) == 10
    assert sorted(batch.groups.tolist()) == [0, 1, 2, 3, 4]
    for pair, group in enumerate(batch.groups.tolist()):
        assert rows[2 * pair] == rows[2 * pair + 1][::-1]
        members = GROUPS[group]
        members = [members["text"], *members["synonyms"]] if isinstance(members, dict) else members
        assert set(rows[2 * pair]) <= set(map(ids_of, members)) and len(set(rows[2 * pair])) == 2


def test_seed_and_epoch_choose_order_and_pairs():
    def epoch(number, seed):
        return [row for batch in PairBatcher(GROUPS, TOKENIZER, batch_rows=4, seed=seed).batches(number) for row in read(batch)]

    assert epoch(0, 1) == epoch(0, 1)
    assert epoch(0, 1) != epoch(1, 1) and epoch(0, 1) != epoch(0, 2)
    seen = {row for number in range(30) for row in epoch(number, 1)}
    assert {(ids_of(a), ids_of(b)) for a, b in itertools.permutations(GROUPS[3], 2)} <= seen  # every order of every two


def test_a_stream_resumes_at_any_step():
    batcher = PairBatcher(GROUPS, TOKENIZER, batch_rows=4, seed=3)
    whole = [batch.ids.tolist() for batch in itertools.islice(batcher.stream(), 9)]
    for step in (0, 1, 2, 5, 8):
        again = PairBatcher(GROUPS, TOKENIZER, batch_rows=4, seed=3).stream(step)
        assert [batch.ids.tolist() for batch in itertools.islice(again, 9 - step)] == whole[step:]
    assert batcher.steps(0) == 2 and batcher.left_out(0) == 1  # five groups, two a batch


def test_texts_are_cut_at_punctuation_then_to_length():
    groups = [("天地，玄黄天地玄", "黄" * 9), ("地天", "玄天黄")]
    batcher = PairBatcher(groups, TOKENIZER, batch_rows=4, max_length=8)
    rows = {side for batch in batcher.batches() for row in read(batch) for side in row}
    assert rows == {ids_of("天地"), ids_of("黄" * 6), ids_of("地天"), ids_of("玄天黄")}
    assert batcher.counts.shortened == 2
    two = PairBatcher([("天" * 40, "地" * 40), ("玄" * 40, "黄" * 40)], TOKENIZER)  # the published lengths: 32 a text
    assert [batch.ids.shape for batch in two.batches()] == [(4, 63)]
    with pytest.raises(ValueError, match="1 of 2 groups"):  # what is one text once it is cut is no pair
        PairBatcher([("黄" * 7, "黄" * 8), ("地天", "玄天黄")], TOKENIZER, max_length=8)


def test_what_gives_no_pair_is_counted_and_said(caplog):
    groups = [*GROUPS[:2], ("多少钱", "多少钱", " 多少钱 "), ("几点", ""), (), ("ABC天", "abc天", "地")]
    batcher = PairBatcher(groups, TOKENIZER, batch_rows=4)
    counts = batcher.counts
    assert (counts.used, counts.single, counts.repeated, counts.empty) == (3, 3, 3, 1)
    assert "3 groups with fewer than two different texts and 1 empty texts are left out" in caplog.text
    assert {group for batch in itertools.islice(batcher.stream(), 8) for group in batch.groups.tolist()} <= {0, 1, 5}


def test_a_text_of_two_groups_never_stands_twice_in_a_batch():
    groups = [("天", "地"), ("天", "玄"), ("黄", "玄天"), ("地天", "黄天")]
    batcher = PairBatcher(groups, TOKENIZER, batch_rows=8)
    assert batcher.counts.in_several == 1
    for batch in itertools.islice(batcher.stream(), 20):
        assert not {0, 1} <= set(batch.groups.tolist())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(texts, min_size=2, max_size=4), min_size=2, max_size=14), st.integers(2, 6), st.integers(0, 5))
def test_no_row_takes_a_text_of_its_own_group_for_another_meaning(groups, pairs, seed):
    try:
        batcher = PairBatcher(groups, TOKENIZER, batch_rows=2 * pairs, seed=seed)
    except ValueError:  # too few groups or too many texts in common, see the last test
        reject()
    members = [set(map(ids_of, group)) for group in groups]
    placed = 0
    for batch in batcher.batches(0):
        rows = read(batch)[::2]
        placed += len(rows)
        assert 2 <= len(rows) <= pairs
        assert all(a != b for a, b in rows)
        for i, j in itertools.permutations(range(len(rows)), 2):
            assert not set(rows[i]) & members[batch.groups[j]]
    assert placed + batcher.left_out(0) == batcher.counts.used
    assert placed == sum(len(batch.groups) for batch in batcher.batches(0))


def test_pairs_that_share_a_text_become_one_group():
    pairs = [("甲", "乙"), ("丙", "丁"), ("乙", "戊"), ("丁", "丙"), ("己", "甲")]
    assert group_pairs(pairs) == [["甲", "乙", "戊", "己"], ["丙", "丁"]]
    assert group_pairs([]) == []


def test_bad_input_is_refused():
    for rows in (2, 5):
        with pytest.raises(ValueError, match=f"found {rows}"):
            PairBatcher(GROUPS, TOKENIZER, batch_rows=rows)
    with pytest.raises(ValueError, match="found 2"):
        PairBatcher(GROUPS, TOKENIZER, max_length=2)
    with pytest.raises(ValueError, match="1 of 2 groups have two different texts"):
        PairBatcher([("天", "地"), ("玄",)], TOKENIZER)
    with pytest.raises(ValueError, match="make one group"):
        PairBatcher([("天", "地"), ("天", "玄")], TOKENIZER)
    with pytest.raises(ValueError, match="group 1 has the keys"):
        PairBatcher([("天", "地"), {"text": "天", "synonyms": "地"}], TOKENIZER)
    for wrong in ("天地", ("天", 3)):
        with pytest.raises(ValueError, match="group 0 is"):
            PairBatcher([wrong], TOKENIZER)
    with pytest.raises(ValueError, match="count from 0"):
        PairBatcher(GROUPS, TOKENIZER).steps(-1)
