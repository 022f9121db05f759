"""Decoding with a cache gives what a whole forward pass gives, for every attention kind; a beam's reordering is a choice of rows."""

import numpy as np
import paddle
import pytest

from shared import seq2seq
from shared.attention import kind_names
from shared.backbone import Backbone, BackboneConfig
from shared.decoding import NGramBlock, beam_search
from shared.masks import unilm_mask
from shared.unilm import UniLM

KINDS = [*kind_names(), "random+dot_product", "dense+dot_product"]
SOURCES = [[2, 7, 9, 11, 12, 3], [2, 5, 3, 0, 0, 0], [2, 5, 8, 8, 3, 0]]
TARGETS = [[30, 31, 22, 3], [13, 0, 15, 16], [17, 18, 3, 19]]


def encoder(kind="dot_product", max_length=12, **changes):
    paddle.seed(7)
    config = BackboneConfig(
        vocab_size=40,
        hidden_size=16,
        num_layers=2,
        num_heads=4,
        intermediate_size=24,
        max_positions=max_length,
        attention=kind,
        **changes,
    )
    backbone = Backbone(config)
    for parameter in backbone.parameters():  # wide enough for attention to matter
        parameter.set_value(parameter * 8 if parameter.ndim == 2 else parameter + 0.1 * paddle.randn(parameter.shape))
    backbone.eval()
    return backbone


def language_model(kind="dot_product", **changes):
    model = UniLM(encoder(kind, **changes))
    model.eval()
    return model


def logits_of(step, targets, order=None):
    """Logits [b, v] before each target token; ``order`` reorders the rows (targets with them) before the third token."""
    found, state = step(None, None)
    out = [found]
    for place in range(targets.shape[1]):
        if order is not None and place == 2:
            state, targets = state.select(np.array(order)), targets[order]
        found, state = step(targets[:, place], state)
        out.append(found)
    return out


@pytest.mark.parametrize("position_start", ["zero", "after_padding"])
@pytest.mark.parametrize("kind", KINDS)
def test_cached_and_uncached_logits_agree_at_every_step(kind, position_start):
    model = language_model(kind, position_start=position_start)
    sources, targets = paddle.to_tensor(SOURCES), np.array(TARGETS)
    cached = logits_of(model.step(sources), targets)
    whole = logits_of(model.step(sources, cached=False), targets)
    for one, two in zip(cached, whole, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
    assert np.abs(whole[1] - whole[2]).max() > 1e-2


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("kind", ["dot_product", "random+dot_product"])
def test_rows_can_be_reordered_repeated_and_dropped(kind, cached):
    model = language_model(kind)
    sources, targets = paddle.to_tensor(SOURCES), np.array(TARGETS)
    straight = logits_of(model.step(sources), targets)
    order = [2, 0, 0]
    reordered = logits_of(model.step(sources, cached=cached), targets, order)
    for place, (one, two) in enumerate(zip(straight, reordered, strict=True)):
        np.testing.assert_allclose(one[order] if place > 2 else one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_never_changes_its_source(kind):
    backbone = encoder(kind)
    segments = paddle.to_tensor([[0, 0, 0, 0, 0, 1, 1, 1]])  # [1, 8]
    one, two = (
        backbone(paddle.to_tensor([[2, 7, 9, 11, 3, *target]]), segment_ids=segments, mask=unilm_mask(segments)).hidden
        for target in ([30, 31, 3], [12, 13, 14])
    )  # [1, 8, 16]
    np.testing.assert_array_equal(one[:, :5].numpy(), two[:, :5].numpy())
    assert kind in ("random", "fixed_random", "factorized_random") or np.abs((one - two)[:, 5:].numpy()).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_target_token_never_changes_an_earlier_state(kind):
    backbone = encoder(kind)
    segments = paddle.to_tensor([[0, 0, 0, 1, 1, 1]])  # [1, 6]
    one, two = (
        backbone(paddle.to_tensor([[2, 7, 3, 9, 11, last]]), segment_ids=segments, mask=unilm_mask(segments)).hidden.numpy() for last in (3, 4)
    )
    np.testing.assert_array_equal(one[:, :5], two[:, :5])


@pytest.mark.parametrize("kind", ["dot_product", "dense+random"])
def test_any_walk_of_a_search_sees_its_own_tokens(kind, monkeypatch):
    """Rows are repeated, mixed and dropped at will, sources end, keys move, and a state that was left behind can be gone on with."""
    monkeypatch.setattr(seq2seq, "ROOM", 2)
    model, rng = language_model(kind, max_length=24), np.random.default_rng(4)
    cached, whole = model.step(SOURCES), model.step(SOURCES, cached=False)
    (_, one), (_, two) = cached(None, None), whole(None, None)
    kept, left = set(), None
    for _ in range(12):
        count = len(one.sources)
        rows = np.sort(rng.integers(0, count, 5)) if rng.random() < 0.5 else rng.permutation(count)[: max(1, count - 1)]
        tokens = rng.integers(4, 40, len(rows))
        (found, one), (expected, two) = cached(tokens, one.select(rows)), whole(tokens, two.select(rows))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        kept.add(id(one.kept))
        if left is None:
            left = one, two
    assert len(kept) > 2 and len(one.kept.numbers) < 3
    tokens = rng.integers(4, 40, len(left[0].sources))
    np.testing.assert_allclose(cached(tokens, left[0])[0], whole(tokens, left[1])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"beam": 1}, {"beam": 3}, {"beam": 3, "constraints": [NGramBlock(1, ignore=[3])], "penalty": "mean"}])
def test_a_cached_search_writes_what_an_uncached_one_writes(options):
    model = language_model(max_length=40)
    cached, whole = (beam_search(model.step(SOURCES, cached=cached), end_id=3, max_length=30, **options) for cached in (True, False))
    for one, two in zip(cached, whole, strict=True):
        assert one[0].tokens == two[0].tokens and one[0].score == pytest.approx(two[0].score, abs=1e-4)
    assert max(len(found[0]) for found in cached) > 5


def test_the_loss_reads_target_tokens_only_and_needs_one():
    model = language_model()
    ids = paddle.to_tensor([[2, 7, 9, 3, 30, 31, 3], [2, 5, 3, 13, 3, 0, 0]])  # [2, 7]
    segments = paddle.to_tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]])  # [2, 7]
    given = paddle.nn.functional.log_softmax(model(ids, segments), axis=-1).numpy()
    expected = -np.mean(
        [given[0, 3, 30], given[0, 4, 31], given[0, 5, 3], given[1, 2, 13], given[1, 3, 3]]
    )
    assert float(model.loss(ids, segments)) == pytest.approx(expected, rel=1e-5)
    hidden = model.hidden(ids, segments)  # [2, 7, 16]
    assert float(model.loss(ids, segments, hidden=hidden)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"\[2, 7\] has no target token"):
        model.loss(ids, paddle.zeros_like(segments))


def test_the_twice_differentiable_model_is_the_same_model():
    plain, twice = language_model(), language_model(double_backward=True)
    twice.set_state_dict(plain.state_dict())
    ids, segments = paddle.to_tensor([[2, 7, 9, 3, 30, 31, 3]]), paddle.to_tensor([[0, 0, 0, 0, 1, 1, 1]])  # [1, 7]
    assert float(plain.loss(ids, segments)) == pytest.approx(float(twice.loss(ids, segments)), rel=1e-5)


def test_limits_are_said():
    model = language_model()
    step = model.step(paddle.to_tensor([[2, *[7] * 9, 3]]))  # [1, 11]
    _, state = step(None, None)
    _, state = step(np.array([9]), state)
    with pytest.raises(ValueError, match="13 tokens do not fit the 12 positions"):
        step(np.array([9]), state)
    with pytest.raises(ValueError, match=r"hides every token of text 1 of 2"):
        model.backbone(paddle.to_tensor([[2, 3], [0, 0]]))  # [2, 2]
    with pytest.raises(ValueError, match=r"at least one token, found shape \[2, 0\]"):
        model.backbone(paddle.zeros([2, 0], dtype="int64"))  # [2, 0]
    with pytest.raises(ValueError, match=r"13 tokens do not fit the 12 positions"):
        model.backbone(paddle.to_tensor([[3]]), positions=paddle.to_tensor([[12]]))  # [1, 1]
    with pytest.raises(ValueError, match="takes no condition, found"):
        model.backbone(paddle.to_tensor([[3]]), condition=paddle.ones([1, 2]))  # [1, 1], [1, 2]
    with pytest.raises(ValueError, match="takes a condition of 5, found none"):
        encoder(condition_size=5)(paddle.to_tensor([[3]]))  # [1, 1]
    with pytest.raises(ValueError, match="convolution_width is 3"):
        UniLM(encoder(convolution_width=3))


def test_a_condition_reaches_every_normalisation_of_the_blocks():
    backbone = encoder(condition_size=5)
    for name, parameter in backbone.named_parameters():
        if "projection" in name:  # they start at zero
            parameter.set_value(paddle.randn(parameter.shape))
    ids, condition = paddle.to_tensor([[2, 7, 3], [2, 8, 3]]), paddle.randn([2, 5])  # [2, 3], [2, 5]
    one = backbone(ids, condition=condition).hidden  # [2, 3, 16]
    two = backbone(ids, condition=condition * 2).hidden  # [2, 3, 16]
    assert float((one - two).abs().max()) > 1e-3
    one.square().sum().backward()
    idle = [name for name, parameter in backbone.named_parameters() if "projection" in name and parameter.grad is None]
    assert idle == []


@pytest.mark.parametrize("cached", [True, False])
def test_words_number_what_may_be_written(cached):
    """Logits are those of the words among all tokens, minus infinity where a row may not write one, whatever rows a search keeps."""
    model, sources = language_model(), paddle.to_tensor(SOURCES)
    words = np.array([3, 17, 5, 30, 13])
    writable = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 0, 1], [1, 1, 1, 1, 1]], dtype=bool)
    targets = np.array([[1, 3], [4, 0], [2, 2]])
    order = np.array([2, 0, 0])
    plain = model.step(sources, cached=cached)
    own = model.step(sources, cached=cached, words=words, writable=writable)
    (wanted, wide), (found, state) = plain(None, None), own(None, None)
    for place, rows in enumerate((np.arange(3), order)):
        np.testing.assert_allclose(found[writable], wanted[:, words][writable], rtol=1e-4, atol=1e-5)
        assert (found[~writable] == -np.inf).all() and found.shape == (3, 5)
        wide, state, writable, targets = wide.select(rows), state.select(rows), writable[rows], targets[rows]
        wanted, wide = plain(words[targets[:, place]], wide)
        found, state = own(targets[:, place], state)
    with pytest.raises(ValueError, match="writable must be \\[3, 5\\]"):
        model.step(sources, words=words, writable=writable[:, :4])
