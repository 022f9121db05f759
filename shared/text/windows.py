"""Long texts as overlapping windows, and one set of spans from the windows' spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    kept = whole + [
        span
        for span in joined
        if (span.cut_left or span.cut_right) and not any(other.first <= span.first and span.last <= other.last for other in whole)
    ]
    if overlaps:
        return kept
    kept.sort(key=lambda span: (-span.score, span.first - span.last, span.first))
    chosen: list[WindowSpan] = []
    for span in kept:
        if all(span.last < other.first or other.last < span.first for other in chosen):
            chosen.append(span)
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
    pending = list(spans)
    done: list[WindowSpan] = []
    while pending:
        span = pending.pop(0)
        partner = next(
            (
                index
                for index, other in enumerate(pending)
                if span.cut_right and other.cut_left and span.first <= other.first <= span.last <= other.last
            ),
            None,
        )
        if partner is None:
            done.append(span)
            continue
        other = pending.pop(partner)
        pending.insert(0, WindowSpan(span.label, span.first, other.last, min(span.score, other.score), span.cut_left, other.cut_right))
    return done
