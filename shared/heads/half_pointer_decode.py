"""Starts and ends put together to spans. Needs nothing but Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def nearest_pairs(starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    """Every start with the nearest end at or behind it, where there is one. Both ascending; spans are inclusive."""
    pairs = []
    for start in starts:
        place = bisect_left(ends, start)
        if place < len(ends):
            pairs.append((start, ends[place]))
    return pairs


def all_pairs(starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    """:func:`nearest_pairs`, and every end that these leave over with the nearest start at or before it.

    So both of two nested spans that share a start come out, where a later stage can reject what is not wanted. Both ascending.
    """
    pairs = nearest_pairs(starts, ends)
    used = {end for _, end in pairs}
    for end in ends:
        place = bisect_right(starts, end)
        if end not in used and place > 0:
            pairs.append((starts[place - 1], end))
    return pairs
