"""The masked language model: what is hidden, the loss by its definition, and the promises of every model."""

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from shared.backbone import Backbone, BackboneConfig
from shared.features.ragged import Ragged
from shared.text import Vocabulary
from shared.training.parallel import Ranks
from tasks.pretraining.features import BEGINS, INSIDE, NEVER, PretrainingFeatures
from tasks.pretraining.models.mlm import SPAN_SHARES, MaskedLanguageModel, _span_begins
from tasks.pretraining.models.settings import MlmSettings

from ..parts import check_divergence, check_half_precision, check_parts_add_up

VOCABULARY = Vocabulary.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", *(chr(0x4E00 + at) for at in range(40))])
ORDINARY = range(6, 46)


def features_of(lengths, *, never=(), seed=0):
    """Random tokens in words of 1 to 3; a separator at the places ``never`` of every window."""
    rng = np.random.default_rng(seed)
    ids, units = [], []
    for length in lengths:
        own, unit = rng.integers(6, 46, length), np.where(rng.random(length) < 0.5, BEGINS, INSIDE)
        places = [place for place in never if place < length]
        own[places], unit[places] = VOCABULARY.sep_id, NEVER
        unit[[0, *(place + 1 for place in places if place + 1 < length)]] = BEGINS
        ids.append(own)
        units.append(unit)
    return PretrainingFeatures(Ragged.from_rows(ids, dtype=np.uint16), Ragged.from_rows(units, dtype=np.uint8), np.zeros(len(ids)), {})


def model(seed=7, **given):
    paddle.seed(1)
    config = BackboneConfig(len(VOCABULARY), 16, 1, 2, 32, dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
    built = MaskedLanguageModel(Backbone(config), VOCABULARY, MlmSettings(**given), seed=seed)
    built.eval()
    return built


FEATURES = features_of([3, 9, 20, 14, 6, 1], never=(4, 5))


def collate(built, rows=range(6), epoch=0, features=FEATURES):
    return built.collate(features, np.asarray(rows), VOCABULARY, epoch=epoch)


def whole(batch):
    """The batch's ids with every hidden token put back, [b, l + 2]."""
    ids = batch["ids"].copy()
    ids.reshape(-1)[batch["places"]] = batch["labels"]
    return ids


def hidden(batch):
    """1 at the tokens to guess, [b, l + 2]."""
    found = np.zeros(batch["ids"].size, dtype=bool)
    found[batch["places"]] = True
    return found.reshape(batch["ids"].shape)


# -- what is hidden ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", ["token", "word", "span"])
def test_what_is_hidden_depends_on_seed_epoch_and_row_alone(masking):
    built = model(masking=masking)
    batch = collate(built)
    text = whole(batch)
    for row in range(6):
        alone = collate(built, [row])
        length = alone["ids"].shape[1]
        np.testing.assert_array_equal(alone["ids"][0], batch["ids"][row, :length])
        np.testing.assert_array_equal(whole(alone)[0, 1 : length - 1], FEATURES.ids[row])
        assert len(alone["labels"]) >= 1 and hidden(alone)[0, 1 : length - 1].sum() == len(alone["labels"])
    assert not hidden(batch)[text <= VOCABULARY.mask_id].any()  # neither padding nor [CLS] nor separators
    assert all(np.array_equal(value, collate(built)[name]) for name, value in batch.items())
    assert not np.array_equal(hidden(batch), hidden(collate(built, epoch=1)))
    assert not np.array_equal(hidden(batch), hidden(collate(model(seed=8, masking=masking))))


@tries(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 1000), st.sampled_from([0.05, 0.15, 0.5]))
def test_words_are_hidden_whole_and_not_too_many(lengths, seed, masked):
    features = features_of(lengths, never=(7,), seed=seed)
    built = BUILT[masked]
    marks = hidden(collate(built, range(len(lengths)), epoch=seed, features=features))
    for row, length in enumerate(lengths):
        units, own = features.units[row], marks[row, 1 : length + 1]
        words = np.split(own, np.flatnonzero(units != INSIDE)[1:])
        assert all(word.all() or not word.any() for word in words)
        free = int((units != NEVER).sum())
        assert 1 <= own.sum() <= max(round(masked * free), max(map(len, words)))


BUILT = {masked: model(masking="word", masked=masked) for masked in (0.05, 0.15, 0.5)}


def test_the_shares_of_what_stands_for_hidden_tokens():
    features = features_of([100] * 400)
    batch = collate(model(), range(400), features=features)
    seen, labels = batch["ids"].reshape(-1)[batch["places"]], batch["labels"]
    assert len(labels) == 400 * 15
    masks, same = (seen == VOCABULARY.mask_id).mean(), (seen == labels).mean()
    assert masks == pytest.approx(0.8, abs=0.02) and same == pytest.approx(0.1 + 0.1 / 40, abs=0.015)
    others = seen[(seen != VOCABULARY.mask_id) & (seen != labels)]
    assert set(others.tolist()) == set(ORDINARY)
    places = np.nonzero(hidden(batch)[:, 1:-1])[1]
    assert np.bincount(places, minlength=100).min() > 30  # every place of a window alike: 60 on average


def test_spans_have_one_to_four_tokens_and_end_at_separators():
    rng = np.random.default_rng(0)
    free = np.flatnonzero(rng.random(4000) > 0.02)
    begins = _span_begins(free, rng.random(len(free)))
    assert begins[0] and begins[1:][np.diff(free) > 1].all()
    lengths = np.diff([*np.flatnonzero(begins), len(free)])
    assert set(lengths.tolist()) == {1, 2, 3, 4}
    apart = np.bincount(lengths)[1:] / len(lengths)
    np.testing.assert_allclose(apart, SPAN_SHARES, atol=0.06)


def test_a_vocabulary_without_a_mask_is_refused():
    bare = Vocabulary.from_tokens([token for token in VOCABULARY if token != "[MASK]"])
    with pytest.raises(ValueError, match=r"without \[MASK\]"):
        MaskedLanguageModel(model().backbone, bare, MlmSettings())


# -- the loss ------------------------------------------------------------------------------------------------------


def test_the_loss_and_the_scores_by_their_definition():
    built = model()
    batch = collate(built)
    states = built.backbone(paddle.to_tensor(batch["ids"])).hidden  # [b, l + 2, h]
    scores = built.language_model_head(states, built.backbone.embeddings.token.weight).numpy().astype(np.float64)  # [b, l + 2, v]
    scores = scores.reshape(-1, scores.shape[-1])[batch["places"]]
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = -logs[np.arange(len(logs)), batch["labels"]].mean()
    assert float(built.loss(batch)) == pytest.approx(expected, rel=1e-5)
    told = list(built.evaluate(FEATURES, np.arange(6), VOCABULARY, tokens=40, ranks=Ranks()))
    assert len(told) > 2
    assert told[-1] == pytest.approx(
        {"loss": expected, "perplexity": np.exp(expected), "accuracy": (scores.argmax(axis=1) == batch["labels"]).mean()}, rel=1e-5
    )


def test_parts_passes_and_half_precision():
    built = model(masking="span")
    check_parts_add_up(built, lambda rows: collate(built, rows), [0, 1, 2, 3, 4, 5], [1, 3], built.loss)
    check_divergence(built, lambda rows: collate(built, rows), [0, 1, 2, 3, 4, 5], [1, 3])
    check_half_precision(built, collate(built))
