"""Title records as arrays: the tokens of an abstract's beginning, those of its title, and what these spell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from shared.features.ragged import Ragged, id_type, load_arrays, save_arrays
from shared.text import Tokenizer
from shared.text.detokenize import pieces

from .records import TitleRecord

VERSION = 1
"""Raised whenever the arrays below change; part of the cache key."""


@dataclass(frozen=True)
class Lost:
    """A title whose tokens do not spell it again, case aside: the ``record``'s number, and what they ``spell``."""

    record: int
    title: str
    spell: str


@dataclass(frozen=True)
class TitleFeatures:
    """Arrays of n records, a unit each.

    ``ids``: token ids of each abstract, without [CLS] and [SEP], as many as the window holds, Ragged [n] of
    :func:`shared.features.ragged.id_type`. ``windows`` [n, 2] int32: record index, tokens of the whole abstract.
    ``targets``: token ids of each title but unknown ones, which spell nothing, Ragged [n] of the type of ``ids``; none of an unlabelled record.
    ``letters``: the characters (Unicode numbers) that a title's tokens spell, Ragged int32 [n]; ``ends``: how many of them each token and those
    before it spell, Ragged int32 [n].
    ``lost``: titles that these tokens do not give back (not kept on disk; counted in ``lost_count``); ``cut`` counts abstracts that are
    longer than the window.
    """

    ids: Ragged
    windows: np.ndarray
    targets: Ragged
    letters: Ragged
    ends: Ragged
    lost_count: int = 0
    cut: int = 0
    lost: tuple[Lost, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each abstract with its [CLS] and [SEP], [n]."""
        return self.ids.lengths + 2

    @property
    def record_index(self) -> np.ndarray:
        """The record of each unit, [n]."""
        return self.windows[:, 0]

    def spelled(self, row: int, tokens: int) -> str:
        """What the first ``tokens`` of a title spell."""
        end = int(self.ends[row][tokens - 1]) if tokens else 0
        return "".join(map(chr, self.letters[row][:end].tolist()))

    def arrays(self) -> dict[str, Ragged | np.ndarray]:
        return {name: getattr(self, name) for name in ("ids", "windows", "targets", "letters", "ends")}

    def counts(self) -> dict[str, int]:
        return {"lost_count": self.lost_count, "cut": self.cut}

    def joined(self, other: TitleFeatures) -> TitleFeatures:
        """The records of both, in memory; those of ``other`` are numbered on."""
        windows = np.array(other.windows)  # [n, 2]
        windows[:, 0] += len(self)
        ragged = {name: getattr(self, name).joined(getattr(other, name)) for name in ("ids", "targets", "letters", "ends")}
        return TitleFeatures(
            **ragged,
            windows=np.concatenate([self.windows, windows]),  # [n, 2]
            lost_count=self.lost_count + other.lost_count,
            cut=self.cut + other.cut,
        )

    def save(self, folder: Path, meta: dict[str, Any]) -> None:
        save_arrays(folder, self.arrays(), {**meta, **self.counts()})

    @classmethod
    def load(cls, folder: Path) -> TitleFeatures:
        arrays, meta = load_arrays(folder)
        return cls(**arrays, lost_count=meta["lost_count"], cut=meta["cut"])


def make_features(records: Sequence[TitleRecord], tokenizer: Tokenizer, *, window: int) -> TitleFeatures:
    """Tokenises abstracts and titles; of an abstract its first ``window`` tokens, as the article cuts it."""
    kind, unknown = id_type(len(tokenizer.vocabulary)), tokenizer.vocabulary.unk_id
    texts = tokenizer.encode_batch([record.text for record in records])
    titles = tokenizer.encode_batch([record.title or "" for record in records])
    targets, letters, ends = [], [], []
    lost: list[Lost] = []
    for number, (record, title) in enumerate(zip(records, titles, strict=True)):
        target = title.ids[title.ids != unknown]  # [t]
        parts = list(pieces(target, tokenizer))
        spell = "".join(parts)
        targets.append(target)
        letters.append([ord(character) for character in spell])
        ends.append(list(accumulate(map(len, parts))))
        if record.title is not None and spell.lower() != record.title.lower():
            lost.append(Lost(number, record.title, spell))
    windows = [(number, len(text.ids)) for number, text in enumerate(texts)]
    return TitleFeatures(
        ids=Ragged.from_rows([text.ids[:window] for text in texts], dtype=kind),
        windows=np.asarray(windows, dtype=np.int32).reshape(-1, 2),  # [n, 2]
        targets=Ragged.from_rows(targets, dtype=kind),
        letters=Ragged.from_rows(letters, dtype=np.int32),
        ends=Ragged.from_rows(ends, dtype=np.int32),
        lost_count=len(lost),
        cut=sum(len(text.ids) > window for text in texts),
        lost=tuple(lost),
    )
