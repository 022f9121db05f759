"""What a training step of the span model takes of a question: windows or pieces of them, the places of its answers, and other words for it.

A piece is a part of a window, as (window, begin, end): tokens ``begin`` to ``end`` - 1 of the passage, see
:meth:`tasks.reading.features.ReadingFeatures.windows_of`; a whole window is one too. Spans are (first, last) in tokens of the passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from shared.features.batches import pad
from shared.text import Vocabulary

from ..features import ReadingFeatures

Piece = tuple[int, int, int]
Span = tuple[int, int]
Place = tuple[tuple[int, int, int], tuple[int, int, int]]
"""(row, position, 0) of an answer's first and (row, position, 1) of its last token: where they are in the logits"""


def mark_asked(question: np.ndarray, words: np.ndarray) -> np.ndarray:
    """1 where the question has the token too, 2 where it has it together with a neighbour, else 0; [c].

    The word-in-question feature of FastQA (arXiv 1703.04816), with pairs, since a Chinese token is a character and most words have two.
    """
    same = question[:, None] == words[None, :]  # [q, c]
    found: np.ndarray = same.any(axis=0).astype(np.int64)  # [c]
    at = np.flatnonzero((same[:-1, :-1] & same[1:, 1:]).any(axis=0))
    found[at] = found[at + 1] = 2
    return found


def holds(piece: Piece, span: Span) -> bool:
    return piece[1] <= span[0] and span[1] < piece[2]


def places_of(own: Sequence[Piece], spans: Sequence[Span], at: int, *, before: int) -> list[Place]:
    """Where the logits of the first and of the last token of ``spans`` are, for spans that one of the pieces holds whole.

    ``at``: the first piece's row in the batch; ``before``: tokens of an input before those of the passage. Of two pieces that see a token,
    each gives a place: the product of two sums is the sum of all products.
    """
    found: list[Place] = []
    for span in spans:
        if any(holds(piece, span) for piece in own):
            firsts, lasts = (
                [(at + k, before + token - begin, side) for k, (_, begin, end) in enumerate(own) if begin <= token < end]
                for side, token in enumerate(span)
            )
            found += product(firsts, lasts)
    return found


def no_answer_places(count: int, at: int) -> list[Place]:
    """[CLS] of every row from ``at`` on, ``count`` of them, first and last: where the answer is when there is none."""
    rows = range(at, at + count)
    return [((first, 0, 0), (last, 0, 1)) for first, last in product(rows, rows)]


def sampled(own: Sequence[Piece], spans: Sequence[Span], count: int, draws: Sequence[float]) -> list[Piece]:
    """``count`` of the pieces ``own``, in order, one that holds one of ``spans`` whole (if any does) among them.

    ``draws``: numbers in [0, 1), one and one more for each piece.
    """
    answering = [k for k, piece in enumerate(own) if any(holds(piece, span) for span in spans)]
    chosen = [answering[int(draws[0] * len(answering))]] if answering else []
    rest = sorted((k for k in range(len(own)) if k not in chosen), key=lambda k: draws[1 + k])
    return [own[k] for k in sorted(chosen + rest[: count - len(chosen)])]


def cropped(piece: Piece, spans: Sequence[Span], size: int, draws: Sequence[float]) -> Piece:
    """``size`` tokens of a longer piece, around one of the ``spans`` that it holds (at any distance from the borders), else anywhere.

    ``draws``: two numbers in [0, 1), for the span and for the place. Each of ``spans`` has at most ``size`` tokens.
    """
    number, begin, end = piece
    if end - begin <= size:
        return piece
    held = [span for span in spans if holds(piece, span)]
    low, high = begin, end - size
    if held:
        first, last = held[int(draws[0] * len(held))]
        low, high = max(low, last + 1 - size), min(high, first)
    start = low + int(draws[1] * (high - low + 1))
    return number, start, start + size


def croppable(features: ReadingFeatures, size: int) -> np.ndarray:
    """Questions whose pieces may be cut to ``size`` tokens, [n]: all but those that have answers, each longer than that."""
    counts = features.answers.lengths  # [n]
    values = np.asarray(features.answers.values)  # [all answers, 3]
    fits = (values[:, 2] - values[:, 1] < size).astype(np.int64)  # [all answers]
    before = np.concatenate([[0], np.cumsum(fits)])  # [all answers + 1]
    offsets = np.asarray(features.answers.offsets)  # [n + 1]
    allowed: np.ndarray = (counts == 0) | (before[offsets[1:]] > before[offsets[:-1]])  # [n]
    return allowed


def index_rows(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of indices padded with 0, and where they are real: [u, longest] int64 and bool."""
    index = pad([np.asarray(row) for row in rows])  # [u, longest]
    return index, np.arange(index.shape[1]) < np.asarray([len(row) for row in rows])[:, None]  # [u, longest], [u, longest]


def aligned(passage: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For every place of rows with ``passage`` [b, l] tokens, where the same token is in rows with ``other`` [b, l']: [b, l]; 0 elsewhere.

    Both masks are one run a row, of the same length: the same piece behind another question.
    """
    shift = other.argmax(axis=1) - passage.argmax(axis=1)  # [b]
    found: np.ndarray = np.where(passage, np.arange(passage.shape[1]) + shift[:, None], 0)  # [b, l]
    return found


def open_places(passage: np.ndarray, *, no_answer: bool) -> np.ndarray:
    """Where an answer may begin and end, [b, l]: at the ``passage``, and at [CLS] where the model knows questions without an answer."""
    return passage | (np.arange(passage.shape[1]) == 0) if no_answer else passage  # [b, l]


def inputs_of(
    features: ReadingFeatures, pieces: Sequence[Piece], asked: Sequence[np.ndarray], vocabulary: Vocabulary, *, mark: bool
) -> dict[str, np.ndarray]:
    """What the encoder reads of ``pieces`` of windows, each with the question ``asked``: ``ids``, ``segments``, ``passage`` [b, l], ``numbers`` [b],
    and with ``mark`` which tokens the question has, ``asked`` [b, l]."""
    passages = []
    for number, begin, end in pieces:
        first = int(features.windows[number, 1])
        passages.append(features.ids[number][begin - first : end - first])
    longest = max((len(question) + len(words) + 3 for question, words in zip(asked, passages, strict=True)), default=3)
    ids = np.full((len(pieces), longest), vocabulary.pad_id, dtype=np.int64)  # [b, l]
    segments, marks, passage = np.zeros_like(ids), np.zeros_like(ids), np.zeros(ids.shape, dtype=np.bool_)  # [b, l] each
    for row, (question, words) in enumerate(zip(asked, passages, strict=True)):
        begin, end = len(question) + 2, len(question) + 2 + len(words)
        ids[row, 0] = vocabulary.cls_id
        ids[row, 1 : begin - 1], ids[row, begin:end] = question, words
        ids[row, [begin - 1, end]] = vocabulary.sep_id
        segments[row, begin : end + 1] = 1
        passage[row, begin:end] = True
        if mark:
            marks[row, begin:end] = mark_asked(question, words)
    numbers = np.asarray([number for number, _, _ in pieces], dtype=np.int64)  # [b]
    batch = {"ids": ids, "segments": segments, "passage": passage, "numbers": numbers}  # [b, l] each, [b]
    return {**batch, "asked": marks} if mark else batch  # [b, l]
