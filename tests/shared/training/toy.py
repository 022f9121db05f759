"""A tagger small enough to train in a test, with everything that :class:`shared.training.loop.Training` may ask of a model."""

import dataclasses
import random

import numpy as np
import paddle
from paddle import nn

from shared.training.distillation import Teachers
from shared.training.loop import Training
from shared.training.settings import LoopSettings

WORDS, RARE = 30, 27
LENGTHS = np.random.default_rng(0).integers(2, 11, 60)  # [n]
IDS = [np.random.default_rng(row).integers(1, WORDS, length) for row, length in enumerate(LENGTHS)]  # [length] each
SETTINGS = LoopSettings(
    epochs=3,
    batch_tokens=60,
    learning_rate=0.05,
    head_learning_rate=0.02,
    warmup=0.1,
    weight_decay=0.01,
    clip_norm=1.0,
    evaluations_per_epoch=2,
    seed=3,
)


class Tagger(nn.Layer):
    """Learns ``id % 3``. ``draws``: it multiplies by draws of NumPy and Python. ``rare``: a bias of rows with an id from RARE."""

    def __init__(self, *, dropout=0.0, draws=False, rare=False):
        super().__init__()
        paddle.seed(1)
        self.embedding = nn.Embedding(WORDS, 8)
        self.inner = nn.Linear(8, 8)
        self.out = nn.Linear(8, 3)
        self.bias = self.create_parameter([3], is_bias=True) if rare else None
        self.dropout, self.draws = dropout, draws

    def divisors(self, batch):
        return {"tokens": float(batch["valid"].sum())}

    def examine(self, batch, divisors=None):
        valid = paddle.to_tensor(batch["valid"].astype(np.float32))  # [b, l]
        hidden = paddle.tanh(self.inner(self.embedding(paddle.to_tensor(batch["ids"]))))  # [b, l, h]
        hidden = nn.functional.dropout(hidden, self.dropout, training=self.training)  # [b, l, h]
        if self.draws and self.training:
            hidden = hidden * (1.0 + 0.1 * float(np.random.normal()) + 0.1 * random.random())  # noqa: NPY002 (the global one is the point)
        scores = self.out(hidden)  # [b, l, 3]
        having = (batch["ids"] >= RARE).any(axis=1)  # [b]
        if self.bias is not None and having.any():
            scores = scores + self.bias * paddle.to_tensor(having.astype(np.float32)).reshape([-1, 1, 1])  # [b, l, 3]
        losses = nn.functional.cross_entropy(scores, paddle.to_tensor(batch["ids"] % 3).unsqueeze(-1), reduction="none").squeeze(-1)  # [b, l]
        return (losses * valid).sum() / (divisors or self.divisors(batch))["tokens"], scores  # [], [b, l, 3]

    def loss(self, batch, divisors=None):
        return self.examine(batch, divisors)[0]

    def divergence(self, left, right, batch, divisors=None):
        valid = paddle.to_tensor(batch["valid"].astype(np.float32)).unsqueeze(-1)  # [b, l, 1]
        return (((left - right) ** 2) * valid).sum() / (divisors or self.divisors(batch))["tokens"]  # []

    def replaceable(self, batch):
        return np.ones_like(batch["ids"]), batch["valid"]


def collate(rows, *, epoch):
    longest = max(int(LENGTHS[row]) for row in rows)
    ids, valid = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), bool)  # [b, l] each
    for at, row in enumerate(rows):
        ids[at, : LENGTHS[row]], valid[at, : LENGTHS[row]] = IDS[row], True
    return {"rows": rows, "ids": ids, "valid": valid}


def settings(**changes):
    return dataclasses.replace(SETTINGS, **changes)


def score_of(layer):
    """Any number that the weights decide."""
    return float(paddle.abs(layer.out.weight).sum())


def teachers():
    """Three models; each teaches every third row."""
    models = [Tagger() for _ in range(3)]
    for number, layer in enumerate(models):
        layer.out.weight.set_value(np.random.default_rng(number).normal(0, 0.5, [8, 3]).astype(np.float32))
    return Teachers([[layer] for layer in models], np.arange(len(LENGTHS)) % 3)


def training(layer=None, *, evaluate=True, ranks=None, collate=collate, lengths=LENGTHS, teachers=None, **changes):
    layer = layer or Tagger()

    def scored():
        return {"f1": score_of(layer)}, score_of(layer)

    chosen = scored if evaluate is True else evaluate or None
    return Training(layer, lengths=lengths, collate=collate, evaluate=chosen, settings=settings(**changes), ranks=ranks, teachers=teachers)


def weights_of(layer):
    return {name: value.astype("float32").numpy().copy() for name, value in layer.state_dict().items()}


def gradients_of(made):
    """By name, copies; None where there is none."""
    return {name: None if value.grad is None else value.grad.numpy().copy() for name, value in made.layer.named_parameters()}


def equal(left, right):
    """Asserts that two tables of arrays hold the same bits."""
    assert sorted(left) == sorted(right)
    for name, value in left.items():
        assert value.dtype == right[name].dtype and value.shape == right[name].shape and value.tobytes() == right[name].tobytes(), name


def same_state(left, right):
    """Asserts that two run states hold the same bits."""
    assert sorted(left.arrays) == sorted(right.arrays) and left.counters == right.counters
    for name in left.arrays:
        equal(left.arrays[name], right.arrays[name])
