"""Rows of a generator: `[CLS] source [SEP] target [SEP]` as arrays, with what each may write and copy. Needs numpy only.

Notation: b rows, l tokens, s source tokens, t target tokens of the batch, u tokens that some row may write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.text import Vocabulary

from .generation_words import AnyWords, Codes, Words


@dataclass(frozen=True)
class Target:
    """What a row is to write: ``tokens`` without the end. Not ``whole``: more than ``max_target`` tokens; the rest, and the end, is not taught."""

    tokens: Sequence[int]
    whole: bool = True


def make_rows(
    sources: Sequence[np.ndarray],
    texts: Sequence[np.ndarray],
    codes: Codes | AnyWords,
    vocabulary: Vocabulary,
    targets: Sequence[Target] | None = None,
) -> tuple[dict[str, np.ndarray], Words]:
    """One batch of rows: ``sources`` without [CLS] and the last [SEP], ``texts`` their ends, which may be copied; with ``targets`` labelled.

    ``ids`` and ``segments`` [b, l], ``lengths`` [b], ``words`` [u], ``copied`` [b, s], the word that a token of the source may be copied as,
    -1 for none, and ``writable`` [b, u], left out where every row may write all words; labelled also ``places`` [t], where in the flattened
    rows a target token is foretold, ``labels`` [t], its number in ``words``, and ``owners`` [t], its row.
    """
    words = codes.words_of(texts)
    made = [Target(()) for _ in sources] if targets is None else targets
    written = [0 if targets is None else len(target.tokens) + target.whole for target in made]
    lengths = np.asarray([len(source) + 2 + count for source, count in zip(sources, written, strict=True)], dtype=np.int64)  # [b]
    ids = np.full((len(sources), int(lengths.max(initial=1))), vocabulary.pad_id, dtype=np.int64)  # [b, l]
    segments = np.zeros_like(ids)  # [b, l]
    places: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for row, (source, target, count) in enumerate(zip(sources, made, written, strict=True)):
        begin = len(source) + 2
        ids[row, 0], ids[row, 1 : begin - 1], ids[row, begin - 1] = vocabulary.cls_id, source, vocabulary.sep_id
        if count:
            outputs = [*target.tokens, codes.end][:count]
            ids[row, begin : begin + count] = outputs
            segments[row, begin : begin + count] = 1
            places.append(row * ids.shape[1] + np.arange(begin - 1, begin - 1 + count))
            labels.append(words.numbers(outputs))
    copied = np.full((len(sources), max((len(source) + 2 for source in sources), default=1)), -1, dtype=np.int64)  # [b, s]
    for row, (source, text) in enumerate(zip(sources, words.texts, strict=True)):
        copied[row, 1 + len(source) - len(text) : 1 + len(source)] = text
    batch = {"ids": ids, "segments": segments, "lengths": lengths, "words": words.ids, "copied": copied}
    if words.writable is not None:
        batch["writable"] = words.writable
    if targets is not None:
        none = [np.zeros(0, dtype=np.int64)]
        batch["places"], batch["labels"] = np.concatenate(places or none), np.concatenate(labels or none)  # [t], [t]
        batch["owners"] = np.repeat(np.arange(len(sources)), written)  # [t]
    return batch, words
