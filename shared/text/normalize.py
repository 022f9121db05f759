"""Character normalisation as BERT does it, one original character at a time, so that every result knows where it came from.

The steps (BERT's BasicTokenizer, Devlin et al. 2018, as the ``tokenizers`` library runs them): drop control characters, turn every
blank into a space, set ideographs apart; with ``lower_case`` also decompose canonically (NFD), strip non-spacing marks and
lower-case; then cut at blanks and around every punctuation character.

Lower-casing the whole string first, as published offset-mapping code does, shifts every offset behind a character such as 'İ' that grows
when lower-cased. Here a character becomes none, one or several characters by itself, and each of those keeps its index.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

import numpy as np

from . import unicode_tables as tables

WORD, SPACE, CONTROL, MARK, ISOLATED = range(5)
"""Kinds of an original character: part of a word; a blank; dropped; stripped accent; a word by itself (ideograph, punctuation)."""

CODE_POINTS = 0x110000


class NormalRun(NamedTuple):
    """A run of ``WORD``, ``MARK`` and ``CONTROL`` characters, normalised: one word, or nothing.

    ``text`` has n characters; character k came from ``run[starts[k]:ends[k]]`` (both non-decreasing; several characters of one
    original share its span). A stripped mark belongs to the character before it. Marks before the first character stand in
    ``run[lead_start:lead_end]`` (both 0 if there are none) and belong to whatever precedes the run, or else to the first character.
    """

    text: str
    starts: list[int]
    ends: list[int]
    lead_start: int
    lead_end: int


def _fill(kinds: np.ndarray, ranges: tables.Ranges, kind: int) -> None:
    for low, high in ranges:
        kinds[low : high + 1] = kind


def _codes(ranges: tables.Ranges) -> frozenset[int]:
    return frozenset(code for low, high in ranges for code in range(low, high + 1))


@functools.lru_cache(maxsize=1)
def decomposable() -> frozenset[int]:
    """The code points that NFD changes."""
    return _codes(tables.DECOMPOSABLE)


@functools.lru_cache(maxsize=1)
def _marks() -> frozenset[str]:
    return frozenset(map(chr, _codes(tables.NONSPACING_MARK)))


@functools.lru_cache(maxsize=1)
def _other_non_starters() -> frozenset[str]:
    return frozenset(map(chr, _codes(tables.OTHER_NON_STARTER)))


@functools.lru_cache(maxsize=1)
def _late_small_letters() -> dict[str, str]:
    return {chr(code): chr(code + step) for low, high, step in tables.LATE_CAPITALS for code in range(low, high + 1)}


def _decompose(character: str) -> str:
    return unicodedata.normalize("NFD", character) if ord(character) in decomposable() else character


def _lower(character: str) -> str:
    return _late_small_letters().get(character) or character.lower()


def normalize_character(character: str, *, lower_case: bool = True) -> str:
    """What one original character becomes: '' for control characters and stripped marks, ' ' for blanks, else 1 or more characters."""
    kind = kind_bytes(lower_case=lower_case)[ord(character)]
    if kind == CONTROL:
        return ""
    if kind == SPACE:
        return " "
    if not lower_case:
        return character
    return "".join(_lower(part) for part in _decompose(character) if part not in _marks())


@functools.lru_cache(maxsize=2)
def character_kinds(*, lower_case: bool = True) -> np.ndarray:
    """The kind of every code point: uint8 ``[0x110000]``, read-only."""
    kinds = np.full(CODE_POINTS, WORD, dtype=np.uint8)  # [code points]
    if lower_case:
        _fill(kinds, tables.NONSPACING_MARK, MARK)
    _fill(kinds, tables.PUNCTUATION, ISOLATED)
    if lower_case:
        isolated = kinds == ISOLATED  # [code points]
        for code in decomposable():
            parts = [part for part in _decompose(chr(code)) if part not in _marks()]
            if not parts:
                kinds[code] = MARK
            elif len(parts) == 1 and isolated[ord(parts[0])]:
                kinds[code] = ISOLATED  # such as '≠', which is '=' once its stroke is stripped
    _fill(kinds, tables.IDEOGRAPH, ISOLATED)
    _fill(kinds, tables.CONTROL, CONTROL)
    _fill(kinds, tables.SPACE, SPACE)
    kinds.setflags(write=False)
    return kinds


@functools.lru_cache(maxsize=2)
def kind_bytes(*, lower_case: bool = True) -> bytes:
    """:func:`character_kinds` for looking up one character at a time, which numpy does slowly."""
    return character_kinds(lower_case=lower_case).tobytes()


def _canonical_order(parts: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Sorts every stretch of non-starters by combining class.

    Where that changes the order, indices cross and no exact span is left to any one of them: the whole stretch (with the rest of the
    character that it begins in) shares one span.
    """
    classes = [unicodedata.combining(part) if part in _marks() or part in _other_non_starters() else 0 for part, _, _ in parts]
    ordered: list[tuple[str, int, int]] = []
    begin = 0
    for index in range(len(parts) + 1):
        if index < len(parts) and classes[index]:
            continue
        order = sorted(range(begin, index), key=classes.__getitem__)
        survivors = [k for k in order if parts[k][0] not in _marks()]
        if survivors and order != list(range(begin, index)):
            low, high = parts[begin][1], parts[index - 1][2]
            ordered = [(part, start, high if start == low else end) for part, start, end in ordered]
            ordered += [(parts[k][0], low, high) for k in survivors]
        else:
            ordered += parts[begin:index]
        ordered += parts[index : index + 1]
        begin = index + 1
    return ordered


def normalize_run(run: str, *, lower_case: bool = True) -> NormalRun:
    """Normalises a run of ``WORD``, ``MARK`` and ``CONTROL`` characters. Only such runs: the caller has cut at everything else."""
    if run.isascii() and run.isalnum():
        length = len(run)
        return NormalRun(run.lower() if lower_case else run, list(range(length)), list(range(1, length + 1)), 0, 0)
    kinds = kind_bytes(lower_case=lower_case)
    kept = [(character, index) for index, character in enumerate(run) if kinds[ord(character)] != CONTROL]
    if not lower_case:
        starts = [index for _, index in kept]
        return NormalRun("".join(character for character, _ in kept), starts, [index + 1 for index in starts], 0, 0)
    parts = [(part, index, index + 1) for character, index in kept for part in _decompose(character)]
    if any(part in _other_non_starters() for part, _, _ in parts):
        parts = _canonical_order(parts)
    text, starts, ends = [], [], []
    lead_start = lead_end = 0
    for part, start, end in parts:
        if part not in _marks():
            for small in _lower(part):
                text.append(small)
                starts.append(start)
                ends.append(end)
        elif text:
            last = len(text) - 1
            while last >= 0 and starts[last] == starts[-1]:
                ends[last] = max(ends[last], end)
                last -= 1
        else:
            lead_start = start if not lead_end else lead_start
            lead_end = end
    if text and lead_end > starts[0]:  # the last leading mark was cut from the very character that the word begins with
        lead_end = starts[0] if lead_start < starts[0] else 0
    return NormalRun("".join(text), starts, ends, lead_start if lead_end else 0, lead_end)
