"""Corrupted decoder inputs against exposure bias: random words of the text, or the model's own (kexue.fm article 7259).

Rows are `[CLS] source [SEP] target [SEP]`, segment 0 and segment 1, padded on the right. Only inputs change: labels stay the original ids.
NumPy in, NumPy out. Draws depend on (seed, step) alone, so a training that resumes at a step sees what it would have seen.
"""

from __future__ import annotations

import math

import numpy as np

POOLS = ("target", "all")
SCHEDULES = ("linear", "inverse_sigmoid", "exponential")


class RandomReplacement:
    """In a part ``sample_rate`` of the rows, every target input becomes with probability ``token_rate`` a random word of its own row.

    ``pool`` ``target`` (the article): places and words are those of the target without its last token, `[SEP]`. ``all`` (the code that
    the article's author published): places are the target's with the last `[SEP]`, words those of the whole real row, source and special tokens
    among them. A word that stands twice is drawn twice as often; draws come from the original row. The source never changes.

    Expected part of the places that change: ``sample_rate * token_rate`` (0.15 as published) less the draws that hit the same word, see
    :meth:`expected_fraction`. Raises ValueError for rates outside [0, 1] and unknown pools.
    """

    def __init__(self, sample_rate: float = 0.5, token_rate: float = 0.3, *, pool: str = "target", seed: int = 0):
        for name, rate in (("sample_rate", sample_rate), ("token_rate", token_rate)):
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], found {rate}: the article takes 0.5 for rows and 0.3 for tokens")
        if pool not in POOLS:
            raise ValueError(f"unknown pool {pool!r}: use one of {', '.join(POOLS)}")
        self.sample_rate, self.token_rate, self.pool, self.seed = sample_rate, token_rate, pool, seed

    def __call__(self, ids: np.ndarray, segment_ids: np.ndarray, valid: np.ndarray | None = None, *, step: int) -> np.ndarray:
        """Inputs for step ``step`` of the training: a new array, of the shape and type of ``ids`` [b, l].

        ``segment_ids`` [b, l]; ``valid`` [b, l], true at real tokens, or lengths [b] (default: all but segment 0 after the target).
        Raises ValueError for wrong shapes and types, a negative step, and a batch in which no row has a target.
        """
        _check_step(step)
        ids, target, real = _read(ids, segment_ids, valid)
        places, pool = self._places(target, real)  # [b, l], [b, l]
        rng = np.random.default_rng([self.seed, step])
        rows, tokens, draws = rng.random((len(ids), 1)), rng.random(ids.shape), rng.random(ids.shape)  # [b, 1], [b, l], [b, l]
        counts = pool.sum(axis=1, keepdims=True)  # [b, 1]
        order = np.argsort(~pool, axis=1, kind="stable")  # [b, l]: the pool's places first
        drawn = np.minimum((draws * counts).astype(np.int64), np.maximum(counts - 1, 0))  # [b, l]
        words = np.take_along_axis(ids, np.take_along_axis(order, drawn, axis=1), axis=1)  # [b, l]
        return np.where(places & (rows < self.sample_rate) & (tokens < self.token_rate), words, ids)  # [b, l]

    def expected_fraction(self, ids: np.ndarray, segment_ids: np.ndarray, valid: np.ndarray | None = None) -> float:
        """The expected part of all places that hold another word afterwards: ``sample_rate * token_rate * (1 - P(same word))``.

        Raises ValueError as a call does, and where no place can change.
        """
        ids, target, real = _read(ids, segment_ids, valid)
        places, pool = self._places(target, real)  # [b, l], [b, l]
        if not places.any():
            raise ValueError("found 0 places that can change, expected at least 1: give targets with a word before [SEP]")
        same = 0.0
        for row, at, words in zip(ids, places, pool, strict=True):
            same += float((row[at][:, None] == row[words][None, :]).mean(axis=1).sum()) if at.any() else 0.0
        return self.sample_rate * self.token_rate * (1.0 - same / float(places.sum()))

    def _places(self, target: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.pool == "all":
            return target, real
        inner = _without_last(target)  # [b, l]
        return inner, inner


class ScheduledSampling:
    """Target inputs are the gold words at a rate that falls with the steps, otherwise the model's own (arXiv 1506.03099).

    The contrast, for comparisons: the article rejects it, because decoding word by word is serial and training loses its parallelism.
    This is the form with two parallel passes: a first one with gold inputs gives predictions (:func:`predictions`), a second one reads
    some of them. It costs one more forward pass, a prediction still follows a gold prefix and not the mixed one, and the label stays
    the gold word after an input that may no longer lead to it.

    Rate of gold words at step i: ``linear`` max(floor, 1 - i / decay), ``exponential`` max(floor, exp(-i / decay)), ``inverse_sigmoid``
    max(floor, k / (k + exp(i / k))) with k = ``decay``. Raises ValueError for an unknown schedule, a decay below 1 or a floor outside [0, 1].
    """

    def __init__(self, schedule: str = "linear", *, decay: float, floor: float = 0.0, seed: int = 0):
        if schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {schedule!r}: use one of {', '.join(SCHEDULES)}")
        if not math.isfinite(decay) or decay < 1:
            raise ValueError(f"decay must be a finite number of at least 1, found {decay}: give e.g. the steps of the training")
        if not 0.0 <= floor <= 1.0:
            raise ValueError(f"floor must lie in [0, 1], found {floor}: 0 lets the gold words vanish")
        self.schedule, self.decay, self.floor, self.seed = schedule, decay, floor, seed

    def gold_rate(self, step: int) -> float:
        """The probability of a gold word at ``step``, which counts from 0."""
        _check_step(step)
        passed = step / self.decay
        if self.schedule == "linear":
            rate = 1.0 - passed
        elif self.schedule == "exponential":
            rate = math.exp(-passed)
        else:
            rate = 1.0 / (1.0 + math.exp(min(passed - math.log(self.decay), 700.0)))
        return max(self.floor, rate)

    def __call__(
        self, ids: np.ndarray, segment_ids: np.ndarray, predicted: np.ndarray, valid: np.ndarray | None = None, *, step: int
    ) -> np.ndarray:
        """Inputs for the second pass of step ``step``: a new array like ``ids`` [b, l].

        ``predicted`` [b, l]: at every place the model's word for that place (:func:`predictions`); the rest as in :class:`RandomReplacement`.
        Target words change, its last token and the source never. Raises ValueError for wrong shapes and types.
        """
        ids, target, _ = _read(ids, segment_ids, valid)
        predicted = np.asarray(predicted)
        if predicted.shape != ids.shape or predicted.dtype.kind not in "iu":
            raise ValueError(
                f"predicted must be whole numbers {list(ids.shape)}, found {predicted.dtype} {list(predicted.shape)}: use predictions(logits)"
            )
        draws = np.random.default_rng([self.seed, step]).random(ids.shape)  # [b, l]
        own = _without_last(target) & (draws >= self.gold_rate(step))  # [b, l]
        return np.where(own, predicted.astype(ids.dtype), ids)  # [b, l]


def predictions(logits: np.ndarray) -> np.ndarray:
    """The likeliest word for every place: ``logits`` [b, l, v] of the next words give [b, l]; the first place, which nothing predicts, holds 0."""
    logits = np.asarray(logits)
    if logits.ndim != 3 or 0 in logits.shape:
        raise ValueError(f"logits must be [b, l, v] with no empty axis, found {list(logits.shape)}: give the scores of every place")
    found = np.zeros(logits.shape[:2], dtype=np.int64)  # [b, l]
    found[:, 1:] = logits[:, :-1].argmax(axis=-1)
    return found


def _read(ids: np.ndarray, segment_ids: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, where the target is, and where real tokens are, all [b, l]."""
    ids, segment_ids = np.asarray(ids), np.asarray(segment_ids)
    if ids.ndim != 2 or 0 in ids.shape or ids.dtype.kind not in "iu":
        raise ValueError(f"ids must be whole numbers [b, l] with no empty axis, found {ids.dtype} {list(ids.shape)}: give a batch of token ids")
    if segment_ids.shape != ids.shape:
        raise ValueError(f"ids {list(ids.shape)} and segment_ids {list(segment_ids.shape)} differ: give both as [b, l]")
    if not np.isin(segment_ids, (0, 1)).all():
        raise ValueError(f"segment_ids must be 0 or 1, found {segment_ids.max()} and {segment_ids.min()}: 0 is the source, 1 the target")
    target = segment_ids == 1  # [b, l]
    if valid is None:
        real = target | (np.cumsum(target, axis=1) == 0)  # [b, l]
    else:
        given = np.asarray(valid)
        if given.ndim == 1 and given.shape == ids.shape[:1]:
            given = np.arange(ids.shape[1]) < given[:, None]  # [b, l]
        if given.shape != ids.shape:
            raise ValueError(f"valid must be {list(ids.shape)} or lengths [{len(ids)}], found {list(given.shape)}: give one of these")
        real = given.astype(bool)  # [b, l]
        target = target & real  # [b, l]
    if not target.any():
        raise ValueError(f"segment_ids {list(ids.shape)} have no target token (segment 1): give a source and a target")
    return ids, target, real


def _without_last(target: np.ndarray) -> np.ndarray:
    later = np.cumsum(target[:, ::-1], axis=1)[:, ::-1]  # [b, l]: target tokens from here on
    inner: np.ndarray = target & (later > 1)  # [b, l]
    return inner


def _check_step(step: int) -> None:
    if step < 0:
        raise ValueError(f"step counts from 0, found {step}: give the number of the training step")
