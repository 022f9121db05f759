"""The span model's options: pieces cut around an answer, questions without an answer, questions in other words."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.text import Tokenizer
from tasks.reading.features import make_features
from tasks.reading.models.span_batch import cropped
from tasks.reading.models.span_decode import best_spans, decode_batch, gold_logits, null_probability
from tasks.reading.models.span_design import DecodeSettings
from tasks.reading.paraphrases import Paraphrase, with_paraphrases
from tasks.reading.records import ReadingRecord
from tasks.recipe import load_recipe
from tasks.registry import get_task

from ..parts import check_divergence, check_half_precision, check_parts_add_up
from .test_span import ASKED, LONG, TEXTS, VOCABULARY, features_of, model, outputs, question, shares

TASK = get_task("reading")


def nothing(text, asked=ASKED[0], identity="none"):
    return ReadingRecord(identity, asked, text, ())


# -- pieces ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(1, 40), st.integers(8, 30), st.data())
def test_a_piece_has_its_size_and_one_of_the_answers(begin, length, size, data):
    places = st.integers(begin - 4, begin + length + 4).flatmap(lambda first: st.integers(first, first + size - 1).map(lambda last: (first, last)))
    spans, draws = data.draw(st.lists(places, max_size=4)), data.draw(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
    number, first, end = cropped((7, begin, begin + length), spans, size, draws)
    assert number == 7 and begin <= first and end <= begin + length and end - first == min(size, length)
    held = [span for span in spans if begin <= span[0] and span[1] < begin + length]
    assert not held or any(first <= span[0] and span[1] < end for span in held)


def test_training_reads_pieces_and_prediction_whole_windows():
    rows = [question("船" * 40 + "旧伞" + "树" * 40, "旧伞"), question("船" * 30, "船" * 12, identity="b"), question(TEXTS[0], identity="c")]
    features = features_of(*rows, window=60, overlap=20)
    built, whole = model(train_tokens=10, train_windows=1), model(train_windows=1)
    seen = set()
    for epoch in range(12):
        batch = built.collate(features, np.arange(3), VOCABULARY, labelled=True, epoch=epoch)
        assert batch["passage"].sum(axis=1).tolist() == [10, 30, 8]  # an answer of 12 tokens would not fit a piece
        assert (batch["ids"] != VOCABULARY.pad_id).sum(axis=1).tolist() == built.training_lengths(features).tolist()
        for (row, first, _), (_, last, _) in batch["places"].tolist():
            if row == 0:
                assert batch["ids"][row, [first, last]].tolist() == Tokenizer(VOCABULARY).encode_batch(["旧伞"])[0].ids.tolist()
                assert last == first + 1
                seen.add(first)
        alone = built.collate(features, np.array([0]), VOCABULARY, labelled=True, epoch=epoch)
        np.testing.assert_array_equal(alone["ids"][0], batch["ids"][0, : alone["ids"].shape[1]])
    assert len(seen) > 3
    plain = whole.collate(features, np.arange(3), VOCABULARY, labelled=False)
    np.testing.assert_array_equal(built.collate(features, np.arange(3), VOCABULARY, labelled=False)["ids"], plain["ids"])


# -- no answer ---------------------------------------------------------------------------------------------------


def test_the_loss_of_no_answer_is_that_of_cls_in_all_windows():
    features = features_of(question(TEXTS[0], "海螺湾"), nothing(LONG), nothing(TEXTS[1], identity="b"))
    assert features.impossible.tolist() == [False, True, True]
    built, wanted = model(spread=0.5, no_answer=True, train_windows=9), []
    for row in range(3):
        logits = outputs(built, features, [row])
        starts, ends = shares(logits)
        if features.impossible[row]:
            at = np.cumsum([0, *(len(first) for first, _ in logits)])[:-1]
            wanted.append(-0.5 * np.log(starts[at].sum() * ends[at].sum()))
            nulls = [(float(first[0]), float(last[0])) for first, last in logits]
            none = null_probability([(first[1:], last[1:]) for first, last in logits], nulls)
            assert none == pytest.approx(starts[at].sum() * ends[at].sum(), rel=1e-5)
        else:
            (_, first, last) = features.answers[row][0].tolist()
            wanted.append(-0.5 * np.log(starts[1 + first] * ends[1 + last]))
    batch = built.collate(features, np.arange(3), VOCABULARY, labelled=True)
    assert float(built.loss(batch)) == pytest.approx(np.mean(wanted), rel=1e-4)
    blind = model(spread=0.5)
    batch = blind.collate(features, np.arange(3), VOCABULARY, labelled=True)
    assert blind.divisors(batch) == {"questions": 1.0} and all(len(starts) == 8 for starts, _ in outputs(blind, features, [0]))


def mixed(known=False):
    rows = [question(text, text[:2], asked=asked, identity=asked) for text, asked in zip(TEXTS, ASKED, strict=True)]
    features = features_of(*rows, nothing(LONG), question(LONG, "温青禾", asked="谁种树", identity="long"), window=20)
    others = {ASKED[0]: [Paraphrase("温青禾在哪里住"), Paraphrase("哪里")], "谁种树": [Paraphrase("种树谁呢谁")], ASKED[2]: [Paraphrase(ASKED[2])]}
    return with_paraphrases(features, others, Tokenizer(VOCABULARY), window=20)[0] if known else features


@pytest.mark.parametrize(("rows", "cuts"), [([0, 4, 5], [1]), ([4, 0, 5, 2], [2, 3])])
def test_parts_add_up_with_every_option(rows, cuts):
    features = mixed(known=True)
    built = model(spread=0.3, no_answer=True, train_tokens=9, train_windows=2, word_in_question=True, paraphrase_share=1.0, consistency=0.7)
    built.window = 20

    def collate(part):
        return built.collate(features, np.asarray(part), VOCABULARY, labelled=True, epoch=1)

    assert check_parts_add_up(built, collate, rows, cuts, built.loss) > 0
    assert check_divergence(built, collate, rows, cuts) > 0
    assert collate([0, 5])["twin_windows_of"].shape[0] == 2
    if cuts == [1]:
        check_half_precision(built, collate(rows))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-6, 6, width=32), min_size=2, max_size=5), min_size=1, max_size=3), st.floats(0, 2))
def test_spans_and_no_answer_share_one_probability(windows, penalty):
    own = [(np.array(row[1:], dtype=np.float32), np.array(row[1:][::-1], dtype=np.float32)) for row in windows]
    nulls = [(row[0], -row[0]) for row in windows]
    begins = np.cumsum([0, *(len(first) for first, _ in own)])[:-1].tolist()
    found = best_spans(own, begins, longest=4, count=1000, nulls=nulls, penalty=penalty)
    none = null_probability(own, nulls)
    assert none + sum(probability for *_, probability in found) <= 1 + 1e-6
    total = [sum(np.exp(np.float64(first)).sum() for first in side) for side in zip(*own, strict=True)]
    empty = [np.exp([pair[side] for pair in nulls]).sum() for side in (0, 1)]
    assert none == pytest.approx(empty[0] * empty[1] / (total[0] + empty[0]) / (total[1] + empty[1]), rel=1e-5)
    ranked = [np.log(probability) - penalty * (last - first) for first, last, probability in found if probability > 0]
    assert ranked == sorted(ranked, reverse=True) or max(np.diff(ranked)) < 1e-6
    plain = best_spans(own, begins, longest=4, count=1000, nulls=nulls)
    assert {span[:2]: pytest.approx(span[2], rel=1e-6) for span in plain} == {span[:2]: span[2] for span in found}


def test_the_answer_is_empty_when_asked_for_and_sure():
    rows = [question(TEXTS[0], "海螺湾"), nothing(LONG)]
    features = features_of(*rows)

    def answers(**given):
        logits = [window for row in (0, 1) for window in gold_logits(features, row, no_answer=True)]
        found = dict(decode_batch(logits, [0, 1], features, rows, DecodeSettings(**given), no_answer=True))
        return [[answer.text for answer in found[row]] for row in (0, 1)]

    assert answers(no_answer_threshold=0.5) == [["海螺湾"], [""]]
    assert answers(no_answer_threshold=0.0)[0] == [""]
    never = answers()
    assert never[0] == ["海螺湾"] and never[1] != [""]
    both = answers(no_answer_threshold=0.5, n_best=2)
    assert both[0] == ["海螺湾", ""] and both[1][0] == "" and both[1][1]
    assert TASK.score(rows, [[found] for found in _predictions(["海螺湾", ""])])["f1"] == 1.0


def _predictions(texts):
    from tasks.reading.predictions import Prediction

    return [Prediction(text, 0, len(text), 1.0) for text in texts]


def test_a_threshold_needs_a_model_that_knows_of_no_answer():
    with pytest.raises(InputError, match="no_answer_threshold"):
        load_recipe(TASK.recipes, "quick", ["decode.no_answer_threshold=0.5"], check=TASK.check_recipe)
    load_recipe(TASK.recipes, "quick", ["decode.no_answer_threshold=0.5", "model.no_answer=true"], check=TASK.check_recipe)


# -- other words -------------------------------------------------------------------------------------------------


def test_a_share_of_the_questions_is_asked_in_other_words():
    features = mixed(known=True)
    assert np.diff(features.paraphrases.first).tolist() == [2, 0, 0, 0, 2, 1]  # the same words are no other words; record 4 asks as record 0
    built = model(paraphrase_share=0.5, no_answer=True)
    told = np.zeros(6)
    for epoch in range(60):
        batch = built.collate(features, np.arange(6), VOCABULARY, labelled=True, epoch=epoch)
        width = (batch["ids"] != VOCABULARY.pad_id).sum(axis=1)
        for at, number in enumerate(batch["numbers"].tolist()):
            row = int(features.windows[number, 0])
            before = int(batch["passage"][at].argmax()) - 2
            asked = batch["ids"][at, 1 : 1 + before].tolist()
            if asked != features.questions[row].tolist():
                told[row] += 1
                assert asked in [features.paraphrases.tokens[k].tolist() for k in range(*features.paraphrases.first[row : row + 2])]
        assert width.max() <= built.window + 2 and len(batch["windows_of"]) == 6
    counts = np.diff(features.first)
    assert not told[1:4].any() and all(0.25 < told[row] / counts[row] / 60 < 0.75 for row in (0, 4, 5))
    plain = built.collate(features, np.arange(6), VOCABULARY, labelled=False)
    np.testing.assert_array_equal(plain["ids"], model(no_answer=True).collate(mixed(), np.arange(6), VOCABULARY, labelled=False)["ids"])


def test_longer_words_do_not_stretch_a_window_and_keep_the_answer():
    features, _ = with_paraphrases(features_of(question(LONG, "温青禾")), {"谁": [Paraphrase("温青禾谁种树船")]}, Tokenizer(VOCABULARY), window=15)
    built = model(paraphrase_share=1.0)
    built.window = 15
    batch = built.collate(features, np.array([0]), VOCABULARY, labelled=True)
    assert batch["ids"].shape[1] <= 17 and len(batch["places"])


def test_consistency_is_the_divergence_of_two_ways_to_ask():
    features = mixed(known=True)
    plain, strict = (model(spread=0.4, paraphrase_share=1.0, consistency=weight) for weight in (0.0, 0.5))
    rows = np.array([5, 1, 0])
    batch = strict.collate(features, rows, VOCABULARY, labelled=True)
    assert strict.divisors(batch) == {"questions": 3.0, "twins": 2.0}
    asked, expected = model(spread=0.4), []
    for row in (5, 0):
        own = strict.collate(features, np.array([row]), VOCABULARY, labelled=True)
        logits = [np.exp(own_logits - own_logits.max()) for own_logits in _sides(plain, own)]
        as_it_stands = asked.collate(mixed(), np.array([row]), VOCABULARY, labelled=True)
        others = [np.exp(own_logits - own_logits.max()) for own_logits in _sides(asked, as_it_stands)]
        pairs = [(p / p.sum(), q / q.sum()) for p, q in zip(logits, others, strict=True)]
        expected.append(sum(((p - q) * np.log(p / q)).sum() for p, q in pairs) / 4)
    apart = float(strict.loss(batch)) - float(plain.loss(plain.collate(features, rows, VOCABULARY, labelled=True)))
    assert apart == pytest.approx(0.5 * np.mean(expected), rel=1e-3)
    none = strict.collate(features, np.array([1]), VOCABULARY, labelled=True)
    assert float(strict.loss(none)) == float(plain.loss(none))


def _sides(built, batch):
    with paddle.no_grad():
        logits = built(batch).numpy().astype(np.float64)
    return [logits[..., side][batch["passage"]] for side in (0, 1)]


def test_features_of_many_questions_find_their_words():
    records = [question(TEXTS[0], asked=asked, identity=asked) for asked in ("谁", "谁把旧伞给了温青禾", "谁")]
    features = make_features(records, Tokenizer(VOCABULARY), window=15, overlap=4)
    found, count = with_paraphrases(features, {"谁": [Paraphrase("哪里"), Paraphrase("谁"), Paraphrase("\u200b")]}, Tokenizer(VOCABULARY), window=15)
    assert count == 2 and found.paraphrases.longest.tolist() == [2, 0, 2]
    assert found.paraphrases.drawn(1, 0.3) is None and len(found.paraphrases.drawn(2, 0.999)) == 2
