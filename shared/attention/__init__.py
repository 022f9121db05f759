"""Attention kinds behind one interface: ``attention(hidden [b, l, h], mask) -> [b, l, h]``."""

from .kinds import KindSettings, check_kind, count_parameters, kind_names, make_scores
from .mixture import Mixture
from .multi_head import Beams, MultiHeadAttention
from .scores import DotProduct, Places, Scores
from .synthesizer import (
    DenseSynthesizer,
    FactorizedDenseSynthesizer,
    FactorizedRandomSynthesizer,
    RandomSynthesizer,
    even_factors,
    selections,
)

__all__ = [
    "Beams",
    "DenseSynthesizer",
    "DotProduct",
    "FactorizedDenseSynthesizer",
    "FactorizedRandomSynthesizer",
    "KindSettings",
    "Mixture",
    "MultiHeadAttention",
    "Places",
    "RandomSynthesizer",
    "Scores",
    "check_kind",
    "count_parameters",
    "even_factors",
    "kind_names",
    "make_scores",
    "selections",
]
