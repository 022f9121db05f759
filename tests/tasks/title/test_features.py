"""Title features: what is read of an abstract, what a title's tokens spell, and what is lost."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from shared.text.detokenize import detokenize, pieces
from tasks.recipe import FeatureSettings, load_recipe, override
from tasks.registry import get_task
from tasks.title.features import TitleFeatures
from tasks.title.records import TitleRecord

TASK = get_task("title")
QUICK = load_recipe(TASK.recipes, "quick")
TEXT = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=40)


def features_of(rows, window=224, size=5000):
    tokenizer = Tokenizer(Vocabulary.build([TASK.text_of(row) for row in rows], max_size=size))
    return TASK.make_features(rows, None, tokenizer, FeatureSettings(window=window, overlap=1)), tokenizer


def test_an_abstract_is_cut_to_its_beginning_and_that_is_said():
    rows = [TitleRecord("白露" * 30, "露"), TitleRecord("白露", "白"), TitleRecord("白" * 9, "露")]
    features, tokenizer = features_of(rows, window=8)
    assert [detokenize(features.ids[row], tokenizer) for row in range(3)] == ["白露" * 4, "白露", "白" * 8]
    assert features.lengths.tolist() == [10, 4, 10] and features.windows.tolist() == [[0, 60], [1, 2], [2, 9]]
    assert TASK.remarks(features) == ["2 abstracts are longer than features.window = 8 tokens: the beginning alone is read"]
    assert TASK.remarks(features_of(rows)[0]) == []


def test_unknown_and_normalised_characters_are_lost_and_said():
    rows = [TitleRecord("白露", "白 露"), TitleRecord("白露", "白RBF"), TitleRecord("白露", "白\U0001f375露"), TitleRecord("白露", "Ｌ露")]
    vocabulary = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "白", "露", "rbf", "l"])
    features = TASK.make_features(rows, None, Tokenizer(vocabulary), FeatureSettings(window=8, overlap=1))
    assert [(one.record, one.spell) for one in features.lost] == [(0, "白露"), (2, "白露"), (3, "露")] and features.lost_count == 3
    assert vocabulary.unk_id not in features.targets.values


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_what_is_spelled_are_the_pieces_of_the_tokens(texts):
    rows = [TitleRecord(text, text) for text in texts]
    features, tokenizer = features_of(rows, size=300)
    for row in range(len(rows)):
        target = features.targets[row]
        assert "".join(pieces(target, tokenizer)) == detokenize(target, tokenizer)
        for count in range(len(target) + 1):
            assert features.spelled(row, count) == detokenize(target[:count], tokenizer)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.sampled_from([2, 5, 64]))
def test_gold_through_the_decode_is_what_its_tokens_spell(pairs, longest):
    """The decode equals detokenizing the title's first tokens; whole titles without what tokens cannot say come back as they are."""
    rows = [TitleRecord(text, title) for text, title in pairs]
    features, tokenizer = features_of(rows)
    found = TASK.ceiling(features, rows, None, recipe=override(QUICK, [f"decode.max_target={longest}"]))
    lost = {one.record for one in features.lost}
    for number, (row, (best,)) in enumerate(zip(rows, found, strict=True)):
        target = features.targets[number]
        assert best.text == detokenize(target[:longest], tokenizer)
        if number not in lost and len(target) < longest:
            assert best.text.lower() == row.title.lower()
    mistakes = TASK.mistakes(rows, found, features)
    assert all(one["cause"] for one in mistakes)
    if longest == 64:
        assert {one["line"] for one in mistakes} <= {None} and len(mistakes) == len(lost)


def test_a_repeated_ngram_that_decoding_bars_shows_in_the_ceiling():
    rows = [TitleRecord("白露", "白露白露")]
    features, _ = features_of(rows)
    assert TASK.ceiling(features, rows, None, recipe=QUICK)[0][0].text == "白露白露"
    (best,) = TASK.ceiling(features, rows, None, recipe=override(QUICK, ["decode.no_repeat_ngram=2"]))[0]
    assert best.text == "白露白"
    (mistake,) = TASK.mistakes(rows, [[best]], features)
    assert mistake["fault"] == "other words" and "n-gram" in mistake["cause"]


def test_saved_and_loaded(tmp_path):
    features, _ = features_of([TitleRecord("白露" * 5, "白 露"), TitleRecord("伞")], window=8)
    features.save(tmp_path / "kept", {})
    again = TitleFeatures.load(tmp_path / "kept")
    assert again.counts() == features.counts() == {"lost_count": 1, "cut": 1} and len(again) == 2
    for name in ("ids", "targets", "letters", "ends"):
        for row in range(2):
            np.testing.assert_array_equal(getattr(again, name)[row], getattr(features, name)[row])
    np.testing.assert_array_equal(again.windows, features.windows)
