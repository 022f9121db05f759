"""Which rows every step of a training sees: a function of lengths and settings alone, so that any step can be asked for again."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np

from ..features.batches import token_budget_batches
from .settings import LoopSettings


class DataOrder:
    """The batches of a whole run, an epoch at a time: memory holds one epoch's.

    ``lengths`` [n]: tokens of every row; each row comes once an epoch. An epoch's batches depend on (lengths, budget, seed, epoch); a part of an
    epoch is its first batches. ``steps_before[e]`` are the steps of all epochs before e, ``total_steps`` those of the run.
    Raises ValueError when there is no row.
    """

    def __init__(self, lengths: np.ndarray, settings: LoopSettings):
        self.lengths = np.asarray(lengths, dtype=np.int64)  # [n]
        self._budget, self._seed, self._epochs = settings.batch_tokens, settings.seed, settings.epochs
        if not len(self.lengths):
            raise ValueError("no batch to train on: the features hold no row")
        whole, part = int(settings.epochs), settings.epochs - int(settings.epochs)
        self.steps_before = [0]
        self._held: tuple[int, list[np.ndarray]] = (-1, [])
        for epoch in range(whole + (part > 0)):
            count = len(self._batches(epoch))
            self.steps_before.append(self.steps_before[-1] + (count if epoch < whole else math.ceil(part * count)))

    @property
    def total_steps(self) -> int:
        return self.steps_before[-1]

    def epoch_of(self, index: int) -> int:
        """The epoch, from 0, of step ``index``, from 0."""
        return int(np.searchsorted(self.steps_before, index, side="right")) - 1

    def batch(self, index: int) -> np.ndarray:
        """Rows [b] of step ``index``, from 0, the longest first. Raises IndexError beyond the run."""
        if not 0 <= index < self.total_steps:
            raise IndexError(f"step {index} of {self.total_steps}")
        epoch = self.epoch_of(index)
        return self._batches(epoch)[index - self.steps_before[epoch]]

    def evaluation_steps(self, per_epoch: int) -> list[int]:
        """Steps, from 1 and ascending, behind which an evaluation comes: ``per_epoch`` evenly in every epoch, and the end."""
        steps = {self.total_steps}
        for epoch, begin in enumerate(self.steps_before[:-1]):
            inside = self.steps_before[epoch + 1] - begin
            last = epoch == len(self.steps_before) - 2
            whole = max(inside, self.steps_before[1]) if last and epoch else inside  # the last epoch may be a part of one
            steps |= {begin + at for part in range(1, per_epoch + 1) if 0 < (at := round(whole * part / per_epoch)) <= inside}
        return sorted(steps)

    def digest(self) -> str:
        """SHA-256 of what decides the order: a checkpoint of another order cannot go on here."""
        state = hashlib.sha256(json.dumps([self._budget, self._seed, float(self._epochs)]).encode())
        state.update(np.ascontiguousarray(self.lengths).data)
        return state.hexdigest()

    def _batches(self, epoch: int) -> list[np.ndarray]:
        if self._held[0] != epoch:
            self._held = (epoch, token_budget_batches(self.lengths, self._budget, seed=self._seed, epoch=epoch))
        return self._held[1]


def share_of(rows: np.ndarray, part: int, parts: int) -> np.ndarray:
    """The ``part``-th of ``parts`` shares of a batch sorted by length: every ``parts``-th row, so that shares cost about the same.

    ``rows`` [b]; may be empty where there are more shares than rows.
    """
    return rows[part::parts]
