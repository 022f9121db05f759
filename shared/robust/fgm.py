"""Adversarial training by the fast gradient method, on the embedding matrix (arXiv 1605.07725; kexue.fm article 7234)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import TracebackType

import paddle


class FGM:
    """A context in which every weight matrix is moved by ``epsilon * g / (|g| + 1e-8)``, g its ``.grad``; one L2 norm over the matrix.

    Afterwards, and also when the body raises, the weights are what they were, bit for bit: a copy is kept. Use::

        loss_of().backward()                             # g
        with FGM(backbone.embeddings.token.weight):
            loss_of().backward()                         # adds the adversarial gradient
        optimizer.step()

    The article updates by the adversarial gradient alone: clear the gradients first thing in the body. Step the optimizer after the
    block, since what the body does to these weights is undone.

    Raises ValueError, with the weights untouched, for an ``epsilon`` that is not above 0, and for a gradient that is missing, sparse, not finite or
    zero: a zero gradient over the whole matrix is nearly always one that was cleared too early, and would give no perturbation.
    Raises ValueError, with the weights restored, if the body changed them.
    """

    def __init__(self, weights: paddle.Tensor | Sequence[paddle.Tensor], epsilon: float = 0.5):
        self.weights: list[paddle.Tensor] = [weights] if paddle.is_tensor(weights) else list(weights)
        if not self.weights:
            raise ValueError("found 0 weights, expected at least 1: give the embedding's weight")
        if not math.isfinite(epsilon) or epsilon <= 0:
            raise ValueError(f"epsilon must be a finite number above 0, found {epsilon}: the article takes 0.5")
        self.epsilon = epsilon
        self._copies: list[paddle.Tensor] = []
        self._deltas: list[paddle.Tensor] = []

    def __enter__(self) -> FGM:
        if self._copies:
            raise ValueError("the weights are perturbed already: leave the context before entering it again")
        deltas = [self._delta(weight) for weight in self.weights]  # [n, h] each
        self._copies, self._deltas = [weight.detach().clone() for weight in self.weights], deltas  # [n, h] each
        for weight, copy, delta in zip(self.weights, self._copies, deltas, strict=True):
            weight.set_value(copy + delta.astype(copy.dtype))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        changed = kind is None and any(
            not bool(paddle.equal_all(weight, copy + delta.astype(copy.dtype)))
            for weight, copy, delta in zip(self.weights, self._copies, self._deltas, strict=True)
        )
        for weight, copy in zip(self.weights, self._copies, strict=True):
            weight.set_value(copy)
        self._copies, self._deltas = [], []
        if changed:
            raise ValueError("the perturbed weights changed inside the block, which is undone: step the optimizer after it")

    def _delta(self, weight: paddle.Tensor) -> paddle.Tensor:
        where = f"{weight.name} {list(weight.shape)}"
        if weight.grad is None:
            raise ValueError(f"{where} has no gradient: run loss.backward() before FGM, and leave the weight trainable")
        if weight.grad.is_selected_rows():
            raise ValueError(f"the gradient of {where} is sparse, expected a dense one: make the embedding with sparse=False")
        gradient = weight.grad.detach()  # [n, h]
        norm = float(paddle.sqrt((gradient * gradient).sum()))
        if not math.isfinite(norm):
            raise ValueError(f"the gradient of {where} has norm {norm}, expected a finite number: clear the gradients and skip this batch")
        if norm == 0:
            raise ValueError(f"the gradient of {where} has norm 0, expected one above 0: enter FGM before the gradients are cleared")
        return gradient * (self.epsilon / (norm + 1e-8))  # [n, h]
