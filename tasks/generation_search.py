"""From a generator's search to structures with probabilities: beam search or minimum Bayes risk, and the posterior of every structure.

Hypotheses of one source have weights that add up to 1: of a beam their probabilities under the model, renormalised; of samples equal ones. The
posterior of a structure is the weight of the hypotheses that state it. Where there is one hypothesis, every posterior would be 1: then a structure
has the probability of its own tokens after those before it. Needs numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from shared.decoding import Constraint, Hypothesis, Step, beam_search, rerank_mbr, sample

from .generation_words import Codes, Words

if TYPE_CHECKING:
    from .generation import GenerateDecodeSettings

CANDIDATE_BEAM = 5
"""Hypotheses, at least, where candidates are asked for."""
GOLD, ENDING = 60.0, 30.0

Structure = TypeVar("Structure")


class Stated(NamedTuple, Generic[Structure]):
    """A structure, and which tokens of the output state it, half-open ranges."""

    structure: Structure
    ranges: tuple[tuple[int, int], ...]


Reading = Mapping[Hashable, Stated[Structure]]
"""The structures that one output states, each under what makes two of them the same."""
Utility = Callable[[frozenset, frozenset], float]


class Ranked(NamedTuple, Generic[Structure]):
    """Something found, under its key, with its probability."""

    key: Hashable
    structure: Structure
    probability: float


def width(settings: GenerateDecodeSettings, *, candidates: bool, least: int = 1) -> int:
    """Hypotheses of a source: what a search holds in memory at once. ``candidates``: those are wanted, at least :data:`CANDIDATE_BEAM`, as they
    are for ``rescore``; ``least``: so many are wanted in any case."""
    asked = settings.samples if settings.search == "mbr" else settings.beam
    return max(asked, least, CANDIDATE_BEAM if candidates or settings.rescore == "spans" else 1)


def hypotheses(
    step: Step,
    grammar: Constraint | None,
    words: Words,
    settings: GenerateDecodeSettings,
    *,
    max_target: int,
    seed: int,
    keys: Sequence[int],
    count: int,
) -> list[list[Hypothesis]]:
    """Hypotheses of every source, the best first, in tokens of the vocabulary: those of the beam, or the samples in the order of their draws.

    ``keys``: what tells a source from all others, so that its samples are the same in any batch. ``count``: how many, see :func:`width`; a
    vocabulary of fewer words gives fewer. ``grammar``: None where any word may come anywhere.
    """
    if settings.search == "mbr":
        drawn = sample(
            step,
            end_id=0,
            max_length=max_target,
            n=count,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=seed,
            keys=keys,
            constraints=[] if grammar is None else [grammar],
        )
    else:
        beam = min(count, len(words.ids))
        drawn = beam_search(
            step,
            end_id=0,
            max_length=max_target,
            beam=beam,
            n_best=beam,
            penalty=settings.length_penalty,
            alpha=settings.length_alpha,
            constraints=[] if grammar is None else [grammar],
        )
    return [
        [Hypothesis(words.tokens(one.tokens), one.log_probability, one.score, one.finished, one.steps) for one in found] for found in drawn
    ]


def weights_of(found: Sequence[Hypothesis], settings: GenerateDecodeSettings) -> list[float]:
    """The weight of every hypothesis of one source; they add up to 1."""
    if settings.search == "mbr":
        return [1.0 / len(found)] * len(found)
    top = max(one.log_probability for one in found)
    masses = [math.exp(one.log_probability - top) for one in found]
    return [mass / math.fsum(masses) for mass in masses]


def choose(
    found: Sequence[Hypothesis],
    readings: Sequence[Reading[Any]],
    settings: GenerateDecodeSettings,
    *,
    floor: float | None = None,
    utility: Utility | None = None,
) -> list[Ranked[Any]]:
    """The structures that the hypotheses ``found`` of one source come to, in the order in which they are first stated.

    Those of the best hypothesis: by score, or with ``mbr`` the one of the greatest expected ``utility`` (default: F1 over the structures).
    With ``rescore = "spans"`` every structure whose posterior is at least ``threshold``, whichever hypothesis states it: what maximises the
    expected number of right less wrong structures at 0.5. With ``floor`` all of at least that probability.
    """
    weights = weights_of(found, settings)
    mass: dict[Hashable, float] = {}
    first: dict[Hashable, Any] = {}
    for weight, reading in zip(weights, readings, strict=True):
        for key, stated in reading.items():
            mass[key] = mass.get(key, 0.0) + weight
            first.setdefault(key, stated.structure)
    if len(found) == 1:
        mass = {key: own_probability(found[0], stated.ranges) for key, stated in readings[0].items()}
    if floor is not None:
        chosen: Sequence[Hashable] = [key for key, probability in mass.items() if probability >= floor]
    elif settings.rescore == "spans":
        chosen = [key for key, probability in mass.items() if probability >= settings.threshold]
    else:
        best = 0
        if settings.search == "mbr":
            sets = [tuple(frozenset([frozenset(reading)])) for reading in readings]
            best = rerank_mbr(sets, lambda left, right: (utility or set_f1)(left[0], right[0])).pop(0).place  # type: ignore[arg-type]
        chosen = list(readings[best])
    return [Ranked(key, first[key], min(1.0, mass[key])) for key in chosen]


def own_probability(found: Hypothesis, ranges: Sequence[tuple[int, int]]) -> float:
    """What the model gives to some of a hypothesis' tokens, each after those before it."""
    return math.exp(math.fsum(step for begin, end in ranges for step in found.steps[begin:end]))


def set_f1(left: frozenset, right: frozenset) -> float:
    """F1 of two sets; 1 where both are empty."""
    total = len(left) + len(right)
    return 2 * len(left & right) / total if total else 1.0


def gold_hypotheses(grammar: Constraint | None, words: Words, targets: Sequence[Sequence[int]], *, max_target: int) -> list[list[Hypothesis]]:
    """The targets through greedy search under the grammar, as if a model without fault wrote them.

    The model gives almost everything to the target's next token and most of the rest to the end: where the grammar bars the target,
    the output ends as soon as it may.
    """
    wanted = [words.numbers(target).tolist() for target in targets]
    u = len(words.ids)

    def step(tokens: np.ndarray | None, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        places = np.stack([np.arange(len(wanted)), np.zeros(len(wanted), dtype=np.int64)], axis=1) if state is None else state + [0, 1]  # [r, 2]
        logits = np.zeros((len(places), u), dtype=np.float32)  # [r, u]
        logits[:, 0] = ENDING
        for row, (source, place) in enumerate(places.tolist()):
            if place < len(wanted[source]):
                logits[row, wanted[source][place]] = GOLD
        return logits, places  # [r, u], [r, 2]

    found = beam_search(step, end_id=0, max_length=max_target, beam=1, constraints=[] if grammar is None else [grammar])
    return [[Hypothesis(words.tokens(one.tokens), one.log_probability, one.score, one.finished, one.steps) for one in own] for own in found]


def gold_codes(names: Sequence[str], ids: np.ndarray) -> Codes:
    """Codes for features whose vocabulary is not at hand: beside all their token ids."""
    return Codes.beside(names, int(ids.max(initial=0)) + 1)


def place_of(tokens: Sequence[int], span: Sequence[int]) -> int:
    """Where ``span`` first stands in ``tokens``, -1 if nowhere."""
    size, head = len(span), span[0]
    tokens, span = list(tokens), list(span)
    for at in range(len(tokens) - size + 1):
        if tokens[at] == head and tokens[at : at + size] == span:
            return at
    return -1
