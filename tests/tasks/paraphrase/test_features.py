"""Features: the tokens of both texts, of whatever text."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from tasks.json_lines import visible
from tasks.paraphrase.features import ParaphraseFeatures, make_features
from tasks.paraphrase.records import ParaphraseRecord

TOKENIZER = Tokenizer(Vocabulary.build(["水费怎么交在哪里缴", "abc"], max_size=100))
TEXTS = st.text(min_size=1, max_size=30).filter(visible)
RECORDS = st.lists(st.builds(ParaphraseRecord, TEXTS, TEXTS, st.sampled_from([None, 0, 1])), max_size=5)


@settings(max_examples=25, deadline=None)
@given(RECORDS, st.integers(8, 12))
def test_every_text_is_there_as_far_as_the_window_goes(rows, window):
    found = make_features(rows, TOKENIZER, window=window)
    whole = [encoding.ids for row in rows for encoding in TOKENIZER.encode_batch([row.text, row.pair])]
    assert len(found) == len(rows) and len(found.ids) == 2 * len(rows)
    assert all(np.array_equal(found.ids[number], ids[:window]) for number, ids in enumerate(whole))
    assert found.cut_texts == sum(len(ids) > window for ids in whole)
    assert found.labels.tolist() == [-1 if row.label is None else row.label for row in rows]
    assert found.lengths.tolist() == [sum(min(len(ids), window) + 2 for ids in whole[2 * unit : 2 * unit + 2]) for unit in range(len(rows))]
    assert found.windows[:, 0].tolist() == [unit for unit in range(len(rows)) for _ in range(2)]
    assert found.lost_count == sum(row.label == 0 and same for row, same in zip(rows, found.same.tolist(), strict=True))


def test_texts_of_the_same_tokens(tmp_path):
    rows = [ParaphraseRecord("ABC", "abc", 0, line=4), ParaphraseRecord("ABC", "abc", 1, line=5), ParaphraseRecord("水费", "水缴", 0, line=6)]
    found = make_features(rows, Tokenizer(TOKENIZER.vocabulary, lower_case=True), window=20)
    assert found.same.tolist() == [True, True, False]
    assert [(one.line, one.reason) for one in found.lost] == [(4, "both texts have the same tokens")]
    found.save(tmp_path / "f", {})
    back = ParaphraseFeatures.load(tmp_path / "f")
    assert back.counts() == found.counts() and np.array_equal(back.labels, found.labels) and np.array_equal(back.ids.values, found.ids.values)
