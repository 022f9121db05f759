"""Minimum-Bayes-risk choice: the candidate that agrees best with all others, instead of the most probable one."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from ..text.overlap import rouge_l
from .hypothesis import Hypothesis

Candidate = Hypothesis | Sequence[Hashable]


class Ranked(NamedTuple):
    """One distinct candidate, its expected utility, and its first place among the candidates given."""

    candidate: Candidate
    expected_utility: float
    place: int


def rerank_mbr(
    candidates: Sequence[Candidate],
    utility: Callable[[Sequence[Hashable], Sequence[Hashable]], float] = rouge_l,
    weights: str | Sequence[float] = "uniform",
) -> list[Ranked]:
    """The distinct ``candidates`` of one source by expected utility sum_y w(y) utility(candidate, y), best first.

    ``candidates``: hypotheses, token sequences or strings. ``utility(candidate, reference)`` takes tokens (of a hypothesis) or
    what was given. ``weights``: ``uniform`` for samples (what was drawn twice counts twice), ``probability`` for the members
    of a beam (their probabilities, renormalised, equal ones once), or one number >= 0 per candidate.
    Equal ones: the earlier candidate. Source: Kumar and Byrne, NAACL 2004.

    Raises ValueError for no candidates, weights of another number, or weights that are negative, not finite or all 0.
    """
    if not candidates:
        raise ValueError("expected at least 1 candidate, found 0: give the samples or the beam of one source")
    places: dict[Sequence[Hashable], int] = {}
    masses: dict[Sequence[Hashable], float] = {}
    by_probability = isinstance(weights, str) and weights == "probability"
    for place, (candidate, weight) in enumerate(zip(candidates, _weights(candidates, weights), strict=True)):
        tokens = candidate.tokens if isinstance(candidate, Hypothesis) else candidate
        key = tokens if isinstance(tokens, (str, tuple)) else tuple(tokens)
        places.setdefault(key, place)
        masses[key] = max(masses.get(key, 0.0), weight) if by_probability else masses.get(key, 0.0) + weight
    total = math.fsum(masses.values())
    ranked = [
        Ranked(candidates[place], math.fsum(mass * utility(key, other) for other, mass in masses.items() if mass) / total, place)
        for key, place in places.items()
    ]
    return sorted(ranked, key=lambda one: -one.expected_utility)


def _weights(candidates: Sequence[Candidate], weights: str | Sequence[float]) -> list[float]:
    if isinstance(weights, str):
        if weights == "uniform":
            return [1.0] * len(candidates)
        if weights != "probability":
            raise ValueError(f"weights {weights!r} is neither 'uniform' nor 'probability': take one of these, or give numbers")
        logs = [candidate.log_probability for candidate in candidates if isinstance(candidate, Hypothesis)]
        if len(logs) != len(candidates):
            raise ValueError(
                f"weights 'probability' needs hypotheses, found {len(logs)} among {len(candidates)} candidates: give the numbers as weights"
            )
        return [math.exp(log - max(logs)) for log in logs]
    if len(weights) != len(candidates):
        raise ValueError(f"{len(weights)} weights for {len(candidates)} candidates: give one weight per candidate")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ValueError(f"weights must be finite, at least 0 and not all 0, found {list(weights)}: give probabilities or counts")
    return list(weights)
