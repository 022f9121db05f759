"""Attention whose scores compare no two tokens: weights, time, scores on real tracks, and what the matrices learn (kexue.fm article 7430)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from .attention_seen import AttentionKind, attention_of
from .work import Lab, LabSettings, Steps, Training, Work, spread

TASKS = ("WMT EnDe BLEU", "WMT EnFr BLEU", "LM1B −perplexity", "CNN/DM Rouge-L", "PersonaChat Rouge-L", "GLUE")
PAPER: dict[str, tuple[float | None, ...]] = {
    "dot_product": (27.67, 41.57, -38.21, 35.77, 13.38, 83.5),
    "fixed_random": (23.89, 38.31, -50.52, None, None, None),
    "random": (27.27, 41.12, -40.60, 33.10, 15.00, 75.1),
    "factorized_random": (27.30, 41.12, -42.40, None, None, None),
    "dense": (27.43, 41.39, -40.88, 33.70, 15.22, 72.0),
    "factorized_dense": (27.32, 41.57, -41.20, None, None, None),
    "random+dense": (27.68, 41.21, -42.35, None, None, None),
    "dense+dot_product": (27.57, 41.38, -37.27, 36.02, 14.22, 82.6),
    "random+dot_product": (28.47, 41.85, -40.05, 35.95, 14.79, 84.1),
}
"""Of arXiv 2005.00743v1, more is better."""
D, N, RANK, FACTORS, HEADS = 512, 256, 8, (16, 16), 8
"""The sizes at which the paper's table 1 is evaluated."""
CLOSED = {"dot_product": 2 * D * D, "dense": D * D + D * N, "factorized_dense": D * D + D * sum(FACTORS)}
CLOSED |= {"random": N * N, "fixed_random": N * N, "factorized_random": 2 * N * RANK}


class SynthesizerSettings(LabSettings):
    """One small encoder from scratch, with each kind of attention, on each track."""

    tracks: tuple[str, ...] = Field(("event", "title"), min_length=1)
    recipe: str = "quick"
    kinds: tuple[AttentionKind, ...] = Field(tuple(PAPER), min_length=1)
    seeds: int = Field(2, ge=1, description="trainings of each kind")
    epochs: dict[str, float] = Field({"event": 2.0, "title": 1.5}, description="by track")
    max_records: int = Field(1_000_000, ge=1)
    overrides: tuple[str, ...] = Field((), description="more settings of the recipe, e.g. training.batch_tokens=512")
    lengths: tuple[int, ...] = Field((32, 64, 128, 256, 512), min_length=2)
    timed_tokens: int = Field(1024, ge=1, description="of a batch, whatever the length of its texts")
    hidden_size: int = Field(128, ge=8, description="of the timed encoders, which have 2 layers and 4 heads")
    repeats: int = Field(3, ge=1)
    shown_places: int = Field(48, ge=4, description="rows and columns of a matrix that are drawn")


def run(work: Work[SynthesizerSettings]) -> None:
    settings = work.settings
    counted = work.step("parameters", lambda: _parameters(settings.kinds))
    times = {length: work.step(f"time-{length}", partial(_times, settings, length)) for length in settings.lengths}
    trained = {track: {kind: _train(work, track, kind) for kind in settings.kinds} for track in settings.tracks}
    scores = {track: {kind: [_score(run) for run in runs] for kind, runs in own.items()} for track, own in trained.items()}
    first = {kind: runs[0] for kind, runs in trained[settings.tracks[0]].items()}
    learnt = {kind: work.step(f"learnt-{kind}", partial(_learnt, run, settings.shown_places)) for kind, run in first.items()}
    agreement = {track: [_agreement(own, task) for task in range(len(TASKS))] for track, own in scores.items()}
    _draw_times(work, times)
    _draw_scores(work, scores, agreement)
    _draw_matrices(work, learnt)
    if any("shares" in row for row in learnt.values()):
        _draw_shares(work, learnt)
    _draw_rows(work, learnt)
    longest = max(settings.lengths)
    measured = [f"{track}, Rouge-L" if track == "title" else track for track in settings.tracks]
    work.report(
        f"Weights of the scores ({D} wide, {N} tokens, table 1 and with {HEADS} heads), ms of a training step at {longest} tokens, dev scores",
        ["kind", "table 1", f"{HEADS} heads", "ms a step", "by input", *(f"{track} (± seeds)" for track in measured), TASKS[0]],
        [
            [kind, counted["one"][kind], counted["heads"][kind], times[longest]["step_ms"][kind], learnt[kind]["by_input"]]
            + [f"{np.mean(own[kind]):.4f} ± {spread(own[kind]):.4f}" for own in scores.values()]
            + [PAPER[kind][0] if kind in PAPER else "-"]
            for kind in settings.kinds
        ],
        metrics={
            "parameters": counted,
            "scores": scores,
            "spearman": {track: dict(zip(TASKS, row, strict=True)) for track, row in agreement.items()},
            "learnt": {kind: {key: value for key, value in row.items() if not isinstance(value, np.ndarray)} for kind, row in learnt.items()},
        },
        timing={"encoder": times, "training_seconds": {kind: run.seconds for kind, run in first.items()}},
        findings=[
            f"counted weights equal table 1's closed forms for {sum(counted['equal'].values())} of {len(counted['equal'])} kinds with one head; with "
            f"{HEADS} heads the random kind has {counted['heads']['random']:,}, the queries and keys it replaces {CLOSED['dot_product']:,}",
            *(_finding(track, own, agreement[track]) for track, own in scores.items()),
            "share of the attention weights' variance that the input makes: "
            + ", ".join(f"{kind} {row['by_input']:.3f}" for kind, row in learnt.items()),
            *(
                f"{kind}: training moves an entry of a matrix by {row['moved']:.4f} on average, where no text reaches by {row['moved_beyond']:.4f}"
                for kind, row in learnt.items()
                if "moved" in row
            ),
        ],
    )


def _parameters(kinds: Sequence[str]) -> Steps:
    from shared.attention import count_parameters

    both = dict.fromkeys([*CLOSED, *kinds])
    one = {kind: count_parameters(kind, D, N, rank=RANK, factors=FACTORS) for kind in both}
    heads = {kind: count_parameters(kind, D, N, num_heads=HEADS, rank=RANK, factors=FACTORS) for kind in both}
    return {"one": one, "heads": heads, "closed": CLOSED, "equal": {kind: one[kind] == CLOSED[kind] for kind in CLOSED}}


def _times(settings: SynthesizerSettings, length: int) -> Steps:
    from ..bench_components import components

    rows = max(settings.timed_tokens // length, 1)
    sizes = {"hidden_size": settings.hidden_size, "num_layers": 2, "num_heads": 4, "length": length, "rows": rows}
    made = components(**sizes, repeats=settings.repeats, kinds=settings.kinds, remedies=False)["candidates"]
    return {key: {row["name"]: row[key] for row in made} for key in ("forward_ms", "step_ms")}


def _train(work: Work[SynthesizerSettings], track: str, kind: str) -> list[Training]:
    settings = work.settings
    shared = [f"encoder.attention={kind}", f"training.epochs={settings.epochs.get(track, 3.0)}", f"training.max_records={settings.max_records}"]
    seeds = [[*shared, f"training.seed={settings.seed + number}", *settings.overrides] for number in range(settings.seeds)]
    return [work.train(f"{track}-{kind}-{number + 1}", track, recipe=settings.recipe, overrides=own) for number, own in enumerate(seeds)]


def _score(run: Training) -> float:
    """Rouge-L of a title, as the paper's summaries have; else the track's own measure."""
    return run.best.get("rouge_l", run.score)


def _learnt(run: Training, places: int) -> Steps:
    """:func:`attention_of` with matrices cut to ``places``, and how far training moved their entries there and beyond the longest text."""
    made = attention_of(run.folder)
    if "before" in made:
        change = np.abs(made["after"] - made["before"])  # [n, m, m]
        made.update(moved=float(change[:, :places, :places].mean()), moved_beyond=float(change[:, -places:, -places:].mean()))
        made.update({key: made[key][:, :places, :places] for key in ("before", "after")})
    return made


def _agreement(own: dict[str, list[float]], task: int) -> float | None:
    """Spearman's correlation of our mean scores with the paper's; None where the kinds in common are too few or all equal."""
    from shared.similarity import spearman

    both = [(float(np.mean(values)), PAPER[kind][task]) for kind, values in own.items() if kind in PAPER]
    pairs = [(ours, theirs) for ours, theirs in both if theirs is not None]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) > 2 and len({ours for ours, _ in pairs}) > 1 else None


def _finding(track: str, own: dict[str, list[float]], agreement: list[float | None]) -> str:
    means = {kind: float(np.mean(values)) for kind, values in own.items()}
    best, worst = max(means, key=lambda kind: means[kind]), min(means, key=lambda kind: means[kind])
    told = "no rank correlation" if agreement[0] is None else f"rank correlation {agreement[0]:+.2f}"
    return f"{track}: {best} is best ({means[best]:.4f}), {worst} worst ({means[worst]:.4f}); {told} with the paper's BLEU (EnDe)"


def _draw_times(work: Work[SynthesizerSettings], times: dict[int, dict[str, Any]]) -> None:
    from .figures import power_lines

    longest, kinds = max(times), work.settings.kinds
    order = sorted(kinds, key=lambda kind: times[longest]["step_ms"][kind])
    finding = f"From fastest to slowest in training, texts of {longest} tokens: {', '.join(order)}"
    with work.figure("time", finding, columns=2, size=(11.5, 6.6)) as (_, axes):
        for axis, key, title in zip(axes[0], ("forward_ms", "step_ms"), ("forward", "training step"), strict=True):
            power_lines(axis, list(times), {kind: [row[key][kind] for row in times.values()] for kind in kinds}, powers=False)
            axis.set(xlabel="tokens of a text", ylabel=f"ms for {work.settings.timed_tokens} tokens", title=title)
            low, high = axis.get_ylim()
            axis.set_ylim(top=high * (high / low) ** 0.8)  # room for the legend


def _draw_scores(work: Work[SynthesizerSettings], scores: dict[str, Any], agreement: dict[str, list[float | None]]) -> None:
    from .figures import DIVERGING, bar, image

    finding = "; ".join(_finding(track, own, agreement[track]) for track, own in scores.items())
    with work.figure("scores", finding, rows=1, columns=len(scores) + 1, size=(4.6 * (len(scores) + 1), 6)) as (_, axes):
        for number, (axis, (track, own)) in enumerate(zip(axes[0], scores.items(), strict=False)):
            order = sorted(own, key=lambda kind: PAPER.get(kind, (0.0,))[0] or 0.0)
            axis.barh(order, [np.mean(own[kind]) for kind in order], **bar(number))
            for place, kind in enumerate(order):
                axis.plot(own[kind], [place] * len(own[kind]), "ko", markersize=4)
            axis.set(xlabel="dev score (dots: seeds)", title=f"{track}; kinds by the paper's EnDe BLEU")
        values = np.array([[np.nan if value is None else value for value in row] for row in agreement.values()])  # [tracks, tasks]
        image(axes[0, -1], values.T, unit="Spearman's rank correlation", colours=DIVERGING, vmin=-1, vmax=1)
        axes[0, -1].set_xticks(range(len(scores)), list(scores))
        axes[0, -1].set_yticks(range(len(TASKS)), TASKS)
        axes[0, -1].set_title("our ranking beside the paper's")
        for (row, column), value in np.ndenumerate(values):
            colour = "white" if abs(value) > 0.6 else "black"
            axes[0, -1].text(row, column, "-" if np.isnan(value) else f"{value:+.2f}", ha="center", va="center", color=colour)


def _draw_matrices(work: Work[SynthesizerSettings], learnt: dict[str, dict[str, Any]]) -> None:
    """A figure a random kind: every head of the first layer before and after training, and the change."""
    from .figures import DIVERGING, image

    for kind, row in learnt.items():
        if not row.get("moved"):
            continue
        shown = {"as drawn": row["before"], "after training": row["after"], "change": row["after"] - row["before"]}  # [n, p, p] each
        heads, places = row["before"].shape[:2]
        finding = f"{kind}: training moves an entry by {row['moved']:.2g} on average, from a spread of {row['before'].std():.2f}"
        with work.figure(f"matrices-{kind}", finding, rows=3, size=(2.9 * heads, 9.6)) as (_, axes):
            for axis, (name, values) in zip(axes[:, 0], shown.items(), strict=True):
                reach = float(np.quantile(np.abs(values), 0.99))
                apart = np.pad(values, ((0, 0), (0, 0), (0, 2)), constant_values=np.nan)  # [n, p, p + 2], so that heads stand apart
                image(axis, np.hstack(list(apart)), unit="score", colours=DIVERGING, vmin=-reach, vmax=reach, aspect="equal")
                axis.set(title=name, ylabel="query place")
                axis.set_xticks([(places + 2) * head + places / 2 for head in range(heads)], [f"keys, head {head + 1}" for head in range(heads)])


def _draw_shares(work: Work[SynthesizerSettings], learnt: dict[str, dict[str, Any]]) -> None:
    from .figures import DIVERGING, image

    mixtures = {kind: row for kind, row in learnt.items() if "shares" in row}
    means = ", ".join(f"{row['parts'][0]} {row['shares'][:, 0].mean():.3f} of {kind}" for kind, row in mixtures.items())
    with work.figure("mixtures", f"Shares of the first part, from 0.5 at the start: {means}", columns=len(mixtures), size=(13, 4.4)) as (_, axes):
        reach = max(float(np.abs(row["shares"][:, 0] - 0.5).max()) for row in mixtures.values())
        for axis, (kind, row) in zip(axes[0], mixtures.items(), strict=True):
            first = row["shares"][:, 0]  # [layers, n]
            image(axis, first, unit="share" if axis is axes[0, -1] else "", colours=DIVERGING, vmin=0.5 - reach, vmax=0.5 + reach)
            for (layer, head), value in np.ndenumerate(first):
                axis.text(head, layer, f"{value:.3f}", ha="center", va="center", color="white" if abs(value - 0.5) > 0.6 * reach else "black")
            axis.set(title=f"{row['parts'][0]} in {kind}", xlabel="head", ylabel="layer")
            axis.set_xticks(range(first.shape[1]), range(1, first.shape[1] + 1))
            axis.set_yticks(range(first.shape[0]), range(1, first.shape[0] + 1))


def _draw_rows(work: Work[SynthesizerSettings], learnt: dict[str, dict[str, Any]]) -> None:
    """Two heads of each of two kinds on one sentence."""
    from .figures import token_grid

    shown = [kind for kind in ("dense", "dot_product") if kind in learnt] or list(learnt)[:1]
    told = ", ".join(f"{100 * learnt[kind]['by_input']:.0f} % with {kind}" for kind in shown)
    finding = f"The input decides this part of the variance of the last layer's attention: {told}"
    with work.figure("rows", finding, rows=len(shown), columns=2, size=(12, 6 * len(shown))) as (_, axes):
        for number, kind in enumerate(shown):
            row = learnt[kind]
            for head in range(2):
                token_grid(axes[number, head], row["rows"][head], row["tokens"], unit="attention weight")
                axes[number, head].set_title(f"{kind}, head {head + 1}")


LAB = Lab(
    SynthesizerSettings,
    {"tracks": ["event"], "kinds": ["random+dot_product"], "seeds": 1, "epochs": {"event": 1.0}, "max_records": 12,
     "lengths": [16, 32], "timed_tokens": 64, "hidden_size": 32, "repeats": 1, "shown_places": 32},
    run,
)  # fmt: skip
