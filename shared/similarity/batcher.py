"""Batches of pairs with one meaning, for the joint step of SimBERT (kexue.fm article 7427).

A batch holds a pair as two neighbouring rows, (a, b) and (b, a), and takes every other row of the batch for another meaning. So it
must not hold one text twice: see :class:`PairBatcher`.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..features.batches import pad
from ..features.ragged import Ragged
from ..text.cutting import cut_at_punctuation
from ..text.tokenizer import Tokenizer

_LOOK_AHEAD = 8
"""Batches' worth of pairs that are tried for a place in a batch before it is closed with fewer."""

Text = TypeVar("Text", bound=Hashable)

_log = logging.getLogger(__name__)


class PairBatch(NamedTuple):
    """``ids`` and ``segment_ids`` [2n, l] int64: rows 2i ``[CLS] a [SEP] b [SEP]`` and 2i + 1 ``[CLS] b [SEP] a [SEP]`` of pair i,
    segment 1 from the target's first token to its ``[SEP]``, padded on the right. ``groups`` [n]: the number of each pair's group."""

    ids: np.ndarray
    segment_ids: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class PairCounts:
    """What became of the groups. ``used`` groups give a pair every epoch; ``single`` have fewer than two different texts and give none.

    ``repeated`` texts equal another one of their group once they are cut and tokenized, ``empty`` ones have no token: both are left out.
    ``shortened`` texts are cut to the length of a sentence, ``in_several`` texts stand in more than one used group.
    """

    used: int
    single: int
    repeated: int
    empty: int
    shortened: int
    in_several: int


class PairBatcher:
    """Batches of ``batch_rows`` rows from groups of texts with one meaning, the same for the same groups, seed and epoch.

    A group is ``{"text": ..., "synonyms": [...]}`` or a sequence of texts, such as a pair. In every epoch each group gives one pair: its
    texts shuffled, the first two taken. A text is cut at punctuation to ``max_length`` - 2 characters, its first piece is taken, and
    that is cut to as many tokens.

    Against false negatives: texts that equal each other after tokenizing count once in a group, so that a pair is two different texts; and
    a pair waits for a later batch as long as one of its texts belongs to a group of this batch, or its group holds a text of
    this batch. A batch can therefore be smaller than asked for. A last batch of one pair has no other meaning in it and is left
    out: ``left_out(epoch)`` counts it.

    Raises ValueError for sizes that make no batch, for a malformed group, where fewer than two groups have two different texts, and
    where an epoch has no two pairs that can stand side by side.
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any] | Sequence[str]],
        tokenizer: Tokenizer,
        *,
        batch_rows: int = 128,
        max_length: int = 32,
        seed: int = 0,
    ):
        if batch_rows < 4 or batch_rows % 2:
            raise ValueError(f"batch_rows must be even and at least 4, two rows a pair and two pairs to tell apart, found {batch_rows}")
        if max_length < 3:
            raise ValueError(f"max_length must be at least 3, which is [CLS], a token and [SEP], found {max_length}: give e.g. 32")
        self.tokenizer, self.batch_rows, self.max_length, self.seed = tokenizer, batch_rows, max_length, seed
        self.texts, self._members, self._numbers, self.counts = _read(groups, tokenizer, max_length - 2)
        if self.counts.used < 2:
            raise ValueError(
                f"{self.counts.used} of {self.counts.used + self.counts.single} groups have two different texts: "
                "give at least two groups, so that a batch holds two meanings"
            )
        if self.counts.single or self.counts.empty:
            _log.warning(
                "%d groups with fewer than two different texts and %d empty texts are left out", self.counts.single, self.counts.empty
            )
        self._planned: tuple[int, tuple[list[np.ndarray], int]] = (0, self._make_plan(0))

    def steps(self, epoch: int) -> int:
        """Batches of an epoch, from 0."""
        return len(self._plan(epoch)[0])

    def left_out(self, epoch: int) -> int:
        """Pairs of an epoch that no batch takes."""
        return self._plan(epoch)[1]

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[PairBatch]:
        """The batches of an epoch in order, from number ``start`` on."""
        for pairs in self._plan(epoch)[0][start:]:
            yield self._batch(pairs)

    def stream(self, step: int = 0) -> Iterator[PairBatch]:
        """Batches without end, epoch after epoch. To resume, give the number of steps already made."""
        epoch = 0
        while step >= self.steps(epoch):
            step -= self.steps(epoch)
            epoch += 1
        while True:
            yield from self.batches(epoch, start=step)
            epoch, step = epoch + 1, 0

    def _plan(self, epoch: int) -> tuple[list[np.ndarray], int]:
        if epoch < 0:
            raise ValueError(f"epochs count from 0, found {epoch}")
        if self._planned[0] != epoch:
            self._planned = (epoch, self._make_plan(epoch))
        return self._planned[1]

    def _make_plan(self, epoch: int) -> tuple[list[np.ndarray], int]:
        """Every batch as rows (place of the group, first text, second text): [n, 3]. And how many pairs found no place."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self._members))  # [groups]
        sizes = self._members.lengths[order]  # [groups]
        first = generator.integers(0, sizes)  # [groups]
        second = generator.integers(0, sizes - 1)  # [groups]
        second += second >= first
        offsets = self._members.offsets[order]  # [groups]
        chosen = np.stack([order, self._members.values[offsets + first], self._members.values[offsets + second]], axis=1)  # [groups, 3]
        waiting = collections.deque(chosen.tolist())
        size = self.batch_rows // 2
        batches: list[np.ndarray] = []
        left_out = 0
        while waiting:
            batch, later = self._fill(waiting, size)
            waiting.extendleft(reversed(later))
            if len(batch) > 1:
                batches.append(np.asarray(batch))  # [n, 3]
            else:
                left_out += 1
        if not batches:
            raise ValueError(
                f"the {len(self._members)} groups share so many texts that epoch {epoch} has no two pairs to put side by side: "
                "make one group of those that share a text (group_pairs)"
            )
        return batches, left_out

    def _fill(self, waiting: collections.deque, size: int) -> tuple[list[list[int]], list[list[int]]]:
        batch: list[list[int]] = []
        later: list[list[int]] = []
        taken: set[int] = set()
        kin: set[int] = set()
        while waiting and len(batch) < size and len(later) < _LOOK_AHEAD * size:
            pair = waiting.popleft()
            place, first, second = pair
            members = self._members[place].tolist()
            if first in kin or second in kin or not taken.isdisjoint(members):
                later.append(pair)
            else:
                batch.append(pair)
                taken.update((first, second))
                kin.update(members)
        return batch, later

    def _batch(self, pairs: np.ndarray) -> PairBatch:
        vocabulary = self.tokenizer.vocabulary
        cls, sep = [vocabulary.cls_id], [vocabulary.sep_id]
        rows: list[np.ndarray] = []
        segments: list[np.ndarray] = []
        for _, first, second in pairs.tolist():
            for source, target in ((first, second), (second, first)):
                a, b = self.texts[source], self.texts[target]  # [a], [b]
                rows.append(np.concatenate([cls, a, sep, b, sep]))
                segments.append(np.repeat([0, 1], [len(a) + 2, len(b) + 1]))
        return PairBatch(pad(rows, value=vocabulary.pad_id), pad(segments), self._numbers[pairs[:, 0]])


def group_pairs(pairs: Iterable[tuple[Text, Text]]) -> list[list[Text]]:
    """Pairs of one meaning as groups: pairs that share a text come together, directly or through others. Texts are strings, or what stands for them.

    Groups and their texts stand in the order of first appearance. In noisy data such chains grow long; look at the longest group.
    """
    parent: dict[Text, Text] = {}

    def root(text: Text) -> Text:
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for first, second in pairs:
        parent.setdefault(first, first)
        parent.setdefault(second, second)
        parent[root(second)] = root(first)
    groups: dict[Text, list[Text]] = {}
    for text in parent:
        groups.setdefault(root(text), []).append(text)
    return list(groups.values())


def _read(
    groups: Iterable[Mapping[str, Any] | Sequence[str]], tokenizer: Tokenizer, longest: int
) -> tuple[Ragged, Ragged, np.ndarray, PairCounts]:
    """Different texts as ids; the texts of every used group; the numbers of these groups; what was counted."""
    listed = [_texts(group, number) for number, group in enumerate(groups)]
    whole = list(dict.fromkeys(text for texts in listed for text in texts))
    pieces = [cut_at_punctuation(text, longest) for text in whole]
    encodings = tokenizer.encode_batch(cut[0] if cut else "" for cut in pieces)
    numbers: dict[bytes, int] = {}
    number_of: dict[str, int] = {}
    rows: list[np.ndarray] = []
    shortened = 0
    for text, cut, encoding in zip(whole, pieces, encodings, strict=True):
        ids = encoding.ids[:longest]  # [n]
        shortened += len(cut) > 1 or len(ids) < len(encoding.ids)
        if len(ids):
            number_of[text] = numbers.setdefault(ids.tobytes(), len(rows))
            if number_of[text] == len(rows):
                rows.append(ids)
    members: list[list[int]] = []
    used: list[int] = []
    repeated = empty = 0
    for number, texts in enumerate(listed):
        found = [number_of[text] for text in texts if text in number_of]
        different = list(dict.fromkeys(found))
        empty += len(texts) - len(found)
        repeated += len(found) - len(different)
        if len(different) > 1:
            members.append(different)
            used.append(number)
    several = sum(count > 1 for count in collections.Counter(text for texts in members for text in texts).values())
    counts = PairCounts(len(used), len(listed) - len(used), repeated, empty, shortened, several)
    return Ragged.from_rows(rows, dtype=np.int32), Ragged.from_rows(members, dtype=np.int64), np.asarray(used, dtype=np.int64), counts


def _texts(group: Mapping[str, Any] | Sequence[str], number: int) -> list[str]:
    if isinstance(group, Mapping):
        if not isinstance(group.get("synonyms"), Sequence) or isinstance(group["synonyms"], str) or "text" not in group:
            raise ValueError(f"group {number} has the keys {sorted(map(str, group))}: give a 'text' and a list of 'synonyms'")
        texts = [group["text"], *group["synonyms"]]
    else:
        texts = [group] if isinstance(group, str) else list(group)
    if isinstance(group, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"group {number} is {str(group)[:60]!r}: give texts, such as ('how far is it', 'what is the distance')")
    return texts
