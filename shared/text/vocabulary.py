"""A WordPiece vocabulary: the ``vocab.txt`` of BERT-family models (one token a line, the line number is the id), or one built from data."""

from __future__ import annotations

import collections
import functools
import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError, Problem, input_error
from ..files import atomic_write
from .normalize import CODE_POINTS, ISOLATED, SPACE, character_kinds, normalize_character, normalize_run

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
CONTINUATION = "##"
_REQUIRED = (PAD, UNK, CLS, SEP)
_LONGEST_PIECE = 8
_COUNTED_CHARACTERS = 1 << 16
_MOST_WORDS = 1 << 16
_BOM = b"\xef\xbb\xbf"


class Vocabulary:
    """Tokens and their ids. Immutable; make one with :meth:`from_file`, :meth:`from_tokens` or :meth:`build`.

    ``pad_id``, ``unk_id``, ``cls_id`` and ``sep_id`` always exist; ``mask_id`` is None where there is no ``[MASK]``.
    """

    def __init__(self, tokens: Sequence[str]):
        self._tokens = tuple(tokens)
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        missing = [token for token in _REQUIRED if token not in self._ids]
        if missing:
            raise ValueError(
                f"a vocabulary of {len(self._tokens)} tokens has no {', '.join(missing)}; add {'it' if len(missing) == 1 else 'them'}"
            )
        if len(self._ids) < len(self._tokens):
            twice = next(token for token, count in collections.Counter(self._tokens).items() if count > 1)
            places = [index for index, token in enumerate(self._tokens) if token == twice]
            raise ValueError(f"token {twice!r} stands at ids {places}; a token has one id, so remove all but one")
        bad = next((index for index, token in enumerate(self._tokens) if not token or "\n" in token or "\r" in token), None)
        if bad is not None:
            raise ValueError(f"token {bad} is {self._tokens[bad]!r}; a token is one non-empty line, so remove it or its line break")
        self.pad_id, self.unk_id, self.cls_id, self.sep_id = (self._ids[token] for token in _REQUIRED)
        self.mask_id: int | None = self._ids.get(MASK)

    @classmethod
    def from_tokens(cls, tokens: Iterable[str]) -> Vocabulary:
        """From tokens in id order. Raises ValueError for a missing special token, a duplicate, or a token that is no line."""
        return cls(list(tokens))

    @classmethod
    def from_file(cls, path: str | Path) -> Vocabulary:
        """Reads ``vocab.txt``. Raises :class:`InputError` with every problem: codes LIC-V001 to LIC-V007, with the line.

        Lines end at a line feed only: published vocabularies hold tokens such as U+2028 that other readers take for line ends.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise input_error(
                "LIC-V001",
                file=path,
                found=f"no readable file ({error.strerror})",
                expected="a vocabulary, one token a line",
                remedy="Give the path of the vocab.txt that belongs to the model's weights.",
            ) from error
        tokens, problems = _parse(data, str(path))
        if problems:
            raise InputError(*problems)
        return cls(tokens)

    @classmethod
    def build(cls, texts: Iterable[str], *, max_size: int, min_count: int = 1, lower_case: bool = True) -> Vocabulary:
        """A vocabulary from data, at most ``max_size`` tokens, the same for the same texts in any order.

        First the five special tokens; then every character of the normalised texts, most frequent first, by itself and (unless it always
        stands alone, as ideographs and punctuation do) as ``##`` piece, so that no word of known characters becomes ``[UNK]``; then, while
        there is room, whole words and ``##`` pieces of at least two words, those first that save most tokens; of more than 65,536 different
        words the most frequent ones. What occurs less than ``min_count`` times is left out. Memory holds the different words, not the texts.
        Raises ValueError if not even the special tokens fit.
        """
        specials = [PAD, UNK, CLS, SEP, MASK]
        if max_size < len(specials):
            raise ValueError(f"max_size is {max_size}, but the special tokens alone are {len(specials)}; raise max_size")
        if min_count < 1:
            raise ValueError(f"min_count is {min_count}; it counts occurrences, so give 1 or more")
        alone, words = _count_words(texts, lower_case=lower_case)
        characters = collections.Counter(alone)
        for word, count in words.items():
            for character in word:
                characters[character] += count
        tokens = dict.fromkeys(specials)
        in_words = {character for word in words for character in word}
        for character, count in sorted(characters.items(), key=lambda item: (-item[1], item[0])):
            forms = [character, CONTINUATION + character] if character in in_words else [character]
            if count >= min_count and len(tokens) + len(forms) <= max_size:
                tokens.update(dict.fromkeys(forms))
        for token in _pieces(words, min_count=min_count):
            if len(tokens) >= max_size:
                break
            tokens.setdefault(token)
        return cls(list(tokens))

    def save(self, path: str | Path) -> None:
        """Writes ``vocab.txt`` atomically."""
        with atomic_write(path) as file:
            file.write(self._bytes())

    def _bytes(self) -> bytes:
        return "".join(token + "\n" for token in self._tokens).encode("utf-8")

    @functools.cached_property
    def sha256(self) -> str:
        """Checksum of what :meth:`save` writes."""
        return hashlib.sha256(self._bytes()).hexdigest()

    def id(self, token: str) -> int:
        """The id of ``token``. Raises KeyError if it is not in the vocabulary; ask ``token in vocabulary`` first, or use :meth:`get`."""
        try:
            return self._ids[token]
        except KeyError:
            raise KeyError(f"{token!r} is not among the {len(self)} tokens of the vocabulary") from None

    def get(self, token: str, default: int | None = None) -> int | None:
        """The id of ``token``, or ``default``."""
        return self._ids.get(token, default)

    def token(self, id: int) -> str:
        """The token of an id. Raises IndexError outside ``range(len(vocabulary))``."""
        if not 0 <= id < len(self._tokens):
            raise IndexError(f"id {id} is outside the vocabulary of {len(self._tokens)} tokens")
        return self._tokens[id]

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in id order."""
        return self._tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __eq__(self, other: object) -> bool:
        return self._tokens == other._tokens if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, sha256 {self.sha256[:12]})"


def _parse(data: bytes, path: str) -> tuple[list[str], list[Problem]]:
    problems: list[Problem] = []

    def problem(code: str, line: int | None, found: str, expected: str, remedy: str) -> None:
        problems.append(Problem(code, found, expected, remedy, path, line))

    if data.startswith(_BOM):
        problem("LIC-V002", 1, "a byte order mark", "plain UTF-8", "Save the file as UTF-8 without BOM.")
        data = data[len(_BOM) :]
    tokens: list[str] = []
    seen: dict[str, int] = {}
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    returns = [number for number, line in enumerate(lines, 1) if line.endswith(b"\r")]
    if returns:
        found = f"a carriage return at the end of {len(returns)} of {len(lines)} lines"
        problem("LIC-V003", returns[0], found, "lines that end with a line feed only", "Convert the line ends, e.g. with dos2unix.")
    for number, line in enumerate(lines, 1):
        line = line.rstrip(b"\r")
        try:
            token = line.decode("utf-8")
        except UnicodeDecodeError as error:
            problem(
                "LIC-V004", number, f"bytes {line[:20]!r} ({error.reason})", "UTF-8 text", "Fetch the file again or convert it to UTF-8."
            )
            continue
        if not token:
            problem(
                "LIC-V005", number, "an empty line", "one token", "Fetch the file again; removing the line would shift every id behind it."
            )
        elif token in seen:
            expected = "every token once"
            problem(
                "LIC-V006", number, f"{token!r}, which is also line {seen[token]}", expected, "Fetch the file again: a token has one id."
            )
        else:
            seen[token] = number
        tokens.append(token)
    for token in _REQUIRED:
        if token not in seen:
            problem(
                "LIC-V007", None, f"{len(tokens)} tokens without {token}", f"a line {token}", "Give the vocab.txt of a BERT-family model."
            )
    return tokens, problems


def _count_words(texts: Iterable[str], *, lower_case: bool) -> tuple[collections.Counter, collections.Counter]:
    """How often every character that stands alone, and every word, occurs in the normalised texts."""
    kinds = character_kinds(lower_case=lower_case)  # [code points]
    runs: collections.Counter[str] = collections.Counter()
    counts = np.zeros(CODE_POINTS, dtype=np.int64)  # [code points]
    for text in _joined(texts):
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)  # [c]
        kind = kinds[points]  # [c]
        seen, times = np.unique(points[kind == ISOLATED], return_counts=True)  # [seen], [seen]
        counts[seen] += times
        in_run = (kind != SPACE) & (kind != ISOLATED)  # [c]
        edges = (np.flatnonzero(in_run[1:] != in_run[:-1]) + 1).tolist()  # [2 * runs]
        runs.update(text[begin:end] for begin, end in zip(edges[::2], edges[1::2], strict=True))
    alone = {chr(point): int(counts[point]) for point in np.flatnonzero(counts).tolist()}
    words: collections.Counter[str] = collections.Counter()
    while runs:  # not both at once: there may be millions
        run, count = runs.popitem()
        words[normalize_run(run, lower_case=lower_case).text] += count
    del words[""]
    normal: collections.Counter[str] = collections.Counter()
    for character, count in alone.items():
        normal[normalize_character(character, lower_case=lower_case)] += count
    return normal, words


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """The texts between line feeds, many in one."""
    some, characters = [""], 0
    for text in texts:
        some.append(text)
        characters += len(text)
        if characters >= _COUNTED_CHARACTERS:
            yield "\n".join([*some, ""])
            some, characters = [""], 0
    yield "\n".join([*some, ""])


def _pieces(words: collections.Counter, *, min_count: int) -> list[str]:
    """Whole words, and ``##`` pieces of two words or more, those that save most tokens first.

    Of very many words only the most frequent count: a word has some thirty pieces, and memory is not to grow with the texts.
    """
    counts: collections.Counter[str] = collections.Counter()
    hosts: collections.Counter[str] = collections.Counter()
    for word, count in heapq.nsmallest(_MOST_WORDS, words.items(), key=lambda item: (-item[1], item[0])):
        counts[word] += count
        hosts[word] += 2
        pieces = {word[a:b] for a in range(1, len(word)) for b in range(a + 2, min(len(word), a + _LONGEST_PIECE) + 1)}
        for piece in pieces:
            counts[CONTINUATION + piece] += count
            hosts[CONTINUATION + piece] += 1
    useful = [token for token, count in counts.items() if count >= min_count and hosts[token] > 1]

    def saved(token: str) -> int:
        return counts[token] * (len(token.removeprefix(CONTINUATION)) - 1)

    return sorted((token for token in useful if saved(token) > 0), key=lambda token: (-saved(token), token))
