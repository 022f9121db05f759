"""Learning curves of a run as one PNG: loss, dev scores, learning rate, gradient norm, and any other figure of its steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import InputError, input_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .run_figures import Figures

CURVES = "curves.png"
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5A5A5A"
"""Colours that colour-blind people tell apart (Okabe and Ito); in print they differ in lightness as well."""
_STROKES = ((BLUE, "-", "o"), (GREEN, "--", "s"), (PINK, ":", "^"), (GREY, "-.", "D"))
_NAMES = {"f1": "F1", "em": "EM"}
_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "Noto Sans SC", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC", "SimHei"),
    "Noto Sans CJK JP",  # what matplotlib reads of a collection whose first font this is; the others' characters are in it too
)
_SHIPPED_FONT = "Noto Sans SC Subset"
_DRAWN = 2000
"""Points of a faint line at most, in pairs of lowest and highest: more than the picture has pixels show nothing more."""
STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,
}


def draw_curves(run_folder: str | Path, target: str | Path | None = None) -> Path:
    """Writes the curves of a run, finished or not, and returns the file: ``target``, or ``curves.png`` in the run folder.

    Faint: every step; strong: a centred mean over a fiftieth of the steps. Works without a display and leaves matplotlib as it was.
    Raises InputError for a folder that holds no step.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from shared.files import atomic_write

    from .run_figures import describe_run, read_figures
    from .run_folder import FIGURES

    folder = Path(run_folder)
    path = folder / CURVES if target is None else Path(target)
    figures = read_figures(folder)
    if not figures.steps:
        raise input_error(
            "LIC-U031",
            file=folder / FIGURES,
            found=figures.faults[0] if figures.faults else "no step",
            expected="the figures of at least one step",
            remedy="Let lic train make a step, or give another run.",
        )
    row = describe_run(folder, name=_name(folder), figures=figures)
    steps = {name: _series(figures.steps, name) for name in _numbers(figures.steps)}
    panels = ["loss", *(["dev"] if figures.evaluations else []), *(name for name in steps if name != "loss")]
    with matplotlib.rc_context({**STYLE, "font.family": fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name in a script that no font here has
        rows = -(-len(panels) // 2)
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.04, hspace=0.05)
        figure = Figure(figsize=(11, 1.3 + 3.1 * rows), dpi=130, layout=layout)
        FigureCanvasAgg(figure)
        figure.suptitle(f"{_finding(row, figures)}\n", x=0.012, ha="left", fontsize=16, fontweight="bold")
        figure.text(0.013, 1 - 0.62 / figure.get_figheight(), _effort(row, figures), fontsize=11, color=GREY, va="center")
        drawn = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes, name in zip(drawn, panels, strict=False):
            if name == "dev":
                _draw_scores(axes, row, figures)
            else:
                _draw_steps(axes, name, *steps[name])
            if name == "grad_norm":
                _draw_limit(axes, folder)
            _finish(axes, figures, legend=name in ("loss", "dev"))
        for axes in drawn[len(panels) :]:
            axes.set_axis_off()
        with atomic_write(path) as file:
            figure.savefig(file, format="png")
    return path


def _name(folder: Path) -> str:
    """The run's name in a title; that of a fold or seed with the name of its whole."""
    from .run_figures import MEMBER

    place = folder.resolve()
    name = place.name
    while MEMBER.fullmatch(place.name):
        place = place.parent
        name = f"{place.name}/{name}"
    return name


def _numbers(steps: list[dict[str, Any]]) -> list[str]:
    """Names of what can be drawn over the steps, the known ones first."""
    from .run_figures import NUMBERS

    found = dict.fromkeys(name for row in steps for name in row if name not in ("step", "epoch") and type(row[name]) in NUMBERS)
    known = ("loss", "rate", "grad_norm")
    return [name for name in known if name in found] + [name for name in found if name not in known]


def _series(steps: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps [n] and values [n] of a figure; NaN where a step lacks it."""
    from .run_figures import NUMBERS

    values = [row[name] if type(row.get(name)) in NUMBERS else np.nan for row in steps]
    return np.asarray([row["step"] for row in steps], dtype=float), np.asarray(values, dtype=float)


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Centred means of up to ``width`` numbers, [n] to [n]; fewer at both ends and where numbers are not finite, NaN where none is."""
    half = width // 2
    finite = np.isfinite(values)  # [n]
    total = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])  # [n + 1]
    count = np.concatenate([[0], np.cumsum(finite)])  # [n + 1]
    places = np.arange(len(values))  # [n]
    begin, end = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))  # [n], [n]
    counts = count[end] - count[begin]  # [n]
    return np.where(counts > 0, (total[end] - total[begin]) / np.maximum(counts, 1), np.nan)  # [n]


def envelope(steps: np.ndarray, values: np.ndarray, points: int = _DRAWN) -> tuple[np.ndarray, np.ndarray]:
    """At most ``points`` of n points that draw the same line: the lowest and highest of every run of neighbours, in their order."""
    if len(values) <= points:
        return steps, values
    chosen = []
    for part in np.array_split(np.arange(len(values)), points // 2):
        inside = part[np.isfinite(values[part])]
        if len(inside):
            chosen += sorted({int(inside[np.argmin(values[inside])]), int(inside[np.argmax(values[inside])])})
    return steps[chosen], values[chosen]


_LABELS = {
    "loss": ("Loss", "mean loss of a batch"),
    "rate": ("Learning rate", "learning rate of the encoder"),
    "grad_norm": ("Gradient norm", "L2 norm before clipping"),
}


def _draw_steps(axes: Axes, name: str, steps: np.ndarray, values: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    title, unit = _LABELS.get(name, (name, name))
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_ylabel(unit)
    finite = values[np.isfinite(values)]
    wide = len(finite) > 0 and finite.min() > 0 and finite.max() > 30 * np.quantile(finite, 0.02)
    if name != "rate" and wide:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel(f"{unit} (log scale)")
    if name == "rate":
        axes.plot(steps, values, color=BLUE, linewidth=2)
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        return
    width = max(len(values) // 50, 1)
    if width > 1:
        axes.plot(*envelope(steps, values), color=BLUE, alpha=0.28, linewidth=0.7, label="every step")
    axes.plot(*_thinned(steps, smooth(values, width)), color=BLUE, linewidth=2.2, label=f"mean of {width // 2 * 2 + 1} steps")


def _draw_limit(axes: Axes, folder: Path) -> None:
    """The norm above which gradients were clipped, if the settings say it."""
    from .run_figures import read_config

    with suppress(InputError, AttributeError):
        limit = read_config(folder)["recipe"].get("training", {}).get("clip_norm")
        if limit:
            axes.axhline(limit, color=ORANGE, linewidth=1.6, linestyle="--")
            place: Any = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
            axes.annotate(f"clipped at {limit:g}", (0.99, limit), color=ORANGE, backgroundcolor="#FFFFFFB0", **place)


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    every = max(len(steps) // _DRAWN, 1)
    return steps[::every], values[::every]


def _draw_scores(axes: Axes, row: Mapping[str, Any], figures: Figures) -> None:
    from .run_figures import scores_of

    names = list(dict.fromkeys(name for line in figures.evaluations for name in scores_of(line)))
    names.sort(key=lambda name: name != row["score_name"])  # the one that decides takes the strongest colour
    few = len(figures.evaluations) <= 40
    for index, name in enumerate(names):
        colour, stroke, marker = _STROKES[index % len(_STROKES)]
        lines = [line for line in figures.evaluations if name in scores_of(line)]
        axes.plot(
            [line["step"] for line in lines],
            [scores_of(line)[name] for line in lines],
            color=colour,
            linestyle=stroke,
            marker=marker if few else "",
            markersize=4,
            linewidth=2.2 if index == 0 else 1.3,
            label=_NAMES.get(name, name),
        )
    if row["score"] is not None and row["best_step"] is not None:
        axes.plot([row["best_step"]], [row["score"]], color=ORANGE, marker="*", markersize=17, linestyle="", zorder=5, label="best")
    axes.set_title("Scores on dev", loc="left", fontweight="bold")
    axes.set_ylabel("score (0 to 100)" if max(max(scores_of(line).values()) for line in figures.evaluations) > 1 else "score (0 to 1)")


def _finish(axes: Axes, figures: Figures, *, legend: bool) -> None:
    """What every panel has: the same steps, readable numbers, a mark at every resume."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from .run_figures import NUMBERS

    resumed = [line["resumed_at"] for line in figures.timing if type(line.get("resumed_at")) in NUMBERS]
    for index, step in enumerate(resumed):
        axes.axvline(step, color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="resumed" if index == 0 else None)
    last = max(figures.steps[-1]["step"], 2)
    axes.set_xlim(0, last * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("step")
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=10)


def _finding(row: Mapping[str, Any], figures: Figures) -> str:
    """What the curves show, in one line."""
    title = f"{row['track']}, {row['name']}: " if row["track"] else f"{row['name']}: "
    if row["score"] is None:
        last = figures.steps[-1]
        return f"{title}loss {last['loss']:.4g} at step {last['step']:,}, not evaluated"
    name = _NAMES.get(row["score_name"], row["score_name"])
    return f"{title}dev {name} {_digits(row['score'])} at step {row['best_step']:,}"


def _effort(row: Mapping[str, Any], figures: Figures) -> str:
    planned, epoch = row["planned"], figures.steps[-1].get("epoch")
    unfinished = planned and row["steps"] < planned
    parts = [f"{row['steps']:,} of {planned:,} steps" if unfinished else f"{row['steps']:,} steps"]
    parts += [f"{epoch:.3g} epochs"] if epoch else []
    parts += [f"{row['minutes']:,.1f} minutes"] if row["minutes"] is not None else []
    parts += [f"{row['tokens_per_second']:,.0f} real tokens/s"] if row["tokens_per_second"] else []
    return "  ·  ".join(parts)


def _digits(score: float) -> str:
    return f"{score:.4f}".removeprefix("0") if abs(score) < 1 else f"{score:.2f}" if score > 1 else f"{score:.4f}"


def fonts() -> list[str]:
    """The usual font, then fonts with Chinese characters: what this machine has of them, and the shipped one with the commonest."""
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    if _SHIPPED_FONT not in there:
        font_manager.fontManager.addfont(Path(__file__).parent / "font" / "NotoSansSC-Subset.otf")
    return ["DejaVu Sans", *(name for name in _CHINESE_FONTS if name in there), _SHIPPED_FONT]
