"""Random outputs: temperature, top-k, top-p, under a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .candidates import Scored, allowed_candidates, row_logits
from .constraints import Combined, Constraint, MinLength, dead_end
from .hypothesis import Hypothesis
from .steps import Runner, Step, check_lengths

ROUNDING = 1e-6
"""A cumulative probability this close below top_p has reached it: float32 logits give no more digits."""
NUCLEUS, WIDER = 256, 8
"""Most probable tokens that are looked at first where only top_p cuts, and how many times more where they do not reach it."""


def filter_probabilities(probabilities: np.ndarray, *, top_k: int | None = None, top_p: float = 1.0) -> np.ndarray:
    """Distributions [..., v] cut to their ``top_k`` most probable tokens, renormalised, then to the shortest prefix of those in
    falling order whose sum is at least ``top_p`` (the first always stays), renormalised (bert4keras' random_sample).

    Equal probabilities: the lower id first. Raises ValueError for top_k < 1 or top_p outside (0, 1].
    """
    _check_filters(top_k, top_p)
    given = np.asarray(probabilities, dtype=np.float64)  # [..., v]
    order = np.argsort(-given, axis=-1, kind="stable")  # [..., v]
    falling = np.take_along_axis(given, order, axis=-1)  # [..., v]
    if top_k is not None:
        falling[..., top_k:] = 0.0
    falling = falling / falling.sum(axis=-1, keepdims=True)  # [..., v]
    cut = np.zeros_like(given)  # [..., v]
    np.put_along_axis(cut, order, _nucleus(falling, top_p), axis=-1)
    return cut


def sample(
    step: Step,
    *,
    end_id: int,
    max_length: int,
    n: int = 1,
    min_length: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    keys: Sequence[int] | None = None,
    constraints: Sequence[Constraint] = (),
) -> list[list[Hypothesis]]:
    """``n`` independent outputs per source, drawn token by token, in the order of the draws (repeats stay in).

    Order of the cuts: constraints bar tokens, softmax of logits / ``temperature`` over the rest, ``top_k``, renormalise,
    ``top_p`` (:func:`filter_probabilities`), renormalise, draw. ``score`` is the log-probability of the draw under that
    distribution. ``max_length`` and ``min_length`` as in :func:`beam_search`; outputs without end token at ``max_length`` come
    back as not finished.

    ``seed`` and ``keys`` (one number >= 0 per source, default: its place in the batch) fix the draws: sample i of a source is the
    same in any batch and for any ``n`` above i, as far as the model's logits are.

    Raises ValueError for n < 1, temperature <= 0, top_k < 1, top_p outside (0, 1], keys of another number, a dead end, and what
    :func:`beam_search` says of lengths, ``end_id``, empty batches and NaN.
    """
    check_lengths(max_length=max_length, min_length=min_length)
    if n < 1:
        raise ValueError(f"n must be at least 1, found {n}: give the number of samples per source")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}: near 0 is greedy search, 1 the model's own distribution")
    _check_filters(top_k, top_p)
    if seed < 0 or any(key < 0 for key in keys or ()):
        raise ValueError(f"seed and keys must be at least 0, found seed {seed} and keys {keys}: take positive numbers")
    minimum = [MinLength(min_length, end_id)] if min_length else []
    combined = Combined([*minimum, *constraints], end_id=end_id)
    runner = Runner(step, end_id=end_id)
    if keys is not None and len(keys) != runner.sources:
        raise ValueError(f"{len(keys)} keys for {runner.sources} sources: give one key per source")
    draws = np.concatenate(
        [np.random.default_rng([seed, key]).random([n, max_length]) for key in (range(runner.sources) if keys is None else keys)]
    )  # [b * n, max_length]
    cut = _Cut(temperature, top_k, top_p)
    results: list[Hypothesis | None] = [None] * (runner.sources * n)
    live = np.arange(runner.sources * n)  # [r], places in results
    parents = live // n  # [r], rows of the logits
    totals, scores = np.zeros(len(live)), np.zeros(len(live))  # [r], [r]
    tokens = np.zeros([len(live), 0], dtype=np.int64)  # [r, t]
    steps = np.zeros([len(live), 0])  # [r, t]
    states: list[Any] = [combined.begin(source) for source in range(runner.sources)] if combined else []
    logits = runner.first  # [b, v]
    for length in range(1, max_length + 1):
        budget = max_length - length + 1
        scored = Scored(logits)
        ids, drawn = cut.draw(scored, combined, states, budget, parents, draws[live, length - 1])  # [r], [r]
        stuck = np.flatnonzero(ids < 0)
        if stuck.size:
            raise dead_end(int(live[stuck[0]] // n), tokens[stuck[0]].tolist(), budget)
        given = scored.log_probabilities(parents, ids)  # [r]
        totals = totals + given  # [r]
        steps = np.concatenate([steps, given[:, None]], axis=1)  # [r, t + 1]
        scores = scores + drawn  # [r]
        ended = ids == end_id  # [r]
        for row in np.flatnonzero(ended):
            results[live[row]] = _hypothesis(tokens[row], totals[row], scores[row], steps[row], finished=True)
        parents, ids, live = parents[~ended], ids[~ended], live[~ended]  # 3 x [r]
        totals, scores, steps = totals[~ended], scores[~ended], steps[~ended]  # [r], [r], [r, t + 1]
        tokens = np.concatenate([tokens[~ended], ids[:, None]], axis=1)  # [r, t]
        if not len(live):
            break
        if length < max_length:
            if combined:
                states = [combined.advance(states[parent], int(token)) for parent, token in zip(parents, ids, strict=True)]
            logits = runner.next(ids, parents)  # [r, v]
            parents = np.arange(len(live))  # [r]
    for place, row, total, score, own in zip(live, tokens, totals, scores, steps, strict=True):
        results[place] = _hypothesis(row, total, score, own, finished=False)
    return _grouped(results, n)


class _Cut:
    """How a token is drawn from a row of logits."""

    def __init__(self, temperature: float, top_k: int | None, top_p: float):
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def draw(
        self, scored: Scored, combined: Combined, states: list[Any], budget: int, rows: np.ndarray, uniform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One token per ``uniform`` [n] from the rows ``rows`` [n] of the logits: ids [n], -1 where none is allowed, and log q [n]."""
        if self.top_k is None and (combined or self.top_p == 1.0):
            return self._from_rows(scored, combined, states, budget, rows, uniform)
        k = min(NUCLEUS if self.top_k is None else self.top_k, scored.vocabulary)
        found, _ = allowed_candidates(scored, k, combined, states, budget)  # [r, k]
        ids, logs = found.ids, found.log_probabilities / self.temperature  # [r, k], [r, k]
        dead = logs[:, 0] == -np.inf  # [r]
        logs[dead, 0] = 0.0
        weights = np.exp(logs - logs[:, :1])  # [r, k]
        if self.top_k is None:
            ids, chances = self._nucleus_of_rows(scored, ids, weights)  # [r, k], [r, k]
        else:
            chances = _nucleus(weights / weights.sum(axis=-1, keepdims=True), self.top_p)  # [r, k]
        sums = np.cumsum(chances, axis=-1)[rows]  # [n, k]
        place = np.sum(sums <= (uniform * sums[:, -1])[:, None], axis=-1)  # [n]
        place = np.minimum(place, np.sum(chances > 0, axis=-1)[rows] - 1)  # [n]
        return np.where(dead[rows], -1, ids[rows, place]), np.log(chances[rows, place])  # [n], [n]

    def _nucleus_of_rows(self, scored: Scored, ids: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nucleus of every row from its most probable tokens (``ids``, ``weights`` [r, k]), from more where these do not fill it."""
        tempered = scored.tempered(self.temperature)  # [r, v]
        falling = weights * np.take_along_axis(tempered, ids[:, :1], axis=-1)  # [r, k], probabilities
        size = ids.shape[1]
        while size < scored.vocabulary:
            # tokens equal to the last one may be left out, so it does not count
            short = np.flatnonzero(falling[:, :-1].sum(axis=-1) < self.top_p)  # [s]
            if not short.size:
                break
            wider = min(size * WIDER, scored.vocabulary)
            padding = ((0, 0), (0, wider - size))
            ids, falling, size = np.pad(ids, padding), np.pad(falling, padding), wider  # [r, size], [r, size]
            ids[short], falling[short] = _most_probable(tempered[short], size)
        return ids, _nucleus(falling, self.top_p)

    def _from_rows(
        self, scored: Scored, combined: Combined, states: list[Any], budget: int, rows: np.ndarray, uniform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws from whole rows, their tokens in the order of the ids."""
        ids = np.full(len(rows), -1, dtype=np.int64)  # [n]
        drawn = np.zeros(len(rows))  # [n]
        tempered = None if combined else scored.tempered(self.temperature)  # [r, v]
        sets = allowed_candidates(scored, 1, combined, states, budget)[1]
        for row in range(len(scored.top)):
            allowed = None if sets is None else sets[row]
            listed = None if allowed is None or allowed.complement else allowed.array  # [c]
            if scored.top[row] == -np.inf or (listed is not None and not len(listed)):
                continue
            if tempered is not None:
                chances = tempered[row].astype(np.float64)  # [v]
            else:
                values = row_logits(scored, row, allowed) if listed is None else scored.values(np.full(len(listed), row), listed)  # [c]
                if values.max() == -np.inf:
                    continue
                chances = np.exp((values - values.max()) / self.temperature)  # [c]
            chances = chances / chances.sum()  # [c]
            if self.top_p < 1.0:
                chances = filter_probabilities(chances, top_p=self.top_p)  # [c]
            wanted = np.flatnonzero(rows == row)  # [m]
            sums = np.cumsum(chances)  # [c]
            place = np.searchsorted(sums, uniform[wanted] * sums[-1], side="right")  # [m]
            place = np.minimum(place, np.flatnonzero(chances)[-1])  # [m]
            ids[wanted] = place if listed is None else listed[place]
            drawn[wanted] = np.log(chances[place])
        return ids, drawn


def _most_probable(chances: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and probabilities [s, size] of the ``size`` most probable tokens of every row of ``chances`` [s, v], best first."""
    if size < chances.shape[1]:
        ids = np.sort(np.argpartition(-chances, size - 1, axis=-1)[:, :size], axis=-1)  # [s, size]
    else:
        ids = np.broadcast_to(np.arange(size), chances.shape)  # [s, v]
    own = np.take_along_axis(chances, ids, axis=-1)  # [s, size]
    order = np.argsort(-own, axis=-1, kind="stable")  # [s, size]
    return np.take_along_axis(ids, order, axis=-1), np.take_along_axis(own, order, axis=-1)


def _nucleus(falling: np.ndarray, top_p: float) -> np.ndarray:
    """Probabilities [..., k] in falling order, cut to the shortest prefix whose sum is at least ``top_p``, renormalised."""
    kept = np.cumsum(falling, axis=-1) - falling < top_p - ROUNDING  # [..., k]
    kept[..., 0] = True
    cut: np.ndarray = np.where(kept, falling, 0.0)  # [..., k]
    cut /= cut.sum(axis=-1, keepdims=True)
    return cut


def _check_filters(top_k: int | None, top_p: float) -> None:
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, found {top_k}: give None for no cut")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p must lie in (0, 1], found {top_p}: give 1.0 for no cut")


def _hypothesis(tokens: np.ndarray, total: float, score: float, steps: np.ndarray, *, finished: bool) -> Hypothesis:
    return Hypothesis(tuple(tokens.tolist()), float(total), float(score), finished, tuple(steps.tolist()))


def _grouped(results: list[Hypothesis | None], n: int) -> list[list[Hypothesis]]:
    complete = [result for result in results if result is not None]
    return [complete[start : start + n] for start in range(0, len(complete), n)]
