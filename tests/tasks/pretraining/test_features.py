"""Windows of passages: nothing lost, nothing twice, words and separators where they belong."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from tasks.pretraining import features as module
from tasks.pretraining.features import BEGINS, INSIDE, NEVER, PretrainingFeatures, is_held_out, make_features
from tasks.pretraining.words import word_cutter

VOCABULARY = Vocabulary.build(["温青禾出任导演 abc abd xyz", "雨停了云散了"], max_size=80)
TOKENIZER = Tokenizer(VOCABULARY)
SEP = VOCABULARY.sep_id
PASSAGES = ["温青禾出任导演 abc", "", "雨停了", "\u0301", "云散了 abd 雨停了云散了温青禾出任导演", "导", "温"] * 3


def made_of(passages, folder, **options):
    chosen = {"window": 8, "pack": True, "held_out": 0.3, **options}
    (folder / "made").mkdir()
    counts = make_features(passages, TOKENIZER, folder / "made", folder / "parts", **chosen)
    if not any((folder / "made").iterdir()):
        return counts, None
    found = PretrainingFeatures.load(folder / "made")
    assert found.counts == counts
    return counts, found


def rows_of(found, held):
    return [found.ids[row].tolist() for row in range(len(found)) if found.held_out[row] == held]


@tries(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(PASSAGES), st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)), max_size=12),
    st.integers(8, 12),
    st.booleans(),
)
def test_windows_hold_every_token_of_every_passage_once_and_in_order(passages, window, pack):
    with tempfile.TemporaryDirectory() as folder:
        counts, found = made_of(passages, Path(folder), window=window, pack=pack)
        encoded = [(text, TOKENIZER.encode(text).ids.tolist()) for text in passages]
        full = [(is_held_out(text, 0.3), ids) for text, ids in encoded if ids]
        assert counts["without_token"] == len(passages) - len(full)
        assert [counts["passages"], counts["held_passages"]] == [len([0 for out, _ in full if out == held]) for held in (False, True)]
        if found is None:
            assert not full
            return
        for held in (False, True):
            rows = rows_of(found, held)
            assert all(0 < len(row) <= window for row in rows)
            own = [ids for out, ids in full if out == held]
            if pack:
                assert all(len(row) == window for row in rows[:-1])
                stream: list[int] = []
                for ids in own:  # where a window is full, the next begins with the passage
                    stream += [SEP, *ids] if len(stream) % window else ids
                assert [token for row in rows for token in row] == stream
            else:
                assert rows == [ids[at : at + window] for ids in own for at in range(0, len(ids), window)]
        for row in range(len(found)):
            never = found.units[row] == NEVER
            np.testing.assert_array_equal(never, (found.ids[row] == SEP) & never)
            assert (never.sum() == 0 or pack) and (found.units[row][~never] == BEGINS).all()


def test_the_size_of_a_part_and_of_a_chunk_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, whole = made_of(PASSAGES, tmp_path / "a")
    monkeypatch.setattr(module, "_PASSAGES", 2)
    monkeypatch.setattr(module, "_TOKENS", 9)
    _, parts = made_of(PASSAGES, tmp_path / "b")
    assert len(whole) == len(parts) > 5
    for name in ("ids", "units"):
        left, right = getattr(whole, name), getattr(parts, name)
        np.testing.assert_array_equal(left.values, right.values)
        np.testing.assert_array_equal(left.offsets, right.offsets)
    np.testing.assert_array_equal(whole.held_out, parts.held_out)


def test_words_begin_where_the_cutter_says_and_at_the_border_of_a_window(tmp_path):
    text = "温青禾出任导演 abcabd雨停了"
    cut = {text: np.asarray([0, 3, 5, 7, 8, 14])}  # 温青禾 出任 导演 blank abcabd 雨停了
    _, found = made_of([text], tmp_path, held_out=0.0, words=cut.__getitem__)
    pieces = [VOCABULARY.token(token) for token in found.ids.values.tolist()]
    units = found.units.values.tolist()
    assert [piece for piece, unit in zip(pieces, units, strict=True) if unit == BEGINS][:3] == ["温", "出", "导"]
    assert units[:7] == [BEGINS, INSIDE, INSIDE, BEGINS, INSIDE, BEGINS, INSIDE]
    assert all(found.units[row][0] == BEGINS for row in range(len(found))) and len(found) == 2


def test_jieba_cuts_words():
    pytest.importorskip("jieba")
    text = "今天天气很好，abc 2020"
    starts = word_cutter()(text).tolist()
    assert starts[0] == 0 and starts == sorted(set(starts)) and all(0 <= start < len(text) for start in starts)
    assert {0, 6, 7} <= set(starts) and 8 not in starts
