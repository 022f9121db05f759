"""The task as the pipelines see it: the ceiling, mistakes, what ensembles do, and where it stands."""

import pytest

from shared.text import Tokenizer, Vocabulary
from tasks.candidates import Label
from tasks.paraphrase.features import make_features
from tasks.paraphrase.predictions import predicted
from tasks.paraphrase.records import ParaphraseRecord
from tasks.recipe import load_recipe
from tasks.registry import AUXILIARY, TRACKS, get_task

TASK = get_task("paraphrase")


def test_it_is_auxiliary():
    assert "paraphrase" in AUXILIARY and "paraphrase" not in TRACKS


def test_the_ceiling_is_gold_but_for_texts_of_the_same_tokens():
    rows = [ParaphraseRecord("ABC", "abc", 0, line=1), ParaphraseRecord("甲", "乙", 1, line=2), ParaphraseRecord("甲", "丙", 0, line=3)]
    tokenizer = Tokenizer(Vocabulary.build([TASK.text_of(row) for row in rows], max_size=100), lower_case=True)
    features = make_features(rows, tokenizer, window=16)
    found = TASK.ceiling(features, rows, None, recipe=load_recipe(TASK.recipes, "quick"))
    assert [made.alike for (made,) in found] == [True, True, False]
    assert [(row["line"], row["fault"], row["cause"]) for row in TASK.mistakes(rows, found, features)] == [
        (1, "extra", "both texts have the same tokens")
    ]


def test_an_ensemble_takes_the_mean_of_cosines_and_of_thresholds():
    kind = TASK.candidates
    members = [[predicted(0.9, 0.8)], [predicted(0.3, 0.6)], [predicted(-1.0, 1.0)]]
    (made,) = kind.merge(members, [1.0, 3.0, 0.0])
    assert made == pytest.approx(predicted(0.45, 0.65)) and made == pytest.approx(kind.merge(members[::-1], [0.0, 3.0, 1.0])[0])
    assert kind.merge(members, [0.0, 2.0, 0.0]) == members[1] and kind.from_row(kind.as_row(made)) == made
    label: Label = ()
    record = ParaphraseRecord("甲", "乙", 0)
    assert kind.tally(record, label, [made]) == (1.0, 1.0, 1) and kind.credit(record, members[0]) == [0.0] and kind.gold(record) == {(): 1}
