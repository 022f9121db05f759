"""Token ids back to readable text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .normalize import WORD, kind_bytes
from .tokenizer import Tokenizer
from .vocabulary import CLS, CONTINUATION, MASK, PAD, SEP

_SILENT = frozenset({PAD, CLS, SEP, MASK})
_SPACED_MARKS = frozenset(",;:!?")


def detokenize(ids: Iterable[int], tokenizer: Tokenizer) -> str:
    """The text that ``ids`` spell: ``##`` pieces join the token before them, ideographs and punctuation stand close, words apart.

    ``[PAD]``, ``[CLS]``, ``[SEP]`` and ``[MASK]`` say nothing; ``[UNK]`` stands as it is. Between Latin words a comma and its like
    are followed by a blank. Where the ids are those of some text without ``[UNK]``, the result has the same ids again; blanks and letters
    that the tokenizer has normalised do not come back (:meth:`Tokenizer.encode` keeps their offsets). Raises IndexError for an id
    outside the vocabulary.
    """
    return "".join(pieces(ids, tokenizer))


def pieces(ids: Iterable[int], tokenizer: Tokenizer) -> Iterator[str]:
    """What each of ``ids`` adds to the text of :func:`detokenize`; empty for a token that says nothing."""
    kinds = kind_bytes(lower_case=tokenizer.lower_case)
    last = ""  # character of the text so far
    spaced = False  # a mark behind a Latin word has just been written
    for index in ids:
        token = tokenizer.vocabulary.token(int(index))
        if token in _SILENT:
            yield ""
            continue
        if len(token) > len(CONTINUATION) and token.startswith(CONTINUATION):
            last = token[-1]
            spaced = False
            yield token.removeprefix(CONTINUATION)
            continue
        latin = token[0].isascii() and token[0].isalpha()
        apart = last and kinds[ord(token[0])] == WORD and (kinds[ord(last)] == WORD or (spaced and latin))
        spaced = token in _SPACED_MARKS and last.isascii() and last.isalpha()
        last = token[-1]
        yield f" {token}" if apart else token
