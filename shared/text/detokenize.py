"""Token ids back to readable text."""

from __future__ import annotations

from collections.abc import Iterable

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
    kinds = kind_bytes(lower_case=tokenizer.lower_case)
    text = ""
    spaced = False  # a mark behind a Latin word has just been written
    for index in ids:
        token = tokenizer.vocabulary.token(int(index))
        if token in _SILENT:
            continue
        if len(token) > len(CONTINUATION) and token.startswith(CONTINUATION):
            text += token.removeprefix(CONTINUATION)
            spaced = False
            continue
        latin = token[0].isascii() and token[0].isalpha()
        if text and kinds[ord(token[0])] == WORD and (kinds[ord(text[-1])] == WORD or (spaced and latin)):
            text += " "
        spaced = token in _SPACED_MARKS and text[-1:].isascii() and text[-1:].isalpha()
        text += token
    return text
