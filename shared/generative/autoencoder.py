"""The autoencoder ``min E ||x - D(E(x))||^2`` around any encoder and decoder, and what its two relatives share with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import paddle
from paddle import nn

from ..linear import Linear
from .codes import interpolate_codes, standard_normal
from .objectives import Reconstruction, get_reconstruction


class LossParts(NamedTuple):
    """Scalars [], means over the batch: ``total = reconstruction + weight * regularizer``.

    ``regularizer`` is 0 for an autoencoder, the KL divergence (or what was chosen) for a VAE, minus the entropy for an EAE, whose
    ``entropy`` of the codes is given beside it.
    """

    total: paddle.Tensor
    reconstruction: paddle.Tensor
    regularizer: paddle.Tensor
    entropy: paddle.Tensor | None = None


class Autoencoder(nn.Layer):
    """``encoder(x)`` gives features [b, f], ``decoder(z)`` an output for codes z [b, d]; kexue.fm article 7725.

    ``latent_size`` d: a linear map from the features to the code; without it the features are the code. The encoder's f is its
    attribute ``output_size``. A decoder with ``autoregressive = True`` (:class:`shared.generative.text.TextDecoder`) is called as
    ``decoder(z, x)`` in training and as ``decoder.generate(z)`` to decode.

    ``reconstruction``: ``squared_error``, ``bce_with_logits``, ``token_cross_entropy``, or see :func:`get_reconstruction`.

    Raises ValueError for an encoder without ``output_size``, sizes below 1, data with NaN or infinity, and a loss that is not finite.
    """

    def __init__(
        self,
        encoder: nn.Layer,
        decoder: nn.Layer,
        latent_size: int | None = None,
        *,
        reconstruction: str | Reconstruction | Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor] = "squared_error",
    ):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.latent_size, self.feature_size = _sizes(encoder, decoder, latent_size)
        self.reconstruction = get_reconstruction(reconstruction)
        self.head = self._make_head(latent_size)

    def _make_head(self, latent_size: int | None) -> nn.Layer | None:
        return None if latent_size is None else Linear(self.feature_size, self.latent_size)

    def encode(self, x: paddle.Tensor) -> paddle.Tensor:
        """The code of every example: [b, ...] gives [b, d]. In evaluation mode the same every time."""
        features = self._features(x)  # [b, f]
        return features if self.head is None else self.head(features)  # [b, d]

    def decode(self, z: paddle.Tensor) -> paddle.Tensor:
        """Data from codes: [b, d] gives [b, ...]; texts are written greedily, other decoders give what ``reconstruction`` makes of them."""
        self._check_codes(z)
        return self.decoder.generate(z) if self._autoregressive else self.reconstruction.to_data(self.decoder(z))  # [b, ...]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """The reconstruction of ``x`` [b, ...], same shape; of texts [b, l] the most probable next tokens [b, l - 1], given those before them."""
        return self.reconstruction.to_data(self._output(self.encode(x), x))  # [b, ...]

    def loss(self, x: paddle.Tensor) -> LossParts:
        """The mean loss of a batch ``x`` [b, ...] and its parts, each summed over an example."""
        z = self.encode(x)  # [b, d]
        error = self._error(z, x)  # []
        return check_finite(LossParts(error, error, paddle.zeros_like(error)))

    def sample(self, n: int, seed: int) -> paddle.Tensor:
        """n new examples from codes of N(0, I), [n, ...]; in evaluation mode, without gradients, the same for the same seed.

        Nothing makes the codes of a plain autoencoder normal: its samples show what the two others mend.
        """
        with evaluating(self), paddle.no_grad():
            return self.decode(standard_normal(n, self.latent_size, seed))  # [n, ...]

    def interpolate(self, a: paddle.Tensor, b: paddle.Tensor, steps: int, path: str = "linear") -> paddle.Tensor:
        """What lies between examples a [n, ...] and b [n, ...]: decoded codes [steps, n, ...], the reconstructions of a and b at the ends.

        ``path``: ``linear`` or ``great_circle``, see :func:`interpolate_codes`. In evaluation mode, without gradients.
        """
        if a.shape[0] != b.shape[0]:
            raise ValueError(f"as many first examples as last ones are needed, found {a.shape[0]} and {b.shape[0]}: pair them")
        with evaluating(self), paddle.no_grad():
            codes = interpolate_codes(self.encode(a), self.encode(b), steps, path)  # [steps, n, d]
            data = self.decode(codes.reshape([-1, self.latent_size]))  # [steps n, ...]
            return data.reshape([steps, a.shape[0], *data.shape[1:]])  # [steps, n, ...]

    @property
    def _autoregressive(self) -> bool:
        return bool(getattr(self.decoder, "autoregressive", False))

    def _features(self, x: paddle.Tensor) -> paddle.Tensor:
        if paddle.in_dynamic_mode() and x.dtype not in (paddle.int64, paddle.int32) and not bool(paddle.isfinite(x).all()):
            wrong = int(paddle.logical_not(paddle.isfinite(x)).astype("int64").sum())
            raise ValueError(f"the data {list(x.shape)} holds {wrong} numbers that are NaN or infinite: clean it before training")
        features = self.encoder(x)  # [b, f]
        if features.ndim != 2 or features.shape[1] != self.feature_size:
            raise ValueError(
                f"the encoder gave {list(features.shape)} where [b, {self.feature_size}] was promised: set its output_size, flatten its output"
            )
        return features

    def _check_codes(self, z: paddle.Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise ValueError(f"codes must be [b, {self.latent_size}], found {list(z.shape)}: use unsqueeze(0) for one code")

    def _output(self, z: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
        return self.decoder(z, x) if self._autoregressive else self.decoder(z)  # [b, ...]

    def _error(self, z: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
        each = self.reconstruction.loss(self._output(z, x), x)  # [b]
        if list(each.shape) != [x.shape[0]]:
            raise ValueError(f"the reconstruction loss gave {list(each.shape)} for {x.shape[0]} examples: sum it over each example")
        return each.mean()  # []


@contextmanager
def evaluating(layer: nn.Layer) -> Iterator[None]:
    """Evaluation mode inside; afterwards every sublayer has the mode that it had, also when the body raises."""
    modes = [(part, part.training) for part in layer.sublayers(include_self=True)]
    layer.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def check_weight(name: str, weight: float) -> float:
    """``weight`` itself. Raises ValueError unless it is a finite number that is not negative."""
    if not 0.0 <= weight < float("inf"):
        raise ValueError(f"{name} must be a finite number from 0, found {weight}: 0 trains a plain autoencoder")
    return weight


def _sizes(encoder: nn.Layer, decoder: nn.Layer, latent_size: int | None) -> tuple[int, int]:
    features = getattr(encoder, "output_size", None)
    if not isinstance(features, int) or features < 1:
        raise ValueError(f"{type(encoder).__name__} has output_size {features}: set it to the number of features that it gives")
    size = features if latent_size is None else latent_size
    if size < 1:
        raise ValueError(f"latent_size must be at least 1, found {size}: give the size of the codes")
    wanted = getattr(decoder, "latent_size", size)
    if wanted != size:
        raise ValueError(f"the decoder takes codes of {wanted}, the encoder's side gives {size}: give latent_size={wanted}")
    return size, features


def check_finite(parts: LossParts) -> LossParts:
    if paddle.in_dynamic_mode() and not bool(paddle.isfinite(parts.total)):
        raise ValueError(
            f"the loss is {float(parts.total)} (reconstruction {float(parts.reconstruction)}, regulariser {float(parts.regularizer)}): "
            "lower the learning rate or clip the gradients"
        )
    return parts
