"""Passages as windows of tokens, kept on disk: made a part at a time, so that memory does not grow with the text.

Notation: w windows, n tokens of a passage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.features.parts import join_parts
from shared.features.ragged import Ragged, id_type, load_arrays, write_arrays
from shared.text import Tokenizer

VERSION = 1
"""Raised whenever the arrays below change; part of the cache key."""

INSIDE, BEGINS, NEVER = 0, 1, 2
"""Of a token: it goes on with the unit that is masked together, begins one, or is a separator, which is never masked."""

_PASSAGES, _TOKENS = 2000, 1 << 20
"""Passages that are tokenised at once, and tokens of a part on disk."""


@dataclass(frozen=True)
class PretrainingFeatures:
    """``ids``: tokens of each window without the outer [CLS] and [SEP], Ragged [w]. ``units``: INSIDE, BEGINS or NEVER of each, Ragged uint8 [w].

    ``held_out`` [w] uint8: 1 for windows to evaluate on. ``counts``: ``passages``, ``held_passages``; left out ``without_token``, ``bad_lines``.
    """

    ids: Ragged
    units: Ragged
    held_out: np.ndarray
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window with its [CLS] and [SEP], [w]."""
        return self.ids.lengths + 2

    @classmethod
    def load(cls, folder: Path) -> PretrainingFeatures:
        """From disk, memory-mapped. Raises InputError for a damaged folder."""
        arrays, meta = load_arrays(folder)
        return cls(**arrays, counts=dict(meta))


def is_held_out(text: str, share: float) -> bool:
    """Whether a text belongs to the held-out ``share``; the text alone decides, so that equal ones stay together."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") < share * 2.0**64


class _Packer:
    """Cuts passages into windows: as one stream with separators between them, or each by itself."""

    def __init__(self, window: int, separator: int | None):
        self.window, self.separator = window, separator
        self._ids: list[int] = []
        self._units: list[int] = []

    def add(self, ids: np.ndarray, units: np.ndarray) -> list[tuple[list[int], list[int]]]:
        """The windows that are full with this passage (without a separator: all of it)."""
        if self._ids and self.separator is not None:
            self._ids.append(self.separator)
            self._units.append(NEVER)
        self._ids += ids.tolist()
        self._units += units.tolist()
        return self._take(1 if self.separator is None else self.window)

    def rest(self) -> list[tuple[list[int], list[int]]]:
        """What is left at the end."""
        return self._take(1)

    def _take(self, least: int) -> list[tuple[list[int], list[int]]]:
        taken = []
        while len(self._ids) >= least:
            ids, units = self._ids[: self.window], self._units[: self.window]
            self._ids, self._units = self._ids[self.window :], self._units[self.window :]
            if units[0] == INSIDE:
                units[0] = BEGINS
            if any(unit != NEVER for unit in units):
                taken.append((ids, units))
        return taken


class _Parts:
    """Windows gathered into feature folders one after the other."""

    def __init__(self, folder: Path, size: int):
        self.folder, self.kind = folder, id_type(size)
        self.made: list[Path] = []
        self._rows: list[tuple[list[int], list[int], int]] = []
        self._tokens = 0

    def add(self, windows: list[tuple[list[int], list[int]]], held: bool) -> None:
        self._rows += [(ids, units, int(held)) for ids, units in windows]
        self._tokens += sum(len(ids) for ids, _ in windows)
        if self._tokens >= _TOKENS:
            self.write()

    def write(self) -> None:
        if not self._rows:
            return
        place = self.folder / str(len(self.made))
        place.mkdir(parents=True)
        arrays: dict[str, Ragged | np.ndarray] = {
            "ids": Ragged.from_rows([ids for ids, _, _ in self._rows], dtype=self.kind),
            "units": Ragged.from_rows([units for _, units, _ in self._rows], dtype=np.uint8),
            "held_out": np.asarray([held for _, _, held in self._rows], dtype=np.uint8),  # [w of the part]
        }
        write_arrays(place, arrays, {}, durable=False)
        self.made.append(place)
        self._rows, self._tokens = [], 0


def make_features(
    passages: Iterable[str],
    tokenizer: Tokenizer,
    target: Path,
    parts: Path,
    *,
    window: int,
    pack: bool,
    held_out: float,
    words: Callable[[str], np.ndarray] | None = None,
    bad_lines: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Writes the features of ``passages`` into the empty folder ``target`` and returns their counts; without a window ``target`` stays empty.

    ``words`` gives where the words of a text begin, [words]; without it every token is a unit. A passage that is longer than a window goes on in
    the next one, without overlap. ``parts``: a folder for what is not joined yet. ``progress`` is told how many passages are done.
    """
    packers = {held: _Packer(window, tokenizer.vocabulary.sep_id if pack else None) for held in (False, True)}
    made = _Parts(parts, len(tokenizer.vocabulary))
    counts = {"passages": 0, "held_passages": 0, "without_token": 0, "bad_lines": bad_lines}
    done = 0

    def add(texts: list[str]) -> None:
        for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
            if not len(encoding.ids):
                counts["without_token"] += 1
                continue
            held = is_held_out(text, held_out)
            counts["held_passages" if held else "passages"] += 1
            made.add(packers[held].add(encoding.ids, _units(text, encoding.starts, words)), held)

    chunk: list[str] = []
    for text in passages:
        chunk.append(text)
        if len(chunk) == _PASSAGES:
            add(chunk)
            done, chunk = done + len(chunk), []
            if progress is not None:
                progress(done)
    add(chunk)
    for held, packer in packers.items():
        made.add(packer.rest(), held)
    made.write()
    if made.made:
        join_parts(made.made, target, counts)
    return counts


def _units(text: str, starts: np.ndarray, words: Callable[[str], np.ndarray] | None) -> np.ndarray:
    """BEGINS or INSIDE of every token, [n]. ``starts`` [n]: its first character."""
    if words is None:
        return np.full(len(starts), BEGINS, dtype=np.uint8)  # [n]
    word = np.searchsorted(words(text), starts, side="right")  # [n]
    begins = np.ones(len(starts), dtype=np.uint8)  # [n]
    begins[1:] = word[1:] != word[:-1]
    return begins * np.uint8(BEGINS)  # [n]
