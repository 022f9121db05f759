import math

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.backbone import Backbone, BackboneConfig
from shared.robust import RandomReplacement, ScheduledSampling, predictions
from shared.unilm import UniLM

CLS, SEP = 1, 2


def rows(*pairs: tuple[list[int], list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """`[CLS] source [SEP] target [SEP]`, padded with 0."""
    texts = [[CLS, *source, SEP, *target, SEP] for source, target in pairs]
    width = max(len(text) for text in texts)
    ids, segments = np.zeros((len(texts), width), dtype=np.int64), np.zeros((len(texts), width), dtype=np.int64)
    for row, (text, (source, _)) in enumerate(zip(texts, pairs, strict=True)):
        ids[row, : len(text)] = text
        segments[row, len(source) + 2 : len(text)] = 1
    return ids, segments


def many(count: int = 400, words: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Rows in which every word stands once, so that a draw hits its own word once in as many as there are."""
    return rows(*[(list(range(100, 110)), list(range(200, 200 + words)))] * count)


@pytest.mark.parametrize("pool", ["target", "all"])
def test_rate_0_changes_nothing_and_does_not_share_memory(pool):
    ids, segments = many(4)
    for rates in ((0.0, 1.0), (1.0, 0.0)):
        found = RandomReplacement(*rates, pool=pool)(ids, segments, step=3)
        np.testing.assert_array_equal(found, ids)
        assert not np.shares_memory(found, ids)


def test_rate_1_draws_every_target_word_from_the_target():
    ids, segments = many(50)
    found = RandomReplacement(1.0, 1.0, pool="target")(ids, segments, step=0)
    inner = segments.astype(bool)
    inner[:, -1] = False
    np.testing.assert_array_equal(found[~inner], ids[~inner])
    assert set(found[inner]) == set(range(200, 220))
    assert (found[inner] == ids[inner]).mean() == pytest.approx(1 / 20, abs=0.02)


def test_rate_1_with_the_code_s_pool_draws_from_the_whole_row_and_may_change_the_last_separator():
    ids, segments = many(200)
    found = RandomReplacement(1.0, 1.0, pool="all")(ids, segments, step=0)
    np.testing.assert_array_equal(found[segments == 0], ids[segments == 0])
    drawn = found[segments == 1]
    assert set(drawn) == {CLS, SEP, *range(100, 110), *range(200, 220)}
    # 33 real places; [SEP] stands twice
    assert (drawn == SEP).mean() == pytest.approx(2 / 33, abs=0.01)
    assert (drawn == CLS).mean() == pytest.approx(1 / 33, abs=0.01)
    assert (found[:, -1] != SEP).mean() > 0.8


@pytest.mark.parametrize("pool", ["target", "all"])
def test_the_published_rates_corrupt_a_little_less_than_15_percent(pool):
    ids, segments = many(4000)
    replacement = RandomReplacement(pool=pool, seed=1)
    found = replacement(ids, segments, step=0)
    places = 20 if pool == "target" else 21
    same = 1 / 20 if pool == "target" else (20 * (1 / 33) + 2 / 33) / 21
    expected = replacement.expected_fraction(ids, segments)
    assert expected == pytest.approx(0.15 * (1 - same), rel=1e-12)
    changed = (found != ids).sum(axis=1)
    assert changed.sum() / (4000 * places) == pytest.approx(expected, abs=0.003)
    # half of the rows stay whole, but for the few in which every draw missed
    untouched = 0.5 + 0.5 * (1 - 0.3 * (1 - same)) ** places
    assert (changed == 0).mean() == pytest.approx(untouched, abs=0.02)
    touched = changed[changed > 0].mean() / places
    assert touched == pytest.approx(0.3 * (1 - same), abs=0.01)


def test_draws_depend_on_seed_and_step_alone():
    ids, segments = many(30)
    one = RandomReplacement(seed=5)
    first = [one(ids, segments, step=step) for step in range(4)]
    resumed = RandomReplacement(seed=5)
    np.testing.assert_array_equal(resumed(ids, segments, step=3), first[3])
    assert not np.array_equal(first[2], first[3])
    assert not np.array_equal(RandomReplacement(seed=6)(ids, segments, step=3), first[3])


def test_the_random_state_of_others_is_left_alone():
    ids, segments = many(3)
    np.random.seed(0)  # noqa: NPY002
    paddle.seed(0)
    before = np.random.get_state()[1].copy(), paddle.get_rng_state()  # noqa: NPY002
    RandomReplacement()(ids, segments, step=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    drawn = paddle.rand([3]).numpy()  # [3]
    paddle.set_rng_state(before[1])
    np.testing.assert_array_equal(paddle.rand([3]).numpy(), drawn)


texts = st.lists(st.integers(3, 30), max_size=6)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.sampled_from(["target", "all"]), st.integers(0, 10**9))
def test_source_padding_and_labels_stay_and_every_word_is_of_its_row(pairs, pool, step):
    ids, segments = rows(*pairs)
    kept = ids.copy()
    lengths = np.array([len(source) + len(target) + 3 for source, target in pairs])
    found = RandomReplacement(1.0, 0.8, pool=pool)(ids, segments, step=step)
    np.testing.assert_array_equal(ids, kept)
    np.testing.assert_array_equal(found[segments == 0], ids[segments == 0])
    np.testing.assert_array_equal(found, RandomReplacement(1.0, 0.8, pool=pool)(ids, segments, lengths, step=step))
    valid = np.arange(ids.shape[1]) < lengths[:, None]
    np.testing.assert_array_equal(found, RandomReplacement(1.0, 0.8, pool=pool)(ids, segments, valid, step=step))
    for row, (source, target), length in zip(found, pairs, lengths, strict=True):
        words = set(target) | {SEP} if pool == "target" else {CLS, SEP, *source, *target}
        assert set(row[len(source) + 2 : length]) <= words
        if pool == "target":
            assert row[length - 1] == SEP


def test_bad_batches_are_named():
    ids, segments = many(2)
    call = RandomReplacement()
    cases = [
        ((ids[0], segments[0]), r"whole numbers \[b, l\] with no empty axis, found int64 \[33\]"),
        ((ids.astype("float32"), segments), r"found float32 \[2, 33\]"),
        ((ids[:, :0], segments[:, :0]), r"found int64 \[2, 0\]"),
        ((ids, segments[:, :-1]), r"ids \[2, 33\] and segment_ids \[2, 32\] differ"),
        ((ids, segments * 2), "found 2 and 0"),
        ((ids, segments, np.ones((2, 5), bool)), r"valid must be \[2, 33\] or lengths \[2\], found \[2, 5\]"),
        ((ids, segments * 0), "no target token"),
        ((ids, segments, np.array([3, 3])), "no target token"),
    ]
    for given_, message in cases:
        with pytest.raises(ValueError, match=message):
            call(*given_, step=0)
    with pytest.raises(ValueError, match="step counts from 0, found -1"):
        call(ids, segments, step=-1)
    with pytest.raises(ValueError, match=r"token_rate must lie in \[0, 1\], found 1.5"):
        RandomReplacement(token_rate=1.5)
    with pytest.raises(ValueError, match="unknown pool 'source': use one of target, all"):
        RandomReplacement(pool="source")
    with pytest.raises(ValueError, match="found 0 places that can change"):
        RandomReplacement().expected_fraction(*rows(([5], [])))


# -- scheduled sampling ------------------------------------------------------------------------------------------


def test_gold_rates_follow_their_formulas():
    linear, exponential, sigmoid = (ScheduledSampling(name, decay=10) for name in ("linear", "exponential", "inverse_sigmoid"))
    assert [linear.gold_rate(step) for step in (0, 5, 10, 99)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert [exponential.gold_rate(step) for step in (0, 10, 30)] == pytest.approx([1.0, math.exp(-1), math.exp(-3)])
    for step in (0, 7, 23, 60):
        assert sigmoid.gold_rate(step) == pytest.approx(10 / (10 + math.exp(step / 10)), rel=1e-12)
    assert sigmoid.gold_rate(10**9) == pytest.approx(0.0, abs=1e-300)
    assert ScheduledSampling("linear", decay=10, floor=0.25).gold_rate(9) == 0.25
    for schedule in (linear, exponential, sigmoid):
        rates = [schedule.gold_rate(step) for step in range(200)]
        assert rates == sorted(rates, reverse=True)


def test_only_target_words_become_predictions_at_the_rate():
    ids, segments = many(500)
    predicted = ids + 1000
    schedule = ScheduledSampling("linear", decay=10, seed=2)
    np.testing.assert_array_equal(schedule(ids, segments, predicted, step=0), ids)
    inner = segments.astype(bool)
    inner[:, -1] = False
    np.testing.assert_array_equal(schedule(ids, segments, predicted, step=10), np.where(inner, predicted, ids))
    third = schedule(ids, segments, predicted, step=3)
    assert (third[inner] == predicted[inner]).mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(third, ScheduledSampling("linear", decay=10, seed=2)(ids, segments, predicted, step=3))


def test_predictions_stand_at_the_place_that_they_predict():
    logits = np.zeros((1, 3, 4))
    logits[0, 0, 3], logits[0, 1, 1], logits[0, 2, 2] = 1, 1, 1
    np.testing.assert_array_equal(predictions(logits), [[0, 3, 1]])


def test_bad_settings_of_scheduled_sampling_are_named():
    ids, segments = many(2)
    with pytest.raises(ValueError, match="unknown schedule 'cosine': use one of linear, inverse_sigmoid, exponential"):
        ScheduledSampling("cosine", decay=10)
    with pytest.raises(ValueError, match=r"decay must be a finite number of at least 1, found 0\.5"):
        ScheduledSampling(decay=0.5)
    with pytest.raises(ValueError, match=r"floor must lie in \[0, 1\], found 2"):
        ScheduledSampling(decay=10, floor=2)
    with pytest.raises(ValueError, match=r"whole numbers \[2, 33\], found int64 \[2, 32\]"):
        ScheduledSampling(decay=10)(ids, segments, ids[:, 1:], step=0)
    with pytest.raises(ValueError, match=r"logits must be \[b, l, v\] with no empty axis, found \[2, 33\]"):
        predictions(ids)


# -- in training -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["target", "all", "scheduled"])
def test_a_small_unilm_learns_from_corrupted_inputs(kind):
    """The target repeats the source; labels are the gold words whatever the network reads."""
    paddle.seed(0)
    sizes = {"vocab_size": 12, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "intermediate_size": 64, "max_positions": 16}
    model = UniLM(Backbone(BackboneConfig(**sizes, dropout=0.0, attention_dropout=0.0)))
    optimizer = paddle.optimizer.Adam(5e-3, parameters=model.parameters())
    ids, segments = rows(([3, 4, 5], [3, 4, 5]), ([6, 7], [6, 7]), ([9, 8, 3], [9, 8, 3]))
    labels, kinds = paddle.to_tensor(ids), paddle.to_tensor(segments)  # [3, 9], [3, 9]
    start = float(model.loss(labels, kinds))
    replacement, schedule = RandomReplacement(pool=kind if kind != "scheduled" else "all"), ScheduledSampling(decay=60, floor=0.5)
    for step in range(60):
        if kind == "scheduled":
            with paddle.no_grad():
                first = predictions(model(labels, kinds).numpy())
            inputs = schedule(ids, segments, first, step=step)
        else:
            inputs = replacement(ids, segments, step=step)
        model.loss(labels, kinds, inputs=paddle.to_tensor(inputs)).backward()
        optimizer.step()
        optimizer.clear_grad()
    assert float(model.loss(labels, kinds)) < 0.25 * start
