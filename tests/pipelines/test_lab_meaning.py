"""What the lab simbert measures: pairs, texts found, other words."""

import numpy as np
import pytest

from pipelines.demo import samples_folder
from pipelines.labs.same_meaning import Judge, cosines_of, measure_pairs, measure_words, pairs_of
from tasks.paraphrase.baseline import fit_tfidf, tfidf
from tasks.paraphrase.records import ParaphraseRecord, read_records

ROWS = [
    ParaphraseRecord("a", "b", 1), ParaphraseRecord("b", "c", 1), ParaphraseRecord("d", "a", 0), ParaphraseRecord("e", "e", 1),
    ParaphraseRecord("f", "g", 1), ParaphraseRecord("h", "i"),
]  # fmt: skip


def test_pairs_join_texts_through_others_and_ask_for_those_alone():
    pairs = pairs_of(ROWS)
    assert pairs.texts == list("abcdefg") and pairs.labels.tolist() == [1, 1, 0, 1, 1]
    groups = dict(zip(pairs.texts, pairs.groups.tolist(), strict=True))
    assert groups["a"] == groups["b"] == groups["c"] and groups["f"] == groups["g"]
    assert len(set(groups.values())) == 4  # a b c, d, e, f g
    assert [pairs.texts[place] for place in pairs.queries] == list("abcfg")  # e has no other wording
    assert pairs.asked(10).tolist() == [0, 1, 4] and pairs.asked(1).tolist() == [0]
    with pytest.raises(ValueError, match="none of 1 records has a label"):
        pairs_of(ROWS[-1:])


def test_vectors_that_know_the_meaning_find_everything():
    pairs = pairs_of(ROWS)
    known = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 2, "f": 3, "g": 3}
    found = measure_pairs(pairs, lambda texts: np.eye(4, dtype=np.float32)[[known[text] for text in texts]], nearest=3)
    assert found["scores"]["auc"] == found["scores"]["best_accuracy"] == found["scores"]["accuracy"] == 1.0
    assert found["recall"] == [1.0, 1.0, 1.0] and found["queries"] == 5
    blind = measure_pairs(pairs, lambda texts: np.ones((len(texts), 2), dtype=np.float32) / np.sqrt(2), nearest=3)
    assert blind["scores"]["auc"] == 0.5 and blind["recall"][0] < 1.0


def test_sparse_vectors_measure_as_dense_ones_and_as_the_baseline():
    folder = samples_folder() / "paraphrase"
    train, dev = read_records(folder / "train.jsonl").records[:300], read_records(folder / "dev.jsonl").records[:60]
    fitted, pairs = fit_tfidf(train), pairs_of(dev)
    sparse = measure_pairs(pairs, fitted.transform, nearest=5)
    dense = measure_pairs(pairs, lambda texts: fitted.transform(texts).toarray(), nearest=5)
    assert sparse["cosines"] == pytest.approx(dense["cosines"], abs=1e-6) and sparse["recall"] == pytest.approx(dense["recall"], abs=0.05)
    assert sparse["cosines"] == pytest.approx([row[0].score for row in tfidf(train, dev)])


def test_words_written_are_measured_against_source_and_gold():
    letters = sorted("买票去哪里怎么走")

    def bag(texts):
        counts = np.asarray([[text.count(letter) for letter in letters] for text in texts], dtype=np.float64)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    judge = {"bag": Judge(bag, 0.99)}
    found = measure_words(["去哪里买票", "怎么走"], [["哪里去买票", "去哪里"], []], ["去哪里", "走"], judge)
    assert found["texts"] == 2 and found["empty"] == 1 and found["kept"] == {"bag": 0.5}  # the same letters, and some of them
    assert found["rouge_2_source"] == pytest.approx((0.5 + 2 / 3) / 2, abs=1e-6)
    assert found["rouge_2_gold"] == pytest.approx((1 / 3 + 1) / 2, abs=1e-6)
    nothing = measure_words(["怎么走"], [[]], None, judge)
    assert nothing["texts"] == 0 and nothing["empty"] == 1 and nothing["kept"] == {"bag": None} and nothing["bleu_gold"] is None
    with pytest.raises(ValueError, match="one of each a source"):
        measure_words(["怎么走"], [], None, judge)
    assert cosines_of(bag(["买票"]), bag(["票"])) == pytest.approx([np.sqrt(0.5)])
