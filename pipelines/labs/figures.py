"""Pictures of the labs: one style, colours that survive colour-blindness and print, Chinese text in a font that has it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..curves import BLUE, GREEN, GREY, ORANGE, PINK, STYLE, fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, PINK, GREY, "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, in an order whose neighbours differ in lightness too."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "---", "+++", "ooo")
SEQUENTIAL = "cividis"
"""Colour map for amounts: even in lightness, the same to all eyes."""
DIVERGING = "PuOr"
"""Colour map for what lies on both sides of 0."""


def stroke(number: int) -> dict[str, Any]:
    """Colour, dash and marker of line ``number`` (from 0): any one of them tells lines apart."""
    turn = number + number // 8  # a second round has the colours with other dashes and markers
    return {"color": COLOURS[number % 8], "linestyle": DASHES[turn % 8], "marker": MARKERS[turn % 8], "markersize": 5}


def bar(number: int) -> dict[str, Any]:
    """Colour and hatch of bar ``number``."""
    return {"color": COLOURS[number % 8], "hatch": HATCHES[number % 8], "edgecolor": "white", "linewidth": 0}


def bars(axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]], *, digits: int = 3) -> None:
    """Grouped bars with their values above: ``series`` name -> a value a group."""
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [place + (number - (len(series) - 1) / 2) * width for place in range(len(groups))]
        drawn = axes.bar(places, values, width * 0.94, label=name, **bar(number))
        axes.bar_label(drawn, fmt=f"%.{digits}f", fontsize=8, padding=2, rotation=90 if len(groups) * len(series) > 12 else 0)
    axes.set_xticks(range(len(groups)), groups)
    axes.margins(y=0.18)
    axes.grid(axis="x", visible=False)
    if len(series) > 1:
        axes.legend(loc="best", fontsize=9)


def image(axes: Axes, values: Any, *, unit: str = "", colours: str = SEQUENTIAL, **options: Any) -> None:
    """A matrix [rows, columns] as a heat map with its scale; ``unit`` names what the colours mean."""
    drawn = axes.imshow(values, cmap=colours, aspect=options.pop("aspect", "auto"), interpolation="nearest", **options)
    axes.grid(visible=False)
    if unit:
        axes.figure.colorbar(drawn, ax=axes, label=unit, shrink=0.9)


def token_grid(axes: Axes, values: Any, tokens: Sequence[str], **options: Any) -> None:
    """A matrix [queries, keys] over one text, its tokens at both axes; ``options``: of :func:`image`."""
    image(axes, values, aspect="equal", **options)
    axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=9)
    axes.set_yticks(range(len(tokens)), tokens, fontsize=9)
    for place in range(1, len(tokens)):
        axes.axhline(place - 0.5, color="white", linewidth=0.4)
        axes.axvline(place - 0.5, color="white", linewidth=0.4)
    axes.set(xlabel="key", ylabel="query")


def logarithmic(axis: Axis, values: Sequence[float] | None = None) -> None:
    """Makes an axis (``axes.xaxis`` or ``axes.yaxis``) logarithmic with plain numbers at its ticks, which are ``values`` where they are given."""
    from matplotlib.ticker import FixedLocator, LogLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    low, high = axis.get_view_interval()
    if values is not None:
        axis.set_major_locator(FixedLocator(values))
        axis.set_minor_locator(FixedLocator([]))
    elif high < 100 * low:  # less than two decades: ticks between the powers too
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high > 8 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The k of the power law c n^k that fits best, by least squares of logarithms."""
    return float(np.polyfit(np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(values, dtype=float)), 1)[0])


def power_lines(axes: Axes, sizes: Sequence[float], series: dict[str, Sequence[float]], *, first: int = 0, powers: bool = True) -> None:
    """Lines over sizes on two logarithmic axes; ``first``: the number of the first line's stroke; ``powers``: each :func:`exponent` in the legend."""
    for number, (name, values) in enumerate(series.items()):
        label = f"{name}: power {exponent(sizes, values):.2f}" if powers else name
        axes.plot(sizes, values, label=label, **stroke(first + number))
    logarithmic(axes.yaxis)
    logarithmic(axes.xaxis, sizes)
    axes.legend(fontsize=8, loc="upper left")


@contextmanager
def draw(path: Path, finding: str, *, rows: int, columns: int, size: tuple[float, float]) -> Iterator[tuple[Figure, Any]]:
    """Yields a figure and its axes [rows, columns], written to ``path`` at the end; ``finding`` stands above them. Needs no display.

    What no font at hand can draw is written as its code point, never as an empty box.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from shared.files import atomic_write

    families = fonts()
    with matplotlib.rc_context({**STYLE, "font.family": families}):
        figure = Figure(figsize=size, dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
        figure.suptitle("\n".join(textwrap.wrap(finding, int(size[0] * 8.8))), x=0.01, ha="left", fontsize=13, fontweight="bold")
        yield figure, axes
        for axis in figure.axes:
            _plain_powers(axis)
        for text in figure.findobj(Text):
            text.set_text(drawable(text.get_text(), families))
        with atomic_write(path) as file:
            figure.savefig(file, format="png", metadata={"Software": None})


def _plain_powers(axes: Axes) -> None:
    """Ticks of a logarithmic axis as plain numbers: matplotlib writes them in a language that the style, which takes texts as they are, turns off."""
    from matplotlib.ticker import FuncFormatter, LogFormatter, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_formatter(), LogFormatter):
            axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        if isinstance(axis.get_minor_formatter(), LogFormatter):
            axis.set_minor_formatter(NullFormatter())


def drawable(text: str, families: Sequence[str]) -> str:
    """The text with code points (``U+1F600``) in place of what none of the font families has."""
    known = _characters(tuple(families))
    return "".join(char if char in "\n\t" or ord(char) in known else f"U+{ord(char):04X}" for char in text)


def _characters(families: tuple[str, ...]) -> frozenset[int]:
    if families not in _KNOWN:
        from matplotlib import font_manager

        paths = [font_manager.findfont(family) for family in families]
        _KNOWN[families] = frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())
    return _KNOWN[families]


_KNOWN: dict[tuple[str, ...], frozenset[int]] = {}
