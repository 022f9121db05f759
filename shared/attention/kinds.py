"""Attention kinds by name, so that a configuration can say them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .mixture import Mixture
from .scores import DotProduct, Scores
from .synthesizer import DenseSynthesizer, FactorizedDenseSynthesizer, FactorizedRandomSynthesizer, RandomSynthesizer


@dataclass(frozen=True)
class KindSettings:
    """Sizes that the kinds need. ``rank``: columns of the factorized random kind. ``tiling``, ``combine``: see
    :class:`FactorizedDenseSynthesizer` and :class:`Mixture`."""

    num_heads: int
    head_size: int
    max_length: int
    rank: int = 8
    factors: tuple[int, int] | None = None
    tiling: str = "repeat"
    combine: str = "mix"
    deviation: float = 0.02
    double_backward: bool = False


_KINDS: dict[str, Callable[[KindSettings], Scores]] = {
    "dot_product": lambda s: DotProduct(s.head_size),
    "dense": lambda s: DenseSynthesizer(s.num_heads, s.head_size, s.max_length, deviation=s.deviation),
    "random": lambda s: RandomSynthesizer(s.num_heads, s.max_length),
    "fixed_random": lambda s: RandomSynthesizer(s.num_heads, s.max_length, trainable=False),
    "factorized_dense": lambda s: FactorizedDenseSynthesizer(
        s.num_heads, s.head_size, s.max_length, factors=s.factors, tiling=s.tiling
    ),
    "factorized_random": lambda s: FactorizedRandomSynthesizer(s.num_heads, s.max_length, rank=s.rank),
}


def kind_names() -> tuple[str, ...]:
    """Every single kind; a mixture is named by its parts, ``random+dot_product``."""
    return tuple(_KINDS)


def check_kind(kind: str) -> None:
    """Raises ValueError unless ``kind`` is one of :func:`kind_names` or several of them joined by ``+``."""
    for name in kind.split("+"):
        if name not in _KINDS:
            raise ValueError(f"unknown attention kind {name!r} in {kind!r}: use {', '.join(_KINDS)}, or several joined by +")


def make_scores(kind: str, settings: KindSettings) -> Scores:
    """The score layer of that kind. Raises ValueError for unknown names."""
    check_kind(kind)
    parts = [_KINDS[name](settings) for name in kind.split("+")]
    return parts[0] if len(parts) == 1 else Mixture(parts, settings.num_heads, combine=settings.combine, double_backward=settings.double_backward)


def count_parameters(
    kind: str, hidden_size: int, length: int, *, num_heads: int = 1, rank: int = 8, factors: tuple[int, int] | None = None
) -> int:
    """Weights, without biases, that ``kind`` has in place of the queries' and keys' 2 h^2 (Synthesizer, table 1).

    With one head: dot product 2 h^2, random m^2, factorized random 2 m rank, dense h^2 + h m, factorized dense h^2 + h (a + b).
    Random kinds have one matrix a head, so theirs grow with ``num_heads``. Raises ValueError for sizes that do not fit.
    """
    if num_heads < 1 or hidden_size % num_heads:
        raise ValueError(f"hidden_size {hidden_size} is not a multiple of num_heads {num_heads}: choose heads that divide it")
    settings = KindSettings(num_heads, hidden_size // num_heads, length, rank=rank, factors=factors)
    return make_scores(kind, settings).replaced_parameters(hidden_size)
