"""Regularisers of a posterior and reconstruction losses: what a VAE or an autoencoder minimises (kexue.fm articles 5253, 7725).

All of them sum over the numbers of one example and leave the batch: [b, ...] gives [b].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import paddle
import paddle.nn.functional as F


def kl_standard_normal(mu: paddle.Tensor, log_var: paddle.Tensor) -> paddle.Tensor:
    """KL(N(mu, diag exp(log_var)) || N(0, I)) = ``sum 1/2 (mu^2 + sigma^2 - log sigma^2 - 1)``: [b, d] and [b, d] give [b].

    In terms of log sigma^2, which every real number is valid for (article 5253); ``expm1`` keeps its precision near sigma = 1.
    Half precision is computed in float32. Raises ValueError for shapes that differ or have no axis.
    """
    mu, log_var = _same("mu", mu, "log_var", log_var)
    return 0.5 * (mu.square() + paddle.expm1(log_var) - log_var).sum(axis=-1)  # [b]


def geometric_regularizer(mu: paddle.Tensor, sigma: paddle.Tensor) -> paddle.Tensor:
    """``||mu||^2 + ||sigma - 1||^2``: [b, d] and [b, d] give [b] (article 7725).

    The simplest way to ask that the ellipse (mu, sigma) be the unit circle. Near it KL is about ``1/2 ||mu||^2 + ||sigma - 1||^2``;
    far from it this one lets sigma reach 0, where KL is infinite. Raises ValueError for shapes that differ or have no axis.
    """
    mu, sigma = _same("mu", mu, "sigma", sigma)
    return (mu.square() + (sigma - 1.0).square()).sum(axis=-1)  # [b]


def _same(name: str, a: paddle.Tensor, other: str, b: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    if list(a.shape) != list(b.shape) or a.ndim < 1:
        raise ValueError(f"{name} {list(a.shape)} and {other} {list(b.shape)} must have one shape [b, d]: give both for the same codes")
    return tuple(t if t.dtype in (paddle.float32, paddle.float64) else t.astype("float32") for t in (a, b))  # [b, d], [b, d]


class Reconstruction(NamedTuple):
    """How a decoder's output is compared with the data, and how it becomes data.

    ``loss(output, x)`` gives [b], summed over each example. ``to_data(output)`` turns what the decoder gives into what ``x`` is made of.
    """

    loss: Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]
    to_data: Callable[[paddle.Tensor], paddle.Tensor] = lambda output: output


def squared_error(output: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
    """``||x - output||^2`` a example: [b, ...] and [b, ...] give [b]. Raises ValueError for shapes that differ."""
    _check_shapes(output, x)
    return (output - x).square().flatten(start_axis=1).sum(axis=1)  # [b]


def bce_with_logits(output: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
    """Binary cross entropy of ``sigmoid(output)``, summed: [b, ...] and [b, ...] give [b]; ``softplus(output) - x output``.

    Raises ValueError for shapes that differ, and for x outside [0, 1].
    """
    _check_shapes(output, x)
    if paddle.in_dynamic_mode():
        low, high = float(x.min()), float(x.max())
        if low < 0.0 or high > 1.0:
            raise ValueError(f"binary cross entropy wants data in [0, 1], found {low:g} to {high:g}: scale the data or take squared_error")
    return (F.softplus(output) - x * output).flatten(start_axis=1).sum(axis=1)  # [b]


def token_cross_entropy(output: paddle.Tensor, ids: paddle.Tensor, *, pad_id: int = 0) -> paddle.Tensor:
    """Cross entropy of the next token, summed over the real ones: logits [b, l - 1, v] and ids [b, l] give [b].

    Position t of the logits predicts ids[:, t + 1]; the first token of a text is given. Padding costs nothing.
    Raises ValueError for other lengths, and for ids that the logits have no column for.
    """
    if output.ndim != 3 or ids.ndim != 2 or output.shape[0] != ids.shape[0] or output.shape[1] != ids.shape[1] - 1:
        raise ValueError(
            f"logits must be [b, l - 1, v] for ids [b, l], found {list(output.shape)} and {list(ids.shape)}: "
            "predict every token but the first from those before it"
        )
    targets = ids[:, 1:]  # [b, l-1]
    size = output.shape[-1]
    if paddle.in_dynamic_mode() and (int(ids.min()) < 0 or int(ids.max()) >= size):
        raise ValueError(f"ids must lie in 0..{size - 1}, found {int(ids.min())} to {int(ids.max())}: give the decoder the vocabulary's size")
    losses = F.cross_entropy(output, targets.unsqueeze(-1), reduction="none").squeeze(-1)  # [b, l-1]
    return (losses * (targets != pad_id).astype(losses.dtype)).sum(axis=1)  # [b]


def get_reconstruction(name: str | Reconstruction | Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]) -> Reconstruction:
    """``squared_error``, ``bce_with_logits`` (data from the sigmoid), ``token_cross_entropy`` (data from the argmax), or one of your own.

    A function alone is taken as a loss whose decoder gives data as it is. Raises ValueError for unknown names.
    """
    if isinstance(name, Reconstruction):
        return name
    if callable(name):
        return Reconstruction(name)
    if name not in _RECONSTRUCTIONS:
        raise ValueError(f"unknown reconstruction {name!r}: use one of {', '.join(_RECONSTRUCTIONS)}, or give a Reconstruction")
    return _RECONSTRUCTIONS[name]


def _check_shapes(output: paddle.Tensor, x: paddle.Tensor) -> None:
    if list(output.shape) != list(x.shape):
        raise ValueError(f"the decoder gave {list(output.shape)} for data {list(x.shape)}: make it with the shape of the data")


_RECONSTRUCTIONS = {
    "squared_error": Reconstruction(squared_error),
    "bce_with_logits": Reconstruction(bce_with_logits, F.sigmoid),
    "token_cross_entropy": Reconstruction(token_cross_entropy, lambda output: output.argmax(axis=-1)),
}
