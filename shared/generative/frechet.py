"""Features in which images are compared by :func:`frechet_distance`: a small classifier's, or principal components where there are no labels."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ..linear import Linear
from .autoencoder import evaluating
from .bodies import MLP
from .normality import frechet_distance


class Features(Protocol):
    """Examples [n, ...] to features [n, f], NumPy arrays both."""

    def features(self, examples: np.ndarray) -> np.ndarray: ...


class Classifier(nn.Layer):
    """A perceptron of two hidden layers over flattened examples; its second hidden layer, ``size`` wide, gives the features.

    tanh, so that no feature is 0 for most examples and their covariance has full rank. Raises ValueError for sizes below 1.
    """

    def __init__(self, input_size: int, classes: int, *, size: int = 32, width: int = 128):
        super().__init__()
        self.body = MLP([input_size, width, size], activation="tanh")
        self.head = Linear(size, classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Logits [b, classes] of examples [b, ...]."""
        return self.head(F.tanh(self.body(x)))  # [b, classes]

    def features(self, examples: np.ndarray) -> np.ndarray:
        with evaluating(self), paddle.no_grad():
            return np.asarray(F.tanh(self.body(paddle.to_tensor(examples, dtype="float32"))).numpy())  # [n, f]

    def accuracy(self, examples: np.ndarray, labels: np.ndarray) -> float:
        """The share of examples [n, ...] whose label [n] has the highest logit."""
        with evaluating(self), paddle.no_grad():
            found = self(paddle.to_tensor(examples, dtype="float32")).argmax(axis=-1).numpy()  # [n]
        return float((found == labels).mean())


def train_classifier(
    examples: np.ndarray,
    labels: np.ndarray,
    *,
    size: int = 32,
    width: int = 128,
    steps: int = 800,
    batch: int = 100,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> Classifier:
    """A :class:`Classifier` of ``labels`` [n], whole numbers from 0, on ``examples`` [n, ...]: Adam with decoupled decay, a rate that falls to 0.

    ``seed`` orders the batches; the first weights are :func:`paddle.seed`'s. Raises ValueError for other labels and fewer than 2 classes.
    """
    if labels.shape != (len(examples),) or not np.issubdtype(labels.dtype, np.integer) or len(labels) == 0 or labels.min() < 0:
        raise ValueError(f"labels must be whole numbers from 0, one an example, found {labels.dtype} {list(labels.shape)} for {len(examples)}")
    classes = int(labels.max()) + 1
    if classes < 2:
        raise ValueError("a classifier tells at least 2 classes apart, found 1: take principal components")
    model = Classifier(int(np.prod(examples.shape[1:])), classes, size=size, width=width)
    rate = paddle.optimizer.lr.LambdaDecay(learning_rate, lambda step: 1.0 - step / steps)
    optimizer = paddle.optimizer.AdamW(rate, parameters=model.parameters(), weight_decay=0.01)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.choice(len(examples), min(batch, len(examples)), replace=False)
        logits = model(paddle.to_tensor(examples[rows], dtype="float32"))  # [b, classes]
        F.cross_entropy(logits, paddle.to_tensor(labels[rows], dtype="int64")).backward()
        optimizer.step()
        optimizer.clear_grad()
        rate.step()
    model.eval()
    return model


class PrincipalFeatures:
    """The ``size`` principal components of flattened ``examples`` [n, ...], for data without labels.

    They are linear: a Fréchet distance in them compares mean and covariance of the pixels and sees nothing of what images are made of;
    take it as a weaker measure than a classifier's. Raises ValueError when n or the numbers of an example are fewer than ``size``.
    """

    def __init__(self, examples: np.ndarray, *, size: int = 32):
        flat = _flat(examples)  # [n, p]
        if size < 1 or min(flat.shape) < size:
            raise ValueError(f"{size} components need as many examples and numbers an example, found {list(flat.shape)}: give a smaller size")
        self.mean = flat.mean(axis=0)  # [p]
        self.directions = np.linalg.svd(flat - self.mean, full_matrices=False)[2][:size]  # [f, p]

    def features(self, examples: np.ndarray) -> np.ndarray:
        flat = _flat(examples)  # [n, p]
        if flat.shape[1] != len(self.mean):
            raise ValueError(f"these components are of {len(self.mean)} numbers an example, found {flat.shape[1]}: give examples of that shape")
        return np.asarray((flat - self.mean) @ self.directions.T)  # [n, f]


def frechet_of(features: Features, a: np.ndarray, b: np.ndarray) -> float:
    """:func:`frechet_distance` of examples a [n, ...] and b [m, ...] in these features."""
    return frechet_distance(features.features(a), features.features(b))


def _flat(examples: np.ndarray) -> np.ndarray:
    return np.asarray(examples, dtype=np.float64).reshape(len(examples), -1)  # [n, p]
