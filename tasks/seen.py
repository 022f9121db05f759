"""Which strings came before, for files of any length: by hash, 16 bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

Row = TypeVar("Row")


def hashes_of(strings: Iterable[str]) -> np.ndarray:
    """8 bytes of BLAKE2b for every string, [k] uint64: among a million, two share one with a chance of 3e-8."""
    return np.fromiter(map(_hash, strings), dtype=np.uint64)  # [k]


def _hash(string: str) -> int:
    return int.from_bytes(hashlib.blake2b(string.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def blocks(rows: Iterable[Row], size: int = 1024) -> Iterator[list[Row]]:
    """Rows in lists of ``size``, the last one shorter."""
    rows = iter(rows)
    while block := list(islice(rows, size)):
        yield block


class Seen:
    """Hashes with the number that each was added with, in sorted pieces, each more than twice as long as the next."""

    def __init__(self) -> None:
        self._pieces: list[tuple[np.ndarray, np.ndarray]] = []  # sorted hashes [k] and their numbers [k]

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """The number that each hash was first added with, -1 for a new one. ``hashes`` [k] uint64; returns [k] int64."""
        numbers = np.full(len(hashes), -1, dtype=np.int64)  # [k]
        for own, their in reversed(self._pieces):  # the oldest last, so that it decides
            places = np.searchsorted(own, hashes).clip(max=len(own) - 1)  # [k]
            numbers = np.where(own[places] == hashes, their[places], numbers)  # [k]
        return numbers

    def add(self, hashes: np.ndarray, numbers: np.ndarray) -> None:
        """Takes in ``hashes`` [k] under ``numbers`` [k]; those that are there already keep theirs."""
        new = self.find(hashes) < 0  # [k]
        own, first = np.unique(hashes[new], return_index=True)  # [m], [m]
        if not len(own):
            return
        self._pieces.append((own, numbers[new][first].astype(np.int64)))
        while len(self._pieces) > 1 and len(self._pieces[-2][0]) <= 2 * len(self._pieces[-1][0]):
            left, right = self._pieces[-2:]
            both, kept = (np.concatenate(pair) for pair in zip(left, right, strict=True))  # [k + m], [k + m]
            order = np.argsort(both, kind="stable")  # [k + m]
            self._pieces[-2:] = [(both[order], kept[order])]

    def repeated(self, strings: Sequence[str], begin: int) -> np.ndarray:
        """Adds strings under the numbers from ``begin`` on; gives of each the number that its like first had, -1 for a new one, [k] int64."""
        hashes = hashes_of(strings)  # [k]
        earlier = self.find(hashes)  # [k]
        _, first, of = np.unique(hashes, return_index=True, return_inverse=True)  # [m], [m], [k]
        here = np.where(first[of] < np.arange(len(hashes)), first[of] + begin, -1)  # [k]
        self.add(hashes, np.arange(begin, begin + len(hashes)))
        return np.where(earlier >= 0, earlier, here)  # [k]
