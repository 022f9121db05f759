"""Long texts as overlapping windows, and one set of spans from the windows' spans."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple


def split_windows(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open windows of at most ``size`` tokens that cover ``[0, length)``; neighbours share at least ``overlap`` tokens.

    The windows are spread evenly, so that the last one is not a stub. Length 0 gives no window.
    Raises ValueError unless 1 <= overlap < size.
    """
    if not 1 <= overlap < size:
        raise ValueError(f"windows need 1 <= overlap < size, found overlap={overlap}, size={size}: lower the overlap or widen the window")
    if length <= 0:
        return []
    if length <= size:
        return [(0, length)]
    count = -(-(length - overlap) // (size - overlap))
    last = length - size
    begins = [round(index * last / (count - 1)) for index in range(count)]
    return [(begin, begin + size) for begin in begins]


class WindowSpan(NamedTuple):
    """A span that one window saw, in tokens of the whole text: ``label``, ``first`` and ``last`` (inclusive), ``score`` (higher is surer)."""

    label: int
    first: int
    last: int
    score: float
    cut_left: bool = False
    cut_right: bool = False


def in_text(label: int, first: int, last: int, score: float, window: tuple[int, int], length: int) -> WindowSpan:
    """A window's own span (window-relative tokens) as a span of the text; it is cut where it ends at an inner border of the window."""
    begin, end = window
    return WindowSpan(label, begin + first, begin + last, score, first == 0 and begin > 0, begin + last == end - 1 and end < length)


def merge_windows(spans: Iterable[WindowSpan], *, overlaps: bool = False) -> list[WindowSpan]:
    """One set of spans without overlaps inside a label (unless ``overlaps`` may be), from the spans of all windows of a text.

    Equal spans count once with their best score. A span cut at a window's right border and one cut at the next window's left border
    that overlap are the two halves of one long span and are joined. What is still cut and lies inside a whole span of its label goes.
    Conflicts that remain are settled by score, then by length. Gold spans that no window cuts come back unchanged.
    """
    by_label: dict[int, list[WindowSpan]] = {}
    for span in spans:
        by_label.setdefault(span.label, []).append(span)
    merged: list[WindowSpan] = []
    for label in sorted(by_label):
        merged.extend(_merge_label(by_label[label], overlaps))
    return sorted(merged, key=lambda span: (span.first, span.last, span.label))


def _merge_label(spans: Sequence[WindowSpan], overlaps: bool) -> list[WindowSpan]:
    joined = _join_halves(_best_of_equal(spans))
    whole = [span for span in joined if not (span.cut_left or span.cut_right)]
    firsts = [span.first for span in whole]
    reach = list(accumulate((span.last for span in whole), max))  # the furthest end of the whole spans up to each

    def inside(span: WindowSpan) -> bool:
        before = bisect_right(firsts, span.first)
        return before > 0 and reach[before - 1] >= span.last

    kept = whole + [span for span in joined if (span.cut_left or span.cut_right) and not inside(span)]
    if overlaps:
        return kept
    kept.sort(key=lambda span: (-span.score, span.first - span.last, span.first))
    chosen: list[WindowSpan] = []  # by place, none overlapping: only neighbours can be in the way of another
    for span in kept:
        place = bisect_right(chosen, span.first, key=lambda other: other.first)
        before, after = chosen[place - 1 : place], chosen[place : place + 1]
        if all(other.last < span.first for other in before) and all(span.last < other.first for other in after):
            chosen.insert(place, span)
    return chosen


def _best_of_equal(spans: Sequence[WindowSpan]) -> list[WindowSpan]:
    best: dict[tuple[int, int], WindowSpan] = {}
    for span in spans:
        other = best.get((span.first, span.last))
        if other is not None:  # one window that saw past the border is enough to know that the span ends there
            span = span._replace(
                score=max(span.score, other.score),
                cut_left=span.cut_left and other.cut_left,
                cut_right=span.cut_right and other.cut_right,
            )
        best[span.first, span.last] = span
    return sorted(best.values(), key=lambda span: (span.first, span.last))


def _join_halves(spans: Sequence[WindowSpan]) -> list[WindowSpan]:
    """``spans`` and the result are by first token."""
    done: list[WindowSpan] = []
    taken = [False] * len(spans)
    for index, span in enumerate(spans):
        if taken[index]:
            continue
        place = index + 1
        while span.cut_right and place < len(spans) and spans[place].first <= span.last:
            other = spans[place]
            if not taken[place] and other.cut_left and span.last <= other.last:
                taken[place] = True
                span = WindowSpan(span.label, span.first, other.last, min(span.score, other.score), span.cut_left, other.cut_right)
                place = index  # the longer span may go on in one that the shorter passed over
            place += 1
        done.append(span)
    return done
