"""Which tokens an output is written in: names spelled in tokens of their own, two separators, and the tokens of the text.

An output may hold the tokens of its own source and those that every output may hold, the structure's: the end, two separators, and what the
schema's names are spelled with. The softmax goes over these alone, in training as in decoding: a constrained decoder can write no others, so
that a model need not learn that they are wrong, and the scores of a thousand tokens cost a twentieth of those of 21 thousand. What is not found in
its source but put in words of its own (a title) may hold any token of the vocabulary: :class:`AnyWords` in place of :class:`Codes`.

Notation: b texts, s structure tokens, u tokens that some text of a batch may write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from shared.errors import input_error
from shared.text import Vocabulary


class Codes:
    """Tokens of the structure.

    ``end`` ends an output, ``field`` and ``group`` separate its parts; no text and no name holds one of them. ``names``: the tokens of every
    name, different for different names. ``words`` [s] int64: all of these, each once; ``end``, ``field`` and ``group`` first.
    """

    def __init__(self, end: int, field: int, group: int, names: Iterable[Sequence[int]]):
        self.end, self.field, self.group = end, field, group
        self.names = tuple(tuple(name) for name in names)
        spelled = sorted({token for name in self.names for token in name})
        self.words = np.asarray([end, field, group, *spelled], dtype=np.int64)  # [s]
        self.number_of = {name: number for number, name in enumerate(self.names)}
        places = {token: place for place, token in enumerate(self.words.tolist())}
        self.local_names = tuple(tuple(places[token] for token in name) for name in self.names)
        """``names`` in places of ``words``."""

    def words_of(self, texts: Sequence[np.ndarray]) -> Words:
        """What the texts of a batch may write."""
        return Words(self, texts)

    @classmethod
    def of_vocabulary(cls, names: Sequence[str], vocabulary: Vocabulary) -> Codes:
        """Names in the characters of a vocabulary; those that it cannot tell apart (all of unknown characters, say) get a number behind them.

        Separators are the first two reserved tokens `[unusedN]`, or else [MASK] and [CLS], which no tokenizer reads from a text.
        Raises InputError for a vocabulary that has neither.
        """
        reserved = [index for index, token in enumerate(vocabulary) if token.startswith("[unused") and token.endswith("]")][:2]
        if len(reserved) < 2 and vocabulary.mask_id is not None:
            reserved = [vocabulary.mask_id, vocabulary.cls_id]
        if len(reserved) < 2:
            raise input_error(
                "LIC-E003",
                found=f"a vocabulary of {len(vocabulary)} tokens without [MASK] and without two tokens [unusedN]",
                expected="two tokens that no text holds, to separate the parts of an output",
                remedy="Take an encoder with such a vocabulary, or a model that is not generate.",
            )
        plain = [index for index, token in enumerate(vocabulary) if len(token) == 1][:64]

        def spell(character: str) -> int:
            index = vocabulary.get(character, vocabulary.get(character.lower()))
            return vocabulary.unk_id if index is None else index

        return cls(vocabulary.sep_id, reserved[0], reserved[1], _told_apart(names, spell, plain or [vocabulary.unk_id]))

    @classmethod
    def beside(cls, names: Sequence[str], tokens: int) -> Codes:
        """Codes in numbers from ``tokens`` on: of a vocabulary that nobody knows but for its token ids, all below ``tokens``."""
        characters = {character: tokens + 3 + place for place, character in enumerate(sorted({c for name in names for c in spelled(name)}))}
        plain = sorted(characters.values()) or [tokens + 3]
        return cls(tokens, tokens + 1, tokens + 2, _told_apart(names, characters.__getitem__, plain))


def spelled(name: str) -> str:
    """The characters that stand for a name, a token each: all but blanks."""
    return "".join(name.split())


def _told_apart(names: Sequence[str], spell: Callable[[str], int], plain: Sequence[int]) -> list[tuple[int, ...]]:
    """The tokens of every name; of equal ones all but the first get a number behind them, in digits of ``plain``."""
    taken: set[tuple[int, ...]] = set()
    numbers: dict[tuple[int, ...], int] = {}
    found = []
    for name in names:
        made = code = tuple(spell(character) for character in spelled(name))
        while not made or made in taken:
            numbers[code] = numbers.get(code, -1) + 1
            made = (*code, *_digits(numbers[code], plain))
        taken.add(made)
        found.append(made)
    return found


def _digits(number: int, plain: Sequence[int]) -> tuple[int, ...]:
    if len(plain) == 1:
        return (plain[0],) * (number + 1)
    digits = [plain[number % len(plain)]]
    while number >= len(plain):
        number //= len(plain)
        digits.append(plain[number % len(plain)])
    return tuple(digits)


class Words:
    """The tokens that the texts of a batch may write, numbered: those of the structure first, then those of the texts.

    ``ids`` [u] int64: the token of every number; ``texts``: every text in these numbers; ``writable`` [b, u]: which of them its row may write.
    """

    ids: np.ndarray
    texts: list[np.ndarray]
    writable: np.ndarray

    def __init__(self, codes: Codes, texts: Sequence[np.ndarray]):
        everything = np.unique(np.concatenate([np.asarray(text, dtype=np.int64) for text in texts])) if texts else codes.words[:0]  # [n]
        self.ids = np.concatenate([codes.words, np.setdiff1d(everything, codes.words)])  # [u]
        self._table = np.zeros(int(self.ids.max()) + 1, dtype=np.int64)  # [tokens]
        self._table[self.ids] = np.arange(len(self.ids))
        self.texts = [self._table[np.asarray(text, dtype=np.int64)] for text in texts]
        self.writable = np.zeros((len(texts), len(self.ids)), dtype=np.bool_)  # [b, u]
        self.writable[:, : len(codes.words)] = True
        for row, text in zip(self.writable, self.texts, strict=True):
            row[text] = True

    def numbers(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """Tokens [n] as numbers [n]."""
        found: np.ndarray = self._table[np.asarray(tokens, dtype=np.int64)]  # [n]
        return found

    def tokens(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Numbers as tokens."""
        return tuple(self.ids[np.asarray(numbers, dtype=np.int64)].tolist())


class AnyWords:
    """In place of :class:`Codes` for outputs of any ``tokens``: there is no structure but the ``end``."""

    def __init__(self, end: int, tokens: Iterable[int]):
        self.end = end
        self.words = np.asarray([end, *sorted({*tokens} - {end})], dtype=np.int64)  # [u]

    @classmethod
    def of_vocabulary(cls, vocabulary: Vocabulary) -> AnyWords:
        """All tokens of a vocabulary that a text is made of: none that is special or reserved (`[unusedN]`)."""
        special = {vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id}
        reserved = {index for index, token in enumerate(vocabulary) if token.startswith("[unused") and token.endswith("]")}
        return cls(vocabulary.sep_id, {*range(len(vocabulary))} - special - reserved)

    def words_of(self, texts: Sequence[np.ndarray]) -> WholeVocabulary:
        """What the texts of a batch may write: everything."""
        return WholeVocabulary(self, texts)


class WholeVocabulary(Words):
    """The same for :class:`AnyWords`: the end, then the tokens of the texts, then all others.

    ``texts`` has -1 for a token that may not be written; ``writable`` is None, as every row may write every word.
    """

    writable: None  # type: ignore[assignment]

    def __init__(self, words: AnyWords, texts: Sequence[np.ndarray]):
        known = np.zeros(1 + max(int(text.max(initial=0)) for text in (words.words, *texts)), dtype=np.bool_)  # [tokens]
        known[words.words] = True
        here = np.zeros_like(known)  # [tokens]
        for text in texts:
            here[np.asarray(text, dtype=np.int64)] = True
        others = words.words[1:]  # [u - 1]
        self.ids = np.concatenate([words.words[:1], others[here[others]], others[~here[others]]])  # [u]
        self._table = np.full(len(known), -1, dtype=np.int64)  # [tokens]
        self._table[self.ids] = np.arange(len(self.ids))
        self.texts = [self._table[np.asarray(text, dtype=np.int64)] for text in texts]
        self.writable = None
