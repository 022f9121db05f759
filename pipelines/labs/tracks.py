"""The articles' three baselines (kexue.fm article 7321) beside this project's other models, each track at about the same budget of CPU time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shared.errors import input_error

from .work import Lab, LabSettings, Steps, Training, Work, read_training


@dataclass(frozen=True)
class Entry:
    """One model of a track: ``sample`` are settings over the recipe quick, ``real`` a shipped recipe and settings over it."""

    shown: str
    sample: tuple[str, ...]
    real: tuple[str, tuple[str, ...]]


GPLINKER = ('model={name="gplinker", logit_bias=-12.0}', "training.head_learning_rate=1e-2")
GENERATE = ('model={name="generate"}', "training.batch_tokens=1024", "training.head_learning_rate=3e-3")
ENTRIES: Mapping[str, Mapping[str, Entry]] = {
    "event": {
        "crf": Entry("CRF (article)", (), ("small", ("training.epochs=2.7",))),
        "gplinker": Entry("GPLinker", (*GPLINKER, "training.epochs=9"), ("gplinker", ("training.epochs=2.45",))),
        "generate": Entry("generate", (*GENERATE, "training.epochs=12"), ("generate", ())),
    },
    "relation": {
        "casrel": Entry("CasRel (article)", (), ("small", ("training.epochs=0.95",))),
        "gplinker": Entry("GPLinker", (*GPLINKER, "training.epochs=9"), ("gplinker", ("training.epochs=0.84",))),
        "generate": Entry("generate", (*GENERATE, "training.epochs=12"), ("generate", ("training.epochs=0.56",))),
    },
    "reading": {
        "span": Entry("span (article)", (), ("small", ("training.epochs=0.385",))),
        "robust": Entry("span, robust", ("training.replacement_rows=0", "training.ema_decay=0.99"), ("robust", ("training.weights={cail=0}",))),
        "generate": Entry(
            "generate", (*GENERATE, "training.epochs=8", "encoder.convolution_width=0"), ("generate", ("training.epochs=0.27",))
        ),
    },
}
"""The first of a track is the article's. The real form's epochs take about 45 minutes of one thread each with 6 layers of 384."""


class TracksSettings(LabSettings):
    """``form``: ``sample`` trains tiny encoders from scratch, ``real`` the shipped recipes of a pretrained one."""

    form: Literal["sample", "real"] = "sample"
    tracks: tuple[Literal["event", "relation", "reading"], ...] = ("event", "relation", "reading")
    models: tuple[str, ...] = Field((), description="only these; empty: all")
    decision: bool = Field(True, description="also fit thresholds and a reranker on dev, cross-fitted (lic tune --rerank)")
    overrides: tuple[str, ...] = Field((), description="further settings of every run")
    runs: str | None = Field(None, description="a folder of finished runs TRACK-MODEL to read instead of training them")


def run(work: Work[TracksSettings]) -> None:
    settings = work.settings
    rows: list[list[Any]] = []
    metrics: dict[str, Any] = {}
    timing: dict[str, Any] = {}
    findings = []
    for track in settings.tracks:
        chosen = {name: entry for name, entry in ENTRIES[track].items() if not settings.models or name in settings.models}
        trained = {name: _trained(work, track, name, entry) for name, entry in chosen.items()}
        decided = {name: _decided(work, track, name, found) for name, found in trained.items()}
        floor = work.step(f"{track}-without-learning", lambda track=track: _without_learning(work, track))  # type: ignore[misc]
        metrics[track] = {"models": decided, "without_learning": floor}
        timing[track] = {name: round(found.seconds, 1) for name, found in trained.items()}
        _draw(work, track, chosen, trained, decided, floor["score"])
        for name, entry in chosen.items():
            plain, after = decided[name]["as_decoded"], decided[name]["with_decision"]
            rows.append([track, entry.shown, plain, after if after is not None else "-", f"{trained[name].seconds / 60:.1f}"])
        findings.append(_finding(track, chosen, decided))
    work.report(
        "The articles' baselines and our other models: dev score (F1)",
        ["track", "model", "as decoded", "with fitted decision", "minutes of training"],
        rows,
        metrics=metrics,
        timing=timing,
        findings=findings,
    )


def _trained(work: Work[TracksSettings], track: str, name: str, entry: Entry) -> Training:
    settings = work.settings
    if settings.runs is not None:
        folder = Path(settings.runs) / f"{track}-{name}"
        if not (folder / "best.json").is_file():
            found, remedy = "no finished run", "Name the folder that holds the runs, or leave the setting runs out, and they are trained."
            raise input_error("LIC-L005", file=folder, found=found, expected=f"a run of {track} with the model {name}", remedy=remedy)
        return read_training(folder)
    recipe, own = ("quick", entry.sample) if settings.form == "sample" else entry.real
    return work.train(f"{track}-{name}", track, recipe=recipe, overrides=[*own, f"training.seed={settings.seed}", *settings.overrides])


def _decided(work: Work[TracksSettings], track: str, name: str, trained: Training) -> dict[str, Any]:
    """Dev scores as the run decodes, and with what lic tune fits; of a finished run what its decision.json says."""
    plain = trained.score
    if work.settings.runs is not None:
        place = trained.folder / "decision.json"
        fitted = json.loads(place.read_text(encoding="utf-8"))["fitted"] if place.is_file() else None
        return {"as_decoded": plain, "with_decision": None if fitted is None else list(fitted["after"].values())[-1]}
    if not work.settings.decision:
        return {"as_decoded": plain, "with_decision": None}

    def make() -> Steps:
        from ..tune import tune

        return {"after": tune(trained.folder, data=work.data_of(track), rerank=True)["after"]}

    return {"as_decoded": plain, "with_decision": list(work.step(f"{track}-{name}-decision", make)["after"].values())[-1]}


def _without_learning(work: Work[TracksSettings], track: str) -> Steps:
    from ..evaluate import evaluate_baseline

    scores = evaluate_baseline(track, split="dev", data=work.data_of(track))
    return {"score": scores["f1"]}


def _finding(track: str, chosen: Mapping[str, Entry], decided: Mapping[str, Mapping[str, Any]]) -> str:
    first = next(iter(chosen))
    best = max(chosen, key=lambda name: max(filter(None, decided[name].values()), default=0.0))
    base, top = decided[first], decided[best]
    told = f"{track}: {chosen[first].shown} as it decodes {base['as_decoded']:.4f}"
    final = top["as_decoded"] if top["with_decision"] is None else max(top["as_decoded"], top["with_decision"])
    how = " and a fitted decision" if final != top["as_decoded"] else ""
    return f"{told}; best: {chosen[best].shown}{how}, {final:.4f} ({100 * (final - base['as_decoded']):+.1f} points)"


def _draw(
    work: Work[TracksSettings],
    track: str,
    chosen: Mapping[str, Entry],
    trained: Mapping[str, Training],
    decided: Mapping[str, Mapping[str, Any]],
    floor: float,
) -> None:
    from .figures import GREY, bars, stroke

    with work.figure(track, _finding(track, chosen, decided), columns=2, size=(12, 5)) as (_, axes):
        for number, (name, entry) in enumerate(chosen.items()):
            minutes = [seconds / 60 for seconds in trained[name].spent]
            axes[0, 0].plot(minutes, [list(scores.values())[-1] for _, scores in trained[name].dev], **stroke(number), label=entry.shown)
        axes[0, 0].axhline(floor, color=GREY, linestyle=(0, (1, 3)), label="without learning")
        axes[0, 0].set(xlabel="minutes of training (steps alone)", ylabel="dev F1", title="on the way", xlim=(0, None), ylim=(0, None))
        axes[0, 0].legend(fontsize=9)
        series = {"as decoded": [decided[name]["as_decoded"] for name in chosen]}
        if all(decided[name]["with_decision"] is not None for name in chosen):
            series["with fitted thresholds and reranker"] = [decided[name]["with_decision"] for name in chosen]
        bars(axes[0, 1], [entry.shown for entry in chosen.values()], series)
        axes[0, 1].axhline(floor, color=GREY, linestyle=(0, (1, 3)))
        axes[0, 1].set(ylabel="dev F1", title="at the end (best evaluation)", ylim=(0, None))


LAB = Lab(
    TracksSettings,
    {
        "tracks": ("event",),
        "models": ("crf", "gplinker"),
        "decision": False,
        "overrides": ("training.epochs=1.0", "training.max_records=40"),
    },
    run,
)
