"""What ``lic data check`` tabulates of one file, as plain rows; pipelines.data_report makes tables of them.

Suspicious is not wrong: the official files have much of it themselves. It is what a person should look at before training on a file.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

SHORT_TEXT, LONG_TEXT = 5, 510
"""Characters: shorter texts hardly state anything, longer ones need several windows of the longest encoder."""
BRACKETS = {"《": "》", "〈": "〉", "（": "）", "(": ")", "【": "】", "[": "]", "「": "」", "『": "』", "“": "”", "‘": "’", "{": "}", "<": ">"}

_CLOSING = {closing: opening for opening, closing in BRACKETS.items()}
_KINDS = {
    "a NUL": "\x00",
    "a control character": "\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f",
    "a private-use character": "\ue000-\uf8ff\U000f0000-\U0010ffff",
    "a replacement character U+FFFD": "\ufffd",
    "an invisible character": "\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff",
    "a blank that is no plain space": "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000",
    "a tab or line break": "\t\n\r",
}
_MARKUP = r"&(?:[a-zA-Z]{2,8}|#x?[0-9a-fA-F]{2,6});|</?[a-zA-Z][^<>]{0,80}>"
_ODD = re.compile(f"[{''.join(_KINDS.values())}]|{_MARKUP}")
_PATTERNS = {what: re.compile(f"[{characters}]") for what, characters in _KINDS.items()} | {"remains of HTML": re.compile(_MARKUP)}
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_FULL_WIDTH = re.compile("[\u3000\uff01-\uff5e]")
_EDGE = "，。、；：！？,;:!?"


@dataclass
class Profile:
    """Figures of the n records of one file. Every list of length n is in their order.

    ``lines``: the line of each, ``ids``: its id where lines do not tell records apart (else empty); ``lengths``: what is measured to the
    characters of each; ``labels``: level (type, role …) to how often each name occurs, ``known``: level to the schema's names; ``labelled``:
    how many records have annotations; ``overlaps``: kind to how many of them have it; ``keys``: what to the string [n] by which two records
    are the same in it, the whole input first; ``answers``: the annotations of each as one string [n], None for an unlabelled one;
    ``suspects``: (what, index of the record, what was found).
    """

    lines: list[int | None] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labelled: int = 0
    overlaps: dict[str, int] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    answers: list[str | None] = field(default_factory=list)
    suspects: list[tuple[str, int, str]] = field(default_factory=list)

    def suspect(self, index: int, found: Iterable[tuple[str, str]]) -> None:
        """Notes (what, found) pairs of one record, each once."""
        self.suspects += [(what, index, shown) for what, shown in dict.fromkeys(found)]


def odd_characters(name: str, text: str) -> Iterator[tuple[str, str]]:
    """(what, found) for characters that no text should have; ``name`` says what the text is (its plural takes an s)."""
    if _ODD.search(text):
        for what, pattern in _PATTERNS.items():
            if match := pattern.search(text):
                found = match[0] if len(match[0]) > 1 else f"U+{ord(match[0]):04X}"
                yield f"{name}s with {what}", f"{found} at {match.start()}"


def odd_text(name: str, text: str, *, longest: int | None = LONG_TEXT) -> Iterator[tuple[str, str]]:
    """(what, found) for a text as a whole; ``longest``: characters above which it is very long."""
    yield from odd_characters(name, text)
    if text != text.strip():
        yield f"{name}s with blanks at an edge", text
    if not has_chinese(text):
        yield f"{name}s without a Chinese character", text
    if len(text) < SHORT_TEXT:
        yield f"{name}s of fewer than {SHORT_TEXT} characters", text
    if longest is not None and len(text) > longest:
        yield f"{name}s of more than {longest} characters", f"{len(text)} characters"


def odd_mention(name: str, mention: str, text: str, *, folded: str | None = None, longest: int) -> Iterator[tuple[str, str]]:
    """(what, found) for a labelled string of ``text``; ``folded`` is :func:`fold` of the text, where the caller has it."""
    if not mention.strip():
        yield f"{name}s that are empty", mention
        return
    yield from odd_characters(name, mention)
    if mention not in text:
        there = fold(mention) in (fold(text) if folded is None else folded)
        yield f"{name}s not in their text" + (", yet in other case or width" if there else ""), mention
    if mention != mention.strip():
        yield f"{name}s with blanks at an edge", mention
    bare = mention.strip()
    first, last = bare[0], bare[-1]
    if BRACKETS.get(first) == last and BRACKETS[first] not in bare[1:-1]:
        yield f"{name}s in brackets as a whole", mention
    elif _half_bracket(bare):
        yield f"{name}s with half a pair of brackets at an edge", mention
    if first in _EDGE or last in _EDGE:
        yield f"{name}s with punctuation at an edge", mention
    if len(mention) > longest:
        yield f"{name}s of more than {longest} characters", mention


def _half_bracket(mention: str) -> bool:
    first, last = mention[0], mention[-1]
    opens = first in _CLOSING or (first in BRACKETS and BRACKETS[first] not in mention)
    return opens or last in BRACKETS or (last in _CLOSING and _CLOSING[last] not in mention)


def two_widths(name: str, mentions: Sequence[tuple[int, str]]) -> list[tuple[str, int, str]]:
    """Suspects for mentions, as (index of the record, mention), that the file also writes with other (full or half) widths."""
    narrow: dict[str, str] = {}
    for _, mention in mentions:
        narrow.setdefault(mention, "")
    for mention in [mention for mention in narrow if _FULL_WIDTH.search(mention)]:
        half = unicodedata.normalize("NFKC", mention)
        if half != mention and half in narrow:
            narrow[mention] = half
    what = f"{name}s written in full and in half width"
    return [(what, index, f"{mention} and {narrow[mention]}") for index, mention in mentions if narrow[mention]]


def fold(text: str) -> str:
    """Without differences of case and width."""
    return unicodedata.normalize("NFKC", text).lower()


def has_chinese(text: str) -> bool:
    return _IDEOGRAPH.search(text) is not None


def crossing(spans: Iterable[tuple[int, int]]) -> tuple[bool, bool]:
    """Whether of different half-open spans one lies in another, and whether two cross without that."""
    nested = crosses = False
    ordered = sorted(set(spans), key=lambda span: (span[0], -span[1]))
    for index, (_, end) in enumerate(ordered):
        for start, other_end in ordered[index + 1 :]:
            if start >= end:
                break
            if other_end <= end:
                nested = True
            else:
                crosses = crosses or start != ordered[index][0]
    return nested, crosses
