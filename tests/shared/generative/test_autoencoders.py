"""Autoencoder, VAE and EAE on scikit-learn's digits: what each of them promises, after seconds of training."""

import numpy as np
import paddle
import pytest

from shared.generative import (
    EAE,
    MLP,
    VAE,
    Autoencoder,
    ConvolutionDecoder,
    ConvolutionEncoder,
    Reconstruction,
    aggregate_moments,
    coverage,
    interpolate_codes,
    kl_standard_normal,
    latent_normality,
    redundant_dimensions,
    standard_normal,
)
from shared.training.checkpoint import load_weights, save_weights

MEAN_IMAGE = 19.0
"""Squared error of a digit against the mean of all is 18.8; a trained model has to be far below."""


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    images = (datasets.load_digits().data / 16).astype("float32")  # [1797, 64]
    return images[:1500], images[1500:]


def bodies(size=4):
    return MLP([64, 48, 24]), MLP([size, 24, 48, 64])


def make(kind, size=4, **options):
    paddle.seed(3)
    return kind(*bodies(size), size, **options)


def fit(model, images, *, steps=120, batch=100, rate=5e-3):
    """Trains in batches without a repeated image, and gives the parts of every step."""
    optimizer = paddle.optimizer.Adam(rate, parameters=model.parameters())
    rng, parts = np.random.default_rng(0), []
    model.train()
    while len(parts) < steps:
        order = rng.permutation(len(images))
        for start in range(0, len(images) - batch + 1, batch):
            losses = model.loss(paddle.to_tensor(images[order[start : start + batch]]))
            losses.total.backward()
            optimizer.step()
            optimizer.clear_grad()
            parts.append([float(value) for value in losses if value is not None])
    model.eval()
    return np.asarray(parts)


def test_autoencoder_learns_to_reconstruct_what_it_has_not_seen(digits):
    train, test = digits
    model = make(Autoencoder)
    x = paddle.to_tensor(test)  # [n, 64]
    model.eval()
    before = model.loss(x)
    parts = fit(model, train)
    after = model.loss(x)
    assert float(before.reconstruction) > 10 > 4 > float(after.reconstruction)
    assert float(after.total) == float(after.reconstruction) and float(after.regularizer) == 0 and after.entropy is None
    assert parts[-10:, 0].mean() < parts[:10, 0].mean() / 2
    assert float((model(x) - x).square().sum(axis=1).mean()) == pytest.approx(float(after.reconstruction), rel=1e-5)


def test_vae_learns_and_its_ellipses_together_have_the_moments_of_the_standard_normal(digits):
    train, test = digits
    model = make(VAE, 2, reconstruction="bce_with_logits")
    x = paddle.to_tensor(test)  # [n, 64]
    model.eval()
    before = float(model.loss(x).reconstruction)
    fit(model, train, steps=200)
    assert before > 40 > 26 > float(model.loss(x).reconstruction)
    posterior = model.posterior(paddle.to_tensor(train))
    assert aggregate_moments(posterior.mu, posterior.sigma).gap < 0.25
    assert redundant_dimensions(posterior.mu, posterior.sigma).dimensions == ()
    assert coverage(posterior.mu, posterior.sigma, region="normal").share > 0.85
    images = model.sample(50, seed=0)
    assert images.shape == [50, 64] and float(images.min()) >= 0 and float(images.max()) <= 1


def test_eae_learns_and_its_codes_gain_entropy_and_become_normal(digits):
    train, test = digits
    x = paddle.to_tensor(test)  # [n, 64]
    rough, model = make(EAE, 2, weight=0.0, k=3), make(EAE, 2, weight=0.5, k=3)
    without, parts = fit(rough, train, steps=150), fit(model, train, steps=150)
    assert parts[-10:, 1].mean() < 5  # reconstruction
    assert parts[-10:, 3].mean() > parts[:3, 3].mean() + 0.1
    assert parts[-10:, 3].mean() > without[-10:, 3].mean() + 0.05
    assert float(model.loss(x).reconstruction) < 5
    codes = latent_normality(model.encode(paddle.to_tensor(train)))
    assert np.abs(codes.mean).max() < 0.3 and np.abs(codes.std - 1).max() < 0.2
    assert codes.ks.max() < 0.2


def test_loss_parts_add_up_to_the_total(digits):
    x = paddle.to_tensor(digits[0][:20])  # [20, 64]
    for kind, options in ((VAE, {"weight": 0.3}), (VAE, {"weight": 2.0, "regularizer": "geometric"}), (EAE, {"weight": 0.7})):
        parts = make(kind, **options).loss(x)
        assert float(parts.total) == pytest.approx(float(parts.reconstruction + options["weight"] * parts.regularizer), rel=1e-6)
    eae = make(EAE, k=2)
    parts = eae.loss(x)
    assert float(parts.entropy) == -float(parts.regularizer) == pytest.approx(float(eae.entropy(eae.encode(x))))
    vae = make(VAE)
    assert float(vae.loss(x).regularizer) == pytest.approx(float(kl_standard_normal(*vae.posterior(x)).mean()))


def test_weight_can_be_raised_between_steps(digits):
    x = paddle.to_tensor(digits[0][:20])  # [20, 64]
    model = make(EAE, weight=0.0)
    plain = model.loss(x)
    model.weight = 1.0
    assert float(plain.total) == float(plain.reconstruction)
    assert float(model.loss(x).total) == pytest.approx(float(plain.reconstruction - plain.entropy), rel=1e-5)


def test_constants_move_the_entropy_and_no_gradient(digits):
    x = paddle.to_tensor(digits[0][:20])  # [20, 64]
    losses, gradients = [], []
    for constants in ("exact", "approximate"):
        model = make(EAE, constants=constants)
        parts = model.loss(x)
        parts.total.backward()
        losses.append(float(parts.entropy))
        gradients.append(model.encoder.layers[0].weight.grad.numpy())
    assert losses[0] - losses[1] == pytest.approx(0.02615, abs=1e-4)  # psi(20) - log 19
    np.testing.assert_array_equal(*gradients)


def test_normalised_mu_keeps_the_divergence_from_vanishing(digits):
    """E[mu^2] >= tau in a training batch, so that the mean KL is at least d tau / 2 (article 7381), whatever the weight."""
    model = make(VAE, 4, tau=0.5, weight=20.0)
    parts = fit(model, digits[0], steps=60)
    assert parts[:, 2].min() >= 4 * 0.5 / 2 - 1e-3
    assert fit(make(VAE, 4, weight=20.0), digits[0], steps=60)[-1, 2] < 0.1


def test_vae_without_heads_reads_both_statistics_from_the_encoder(digits):
    x = paddle.to_tensor(digits[0][:5])  # [5, 64]
    paddle.seed(0)
    encoder = MLP([64, 8])
    model = VAE(encoder, MLP([4, 64]), 4, heads=False)
    posterior = model.posterior(x)
    np.testing.assert_array_equal(paddle.concat([posterior.mu, posterior.log_var], axis=1).numpy(), encoder(x).numpy())
    np.testing.assert_allclose(posterior.sigma.numpy() ** 2, np.exp(posterior.log_var.numpy()), rtol=1e-5)
    with pytest.raises(ValueError, match="10 features, found 8"):
        VAE(encoder, MLP([5, 64]), 5, heads=False)


def test_convolution_bodies_learn_images(digits):
    images = digits[0].reshape(-1, 1, 8, 8)
    paddle.seed(0)
    encoder, decoder = ConvolutionEncoder(1, 8, widths=(8, 16)), ConvolutionDecoder(4, 1, 8, widths=(16, 8))
    assert encoder(paddle.to_tensor(images[:3])).shape == [3, encoder.output_size] == [3, 64]
    model = EAE(encoder, decoder, 4, weight=0.1, k=2)
    parts = fit(model, images, steps=60)
    assert parts[-5:, 1].mean() < 6 < 10 < parts[0, 1]
    assert model.sample(2, seed=0).shape == [2, 1, 8, 8]
    assert model.interpolate(paddle.to_tensor(images[:3]), paddle.to_tensor(images[3:6]), 5).shape == [5, 3, 1, 8, 8]


@pytest.mark.parametrize("kind", [Autoencoder, VAE, EAE])
def test_every_model(kind, digits, tmp_path):
    """Determinism, seeds, modes, saving, gradients: the same for all three."""
    x = paddle.to_tensor(digits[0][:30])  # [30, 64]
    model = make(kind)
    fit(model, digits[0], steps=3)
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    np.testing.assert_array_equal(model(x).numpy(), model.decode(model.encode(x)).numpy())
    np.testing.assert_array_equal(model.encode(x)[:7].numpy(), model.encode(x[:7]).numpy())

    model.train()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    samples = model.sample(6, seed=1)
    np.testing.assert_array_equal(samples.numpy(), model.sample(6, seed=1).numpy())
    assert np.abs(samples.numpy() - model.sample(6, seed=2).numpy()).max() > 1e-3
    assert model.training and model.encoder.training and samples.stop_gradient
    for name, value in model.state_dict().items():  # the running statistics too
        np.testing.assert_array_equal(value.numpy(), state[name])

    model.eval()
    path = model.interpolate(x[:2], x[2:4], 3)  # [3, 2, 64]
    np.testing.assert_allclose(path[0].numpy(), model(x[:2]).numpy(), atol=1e-5)
    np.testing.assert_allclose(path[2].numpy(), model(x[2:4]).numpy(), atol=1e-5)
    middle = interpolate_codes(model.encode(x[:2]), model.encode(x[2:4]), 3, "great_circle")[1]  # [2, d]
    np.testing.assert_allclose(model.interpolate(x[:2], x[2:4], 3, "great_circle")[1].numpy(), model.decode(middle).numpy(), atol=1e-5)

    save_weights(model, tmp_path / "weights.safetensors")
    paddle.seed(99)
    other = kind(*bodies(), 4)
    other.eval()
    assert np.abs(other(x).numpy() - model(x).numpy()).max() > 1e-3
    load_weights(other, tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())

    model.train()
    model.loss(x).total.backward()
    idle = [name for name, value in model.named_parameters() if not value.stop_gradient and (value.grad is None or not value.grad.abs().sum() > 0)]
    assert idle == []


@pytest.mark.parametrize("kind", [Autoencoder, VAE, EAE])
def test_models_are_exported(kind, digits, tmp_path):
    x = paddle.to_tensor(digits[0][:5])  # [5, 64]
    model = make(kind)
    model.eval()
    expected = model(x).numpy()
    paddle.jit.save(paddle.jit.to_static(model, input_spec=[paddle.static.InputSpec([None, 64], "float32")]), str(tmp_path / "model"))
    exported = paddle.jit.load(str(tmp_path / "model"))
    exported.eval()
    np.testing.assert_allclose(exported(x).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(exported(x[:2]).numpy(), expected[:2], atol=1e-6)


@pytest.mark.parametrize("kind", [Autoencoder, VAE, EAE])
def test_training_follows_the_seed(kind, digits):
    one, two = (fit(make(kind), digits[0][:300], steps=6) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_a_vae_draws_in_training_only(digits):
    x = paddle.to_tensor(digits[0][:10])  # [10, 64]
    model = make(VAE)
    assert np.abs(model(x).numpy() - model(x).numpy()).max() > 1e-3
    paddle.seed(5)
    first = model(x).numpy()
    paddle.seed(5)
    np.testing.assert_array_equal(model(x).numpy(), first)


def test_the_features_are_the_code_without_a_latent_size(digits):
    x = paddle.to_tensor(digits[0][:10])  # [10, 64]
    model = Autoencoder(MLP([64, 6]), MLP([6, 64]), reconstruction=Reconstruction(lambda out, x: (out - x).abs().sum(axis=1), paddle.tanh))
    np.testing.assert_array_equal(model.encode(x).numpy(), model.encoder(x).numpy())
    np.testing.assert_array_equal(model.decode(model.encode(x)).numpy(), paddle.tanh(model.decoder(model.encoder(x))).numpy())
    assert model.latent_size == 6 and float(model.loss(x).total) > 0


def test_an_image_can_have_any_shape_behind_an_mlp(digits):
    images = paddle.to_tensor(digits[0][:4].reshape(4, 8, 8))  # [4, 8, 8]
    model = Autoencoder(MLP([64, 5]), MLP([5, 64], output_shape=[8, 8]))
    assert model(images).shape == [4, 8, 8] and float(model.loss(images).total) > 0


ONES = paddle.ones([4, 64])  # [4, 64]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make(EAE).loss(ONES[:1]), "at least 2 examples in training, found a batch of 1"),
        (lambda: make(EAE, k=4).loss(ONES), "found k=4 and 4 points: give a larger batch"),
        (lambda: make(VAE, tau=0.5).loss(ONES[:1]), "found a batch of 1"),
        (lambda: make(Autoencoder).loss(ONES * float("nan")), r"\[4, 64\] holds 256 numbers that are NaN or infinite"),
        (lambda: make(VAE).encode(paddle.full([1, 64], float("inf"))), "64 numbers"),
        (lambda: make(Autoencoder).loss(ONES * 1e30), "the loss is inf .*lower the learning rate"),
        (lambda: make(Autoencoder).loss(ONES[:, :60]), "takes 64 numbers an example, found 60"),
        (lambda: make(Autoencoder).decode(ONES), r"\[b, 4\], found \[4, 64\]"),
        (lambda: make(Autoencoder).sample(0, 1), "n=0"),
        (lambda: make(Autoencoder).interpolate(ONES, ONES[:2], 3), "found 4 and 2"),
        (lambda: make(Autoencoder, reconstruction="hinge"), "'hinge'"),
        (lambda: make(Autoencoder, reconstruction=lambda out, x: (out - x).square()).loss(ONES), r"gave \[4, 64\] for 4 examples"),
        (lambda: Autoencoder(paddle.nn.Linear(64, 4), MLP([4, 64])), "Linear has output_size None"),
        (lambda: make(Autoencoder, 0), "sizes must be|latent_size must be at least 1"),
        (lambda: Autoencoder(ConvolutionEncoder(1, 8), ConvolutionDecoder(3, 1, 8), 4), "takes codes of 3, .* gives 4"),
        (lambda: make(VAE, regularizer="mmd"), "'kl' or 'geometric', found 'mmd'"),
        (lambda: make(VAE, weight=-1.0), "weight must be a finite number from 0, found -1.0"),
        (lambda: make(EAE, weight=float("nan")), "found nan"),
        (lambda: make(EAE, k=0), "found k=0"),
        (lambda: make(EAE, constants="rough"), "'rough'"),
        (lambda: make(EAE, epsilon=0.0), "found 0.0"),
        (lambda: MLP([3]), r"found \[3\]"),
        (lambda: MLP([3, 4], output_shape=[3, 2]), r"\[3, 2\] does not hold the 4 numbers"),
        (lambda: ConvolutionEncoder(1, 10), "4 does not divide 10: pad the images to 12"),
        (lambda: ConvolutionDecoder(3, 1, 8, widths=()), r"found 1, 8 and \[\]"),
        (lambda: ConvolutionEncoder(1, 8)(ONES), r"\[b, 1, 8, 8\], found \[4, 64\]"),
        (lambda: ConvolutionDecoder(3, 1, 8)(standard_normal(2, 4, 0)), r"\[b, 3\], found \[2, 4\]"),
    ],
)
def test_faults_are_said_with_both_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_encoder_that_breaks_its_promise_is_refused():
    encoder = MLP([64, 5])
    encoder.output_size = 6
    with pytest.raises(ValueError, match=r"gave \[4, 5\] where \[b, 6\] was promised"):
        Autoencoder(encoder, MLP([6, 64])).encode(ONES)


def test_duplicate_examples_in_a_batch_leave_the_loss_and_the_gradient_finite():
    model = make(EAE)
    parts = model.loss(paddle.concat([ONES, ONES * 0.5]))
    parts.total.backward()
    assert np.isfinite(float(parts.total))
    assert all(np.isfinite(value.grad.numpy()).all() for value in model.parameters() if value.grad is not None)
