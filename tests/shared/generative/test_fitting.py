"""The short training and what a decoder makes of the dimensions of a code."""

import numpy as np
import paddle
import pytest

from shared.generative import EAE, MLP, VAE, Autoencoder
from shared.generative.fitting import dimension_use, fit


def data(n=90):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6))).astype("float32")  # [n, 6]


def make(kind, **options):
    paddle.seed(0)
    outputs = 4 if kind is VAE else 2
    return kind(MLP([6, 16, outputs]), MLP([2, 16, 6]), 2 if kind is VAE else None, **({"heads": False} if kind is VAE else {}), **options)


def test_it_learns_and_follows_its_seed():
    x = data()
    found = []
    for seed in (1, 1, 2):
        model = make(Autoencoder)
        trained = fit(model, x, steps=60, batch=32, learning_rate=1e-2, looks=6, seed=seed)
        assert not model.training and trained.steps.tolist() == [10, 20, 30, 40, 50, 60]
        assert trained.reconstruction[-1] < trained.reconstruction[0] / 2
        found.append(trained.reconstruction)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


class Watching(Autoencoder):
    """Keeps the batches that it was given."""

    def loss(self, x):
        self.seen.append((self.training, x.numpy()))
        return super().loss(x)


def test_a_batch_holds_no_example_twice_and_an_epoch_each_at_most_once():
    x, model = data(50), make(Watching)
    model.seen = []
    fit(model, x, steps=7, batch=16)
    assert all(training and len(np.unique(batch, axis=0)) == 16 for training, batch in model.seen)
    for epoch in (model.seen[:3], model.seen[3:6]):
        assert len(np.unique(np.concatenate([batch for _, batch in epoch]), axis=0)) == 48


def test_the_weight_rises_from_nothing_and_ends_as_it_was():
    model, weights = make(EAE, weight=0.5), []
    fit(model, data(), steps=10, batch=32, rise=0.5, looks=10, watch=lambda step: weights.append((step, model.weight, model.training)))
    assert [weight for step, weight, _ in weights if step] == pytest.approx([0.1, 0.2, 0.3, 0.4, *[0.5] * 6])
    assert weights[0][0] == 0 and not any(training for *_, training in weights)
    assert model.weight == 0.5
    with pytest.raises(RuntimeError, match="stop"):
        fit(model, data(), steps=10, rise=1.0, watch=stop_at_3, looks=10)
    assert model.weight == 0.5


def stop_at_3(step):
    if step == 3:
        raise RuntimeError("stop")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "found 0, 20, 128 and 90"), ({"steps": 1, "rise": 0.5}, "found 0.5 for Autoencoder"), ({"steps": 1, "batch": 1}, "20, 1 and 90")],
)
def test_what_cannot_be_trained_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fit(make(Autoencoder), data(), **options)


def test_a_dimension_that_the_decoder_ignores_is_not_used():
    model, x = make(Autoencoder), data()
    fit(model, x, steps=60, batch=32, learning_rate=1e-2)
    used = dimension_use(model, x)
    assert used.shape == (2,) and used.min() > 0.1
    first = model.decoder.layers[0].weight  # [2, 16]
    first.set_value(first * paddle.to_tensor([[1.0], [0.0]]))  # [2, 16]
    ignored = dimension_use(model, x)
    assert ignored[1] == pytest.approx(0, abs=1e-6)
    assert ignored[0] > 0.1
    # the definition: one column of the codes is that of the example before
    codes = model.encode(paddle.to_tensor(x)).numpy()  # [n, 2]
    moved = codes.copy()
    moved[:, 0] = np.roll(codes[:, 0], 1)
    errors = [float(((model.decode(paddle.to_tensor(z)).numpy() - x) ** 2).sum(axis=1).mean()) for z in (codes, moved)]
    assert ignored[0] == pytest.approx(errors[1] / errors[0] - 1, rel=1e-4)
    with pytest.raises(ValueError, match="found 1"):
        dimension_use(model, x[:1])
