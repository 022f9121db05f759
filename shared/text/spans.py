"""Between character spans of the original text and token ranges of its Encoding.

Character spans are half-open ``[start, end)``, token ranges inclusive ``(first, last)``. A span whose border falls inside a token
maps to a range that covers more characters than the span: compare :func:`token_span` with the span, or read ``exact``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from .tokenizer import Encoding


def span_to_tokens(encoding: Encoding, start: int, end: int) -> tuple[int, int] | None:
    """The tokens that touch the characters ``[start, end)``: first and last, inclusive. None if none does (blanks only, or an empty span).

    The range maps back to exactly these characters if ``token_span(encoding, first, last) == (start, end)``. Raises ValueError if
    ``start`` is negative or behind ``end``.
    """
    if not 0 <= start <= end:
        raise ValueError(f"the span [{start}, {end}) is no span; give 0 <= start <= end, in characters of the original text")
    first = bisect_right(encoding.ends, start)
    last = bisect_left(encoding.starts, end) - 1
    return (first, last) if first <= last and start < end else None


def token_span(encoding: Encoding, first: int, last: int) -> tuple[int, int]:
    """The characters ``[start, end)`` from the start of token ``first`` to the end of token ``last`` (inclusive).

    Raises ValueError if that is no range of the encoding's tokens.
    """
    if not 0 <= first <= last < len(encoding.ids):
        raise ValueError(f"tokens {first} to {last} of {len(encoding.ids)}; give 0 <= first <= last < {len(encoding.ids)}")
    return int(encoding.starts[first]), int(encoding.ends[last])


def spans_to_tokens(encoding: Encoding, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """:func:`span_to_tokens` for m spans at once: ``first`` and ``last`` (int64 ``[m]``), ``exact`` (bool ``[m]``).

    Where no token touches, both are -1. ``exact`` says whether the token range maps back to exactly the span.
    Raises ValueError as :func:`span_to_tokens` does.
    """
    starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)  # [m]
    wrong = np.flatnonzero((starts < 0) | (starts > ends))  # [wrong]
    if wrong.size:
        k = int(wrong[0])
        raise ValueError(f"span {k} is [{starts[k]}, {ends[k]}); give 0 <= start <= end, in characters of the original text")
    first = np.searchsorted(encoding.ends, starts, side="right")  # [m]
    last = np.searchsorted(encoding.starts, ends, side="left") - 1  # [m]
    none = (first > last) | (starts == ends)  # [m]
    first, last = np.where(none, -1, first), np.where(none, -1, last)  # [m]
    exact = np.zeros(first.shape, dtype=bool)  # [m]
    found = ~none  # [m]
    exact[found] = (encoding.starts[first[found]] == starts[found]) & (encoding.ends[last[found]] == ends[found])
    return first, last, exact


def occurrences(text: str, span: str) -> list[int]:
    """Every character offset at which ``span`` (not empty) stands in ``text``, overlapping ones too."""
    places = []
    at = text.find(span)
    while at >= 0:
        places.append(at)
        at = text.find(span, at + 1)
    return places
