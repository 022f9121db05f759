"""Autoencoders that generate: plain, variational and entropic, their bodies, losses, entropy estimate and the geometry of their codes."""

from .autoencoder import Autoencoder, LossParts
from .bodies import MLP, ConvolutionDecoder, ConvolutionEncoder
from .codes import CodeNorm, interpolate_codes, reparameterize, standard_normal
from .eae import EAE
from .entropy import knn_entropy, normal_entropy
from .geometry import (
    aggregate_moments,
    coverage,
    describe_shape,
    ellipses,
    group_ellipses,
    holes,
    principal_directions,
    redundant_dimensions,
    toy_shape,
)
from .normality import frechet_distance, latent_normality, maximize_entropy
from .objectives import Reconstruction, geometric_regularizer, kl_standard_normal
from .text import TextDecoder, TextEncoder
from .vae import VAE, Posterior

__all__ = [
    "EAE",
    "MLP",
    "VAE",
    "Autoencoder",
    "CodeNorm",
    "ConvolutionDecoder",
    "ConvolutionEncoder",
    "LossParts",
    "Posterior",
    "Reconstruction",
    "TextDecoder",
    "TextEncoder",
    "aggregate_moments",
    "coverage",
    "describe_shape",
    "ellipses",
    "frechet_distance",
    "geometric_regularizer",
    "group_ellipses",
    "holes",
    "interpolate_codes",
    "kl_standard_normal",
    "knn_entropy",
    "latent_normality",
    "maximize_entropy",
    "normal_entropy",
    "principal_directions",
    "redundant_dimensions",
    "reparameterize",
    "standard_normal",
    "toy_shape",
]
