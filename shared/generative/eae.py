"""The entropic autoencoder: batch normalisation fixes two moments of the codes, their entropy is raised (kexue.fm article 7343, arXiv 2002.10631)."""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn

from .autoencoder import Autoencoder, LossParts, check_finite, check_weight
from .codes import CodeNorm
from .entropy import CONSTANTS, knn_entropy
from .objectives import Reconstruction


class EAE(Autoencoder):
    """``min E ||x - D(N(E(x)))||^2 - weight * H(Z)``, N batch normalisation without gain and bias, H :func:`knn_entropy` of Z = N(E(x)).

    Of all distributions with mean 0 and variance 1 the standard normal has the largest entropy, so the codes become normal without
    noise and without a KL divergence that could vanish, and samples of N(0, I) decode to something.

    ``weight`` lambda: the article names no value; its author advises to start with 0 and to raise it: the attribute may be changed
    between steps. ``k``: which neighbour measures the distance. ``constants``: ``exact`` or ``approximate``, which move the loss by
    a constant and no weight. ``epsilon``: see :func:`knn_entropy`; codes have deviation 1, so that 1e-4 bounds the pull of two codes
    that lie on each other and changes no others. ``momentum``: see :class:`CodeNorm`.

    The entropy is that of a batch: give batches of a hundred and more, since its bias falls with their size, and no example twice in
    one: with k=1 a duplicate counts as ``log epsilon``.
    Raises ValueError as :class:`Autoencoder`, for a batch of k or fewer, unknown constants, and a negative weight.
    """

    def __init__(
        self,
        encoder: nn.Layer,
        decoder: nn.Layer,
        latent_size: int | None = None,
        *,
        reconstruction: str | Reconstruction | Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor] = "squared_error",
        weight: float = 1.0,
        k: int = 1,
        constants: str = "exact",
        epsilon: float = 1e-4,
        momentum: float = 0.9,
    ):
        super().__init__(encoder, decoder, latent_size, reconstruction=reconstruction)
        if k < 1:
            raise ValueError(f"k must be a whole number from 1, found k={k}: the nearest neighbour is k=1")
        if constants not in CONSTANTS:
            raise ValueError(f"constants must be 'exact' or 'approximate', found {constants!r}: take one of these")
        if not epsilon > 0.0:
            raise ValueError(f"epsilon must be above 0, found {epsilon}: give e.g. 1e-4")
        self.weight, self.k, self.constants, self.epsilon = check_weight("weight", weight), k, constants, epsilon
        self.norm = CodeNorm(self.latent_size, momentum=momentum)

    def encode(self, x: paddle.Tensor) -> paddle.Tensor:
        """Normalised codes: [b, ...] gives [b, d], by the batch's statistics in training and the running ones in evaluation."""
        return self.norm(Autoencoder.encode(self, x))  # [b, d]: paddle 2.6 records no super()

    def entropy(self, z: paddle.Tensor) -> paddle.Tensor:
        """Estimated entropy [] in nats of codes [b, d]; that of N(0, I) is 1.4189 d."""
        self._check_codes(z)
        return knn_entropy(z, self.k, self.constants, epsilon=self.epsilon)  # []

    def loss(self, x: paddle.Tensor) -> LossParts:
        z = self.encode(x)  # [b, d]
        error, entropy = self._error(z, x), self.entropy(z)  # [], []
        return check_finite(LossParts(error - self.weight * entropy, error, -entropy, entropy))
