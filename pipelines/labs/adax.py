"""What AdaX's second moment remembers, what that does among local minima, and what it brings to a track (kexue.fm article 7387; arXiv 2004.09740)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from ..console import progress
from .work import Lab, LabSettings, Steps, Training, Work

KINDS = {"adam": "Adam", "adax": "AdaX", "adafactor": "AdaFactor"}
TRAINED = {"adamw": "AdamW", "adax": "AdaX", "adax_w": "AdaX-W"}
DESCENDED = ("Adam", "AdaX", "SGD with momentum")
WELL_DEPTH, WELL_WIDTH = 4.0, 1.6
DIPS, DIP_RADIUS, DIP_DEPTH, DIP_WIDTH = 18, 3.0, 1.5, 0.5


class AdaxSettings(LabSettings):
    """The grid: every optimizer at every rate and seed, head rates in the recipe's proportion."""

    track: str = "event"
    recipe: str = "quick"
    overrides: tuple[str, ...] = Field((), description="further settings of every run, e.g. encoder.num_layers=3")
    rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3)
    head_factor: float = Field(4.0, gt=0, description="head rate over encoder rate")
    epochs: float = Field(4.0, gt=0)
    max_records: int = Field(1_000_000, ge=1)
    seeds: int = Field(1, ge=1)
    starts: int = Field(200, ge=1, description="points that descend among the dips")
    descent_steps: int = Field(1000, ge=1)
    descent_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)


def run(work: Work[AdaxSettings]) -> None:
    settings = work.settings
    decay = work.step("decay", _decay)
    descent = work.step("descent", lambda: _descent(settings))
    trained = {
        name: {
            rate: [
                work.train(
                    f"{name}-{rate:g}-{number + 1}",
                    settings.track,
                    recipe=settings.recipe,
                    overrides=[
                        *settings.overrides,
                        f"training.optimizer={name}",
                        f"training.learning_rate={rate}",
                        f"training.head_learning_rate={rate * settings.head_factor}",
                        f"training.seed={settings.seed + number}",
                        f"training.epochs={settings.epochs}",
                        f"training.max_records={settings.max_records}",
                    ],
                )
                for number in range(settings.seeds)
            ]
            for rate in settings.rates
        }
        for name in TRAINED
    }
    scores = {name: {f"{rate:g}": [run.score for run in runs] for rate, runs in by_rate.items()} for name, by_rate in trained.items()}
    best = {name: max(settings.rates, key=lambda rate: float(np.mean(scores[name][f"{rate:g}"]))) for name in TRAINED}
    top = {name: float(np.mean(scores[name][f"{best[name]:g}"])) for name in TRAINED}
    _draw_decay(work, decay)
    _draw_descent(work, descent)
    _draw_training(work, trained, best, top)
    leader = max(top, key=lambda name: top[name])
    reached = {name: max(descent["reached"][name]) for name in DESCENDED}
    work.report(
        f"Best dev score of {settings.track} by optimizer over {len(settings.rates)} rates",
        ["optimizer", "best rate", "dev score", *(f"at {rate:g}" for rate in settings.rates), "decay at step 1", "in the limit"],
        [
            [shown, f"{best[name]:g}", top[name], *(float(np.mean(scores[name][f"{rate:g}"])) for rate in settings.rates), *_limits(decay, name)]
            for name, shown in TRAINED.items()
        ],
        metrics={"decay": {key: decay[key] for key in ("criteria",)}, "descent": descent["reached"], "scores": scores, "best_rate": best},
        timing={
            "training_seconds": {
                name: {f"{rate:g}": [round(run.seconds, 2) for run in runs] for rate, runs in by_rate.items()}
                for name, by_rate in trained.items()
            }
        },
        findings=[
            "the decay of AdaX begins at 0 and ends at 1; Adam's ends at 0.999, so its denominator never stands still",
            "past a moat of dips (a problem of ours: the paper's formula was not at hand) the best rate brings into the well "
            + ", ".join(f"{100 * share:.0f} % of the starts with {name}" for name, share in reached.items()),
            f"{TRAINED[leader]} is best on dev with {top[leader]:.4f}; "
            + ", ".join(f"{TRAINED[name]} {top[name]:.4f}" for name in TRAINED if name != leader),
        ],
    )


def _limits(decay: dict[str, Any], name: str) -> tuple[float, float]:
    found = decay["criteria"]["adam" if name == "adamw" else "adax"]
    return found["first"], found["limit"]


def _decay() -> Steps:
    from shared.optim import decay_criteria, equivalent_decay

    steps = np.unique(np.round(np.logspace(0, 6, 241)).astype(np.int64))  # [n]
    curves = {kind: np.asarray([equivalent_decay(kind, int(t)) for t in steps]) for kind in KINDS}  # type: ignore[arg-type]  # [n] each
    criteria = {kind: decay_criteria(kind) for kind in KINDS}  # type: ignore[arg-type]
    return {"steps": steps, **curves, "criteria": {kind: {"first": found.first, "limit": found.limit} for kind, found in criteria.items()}}


def _centres() -> np.ndarray:
    """Where the dips are, [k, 2]."""
    angle = 2 * np.pi * np.arange(DIPS) / DIPS  # [k]
    centres: np.ndarray = DIP_RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # [k, 2]
    return centres


def _surface(points: Any, centres: Any, exp: Any) -> Any:
    """A bowl with a broad well in its middle and a ring of narrow dips around that, a moat, [n], at points [n, 2] of NumPy or Paddle."""
    square = (points * points).sum(-1)  # [n]
    apart = points[:, None] - centres[None]  # [n, k, 2]
    dips = exp((apart * apart).sum(-1) * (-0.5 / DIP_WIDTH**2)).sum(-1)  # [n]
    return 0.02 * square - WELL_DEPTH * exp(square * (-0.5 / WELL_WIDTH**2)) - DIP_DEPTH * dips  # [n]


def _descent(settings: AdaxSettings) -> Steps:
    """Share of the starts, on a ring outside the dips, that end in the well; the paths of the first of them at every optimizer's best rate."""
    import paddle

    from shared.optim import AdaX

    makers = {
        "Adam": lambda rate, points: paddle.optimizer.Adam(rate, parameters=[points]),
        "AdaX": lambda rate, points: AdaX(rate, parameters=[points]),
        "SGD with momentum": lambda rate, points: paddle.optimizer.Momentum(rate, 0.9, parameters=[points]),
    }
    generator = np.random.default_rng(settings.seed)
    angle, radius = generator.uniform(0, 2 * np.pi, settings.starts), generator.uniform(4.5, 6.5, settings.starts)  # [n], [n]
    starts = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)  # [n, 2]
    centres = paddle.to_tensor(_centres().astype(np.float32))  # [k, 2]
    reached: dict[str, list[float]] = {}
    paths: dict[str, np.ndarray] = {}
    total, done = len(makers) * len(settings.descent_rates) * settings.descent_steps, 0
    with progress("descents") as advance:
        for name, make in makers.items():
            for rate in settings.descent_rates:
                points = paddle.create_parameter([settings.starts, 2], "float32", default_initializer=paddle.nn.initializer.Assign(starts))  # [n, 2]
                optimizer, path = make(rate, points), [starts[:6]]
                for _ in range(settings.descent_steps):
                    _surface(points, centres, paddle.exp).sum().backward()
                    optimizer.step()
                    optimizer.clear_grad()
                    path.append(points[:6].numpy())  # [6, 2]
                    done += 1
                    advance(done, total)
                share = float((np.linalg.norm(points.numpy(), axis=1) < 1.0).mean())
                if share > max(reached.get(name, [-1.0])):
                    paths[f"path {name}"] = np.stack(path)  # [steps + 1, 6, 2]
                reached.setdefault(name, []).append(share)
    return {"reached": reached, **paths}


def _draw_decay(work: Work[AdaxSettings], decay: dict[str, Any]) -> None:
    from .figures import stroke

    finding = "AdaX's second moment forgets ever less; Adam's stops at a memory of 1,000 steps"
    with work.figure("decay", finding, size=(8, 4.8)) as (_, axes):
        for number, (kind, shown) in enumerate(KINDS.items()):
            axes[0, 0].loglog(decay["steps"], np.maximum(1 - decay[kind], 1e-12), **{**stroke(number), "marker": ""}, label=shown)
        axes[0, 0].set(xlabel="step t", ylabel="1 − decay: what the newest gradient counts for", ylim=(1e-12, 2))
        axes[0, 0].legend()


def _draw_descent(work: Work[AdaxSettings], descent: dict[str, Any]) -> None:
    from .figures import SEQUENTIAL, stroke

    reached = descent["reached"]
    best = max(DESCENDED, key=lambda name: max(reached[name]))
    others = ", ".join(f"{name} {100 * max(reached[name]):.0f} %" for name in DESCENDED if name != best)
    finding = f"Past the moat of dips into the well: {best} brings {100 * max(reached[best]):.0f} % of the starts there at its best rate, {others}"
    with work.figure("descent", finding, columns=2, size=(12, 5.2)) as (_, axes):
        side = np.linspace(-7, 7, 281)  # [m]
        grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)  # [m * m, 2]
        drawn = axes[0, 0].contourf(side, side, _surface(grid, _centres(), np.exp).reshape(281, 281), levels=24, cmap=SEQUENTIAL)
        axes[0, 0].figure.colorbar(drawn, ax=axes[0, 0], label="value")
        for number, name in enumerate(DESCENDED):
            for place in range(2):
                path = descent[f"path {name}"][:, place]  # [steps + 1, 2]
                look = {"color": ("white", "#E69F00", "#CC79A7")[number], "linestyle": stroke(number)["linestyle"], "linewidth": 1.6}
                axes[0, 0].plot(*path.T, **look, label=name if place == 0 else None)
                axes[0, 0].plot(*path[-1], marker="o", color="black", markersize=4)
        axes[0, 0].set(xlabel="x", ylabel="y", title="paths of two starts at each one's best rate", aspect="equal")
        axes[0, 0].grid(visible=False)
        axes[0, 0].legend(labelcolor="white", fontsize=9)
        for number, name in enumerate(DESCENDED):
            axes[0, 1].semilogx(work.settings.descent_rates, [100 * share for share in reached[name]], **stroke(number), label=name)
        axes[0, 1].set(xlabel="learning rate", ylabel="% of the starts that end in the well", ylim=(-3, 103), title="all starts")
        axes[0, 1].set_xticks(work.settings.descent_rates)
        axes[0, 1].legend()


def _draw_training(work: Work[AdaxSettings], trained: dict[str, dict[float, list[Training]]], best: dict[str, float], top: dict[str, float]) -> None:
    from .figures import stroke

    settings, order = work.settings, sorted(TRAINED, key=lambda name: -top[name])
    finding = "Best over the rates: " + ", ".join(f"{TRAINED[name]} {top[name]:.4f}" for name in order)
    with work.figure("training", finding, columns=2, size=(12, 4.8)) as (_, axes):
        for number, (name, shown) in enumerate(TRAINED.items()):
            means = [float(np.mean([run.score for run in trained[name][rate]])) for rate in settings.rates]
            axes[0, 0].semilogx(settings.rates, means, **stroke(number), label=shown)
            dev = trained[name][best[name]][0].dev
            points = [list(scores.values())[-1] for _, scores in dev]
            axes[0, 1].plot([step for step, _ in dev], points, **stroke(number), label=f"{shown} at {best[name]:g}")
        axes[0, 0].set_xticks(settings.rates)
        axes[0, 0].set(xlabel="learning rate of the encoder", ylabel=f"best dev score, {settings.track}", title="over the rates")
        axes[0, 1].set(xlabel="step", ylabel=f"dev score, {settings.track}", title="each at its best rate")
        for axis in axes[0]:
            axis.legend(fontsize=9)


LAB = Lab(
    AdaxSettings,
    {"rates": (1e-3,), "epochs": 1.0, "max_records": 40, "starts": 40, "descent_steps": 60, "descent_rates": (0.03, 0.3)},
    run,
)
