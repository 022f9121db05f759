"""Where the constants of GELU's two elementary forms come from, how far off they are, and whether an encoder can tell (kexue.fm article 7309)."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from pydantic import Field

from ..console import progress
from .work import Lab, LabSettings, Steps, Work, spread

FORMS = ("gelu", "gelu_tanh", "gelu_sigmoid")
NAMES = {"gelu": "exact", "gelu_tanh": "tanh form", "gelu_sigmoid": "sigmoid form"}
PUBLISHED = {"tanh, local fit": 0.0455399241, "tanh, min-max fit": 0.0447149112, "sigmoid, min-max fit": 1.7017449256}
"""The article's own figures, which the fits have to meet."""


class GeluSettings(LabSettings):
    """The encoder of the comparison is a recipe's of a real track."""

    track: str = "event"
    recipe: str = "quick"
    overrides: tuple[str, ...] = Field((), description="further settings of every run, e.g. encoder.num_layers=3")
    epochs: float = Field(4.0, gt=0)
    max_records: int = Field(1_000_000, ge=1)
    seeds: int = Field(2, ge=1, description="trainings of each form")
    grid_step: float = Field(1e-5, gt=0)
    timed_numbers: int = Field(1_000_000, ge=1)
    repeats: int = Field(9, ge=1)


def run(work: Work[GeluSettings]) -> None:
    settings = work.settings
    fits = work.step("fits", lambda: _fits(settings.grid_step))
    speed = work.step("speed", lambda: _speed(settings))
    trained = {
        form: [
            work.train(
                f"{form}-{number + 1}",
                settings.track,
                recipe=settings.recipe,
                overrides=[
                    *settings.overrides,
                    f"encoder.activation={form}",
                    f"training.seed={settings.seed + number}",
                    f"training.epochs={settings.epochs}",
                    f"training.max_records={settings.max_records}",
                ],
            )
            for number in range(settings.seeds)
        ]
        for form in FORMS
    }
    scores = {form: [run.score for run in runs] for form, runs in trained.items()}
    means = {form: float(np.mean(scores[form])) for form in FORMS}
    apart, noise = max(means.values()) - min(means.values()), max(map(spread, scores.values()))
    _draw_errors(work, fits)
    _draw_cost(work, speed, scores, f"the mean scores are {apart:.3f} apart, seeds alone {noise:.3f}")
    largest = {row["origin"]: row["error"] for row in fits["report"] if row["target"] == "gelu"}
    rows = [
        [NAMES[form], error, speed[form]["forward"], speed[form]["both"], float(np.mean(scores[form])), spread(scores[form])]
        for form, error in zip(FORMS, (0.0, largest["tanh published"], largest["sigmoid published"]), strict=True)
    ]
    work.report(
        f"GELU's forms: error, milliseconds for {settings.timed_numbers:,} numbers, dev score of {settings.track}",
        ["form", "largest error", "ms forward", "ms with gradient", "dev score", "± of seeds"],
        rows,
        metrics={"fits": fits, "scores": scores},
        timing={"speed": speed, "training_seconds": {form: [round(run.seconds, 2) for run in runs] for form, runs in trained.items()}},
        findings=[
            *(f"{name}: {found:.10f}, the article has {PUBLISHED[name]:.10f}" for name, found in fits["constants"].items() if name in PUBLISHED),
            f"fits by an integral give {_span(fits['constants'])} for 0.044715, by weight and power: the weight decides, as the article says",
            f"the forms' mean dev scores are {apart:.4f} apart; seeds alone move a score by {noise:.4f}",
        ],
    )


def _fits(step: float) -> Steps:
    from shared.activations import approximation_report, fit_local, fit_minimax_sigmoid, fit_minimax_tanh, fit_weighted

    constants: dict[str, float] = {
        "tanh, local fit": fit_local().ratio,
        "tanh, min-max fit": fit_minimax_tanh().ratio,
        "sigmoid, min-max fit": fit_minimax_sigmoid().rate,
    }
    for power in (1, 2):
        for weight in ("uniform", "normal"):
            fit: Any = fit_weighted("tanh", power=power, weight=weight)
            constants[f"tanh, L{power} fit, {weight} weight"] = fit.ratio
    report = [
        {"target": row.target, "origin": f"{row.form} {row.origin}", "coefficient": row.coefficient, "error": row.error, "at": row.at}
        for row in approximation_report(step=step)
    ]
    return {"constants": constants, "report": report}


def _speed(settings: GeluSettings) -> Steps:
    """Medians; every repetition takes all forms in turn."""
    import paddle

    from shared.activations import get_activation

    x = paddle.randn([settings.timed_numbers])  # [n]
    x.stop_gradient = False
    seconds: dict[str, dict[str, list[float]]] = {form: {"forward": [], "both": []} for form in FORMS}
    with progress("forms timed") as advance:
        for repeat in range(settings.repeats):
            for form in FORMS:
                function, began = get_activation(form), time.perf_counter()
                with paddle.no_grad():
                    function(x)  # [n]
                seconds[form]["forward"].append(time.perf_counter() - began)
                began = time.perf_counter()
                function(x).sum().backward()
                seconds[form]["both"].append(time.perf_counter() - began)
                x.clear_gradient()
            advance(repeat + 1, settings.repeats)
    return {form: {key: 1e3 * float(np.median(values)) for key, values in taken.items()} for form, taken in seconds.items()}


def _draw_errors(work: Work[GeluSettings], fits: dict[str, Any]) -> None:
    from scipy.special import erf, expit

    from .figures import stroke

    x = np.linspace(-5, 5, 2001)  # [n]
    exact, slope = x * (1 + erf(x / math.sqrt(2))) / 2, math.sqrt(2 / math.pi)  # [n]
    constants = fits["constants"]
    curves = {
        "tanh, 0.0447149 (min-max)": x * (1 + np.tanh(slope * (x + constants["tanh, min-max fit"] * x**3))) / 2 - exact,
        "tanh, 0.0455399 (local)": x * (1 + np.tanh(slope * (x + constants["tanh, local fit"] * x**3))) / 2 - exact,
    }
    finding = "The min-max constant makes the tanh form's largest error 4.7e-4; the sigmoid form is 43 times further off"
    with work.figure("errors", finding, columns=2, size=(11, 4.4)) as (_, axes):
        for number, (name, values) in enumerate(curves.items()):
            axes[0, 0].plot(x, 1e4 * values, **{**stroke(number), "marker": ""}, label=name)
        axes[0, 0].set(xlabel="x", ylabel="form − GELU, in units of 1e-4", title="tanh form")
        sigmoid = {
            f"sigmoid, {constants['sigmoid, min-max fit']:.4f} (min-max)": constants["sigmoid, min-max fit"],
            "sigmoid, 1 (SiLU)": 1.0,
        }
        for number, (name, rate) in enumerate(sigmoid.items()):
            axes[0, 1].plot(x, 1e2 * (x * expit(rate * x) - exact), **{**stroke(number), "marker": ""}, label=name)
        axes[0, 1].set(xlabel="x", ylabel="form − GELU, in units of 1e-2", title="sigmoid form")
        for axis in axes[0]:
            axis.legend(fontsize=9)
            axis.margins(y=0.3)


def _draw_cost(work: Work[GeluSettings], speed: dict[str, Any], scores: dict[str, list[float]], told: str) -> None:
    from .figures import bars

    fastest = NAMES[min(FORMS, key=lambda form: speed[form]["both"])]
    finding = f"With its gradient the {fastest} is fastest here; {told}"
    with work.figure("cost", finding, columns=2, size=(11, 4.2)) as (_, axes):
        groups = [NAMES[form] for form in FORMS]
        bars(
            axes[0, 0],
            groups,
            {"forward": [speed[form]["forward"] for form in FORMS], "with gradient": [speed[form]["both"] for form in FORMS]},
            digits=1,
        )
        axes[0, 0].set(ylabel=f"ms for {work.settings.timed_numbers:,} numbers", title="time")
        bars(axes[0, 1], groups, {f"seed {work.settings.seed + n}": [scores[form][n] for form in FORMS] for n in range(work.settings.seeds)})
        axes[0, 1].set(ylabel=f"dev score, {work.settings.track}", title="the same encoder, trained with each")
        axes[0, 1].margins(y=0.35)


def _span(constants: dict[str, float]) -> str:
    found = [value for name, value in constants.items() if "weight" in name]
    return f"{min(found):.5f} to {max(found):.5f}"


LAB = Lab(GeluSettings, {"epochs": 1.0, "max_records": 60, "seeds": 1, "grid_step": 1e-3, "timed_numbers": 100_000, "repeats": 3}, run)
