"""Beam search, and greedy search as its narrowest form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .candidates import Scored, allowed_candidates
from .constraints import Combined, Constraint, MinLength, dead_end
from .hypothesis import Hypothesis
from .steps import Runner, Step, check_lengths

PENALTIES = ("none", "gnmt", "mean")


def length_penalty(kind: str, alpha: float = 1.0) -> Callable[[float], float]:
    """What a log-probability is divided by, by number of tokens (the end token counts): 1 for ``none``, ((5 + length) / 6)^alpha
    for ``gnmt`` (arXiv 1609.08144; UniLM's decoder), length for ``mean``. Raises ValueError for another kind or alpha < 0."""
    if kind not in PENALTIES:
        raise ValueError(f"length penalty {kind!r} is not one of {', '.join(PENALTIES)}: take one of these")
    if alpha < 0:
        raise ValueError(f"alpha must be at least 0, found {alpha}: a larger one favours longer outputs, 0 is no penalty")
    if kind == "none":
        return lambda length: 1.0
    if kind == "mean":
        return float
    return lambda length: ((5.0 + length) / 6.0) ** alpha


def greedy(
    step: Step, *, end_id: int, max_length: int, min_length: int = 0, constraints: Sequence[Constraint] = ()
) -> list[Hypothesis]:
    """The most probable token at every step: one hypothesis per source. Arguments and errors as in :func:`beam_search`."""
    found = beam_search(step, end_id=end_id, max_length=max_length, min_length=min_length, beam=1, constraints=constraints)
    return [hypotheses[0] for hypotheses in found]


def beam_search(
    step: Step,
    *,
    end_id: int,
    max_length: int,
    beam: int,
    n_best: int = 1,
    min_length: int = 0,
    penalty: str = "none",
    alpha: float = 1.0,
    constraints: Sequence[Constraint] = (),
    early_exit: bool = True,
) -> list[list[Hypothesis]]:
    """Up to ``n_best`` hypotheses per source, best score first: finished ones, then those that ``max_length`` cut off.

    ``max_length``: tokens of the longest output, the end token included; ``min_length``: fewest tokens before it.
    score = log p / :func:`length_penalty`. At every step the ``beam`` best continuations of a source stay; those that end
    leave it and are kept, the others go on, at most ``beam`` wide again (UniLM's rule: beam 1 is greedy search).
    A source leaves the batch when no live hypothesis can still reach the score of its ``n_best``-th kept one, at any length
    (``early_exit`` False: when none is live), which changes no result. Equal scores: the earlier hypothesis, then the lower token id.
    Constraints bar tokens before the choice and do not change scores; a hypothesis that can neither go on nor end is dropped.

    Raises ValueError for a beam wider than the vocabulary, more hypotheses asked than the beam holds, lengths that cross, an
    ``end_id`` outside the vocabulary, an empty batch, NaN logits, and a source whose hypotheses all met a dead end.
    """
    check_lengths(max_length=max_length, min_length=min_length)
    if beam < 1:
        raise ValueError(f"beam must be at least 1, found {beam}: 1 is greedy search")
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best must lie in 1 .. beam, found n_best {n_best} and beam {beam}: give beam={max(n_best, 1)} or a smaller n_best")
    divisor = length_penalty(penalty, alpha)
    minimum = [MinLength(min_length, end_id)] if min_length else []
    combined = Combined([*minimum, *constraints], end_id=end_id)
    runner = Runner(step, end_id=end_id)
    if beam > runner.vocabulary:
        raise ValueError(
            f"a beam of {beam} is wider than the vocabulary of {runner.vocabulary} tokens: give beam={runner.vocabulary} or less"
        )
    kept: list[list[Hypothesis]] = [[] for _ in range(runner.sources)]
    sources = np.arange(runner.sources)  # [r], ascending
    totals = np.zeros(runner.sources)  # [r]
    tokens = np.zeros([runner.sources, 0], dtype=np.int64)  # [r, t]
    steps = np.zeros([runner.sources, 0])  # [r, t]
    states: list[Any] = [combined.begin(source) for source in range(runner.sources)] if combined else []
    logits = runner.first  # [r, v]
    for length in range(1, max_length + 1):
        budget = max_length - length + 1
        found, _ = allowed_candidates(Scored(logits), beam, combined, states, budget)  # [r, k]
        parents, ids, reached = _best(sources, totals, found.ids, found.log_probabilities, beam)  # 3 x [n]
        for source in np.setdiff1d(sources, sources[parents]):
            if not kept[source]:
                raise dead_end(int(source), tokens[np.flatnonzero(sources == source)[0]].tolist(), budget)
        ended = ids == end_id  # [n]
        steps = np.concatenate([steps[parents], (reached - totals[parents])[:, None]], axis=1)  # [n, t + 1]
        for place in np.flatnonzero(ended):
            parent, total = parents[place], reached[place]
            kept[sources[parent]].append(_hypothesis(tokens[parent], total, total / divisor(length), steps[place], finished=True))
        live = ~ended  # [n]
        if early_exit:
            best = reached / divisor(max_length)  # [n], the score if all that follows were certain
            live &= ~_decided(sources[parents], live, best, kept, n_best)  # [n]
        parents, ids, steps = parents[live], ids[live], steps[live]  # [r], [r], [r, t + 1]
        sources, totals = sources[parents], reached[live]  # [r], [r]
        tokens = np.concatenate([tokens[parents], ids[:, None]], axis=1)  # [r, t]
        if not len(parents):
            break
        if length < max_length:
            if combined:
                states = [combined.advance(states[parent], int(token)) for parent, token in zip(parents, ids, strict=True)]
            logits = runner.next(ids, parents)  # [r, v]
    cut: list[list[Hypothesis]] = [[] for _ in range(runner.sources)]
    for source, row, total, own in zip(sources, tokens, totals, steps, strict=True):
        cut[source].append(_hypothesis(row, total, total / divisor(max_length), own, finished=False))
    return [(_ranked(ended, n_best) + _ranked(rest, n_best))[:n_best] for ended, rest in zip(kept, cut, strict=True)]


def _best(
    sources: np.ndarray, totals: np.ndarray, ids: np.ndarray, log_probabilities: np.ndarray, beam: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``beam`` best continuations of every source: rows they come from, tokens, and summed log-probabilities, source by source."""
    k = ids.shape[1]
    reached = (totals[:, None] + log_probabilities).ravel()  # [r * k]
    owner = np.repeat(sources, k)  # [r * k]
    order = np.lexsort((-reached, owner))  # [r * k], stable: the earlier hypothesis, then the lower id
    first = np.searchsorted(owner, owner)  # [r * k], where the source begins; owner ascends and so does owner[order]
    order = order[(np.arange(len(order)) - first < beam) & (reached[order] > -np.inf)]  # [n]
    return order // k, ids.ravel()[order], reached[order]


def _decided(owner: np.ndarray, live: np.ndarray, best: np.ndarray, kept: list[list[Hypothesis]], n_best: int) -> np.ndarray:
    """Which continuations [n] belong to a source whose ``n_best`` kept hypotheses no live one can beat."""
    decided = np.zeros(len(owner), dtype=bool)  # [n]
    for source in np.unique(owner):
        kept[source] = _ranked(kept[source], n_best)
        if len(kept[source]) == n_best:
            own = owner == source  # [n]
            decided |= own & (best[own & live].max(initial=-np.inf) <= kept[source][-1].score)
    return decided


def _ranked(hypotheses: list[Hypothesis], n_best: int) -> list[Hypothesis]:
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:n_best]


def _hypothesis(tokens: np.ndarray, total: float, score: float, steps: np.ndarray, *, finished: bool) -> Hypothesis:
    return Hypothesis(tuple(tokens.tolist()), float(total), float(score), finished, tuple(steps.tolist()))
