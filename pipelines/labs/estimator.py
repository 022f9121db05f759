"""The entropy estimate of the lab eae against closed forms: its error by distribution, dimensions, points, neighbour and constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..console import progress
from .work import Work

Rows = list[dict[str, Any]]


def estimate(dimensions: Sequence[int], points: Sequence[int], neighbours: Sequence[int], *, repeats: int, seed: int) -> dict[str, Rows]:
    """Errors of the estimate (:class:`EntropyBias`): ``distributions`` by d with most points, ``points`` by n, ``neighbours`` by k and d."""
    from shared.generative.entropy_bias import ENTROPIES, entropy_bias

    most, first, middle = max(points), neighbours[0], dimensions[len(dimensions) // 2]
    cases = {
        "distributions": [(name, d, most, first) for name in ENTROPIES for d in dimensions],
        "points": [("normal", middle, n, first) for n in points],
        "neighbours": [("normal", d, most, k) for k in neighbours[1:] for d in dimensions],
    }
    total, done = sum(map(len, cases.values())), 0
    found: dict[str, Rows] = {name: [] for name in cases}
    with progress("entropies estimated") as advance:
        for name, parts in cases.items():
            for case in parts:
                draws = repeats * min(20, most // case[2])  # few points: one estimate says little and costs little
                found[name].append(entropy_bias(*case, repeats=draws, seed=seed)._asdict())
                done += 1
                advance(done, total)
    found["neighbours"] = [row for row in found["distributions"] if row["distribution"] == "normal"] + found["neighbours"]
    return found


def draw_estimates(work: Work[Any], estimates: dict[str, Rows]) -> None:
    from .figures import logarithmic, stroke

    most, first = (estimates["neighbours"][0][key] for key in ("n", "k"))
    with work.figure("estimator", judge_estimates(estimates), columns=3, size=(13, 4.6)) as (_, axes):
        for axis, key, by, title in (
            (axes[0, 0], "distributions", "distribution", f"by distribution, n = {most}, k = {first}"),
            (axes[0, 2], "neighbours", "k", f"by neighbour k, normal, n = {most}"),
        ):
            for number, value in enumerate(dict.fromkeys(row[by] for row in estimates[key])):
                part = [row for row in estimates[key] if row[by] == value]
                label = value if by == "distribution" else f"k = {value}"
                axis.plot([row["d"] for row in part], [row["exact"] / row["d"] for row in part], **stroke(number), label=label)
            axis.set(xlabel="dimensions d", ylabel="estimate − truth, nats a dimension", title=title)
        part, n = estimates["points"], [row["n"] for row in estimates["points"]]
        for number, (key, label) in enumerate((("exact", "exact, ψ(n)"), ("approximate", "approximate, log(n − 1)"))):
            axes[0, 1].plot(n, [row[key] / row["d"] for row in part], **stroke(number), label=label)
        low, high = ([(row["exact"] + sign * row["deviation"]) / row["d"] for row in part] for sign in (-1, 1))
        axes[0, 1].fill_between(n, low, high, alpha=0.15, label="± deviation of one estimate")
        axes[0, 1].set(xlabel="points n", ylabel="estimate − truth, nats a dimension", title=f"by points and constants, normal, d = {part[0]['d']}")
        logarithmic(axes[0, 1].xaxis, n)
        for axis in axes[0]:
            axis.axhline(0.0, color="black", linewidth=0.8)
            axis.legend(fontsize=9)


def judge_estimates(estimates: dict[str, Rows]) -> str:
    worst = max(estimates["distributions"], key=lambda row: abs(row["exact"] / row["d"]))
    few = estimates["points"][0]
    return (
        f"The entropy estimate is furthest off for {worst['distribution']} points in {worst['d']} dimensions "
        f"({worst['exact'] / worst['d']:+.2f} nats each, n = {worst['n']}); "
        f"exact constants move it by {(few['exact'] - few['approximate']) / few['d']:+.3f} at n = {few['n']}"
    )
