"""The text body: a VAE over two small backbones that learns a handful of sentences of numbers."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.decoding import beam_search, greedy
from shared.generative import EAE, VAE, Autoencoder, TextDecoder, TextEncoder
from shared.generative.text import drop_words
from shared.training.checkpoint import load_weights, save_weights

PAD, UNKNOWN, START, END = 0, 1, 2, 3
ZEROS = paddle.zeros([1, 6])  # [1, 6]
TEXTS = [[2, 5, 6, 7, 3], [2, 8, 5, 3, 0], [2, 9, 9, 10, 3], [2, 11, 3, 0, 0], [2, 7, 6, 5, 3], [2, 10, 4, 3, 0]]


def config(**changes):
    sizes = {"vocab_size": 12, "hidden_size": 32, "num_layers": 1, "num_heads": 2, "intermediate_size": 48, "max_positions": 8}
    return BackboneConfig(**{**sizes, "dropout": 0.0, "attention_dropout": 0.0, **changes})


def decoder(size=6, *, backbone=None, **options):
    return TextDecoder(Backbone(config()) if backbone is None else backbone, size, **{"start_id": START, "end_id": END, **options})


def model(kind=VAE, *, pooling="cls", seed=0, **options):
    paddle.seed(seed)
    encoder = TextEncoder(Backbone(config()), pooling=pooling)
    return kind(encoder, decoder(max_length=6, word_dropout=0.1, unknown_id=UNKNOWN), 6, reconstruction="token_cross_entropy", **options)


def fit(text_model, steps=150):
    optimizer = paddle.optimizer.Adam(5e-3, parameters=text_model.parameters())
    ids = paddle.to_tensor(TEXTS)  # [6, 5]
    losses = []
    text_model.train()
    for _ in range(steps):
        parts = text_model.loss(ids)
        parts.total.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(parts.reconstruction))
    text_model.eval()
    return losses


@pytest.fixture(scope="module")
def trained():
    text_model = model(weight=0.02)
    return text_model, fit(text_model)


@pytest.fixture
def wide():
    """An untrained decoder whose weights are large enough for everything to matter."""
    paddle.seed(1)
    part = decoder(max_length=8)
    for parameter in part.parameters():
        parameter.set_value(parameter * 8 if parameter.ndim == 2 else parameter + 0.1 * paddle.randn(parameter.shape))
    part.eval()
    return part


def test_text_vae_learns_to_write_its_sentences_from_their_codes(trained):
    text_model, losses = trained
    assert losses[0] > 8 > 0.5 > losses[-1]
    ids = paddle.to_tensor(TEXTS)  # [6, 5]
    written = text_model.decode(text_model.encode(ids))  # [6, 6]
    assert written.tolist() == [text + [PAD] for text in TEXTS]
    assert text_model(ids).shape == [6, 4]  # teacher forced: every token but the first


@pytest.mark.parametrize(("kind", "pooling"), [(Autoencoder, "mean"), (EAE, "cls")])
def test_text_autoencoders_learn_too(kind, pooling):
    losses = fit(model(kind, pooling=pooling, **({"weight": 0.1} if kind is EAE else {})), steps=100)
    assert losses[-1] < losses[0] / 4


def test_samples_and_interpolations_are_texts(trained):
    text_model, _ = trained
    texts = text_model.sample(5, seed=0)
    assert texts.shape == [5, 6] and texts.dtype == paddle.int64
    np.testing.assert_array_equal(texts.numpy(), text_model.sample(5, seed=0).numpy())
    assert (texts[:, 0] == START).all()
    ids = paddle.to_tensor(TEXTS)  # [6, 5]
    between = text_model.interpolate(ids[:2], ids[2:4], 4)  # [4, 2, 6]
    assert between.shape == [4, 2, 6]
    assert between[0].tolist() == [text + [PAD] for text in TEXTS[:2]]
    assert between[3].tolist() == [text + [PAD] for text in TEXTS[2:4]]


def test_the_latent_reaches_every_position_and_no_token_sees_what_follows(wide):
    ids = paddle.to_tensor([[2, 5, 6, 7, 8, 3]])  # [1, 6]
    z = paddle.randn([1, 6])  # [1, 6]
    logits = wide(z, ids)  # [1, 5, 12]
    assert float((wide(z + 1.0, ids) - logits).abs().max(axis=-1).min()) > 1e-3
    changed = wide(z, paddle.to_tensor([[2, 5, 6, 9, 8, 3]]))  # [1, 5, 12]
    assert float((changed - logits)[:, :3].abs().max()) < 1e-5 < 1e-3 < float((changed - logits)[:, 3:].abs().max())


def test_padding_changes_no_logits(wide):
    z = paddle.randn([2, 6])  # [2, 6]
    together = wide(z, paddle.to_tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]]))  # [2, 4, 12]
    alone = wide(z[1:], paddle.to_tensor([[2, 8, 3]]))  # [1, 2, 12]
    assert float((together[1:, :2] - alone).abs().max()) < 1e-5


def test_steps_give_the_logits_of_the_whole_text(wide):
    ids = paddle.to_tensor([[2, 5, 6, 7, 8, 3], [2, 9, 4, 4, 10, 3]])  # [2, 6]
    z = paddle.randn([2, 6])  # [2, 6]
    whole, step = wide(z, ids), wide.step_function(z)  # [2, 5, 12]
    logits, state = step(None, None)
    for place in range(5):
        assert float((logits - whole[:, place]).abs().max()) < 1e-5
        logits, state = step(ids[:, place + 1], state)


def test_states_follow_the_rows_of_a_beam(wide):
    z = paddle.randn([2, 6])  # [2, 6]
    step = wide.step_function(z)
    _, state = step(None, None)
    chosen = paddle.to_tensor([1, 0, 1])  # [3]
    logits, _ = step(paddle.to_tensor([5, 6, 7]), state.select(chosen))
    expected = wide(paddle.index_select(z, chosen), paddle.to_tensor([[2, 5, 3], [2, 6, 3], [2, 7, 3]]))[:, 1]  # [3, 12]
    assert float((logits - expected).abs().max()) < 1e-5


def test_any_decoder_writes_from_codes(wide):
    z = paddle.randn([3, 6])  # [3, 6]
    texts = wide.generate(z)
    assert texts.shape == [3, 8]
    plain = greedy(wide.step_function(z), end_id=END, max_length=7)
    assert [tuple(row[1 : 1 + len(text.tokens)]) for row, text in zip(texts.tolist(), plain, strict=True)] == [text.tokens for text in plain]
    best = beam_search(wide.step_function(z), end_id=END, max_length=7, beam=4)
    assert len(best) == 3 and all(found[0].log_probability >= text.log_probability - 1e-6 for found, text in zip(best, plain, strict=True))


def test_word_dropout_hides_the_share_asked_for_and_spares_what_it_shall():
    paddle.seed(0)
    ids = paddle.to_tensor([[2, *[5] * 400], [2, *[6] * 200, *[0] * 200]])  # [2, 401]
    hidden = drop_words(ids, 0.5, unknown_id=UNKNOWN, spared=ids < 5).numpy()
    assert (hidden[:, 0] == START).all() and (hidden[1, 201:] == PAD).all()
    assert set(hidden[0, 1:]) == {5, UNKNOWN} and abs((hidden[0, 1:] == UNKNOWN).mean() - 0.5) < 0.1
    with pytest.raises(ValueError, match=r"found -0\.1"):
        drop_words(ids, -0.1, unknown_id=UNKNOWN, spared=ids < 5)


def test_words_are_dropped_in_training_only_and_targets_never():
    paddle.seed(0)
    part, plain = decoder(word_dropout=0.9, unknown_id=UNKNOWN), decoder()
    plain.set_state_dict(part.state_dict())
    ids, hidden = paddle.to_tensor([[2, 5, 6, 7, 3]]), paddle.to_tensor([[2, 1, 1, 1, 3]])  # [1, 5], [1, 5]
    assert float((part(ZEROS, ids)[:, 0] - plain(ZEROS, ids)[:, 0]).abs().max()) < 1e-6  # the start token stays
    found = [part(ZEROS, ids) for _ in range(20)]
    assert min(float((logits - plain(ZEROS, hidden)).abs().max()) for logits in found) < 1e-6
    part.eval()
    assert float((part(ZEROS, ids) - plain(ZEROS, ids)).abs().max()) < 1e-6


def test_poolings_take_the_first_token_and_the_mean_of_the_real_ones():
    paddle.seed(0)
    backbone = Backbone(config())
    backbone.eval()
    ids = paddle.to_tensor(TEXTS)  # [6, 5]
    hidden = backbone(ids).hidden.numpy()
    np.testing.assert_array_equal(TextEncoder(backbone)(ids).numpy(), hidden[:, 0])
    mean = TextEncoder(backbone, pooling="mean")(ids).numpy()
    np.testing.assert_allclose(mean[1], hidden[1, :4].mean(0), atol=1e-6)
    np.testing.assert_allclose(mean[3], hidden[3, :3].mean(0), atol=1e-6)


def test_a_text_model_is_saved_and_loaded_and_every_parameter_learns(trained, tmp_path):
    text_model, _ = trained
    save_weights(text_model, tmp_path / "weights.safetensors")
    other = model(seed=9)
    other.eval()
    load_weights(other, tmp_path / "weights.safetensors")
    ids = paddle.to_tensor(TEXTS)  # [6, 5]
    np.testing.assert_array_equal(other(ids).numpy(), text_model(ids).numpy())
    np.testing.assert_array_equal(other.sample(3, seed=0).numpy(), text_model.sample(3, seed=0).numpy())
    other.train()
    other.loss(ids).total.backward()
    idle = [name for name, value in other.named_parameters() if value.grad is None or not float(value.grad.abs().sum()) > 0]
    assert idle == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TextEncoder(Backbone(config()), pooling="max"), "'cls' or 'mean', found 'max'"),
        (lambda: model().encode(paddle.to_tensor([[2, 5, 3], [0, 0, 0]])), "1 of 2 texts hold no token but padding"),
        (lambda: model().encode(paddle.to_tensor([2, 5, 3])), r"found shape \[3\]"),
        (lambda: model().encode(paddle.ones([1, 9], dtype="int64")), "9 tokens do not fit the 8 positions"),
        (lambda: model().loss(paddle.to_tensor([[2], [3]])), r"l from 2 and a code each, found \[2, 1\]"),
        (lambda: decoder()(ZEROS, paddle.to_tensor([[2, 3], [2, 3]])), r"found \[2, 2\] for codes \[1, 6\]"),
        (lambda: decoder().generate(paddle.zeros([1, 5])), r"\[b, 6\], found \[1, 5\]"),
        (lambda: decoder(0), "latent_size must be at least 1, found 0"),
        (lambda: decoder(max_length=9), r"2\.\.8, the positions of the backbone, found 9"),
        (lambda: decoder(word_dropout=1.0, unknown_id=1), r"\[0, 1\), found 1.0"),
        (lambda: decoder(word_dropout=0.1), "unknown_id, found None"),
        (lambda: decoder(end_id=12), r"end_id must lie in 0\.\.11, found 12"),
        (lambda: decoder(backbone=Backbone(config(convolution_width=3))), "a convolution of 3 tokens"),
    ],
)
def test_faults_are_said_with_both_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()
