"""The span model: its loss against NumPy, what gets no probability, which windows are trained on, and that it learns."""

import itertools

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from shared.backbone import Backbone, BackboneConfig
from shared.inference import EagerEngine
from shared.text import Tokenizer, Vocabulary
from tasks.reading.features import make_features
from tasks.reading.models.span import ReadingSpan, SpanSettings
from tasks.reading.models.span_batch import mark_asked
from tasks.reading.models.span_decode import decode_batch, engine_logits
from tasks.reading.models.span_design import DecodeSettings
from tasks.reading.records import Answer, ReadingRecord

from ..parts import check_divergence, check_half_precision, check_parts_add_up, check_replacement, check_smoothing

TEXTS = ("温青禾住在海螺湾", "岑若川把旧伞给了温青禾", "夜航船厂造了九条船", "简宁在北风里种树")
ASKED = ("温青禾住在哪里", "谁把旧伞给了温青禾", "夜航船厂造了几条船", "简宁在哪里种树")
ANSWERS = ("海螺湾", "岑若川", "九条", "北风里")
VOCABULARY = Vocabulary.build([*TEXTS, *ASKED], max_size=300)
LONG = "温青禾说" + "船" * 8 + "温青禾" + "树" * 12 + "温青禾"
"""30 tokens: three windows of 13 beside a question of one token."""


def question(text, *answers, asked="谁", identity="a"):
    return ReadingRecord(identity, asked, text, tuple(Answer(answer) for answer in answers) or None)


def features_of(*rows, window=15, overlap=4):
    return make_features(rows, Tokenizer(VOCABULARY), window=window, overlap=overlap)


def model(*, spread=0.0, seed=0, num_segments=2, hidden_size=16, **settings):
    """A tiny model without dropout, in evaluation mode; with ``spread`` every weight is random, so that no logits are alike."""
    paddle.seed(3)
    config = BackboneConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=hidden_size,
        num_layers=1,
        num_heads=2,
        intermediate_size=32,
        num_segments=num_segments,
        dropout=0.0,
        attention_dropout=0.0,
    )
    built = ReadingSpan(Backbone(config), settings=SpanSettings(head_dropout=0.0, **settings), seed=seed)
    rng = np.random.default_rng(1)
    for parameter in built.parameters() if spread else ():
        parameter.set_value(parameter.numpy() + rng.normal(0, spread, parameter.shape).astype(np.float32))
    built.eval()
    return built


def outputs(built, features, rows, padded_tokens=4096):
    return engine_logits(EagerEngine(built.network()), features, rows, VOCABULARY, padded_tokens=padded_tokens)


def token_probabilities(features, row, logits):
    """Of each token of a passage to be first and last, [2, tokens]: softmaxes over all windows, summed over those that see the token."""
    found = np.zeros((2, len(features.starts[row])))
    for side in (0, 1):
        total = sum(np.exp(pair[side].astype(np.float64)).sum() for pair in logits)
        for (_, begin, end), pair in zip(features.windows_of(row), logits, strict=True):
            found[side, begin:end] += np.exp(pair[side].astype(np.float64)) / total
    return found


# -- loss --------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_all_places_together():
    rows = [question(TEXTS[0], "温青禾", "海螺湾", identity="b"), question(LONG, "温青禾")]
    features = features_of(*rows)
    assert np.diff(features.first).tolist() == [1, 3] and features.answers.lengths.tolist() == [2, 3]
    assert features.answers[1].tolist() == [[0, 0, 2], [0, 12, 14], [0, 27, 29]] and features.lost_count == 0
    built = model(spread=0.5)
    wanted = []
    for row in (0, 1):
        starts, ends = token_probabilities(features, row, outputs(built, features, [row]))
        wanted.append(-0.5 * np.log(sum(starts[first] * ends[last] for _, first, last in features.answers[row].tolist())))
    for order, value in (([0], wanted[0]), ([1], wanted[1]), ([0, 1], np.mean(wanted)), ([1, 0], np.mean(wanted))):
        batch = built.collate(features, np.array(order), VOCABULARY, labelled=True)
        assert float(built.loss(batch)) == pytest.approx(value, rel=1e-4)


def test_an_answer_that_two_windows_hold_may_be_found_by_either():
    text = "船" * 10 + "旧伞" + "树" * 10
    features = features_of(question(text, "旧伞"), window=18, overlap=8)
    (_, begin, end), (_, other, behind) = features.windows_of(0)
    assert begin <= other <= 10 and 12 <= end <= behind
    built = model(spread=0.5)
    starts, ends = token_probabilities(features, 0, outputs(built, features, [0]))
    batch = built.collate(features, np.array([0]), VOCABULARY, labelled=True)
    assert float(built.loss(batch)) == pytest.approx(-0.5 * np.log(starts[10] * ends[11]), rel=1e-4)
    assert batch["places"].shape == (4, 2, 3)


def test_an_answer_that_no_window_holds_is_no_place():
    one, other = question("船" * 3 + "温青禾住在海螺湾里" + "树" * 5, "温青禾住在海螺湾里"), question(TEXTS[0], "海螺湾", identity="b")
    features = features_of(one, other, window=12, overlap=3)
    assert features.lost_count == 1 and len(features.answers[0]) == 1
    built = model(spread=0.5)
    alone = float(built.loss(built.collate(features, np.array([1]), VOCABULARY, labelled=True)))
    batch = built.collate(features, np.array([0, 1]), VOCABULARY, labelled=True)
    assert batch["windows_of"].tolist() == [[2]] and float(built.loss(batch)) == pytest.approx(alone, rel=1e-5)


def test_a_batch_without_places_costs_nothing_and_has_finite_gradients():
    rows = [question(TEXTS[0]), question(TEXTS[1], "夜航", identity="b"), question("\u200b", "夜航", identity="c")]
    built = model()
    built.train()
    loss = built.loss(built.collate(features_of(*rows), np.arange(3), VOCABULARY, labelled=True))
    loss.backward()
    assert float(loss) == 0
    assert all(parameter.grad is None or not parameter.grad.numpy().any() for parameter in built.parameters())


def test_a_passage_of_no_token_disturbs_no_other():
    rows = [question("\u200b", "夜航"), question(TEXTS[0], "海螺湾", identity="b")]
    features = features_of(*rows)
    built = model(spread=0.5)
    built.train()
    loss = built.loss(built.collate(features, np.arange(2), VOCABULARY, labelled=True))
    loss.backward()
    alone = built.loss(built.collate(features, np.array([1]), VOCABULARY, labelled=True))
    assert float(loss) == pytest.approx(float(alone), rel=1e-5)
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in built.parameters() if parameter.grad is not None)
    assert [len(starts) for starts, _ in outputs(built, features, [0, 1])] == [0, 8]


def mixed():
    """Questions with one place and with many, a long passage, and one without a place."""
    rows = [question(text, answer, asked=asked, identity=asked) for text, answer, asked in zip(TEXTS, ANSWERS, ASKED, strict=True)]
    rows += [question(LONG, "温青禾", identity="long"), question(TEXTS[1], identity="none")]
    return features_of(*rows)


@pytest.mark.parametrize(("rows", "cuts"), [([0, 1, 4], [1]), ([4, 5, 2, 0], [1, 2]), ([5, 3], [1]), ([5, 5], [1]), ([0, 1, 2, 3, 4, 5], [2, 5])])
def test_losses_of_parts_add_up_to_the_whole(rows, cuts):
    built = model(spread=0.3, train_windows=2, word_in_question=True)
    features = mixed()
    loss = check_parts_add_up(
        built, lambda part: built.collate(features, np.asarray(part), VOCABULARY, labelled=True, epoch=1), rows, cuts, built.loss
    )
    assert loss > 0 or set(rows) == {5}


def shares(logits):
    """Softmaxes of first and last token over all windows of a question, one behind the other, float64."""
    both = [np.concatenate([pair[side] for pair in logits]).astype(np.float64) for side in (0, 1)]
    return [np.exp(scores) / np.exp(scores).sum() for scores in both]


def test_smoothing_gives_every_token_a_share():
    features = mixed()

    def collate(built, rows):
        return built.collate(features, np.asarray(rows), VOCABULARY, labelled=True)

    def expected(built, batch, smoothing):
        found = []
        for row in (0, 2, 4):
            logits = outputs(built, features, [row])
            starts, ends = token_probabilities(features, row, logits)
            gold = -0.5 * np.log(sum(starts[first] * ends[last] for _, first, last in features.answers[row].tolist()))
            even = -0.5 * sum(np.log(share).mean() for share in shares(logits))
            found.append((1 - smoothing) * gold + smoothing * even)
        return np.mean(found)

    check_smoothing(lambda **given: model(spread=0.3, **given), collate, [0, 2, 4, 5], [2], expected)


def test_divergence_of_two_passes():
    features, built = mixed(), model(spread=0.3)

    def collate(rows):
        return built.collate(features, np.asarray(rows), VOCABULARY, labelled=True)

    check_divergence(built, collate, [0, 1, 4, 5, 3], [2, 4])
    batch = collate([5, 4, 0])
    first = built(batch)  # [b, l, 2]
    second = paddle.where(first > -1e8, first + paddle.randn(first.shape), first)  # [b, l, 2]
    expected = []
    for row in (4, 0):
        own = [at for at, number in enumerate(batch["numbers"]) if features.windows[number, 0] == row]
        given = [[logits.numpy()[at][batch["passage"][at]].T for at in own] for logits in (first, second)]
        pairs = zip(*(shares(logits) for logits in given), strict=True)
        expected.append(0.5 * sum(((p - q) * np.log(p / q)).sum() / 2 for p, q in pairs))
    assert float(built.divergence(first, second, batch)) == pytest.approx(np.mean(expected), rel=1e-4)
    nothing = built.divergence(first, second, collate([5]))
    assert float(nothing) == 0


def test_the_passage_may_be_replaced():
    built, features = model(word_in_question=True), mixed()
    batch = built.collate(features, np.array([0, 4, 5]), VOCABULARY, labelled=True)
    assert batch["asked"].any()
    check_replacement(built, batch, VOCABULARY, inside=batch["passage"])
    blank = built.collate(features_of(question("\u200b", "夜航"), question(TEXTS[0])), np.arange(2), VOCABULARY, labelled=True)
    segments, lengths = built.replaceable(blank)
    assert segments[0].sum() == 1 and lengths[0] == (blank["ids"][0] != VOCABULARY.pad_id).sum()
    assert built.embedding is built.backbone.embeddings.token


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_half_precision(smoothing):
    """With a window whose passage is empty: all its logits are barred."""
    built = model(spread=0.3, label_smoothing=smoothing, word_in_question=True)
    features = features_of(question("\u200b", "夜航"), question(LONG, "温青禾"), question(TEXTS[0], "海螺湾", identity="b"))
    check_half_precision(built, built.collate(features, np.arange(3), VOCABULARY, labelled=True))


# -- logits ------------------------------------------------------------------------------------------------------


def test_inputs_are_question_and_window():
    rows = [question(LONG, "温青禾"), question(TEXTS[2], "九条", asked=ASKED[2], identity="b")]
    features = features_of(*rows)
    batch = model().collate(features, np.array([1, 0]), VOCABULARY, labelled=False)
    assert batch["numbers"].tolist() == [number for row in (1, 0) for number, _, _ in features.windows_of(row)]
    assert len(features.questions[1]) == 7 < len(ASKED[2])
    for number, ids, segments, passage in zip(batch["numbers"], batch["ids"], batch["segments"], batch["passage"], strict=True):
        asked, words = features.questions[int(features.windows[number, 0])].tolist(), features.ids[int(number)].tolist()
        row = [VOCABULARY.cls_id, *asked, VOCABULARY.sep_id, *words, VOCABULARY.sep_id]
        rest = len(ids) - len(row)
        assert ids.tolist() == row + [VOCABULARY.pad_id] * rest
        assert segments.tolist() == [0] * (len(asked) + 2) + [1] * (len(words) + 1) + [0] * rest
        assert ids[passage].tolist() == words and not passage[: len(asked) + 2].any()
    assert set(batch) == {"ids", "segments", "passage", "numbers"}
    assert set(model(word_in_question=True).collate(features, np.array([1, 0]), VOCABULARY, labelled=False)) == {*batch, "asked"}


@given(lists(integers(5, 12), min_size=1, max_size=9), lists(integers(5, 12), min_size=1, max_size=12))
def test_passage_tokens_of_the_question_are_marked(asked, words):
    pairs = set(itertools.pairwise(asked))
    expected = []
    for at, word in enumerate(words):
        beside = [pair in pairs for pair in ((words[at - 1] if at else None, word), (word, words[at + 1] if at + 1 < len(words) else None))]
        expected.append(2 if any(beside) else int(word in asked))
    assert mark_asked(np.array(asked, dtype=np.int32), np.array(words, dtype=np.int32)).tolist() == expected


def test_the_mark_starts_as_nothing_and_then_tells():
    features = features_of(question(TEXTS[0], "九条", asked=ASKED[0]))
    plain, told = model(spread=0.5), model(spread=0.5, word_in_question=True)
    told.set_state_dict(plain.state_dict())
    told.asked.weight.set_value(paddle.zeros_like(told.asked.weight))
    batch = told.collate(features, np.arange(1), VOCABULARY, labelled=False)
    assert batch["asked"].max() > 0 and not batch["asked"][~batch["passage"]].any()
    np.testing.assert_allclose(told(batch).numpy(), plain(batch).numpy(), atol=1e-5)
    told.asked.weight.set_value(paddle.ones_like(told.asked.weight) * paddle.arange(3).astype("float32").unsqueeze(-1) * paddle.randn([1, 16]))
    assert np.abs(told(batch).numpy() - plain(batch).numpy()).max() > 1e-3


def test_only_the_passage_gets_probability():
    features = features_of(question(LONG, "温青禾"), question(TEXTS[0], identity="b"))
    built = model(spread=0.5)
    batch = built.collate(features, np.arange(2), VOCABULARY, labelled=False)
    with paddle.no_grad():
        logits = built(batch).numpy()
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))  # [b, l, 2]
    assert (shares[~batch["passage"]] == 0).all() and (shares[batch["passage"]] > 0).all()
    for row, inside, (starts, ends) in zip(logits, batch["passage"], outputs(built, features, [0, 1]), strict=True):
        np.testing.assert_allclose(row[inside], np.stack([starts, ends], axis=1), rtol=1e-6)


def test_neither_padding_nor_the_batch_changes_logits():
    rows = [question(LONG, asked="谁"), *(question(text, asked=asked, identity=text) for text, asked in zip(TEXTS, ASKED, strict=True))]
    features = features_of(*rows, window=20)
    built = model(spread=0.3)
    together = outputs(built, features, range(len(rows)))
    alone = [pair for row in range(len(rows)) for pair in outputs(built, features, [row])]
    few = outputs(built, features, range(len(rows)), padded_tokens=1)
    assert len(together) == len(alone) == len(few) == len(features.ids)
    for number, (one, other, third) in enumerate(zip(together, alone, few, strict=True)):
        assert len(one[0]) == len(features.ids[number])
        np.testing.assert_allclose(one, other, atol=1e-5)
        np.testing.assert_allclose(one, third, atol=1e-5)


def test_an_encoder_without_segments_will_do():
    features = features_of(question(TEXTS[0], "海螺湾"))
    built = model(num_segments=1)
    assert np.isfinite(float(built.loss(built.collate(features, np.array([0]), VOCABULARY, labelled=True))))


# -- windows of a long passage -----------------------------------------------------------------------------------


def long_features():
    return features_of(question("船" * 40 + "旧伞" + "树" * 40, "旧伞"), question(TEXTS[0], "海螺湾", identity="b"), window=12, overlap=3)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_windows_are_trained_on_and_one_has_the_answer(count):
    features = long_features()
    holding = {number for number, begin, end in features.windows_of(0) if begin <= 40 and end >= 42}
    assert holding and len(features.windows_of(0)) > 8
    chosen = set()
    for seed in range(12):
        built = model(train_windows=count, seed=seed)
        batch = built.collate(features, np.array([1, 0]), VOCABULARY, labelled=True)
        taken = [number for number in batch["numbers"].tolist() if number in range(features.first[0], features.first[1])]
        assert taken == sorted(set(taken)) and len(taken) == count and holding & set(taken)
        assert len(batch["places"]) >= 2 and batch["windows_there"].sum() == count + 1
        chosen.add(tuple(taken))
    assert len(chosen) > 1 or count == len(holding) == 1


def test_what_is_taken_depends_on_seed_epoch_and_question_alone():
    features = long_features()
    built = model(train_windows=3, seed=5)

    def taken(which, rows, labelled=True, epoch=0):
        return which.collate(features, np.array(rows), VOCABULARY, labelled=labelled, epoch=epoch)["numbers"].tolist()

    first, short = taken(built, [0]), taken(built, [1])
    assert taken(built, [0]) == first == taken(model(train_windows=3, seed=5), [0])
    assert taken(built, [1, 0]) == short + first and taken(built, [0, 1]) == first + short
    assert any(taken(model(train_windows=3, seed=seed), [0]) != first for seed in range(6, 12))
    assert any(taken(built, [0], epoch=epoch) != first for epoch in range(1, 7))
    counts = np.zeros(features.first[1])
    for epoch in range(400):
        counts[taken(built, [0], epoch=epoch)] += 1
    holding = [number for number, begin, end in features.windows_of(0) if begin <= 40 and end >= 42]
    others = np.delete(counts, holding)  # [n]
    even = 400 * (3 - counts[holding].sum() / 400) / len(others)
    assert np.abs(others - even).max() < 5 * np.sqrt(even)
    assert taken(built, [0], labelled=False) == [number for number, _, _ in features.windows_of(0)]


def test_a_long_passage_without_its_answer_still_makes_a_batch():
    features = features_of(question("船" * 80, "旧伞"), window=12, overlap=3)
    batch = model(train_windows=3).collate(features, np.array([0]), VOCABULARY, labelled=True)
    assert len(batch["ids"]) == 3 and batch["places"].shape == (0, 2, 3) and batch["windows_of"].shape[0] == 0


# -- learning ----------------------------------------------------------------------------------------------------


def test_four_questions_are_learnt():
    rows = [question(*given, asked=asked, identity=asked) for *given, asked in zip(TEXTS, ANSWERS, ASKED, strict=True)]
    rows.append(question("船" * 12 + TEXTS[0] + "树" * 12, ANSWERS[0], asked=ASKED[0], identity="long"))
    features = features_of(*rows, window=24, overlap=8)
    assert len(features.ids) > len(rows)
    built = model(hidden_size=32)
    optimizer = paddle.optimizer.Adam(learning_rate=1e-2, parameters=built.parameters())
    built.train()
    batch = built.collate(features, np.arange(len(rows)), VOCABULARY, labelled=True)
    losses = []
    for _ in range(60):
        loss = built.loss(batch)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    built.eval()
    assert losses[-1] < 0.1 < 1 < losses[0]
    found = decode_batch(outputs(built, features, range(len(rows))), range(len(rows)), features, rows, DecodeSettings())
    assert [answers[0].text for _, answers in found] == [*ANSWERS, ANSWERS[0]]
    assert all(answers[0].probability > 0.5 for _, answers in found)
