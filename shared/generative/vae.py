"""The variational autoencoder: every example becomes an ellipse of codes (Kingma and Welling, arXiv 1312.6114; kexue.fm articles 5253, 7725)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import paddle
from paddle import nn

from ..linear import Linear
from .autoencoder import Autoencoder, LossParts, check_finite, check_weight
from .codes import CodeNorm, reparameterize
from .objectives import Reconstruction, geometric_regularizer, kl_standard_normal


class Posterior(NamedTuple):
    """p(z|x) = N(mu, diag sigma^2), ``mu`` and ``log_var`` = log sigma^2, both [b, d]: an ellipse with centre mu and semi-axes sigma."""

    mu: paddle.Tensor
    log_var: paddle.Tensor

    @property
    def sigma(self) -> paddle.Tensor:
        """Semi-axes [b, d]."""
        return paddle.exp(0.5 * self.log_var)  # [b, d]


_REGULARIZERS: dict[str, Callable[[Posterior], paddle.Tensor]] = {
    "kl": lambda posterior: kl_standard_normal(posterior.mu, posterior.log_var),
    "geometric": lambda posterior: geometric_regularizer(posterior.mu, posterior.sigma),
}


class VAE(Autoencoder):
    """``min E [ ||x - D(mu + sigma * noise)||^2 + weight * regularizer(mu, sigma) ]``, noise from N(0, I).

    Two linear heads on the encoder's features [b, f] give mu and log sigma^2 [b, d]; with ``heads=False`` the features are both of
    them already, [b, 2 d]. Every point of the ellipse has to reconstruct x, so that sigma is the range to which x generalises; the
    regulariser keeps the ellipses near the unit circle, so that together they cover it and samples of N(0, I) decode to something.

    ``regularizer``: ``kl``, the standard one, or ``geometric``, ``||mu||^2 + ||sigma - 1||^2``. ``weight`` multiplies it; the article
    has none (1). Both may be changed between steps.
    ``tau``: batch normalisation of mu against a latent that is not used (article 7381, which takes .5), see :class:`CodeNorm`:
    the mean KL of a training batch is then at least ``d tau / 2``. None: none.

    ``paddle.seed`` fixes the noise. In evaluation mode :meth:`loss` and the reconstruction take z = mu.
    Raises ValueError as :class:`Autoencoder`, and for unknown regularisers, weights below 0 and tau outside [0, 1].
    """

    def __init__(
        self,
        encoder: nn.Layer,
        decoder: nn.Layer,
        latent_size: int,
        *,
        reconstruction: str | Reconstruction | Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor] = "squared_error",
        regularizer: str = "kl",
        weight: float = 1.0,
        tau: float | None = None,
        heads: bool = True,
    ):
        if regularizer not in _REGULARIZERS:
            raise ValueError(f"regularizer must be 'kl' or 'geometric', found {regularizer!r}: take one of these")
        super().__init__(encoder, decoder, latent_size, reconstruction=reconstruction)
        if not heads and self.feature_size != 2 * latent_size:
            raise ValueError(f"without heads the encoder gives mu and log sigma^2, {2 * latent_size} features, found {self.feature_size}")
        self.mu_head = Linear(self.feature_size, latent_size) if heads else None
        self.log_var_head = Linear(self.feature_size, latent_size) if heads else None
        self.mu_norm = None if tau is None else CodeNorm(latent_size, tau=tau)
        self.regularizer, self.weight = regularizer, check_weight("weight", weight)

    def _make_head(self, latent_size: int | None) -> nn.Layer | None:
        return None

    def posterior(self, x: paddle.Tensor) -> Posterior:
        """The ellipse of every example: ``x`` [b, ...] gives mu and log sigma^2, both [b, d]."""
        features = self._features(x)  # [b, f]
        if self.mu_head is None or self.log_var_head is None:
            mu, log_var = features[:, : self.latent_size], features[:, self.latent_size :]  # [b, d], [b, d]
        else:
            mu, log_var = self.mu_head(features), self.log_var_head(features)  # [b, d], [b, d]
        return Posterior(mu if self.mu_norm is None else self.mu_norm(mu), log_var)

    def encode(self, x: paddle.Tensor) -> paddle.Tensor:
        """The centre mu of every example's ellipse: [b, ...] gives [b, d]."""
        return self.posterior(x).mu  # [b, d]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """A reconstruction [b, ...] from a point of the ellipse in training, from its centre in evaluation."""
        return self.reconstruction.to_data(self._output(self._draw(self.posterior(x)), x))  # [b, ...]

    def loss(self, x: paddle.Tensor) -> LossParts:
        posterior = self.posterior(x)
        error = self._error(self._draw(posterior), x)  # []
        distance = _REGULARIZERS[self.regularizer](posterior).mean()  # []
        return check_finite(LossParts(error + self.weight * distance, error, distance))

    def _draw(self, posterior: Posterior) -> paddle.Tensor:
        return reparameterize(*posterior) if self.training else posterior.mu  # [b, d]
