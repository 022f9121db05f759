"""WordPiece tokens with the exact characters they came from.

Tokens equal those of BERT's reference tokenizer (cleaning, ideographs apart, NFD and accent stripping with lower-casing, cut at
punctuation, greedy longest match, words over 100 characters to ``[UNK]``) for any text. Special tokens are never added, and
never read from the text either: a text that says "[SEP]" gives ``[``, the word, ``]``.

How it is fast: most characters of Chinese text are a token by themselves. One table from code point to id settles
them all at once; only the runs between them (numbers, Latin words) take the slow way, behind a cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .normalize import CODE_POINTS, ISOLATED, SPACE, character_kinds, decomposable, normalize_character, normalize_run
from .vocabulary import CONTINUATION, Vocabulary

MAX_WORD_CHARACTERS = 100
_SPACE, _RUN = -1, -2
_CACHED_RUNS = 1 << 16
_CACHED_RUN_CHARACTERS = 64
_CHUNK_CHARACTERS = 1 << 16


class Encoding(NamedTuple):
    """The n tokens of one text: ``ids``, and token k came from ``text[starts[k]:ends[k]]``. All int32 ``[n]``, no special tokens.

    Starts and ends count characters of the original text and never decrease. Every character that is neither blank nor control character is
    in exactly one span, with two exceptions: tokens cut out of one original character (a decomposed Hangul syllable) share
    its span, and an accent that follows nothing but blanks and precedes nothing but blanks has no token.
    ``[UNK]`` covers its whole word. A stripped accent belongs to the character before it.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class Tokenizer:
    """A WordPiece tokenizer over ``vocabulary``. ``lower_case`` also strips accents, as the reference does."""

    def __init__(self, vocabulary: Vocabulary, *, lower_case: bool = True):
        self.vocabulary = vocabulary
        self.lower_case = lower_case
        self._table = _character_table(vocabulary, lower_case)
        self._words: dict[str, int] = {}
        self._pieces: dict[str, int] = {}
        for index, token in enumerate(vocabulary):
            if token.startswith(CONTINUATION):
                self._pieces[token[len(CONTINUATION) :]] = index
            self._words[token] = index
        self._longest = max(map(len, vocabulary))
        self._cache: dict[str, _Run] = {}

    def encode(self, text: str) -> Encoding:
        """Tokens of one text."""
        return Encoding(*self._encode(f"\n{text}\n", np.int32(1)))

    def encode_batch(self, texts: Iterable[str]) -> list[Encoding]:
        """Tokens of many texts; each Encoding equals that of :meth:`encode`. Faster: texts are joined and settled together."""
        encodings: list[Encoding] = []
        chunk: list[str] = []
        characters = 0
        for text in texts:
            chunk.append(text)
            characters += len(text) + 1
            if characters >= _CHUNK_CHARACTERS:
                encodings += self._encode_chunk(chunk)
                chunk, characters = [], 0
        if chunk:
            encodings += self._encode_chunk(chunk)
        return encodings

    def tokens(self, text: str) -> list[str]:
        """Tokens of one text as strings."""
        token = self.vocabulary.token
        return [token(index) for index in self.encode(text).ids.tolist()]

    def _encode_chunk(self, texts: Sequence[str]) -> list[Encoding]:
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))  # [texts]
        offsets = np.empty(len(texts) + 1, dtype=np.int64)  # [texts + 1]
        offsets[0] = 1
        np.cumsum(lengths + 1, out=offsets[1:])
        offsets[1:] += 1
        ids, starts, ends = self._encode("\n".join(["", *texts, ""]), np.int32(0))
        bounds = np.searchsorted(starts, offsets)  # [texts + 1]
        shift = np.repeat(offsets[:-1].astype(np.int32), np.diff(bounds))  # [tokens]
        starts -= shift
        ends -= shift
        cuts = bounds.tolist()
        return [Encoding(ids[a:b], starts[a:b], ends[a:b]) for a, b in itertools.pairwise(cuts)]

    def _encode(self, text: str, shift: np.int32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, starts and ends (less ``shift``) of a text that begins and ends with a line feed."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)  # [c]
        codes = self._table[points]  # [c]
        in_run = codes == _RUN  # [c]
        edges = np.flatnonzero(in_run[1:] != in_run[:-1]) + 1  # [2 * runs]
        positions = np.flatnonzero(codes >= 0)  # [alone]
        if not edges.size:
            starts = positions.astype(np.int32) - shift  # [n]
            return codes[positions], starts, starts + np.int32(1)
        firsts = edges[::2]  # [runs]
        runs = [self._run(text[a:b]) for a, b in zip(firsts.tolist(), edges[1::2].tolist(), strict=True)]
        counts = np.fromiter((len(run.ids) for run in runs), dtype=np.int64, count=len(runs))  # [runs]

        # Token number of everything: a character alone takes one place, a run as many as it has pieces, at its first character.
        places = np.zeros(len(codes) + 1, dtype=np.int64)  # [c + 1]
        places[1:] = codes >= 0
        places[firsts + 1] = counts
        np.cumsum(places, out=places)
        total = int(places[-1])
        ids = np.empty(total, dtype=np.int32)  # [n]
        starts = np.empty(total, dtype=np.int32)  # [n]
        ends = np.empty(total, dtype=np.int32)  # [n]
        alone = places[positions]  # [alone]
        ids[alone] = codes[positions]
        starts[alone] = positions
        ends[alone] = positions + 1

        run_ids: list[int] = []
        run_starts: list[int] = []
        run_ends: list[int] = []
        for run in runs:
            run_ids += run.ids
            run_starts += run.starts
            run_ends += run.ends
        before = np.cumsum(counts) - counts  # [runs]
        inside = np.arange(len(run_ids)) - np.repeat(before, counts)  # [pieces]
        target = np.repeat(places[firsts], counts) + inside  # [pieces]
        origin = np.repeat(firsts, counts)  # [pieces]
        ids[target] = run_ids
        starts[target] = np.asarray(run_starts, dtype=np.int64) + origin
        ends[target] = np.asarray(run_ends, dtype=np.int64) + origin

        for first, run in zip(firsts.tolist(), runs, strict=True):
            if run.lead_end:
                place = int(places[first])
                if codes[first - 1] >= 0:
                    ends[place - 1] = first + run.lead_end
                elif run.ids:
                    shared = starts[place : place + len(run.ids)]
                    shared[shared == shared[0]] = first + run.lead_start
        starts -= shift
        ends -= shift
        return ids, starts, ends

    def _run(self, run: str) -> _Run:
        found = self._cache.get(run)
        if found is None:
            found = self._encode_run(run)
            if len(run) <= _CACHED_RUN_CHARACTERS:
                if len(self._cache) >= _CACHED_RUNS:
                    self._cache.clear()
                self._cache[run] = found
        return found

    def _encode_run(self, run: str) -> _Run:
        word, starts, ends, lead_start, lead_end = normalize_run(run, lower_case=self.lower_case)
        if not word:
            return _Run((), (), (), lead_start, lead_end)
        cuts = self._cut(word)
        if cuts is None:
            return _Run((self.vocabulary.unk_id,), (starts[0],), (ends[-1],), lead_start, lead_end)
        first = [0, *(stop for _, stop in cuts[:-1])]
        return _Run(
            tuple(index for index, _ in cuts),
            tuple(starts[a] for a in first),
            tuple(ends[stop - 1] for _, stop in cuts),
            lead_start,
            lead_end,
        )

    def _cut(self, word: str) -> list[tuple[int, int]] | None:
        """Greedy longest match: (id, end) of every piece, or None if the word is unknown."""
        if len(word) > MAX_WORD_CHARACTERS:
            return None
        pieces: list[tuple[int, int]] = []
        begin, known = 0, self._words
        while begin < len(word):
            for stop in range(min(len(word), begin + self._longest), begin, -1):
                index = known.get(word[begin:stop])
                if index is not None:
                    break
            else:
                return None
            pieces.append((index, stop))
            begin, known = stop, self._pieces
        return pieces


class _Run(NamedTuple):
    """The pieces of one run, positions counted from its first character; ``lead_*`` as in NormalRun."""

    ids: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    lead_start: int
    lead_end: int


def _character_table(vocabulary: Vocabulary, lower_case: bool) -> np.ndarray:
    """int32 ``[0x110000]``: the id of a character that is a token by itself, else ``_SPACE`` or ``_RUN``."""
    kinds = character_kinds(lower_case=lower_case)  # [code points]
    table = np.full(CODE_POINTS, _RUN, dtype=np.int32)  # [code points]
    table[kinds == SPACE] = _SPACE
    isolated = kinds == ISOLATED  # [code points]
    table[isolated] = vocabulary.unk_id
    for index, token in enumerate(vocabulary):
        if len(token) == 1 and isolated[ord(token)]:
            table[ord(token)] = index
    if lower_case:
        for code in filter(isolated.item, decomposable()):
            table[code] = vocabulary.get(normalize_character(chr(code)), vocabulary.unk_id)
    table.setflags(write=False)
    return table
