"""Pictures as SVG files that need nothing else: a table, and a text with what was found in it."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

FONT = "'Noto Sans Mono CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei',Menlo,Consolas,monospace"
NARROW, LINE, LANE, EDGE = 10, 30, 26, 20
"""Pixels: a half-width character, a line of text, a lane of labels under it, the margin."""
WIDEST = 92
"""Half-width characters in a line of text."""
COLOURS = ("#1f77b4", "#d1661a", "#2a8a3e", "#b3303a", "#7a55b0", "#7d5347", "#b8458f", "#4d7a8c")

_TABLE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<style>.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; }}
{styles}</style>
<defs>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#ffffff" stroke="#d0d7de"/>
<g transform="translate(9, 9)">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


@dataclass(frozen=True)
class Mark:
    """Characters ``start`` to ``end`` of the text, under which ``label`` stands."""

    start: int
    end: int
    label: str


def draw_table(table: Table, path: Path) -> None:
    """The table as a person sees it in a terminal."""
    from rich.console import Console
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME

    from shared.files import write_text

    console = Console(record=True, width=200, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.width = console.measure(table).maximum
    console.print(table)
    write_text(path, console.export_svg(code_format=_TABLE, theme=DEFAULT_TERMINAL_THEME, unique_id="lic"))


def marks_of(findings: Sequence[dict[str, Any]]) -> list[list[Mark]]:
    """What ``lic extract`` found, as marks: a group a finding, for whichever track."""
    groups = []
    for found in findings:
        if "subject_span" in found:
            start, end = found["subject_span"]
            group = [Mark(start, end, found["predicate"])]
            for slot, (start, end) in found["object_spans"].items():
                group.append(Mark(start, end, "→" if slot == "@value" else f"→ {slot}"))
        else:
            label = " · ".join(str(found[key]) for key in ("type", "role") if key in found) or f"{found['probability']:.2f}"
            group = [Mark(found["start"], found["end"], label)]
        groups.append(group)
    return groups


def draw_text(text: str, groups: Sequence[Sequence[Mark]], path: Path) -> None:
    """The text, broken in lines, with a lane of labels under a line for every group of marks in it that finds no room above."""
    from shared.files import write_text

    body, top, right = [], float(EDGE), 0.0
    for start, end in _lines(text):
        places = _places(text[start:end])
        right = max(right, places[-1])
        body.append(_characters(text[start:end], places, top + LINE * 0.7))
        lanes: list[list[tuple[float, float]]] = []
        for index, group in enumerate(groups):
            inside = [mark for mark in group if mark.start < end and mark.end > start]
            if not inside:
                continue
            drawn = [_bar(mark, start, places) for mark in inside]
            reach = (min(left for left, _, _ in drawn), max(max(end, left + _width(label)) for left, end, label in drawn) + NARROW)
            right = max(right, reach[1])
            lane = next((number for number, taken in enumerate(lanes) if all(reach[1] <= left or end <= reach[0] for left, end in taken)), None)
            if lane is None:
                lane = len(lanes)
                lanes.append([])
            lanes[lane].append(reach)
            body += _group(drawn, top + LINE + lane * LANE, COLOURS[index % len(COLOURS)])
        top += LINE + LANE * len(lanes) + 8
    width, height = right + EDGE, top + EDGE - 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" font-family="{FONT}">'
    write_text(path, "\n".join([head, '<rect width="100%" height="100%" rx="8" fill="#ffffff" stroke="#d0d7de"/>', *body, "</svg>", ""]))


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start, used = 0, 0
    for index, character in enumerate(text):
        cells = _cells(character)
        if used + cells > WIDEST or character == "\n":
            yield start, index
            start, used = index, 0
        used += cells
    yield start, len(text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character)[0] == "C":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _width(label: str) -> float:
    return sum(map(_cells, label)) * NARROW * 0.65


def _places(line: str) -> list[float]:
    """The left edge of every character, and where the line ends."""
    places = [float(EDGE)]
    for character in line:
        places.append(places[-1] + _cells(character) * NARROW)
    return places


def _characters(line: str, places: Sequence[float], y: float) -> str:
    shown = (
        f'<tspan x="{x:g}">{escape(character)}</tspan>' for character, x in zip(line, places, strict=False) if _cells(character) and character.strip()
    )
    return f'<text y="{y:g}" font-size="18" fill="#1f2328">{"".join(shown)}</text>'


def _bar(mark: Mark, start: int, places: Sequence[float]) -> tuple[float, float, str]:
    left, right = max(mark.start - start, 0), min(mark.end - start, len(places) - 1)
    return places[left], places[right], mark.label if mark.start >= start else ""


def _group(drawn: Sequence[tuple[float, float, str]], y: float, colour: str) -> Iterator[str]:
    """Bars under the marks of one finding, joined by a line, each with its label below."""
    left, right = min(bar[0] for bar in drawn), max(bar[1] for bar in drawn)
    if len(drawn) > 1:
        yield f'<line x1="{left:g}" y1="{y - 2:g}" x2="{right:g}" y2="{y - 2:g}" stroke="{colour}" stroke-dasharray="2 3"/>'
    for start, end, label in drawn:
        yield f'<rect x="{start:g}" y="{y - 4:g}" width="{end - start - 1:g}" height="4" rx="1" fill="{colour}"/>'
        yield f'<text x="{start:g}" y="{y + 13:g}" font-size="12" fill="{colour}">{escape(label)}</text>'
