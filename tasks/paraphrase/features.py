"""Pairs of texts as arrays: the tokens of both, and the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shared.features.ragged import Ragged, id_type, load_arrays, save_arrays
from shared.text import Tokenizer

from .records import ParaphraseRecord

VERSION = 1
"""Raised whenever the arrays below change; part of the cache key."""
UNLABELLED = -1


@dataclass(frozen=True)
class Lost:
    """A labelled pair that these features cannot give back, and why. ``line`` is its record's."""

    line: int | None
    reason: str


@dataclass(frozen=True)
class ParaphraseFeatures:
    """Arrays of n records in 2n windows, the two texts of a record one behind the other; a unit is a record with both.

    ``ids``: tokens of each text without [CLS] and [SEP], Ragged [2n] of :func:`shared.features.ragged.id_type`; ``windows`` [2n, 2] int32:
    record, which of its texts. ``labels`` [n] int8: 1 one meaning, 0 two, -1 unlabelled. ``lost``: pairs of two meanings whose tokens are the
    same (not kept on disk; counted in ``lost_count``); ``cut_texts`` counts texts that are longer than the window and were cut.
    """

    ids: Ragged
    windows: np.ndarray
    labels: np.ndarray
    lost_count: int = 0
    cut_texts: int = 0
    lost: tuple[Lost, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of both texts of each record, each with its [CLS] and [SEP], [n]."""
        lengths: np.ndarray = self.ids.lengths.reshape(-1, 2).sum(axis=1) + 4  # [n]
        return lengths

    @property
    def record_index(self) -> np.ndarray:
        """The record of each unit, [n]: its own number."""
        return np.arange(len(self))

    def texts_of(self, unit: int) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of a record's two texts, [a] and [b]."""
        return self.ids[2 * unit], self.ids[2 * unit + 1]

    @cached_property
    def same(self) -> np.ndarray:
        """Records whose two texts have the same tokens, [n] bool."""
        return np.fromiter((np.array_equal(*self.texts_of(unit)) for unit in range(len(self))), dtype=bool, count=len(self))  # [n]

    def arrays(self) -> dict[str, Ragged | np.ndarray]:
        return {"ids": self.ids, "windows": self.windows, "labels": self.labels}

    def counts(self) -> dict[str, int]:
        return {"lost_count": self.lost_count, "cut_texts": self.cut_texts}

    def joined(self, other: ParaphraseFeatures) -> ParaphraseFeatures:
        """The records of both, in memory; those of ``other`` are numbered on."""
        windows = np.array(other.windows)  # [2m, 2]
        windows[:, 0] += len(self)
        return ParaphraseFeatures(
            ids=self.ids.joined(other.ids),
            windows=np.concatenate([self.windows, windows]),  # [2n + 2m, 2]
            labels=np.concatenate([self.labels, other.labels]),  # [n + m]
            lost_count=self.lost_count + other.lost_count,
            cut_texts=self.cut_texts + other.cut_texts,
        )

    def save(self, folder: Path, meta: dict[str, Any]) -> None:
        save_arrays(folder, self.arrays(), {**meta, **self.counts()})

    @classmethod
    def load(cls, folder: Path) -> ParaphraseFeatures:
        arrays, meta = load_arrays(folder)
        return cls(**arrays, lost_count=meta["lost_count"], cut_texts=meta["cut_texts"])


def make_features(records: Sequence[ParaphraseRecord], tokenizer: Tokenizer, *, window: int) -> ParaphraseFeatures:
    """Tokenises; a text of more than ``window`` tokens is cut there, and counted."""
    texts = [text for record in records for text in (record.text, record.pair)]
    encoded = tokenizer.encode_batch(texts)
    rows = [encoding.ids[:window] for encoding in encoded]
    labels = [UNLABELLED if record.label is None else record.label for record in records]
    made = ParaphraseFeatures(
        ids=Ragged.from_rows(rows, dtype=id_type(len(tokenizer.vocabulary))),
        windows=np.stack([np.arange(len(rows)) // 2, np.arange(len(rows)) % 2], axis=1).astype(np.int32),  # [2n, 2]
        labels=np.asarray(labels, dtype=np.int8),  # [n]
        cut_texts=sum(len(encoding.ids) > window for encoding in encoded),
    )
    lost = tuple(
        Lost(record.line, "both texts have the same tokens")
        for record, same in zip(records, made.same.tolist(), strict=True)
        if same and record.label == 0
    )
    return ParaphraseFeatures(made.ids, made.windows, made.labels, len(lost), made.cut_texts, lost)
