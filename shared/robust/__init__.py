"""Exposure bias and its remedies: random replacement, the gradient penalty, adversarial training, and scheduled sampling for contrast."""

from .fgm import FGM
from .penalty import embedding_outputs, gradient_penalty, penalised_backward
from .replacement import RandomReplacement, ScheduledSampling, predictions

__all__ = [
    "FGM",
    "RandomReplacement",
    "ScheduledSampling",
    "embedding_outputs",
    "gradient_penalty",
    "penalised_backward",
    "predictions",
]
