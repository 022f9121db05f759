"""A short training of an autoencoder of any kind: even batches, a falling rate, a weight that may rise from 0; and what its decoder uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import paddle

from .autoencoder import Autoencoder, evaluating


class Fit(NamedTuple):
    """A number a look, [m]: ``steps`` when it was, ``reconstruction`` and ``regularizer`` as means over the batches since the look before."""

    steps: np.ndarray
    reconstruction: np.ndarray
    regularizer: np.ndarray


def fit(
    model: Autoencoder,
    data: np.ndarray,
    *,
    steps: int,
    batch: int = 128,
    learning_rate: float = 2e-3,
    rise: float = 0.0,
    clip: float | None = None,
    looks: int = 20,
    seed: int = 0,
    watch: Callable[[int], None] | None = None,
) -> Fit:
    """Trains ``model`` in place on ``data`` [n, ...] by Adam, whose rate falls evenly to 0, and leaves it in evaluation mode.

    A batch holds no example twice, since an entropy of neighbours would take the two for a clump; what is left of an epoch and makes no
    whole batch waits for the next. With fewer than ``batch`` examples all of them are the batch.
    ``clip``: the largest norm of the gradients.
    ``rise``: the share of the steps over which the model's ``weight`` rises evenly from 0 (the advice below article 7343); it ends as it began.
    ``watch(step)`` is called at every look and before the first step, in evaluation mode and without gradients.
    ``seed`` orders the examples; noise and first weights are :func:`paddle.seed`'s.

    Raises ValueError for no steps or looks, fewer than 2 examples, and a rise outside [0, 1] or of a model without a weight.
    """
    if steps < 1 or looks < 1 or batch < 2 or len(data) < 2:
        raise ValueError(
            f"steps and looks must be at least 1, batch and the examples 2, found {steps}, {looks}, {batch} and {len(data)}: give more of them"
        )
    weight = getattr(model, "weight", None)
    if not 0.0 <= rise <= 1.0 or (rise and weight is None):
        raise ValueError(f"rise must lie in [0, 1] and be 0 for a model without weight, found {rise} for {type(model).__name__}")
    rng, batch = np.random.default_rng(seed), min(batch, len(data))
    rate = paddle.optimizer.lr.LambdaDecay(learning_rate, lambda step: 1.0 - step / steps)
    clipping = None if clip is None else paddle.nn.ClipGradByGlobalNorm(clip)
    optimizer = paddle.optimizer.Adam(rate, parameters=model.parameters(), grad_clip=clipping)
    taken: list[int] = []
    kept: list[np.ndarray] = []
    since: list[tuple[float, float]] = []
    order = np.zeros(0, dtype=np.int64)
    _look(model, watch, 0)
    model.train()
    try:
        for step in range(1, steps + 1):
            if len(order) < batch:
                order = rng.permutation(len(data))
            rows, order = order[:batch], order[batch:]
            if weight is not None and rise:
                model.weight = weight * min(1.0, step / (rise * steps))
            parts = model.loss(paddle.to_tensor(data[rows]))  # [b, ...]
            parts.total.backward()
            optimizer.step()
            optimizer.clear_grad()
            rate.step()
            since.append((float(parts.reconstruction), float(parts.regularizer)))
            if step == steps or step % max(1, steps // looks) == 0:
                taken.append(step)
                kept.append(np.mean(since, axis=0))
                since = []
                _look(model, watch, step)
    finally:
        if weight is not None:
            model.weight = weight
    model.eval()
    means = np.asarray(kept)  # [m, 2]
    return Fit(np.asarray(taken), means[:, 0], means[:, 1])


def _look(model: Autoencoder, watch: Callable[[int], None] | None, step: int) -> None:
    if watch is not None:
        with evaluating(model), paddle.no_grad():
            watch(step)


def dimension_use(model: Autoencoder, x: np.ndarray) -> np.ndarray:
    """How much worse examples ``x`` [n, ...] are reconstructed when one dimension of their codes is another example's: [d], 0 for one unused.

    The mean increase of the reconstruction loss over the loss itself. A posterior that vanished, and a dimension that the decoder ignores
    though codes move in it, show alike. In evaluation mode, without gradients. Raises ValueError for fewer than 2 examples.
    """
    if len(x) < 2:
        raise ValueError(f"codes are exchanged between examples, at least 2, found {len(x)}: give more data")
    with evaluating(model), paddle.no_grad():
        data = paddle.to_tensor(x)  # [n, ...]
        columns = paddle.unbind(model.encode(data), axis=1)  # d of [n]
        whole = _error(model, columns, data)
        found = [
            _error(model, [paddle.roll(column, 1) if i == place else column for i, column in enumerate(columns)], data) - whole
            for place in range(len(columns))
        ]
    return np.asarray(found) / max(whole, 1e-12)  # [d]


def _error(model: Autoencoder, columns: Sequence[paddle.Tensor], data: paddle.Tensor) -> float:
    codes = paddle.stack(list(columns), axis=1)  # [n, d]
    written = getattr(model.decoder, "autoregressive", False)
    return float(model.reconstruction.loss(model.decoder(codes, data) if written else model.decoder(codes), data).mean())
