"""Why a wider beam can be worse, and what two remedies bring on titles (kexue.fm article 7259)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from ..console import say
from .work import Lab, LabSettings, Steps, Training, Work, spread

TOY = {"": {"a": 0.6, "c": 0.4}, "a": {"b": 0.55, "d": 0.45}, "c": {"b": 0.1, "d": 0.9}}
"""The article's distribution: every next token by what was written before."""
REMEDIES: dict[str, tuple[str, ...]] = {
    "teacher forcing": (),
    "replacement, target words": ("training.replacement_rows=0.5", "training.replacement_tokens=0.3", "training.replacement_pool=target"),
    "replacement, all words": ("training.replacement_rows=0.5", "training.replacement_tokens=0.3", "training.replacement_pool=all"),
    "gradient penalty": ("training.penalty_epsilon={epsilon}",),
    "both": (
        *("training.replacement_rows=0.5", "training.replacement_tokens=0.3", "training.replacement_pool=target"),
        "training.penalty_epsilon={epsilon}",
    ),
}
SCORES = {"rouge_l": "Rouge-L", "rouge_1": "Rouge-1", "rouge_2": "Rouge-2", "bleu": "BLEU"}
ARTICLE: dict[str, dict[int, tuple[float, ...]]] = {
    "teacher forcing": {1: (63.81, 65.45, 54.91, 45.52), 2: (64.44, 66.09, 55.75, 46.39), 3: (64.75, 66.34, 56.06, 46.70)},
    "replacement, all words": {1: (64.44, 66.09, 55.56, 46.10), 2: (65.04, 66.75, 56.51, 47.19), 3: (65.15, 66.96, 56.74, 47.42)},
    "gradient penalty": {1: (65.41, 67.29, 56.64, 47.37), 2: (65.94, 67.84, 57.38, 48.16), 3: (66.10, 68.08, 57.70, 48.56)},
}
"""CSL: Rouge-L, Rouge-1, Rouge-2, BLEU by beam, of BERT-wwm base on 3,000 abstracts; what is called replacement there drew from all words."""


class ExposureBiasSettings(LabSettings):
    """Every remedy is one run of ``lic train title`` a seed, decoded by every beam."""

    recipe: str = "quick"
    overrides: tuple[str, ...] = Field((), description="further settings of every run, e.g. encoder.num_layers=3")
    epochs: float = Field(8.0, gt=0)
    max_records: int = Field(1_000_000, ge=1)
    penalty_epsilon: float = Field(1.0, gt=0)
    seeds: int = Field(2, ge=1)
    beams: tuple[int, ...] = (1, 2, 3)
    remedies: tuple[str, ...] = tuple(REMEDIES)


def run(work: Work[ExposureBiasSettings]) -> None:
    settings = work.settings
    toy = work.step("toy", _toy)
    runs = {name: [_train(work, name, number) for number in range(settings.seeds)] for name in settings.remedies}
    scores = {
        name: {
            beam: [_decode(work, name, number, beam, trained) for number, trained in enumerate(found)] for beam in settings.beams
        }
        for name, found in runs.items()
    }
    means = {name: {beam: {key: _mean(found, key) for key in SCORES} for beam, found in by_beam.items()} for name, by_beam in scores.items()}
    _draw_toy(work, toy)
    _draw_scores(work, scores, means)
    _draw_article(work, means)
    rows: list[list[Any]] = []
    for name, by_beam in means.items():
        for beam, found in by_beam.items():
            published = ARTICLE.get(name, {}).get(beam)
            apart = spread([one["bleu"] for one in scores[name][beam]])
            rows.append([name, beam, *(100 * found[key] for key in SCORES), 100 * apart, f"{published[-1]:.2f}" if published else "-"])
    work.report(
        f"Titles: scores in %, mean of {settings.seeds} seed{'s' if settings.seeds > 1 else ''}, and the article's BLEU",
        ["trained with", "beam", *SCORES.values(), "± BLEU", "BLEU in the article"],
        [[f"{cell:.2f}" if isinstance(cell, float) else cell for cell in row] for row in rows],
        metrics={"toy": toy, "scores": scores, "means": means},
        timing={"training_seconds": {name: [round(one.seconds, 1) for one in found] for name, found in runs.items()}},
        findings=[_toy_finding(toy), *_findings(scores, means)],
    )


def _toy() -> Steps:
    """What beams of 1 to 3 find in the toy distribution, and all sequences with their probabilities."""
    from shared.decoding import beam_search, from_prefixes

    words = ("a", "b", "c", "d", "end")

    def logits(prefixes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        scores = np.full([len(rows), len(words)], -np.inf)  # [r, v]
        for row, prefix in enumerate(prefixes.tolist()):
            for word, probability in TOY.get("".join(words[token] for token in prefix), {"end": 1.0}).items():
                scores[row, words.index(word)] = np.log(probability)
        return scores

    found = {}
    for beam in (1, 2, 3):
        ((best, *_),) = beam_search(from_prefixes(logits, 1), end_id=words.index("end"), max_length=3, beam=beam)
        found[str(beam)] = ["".join(words[token] for token in best.tokens), round(float(np.exp(best.log_probability)), 6)]
    return {"found": found, "joint": {first + second: round(p * q, 6) for first, p in TOY[""].items() for second, q in TOY[first].items()}}


def _train(work: Work[ExposureBiasSettings], name: str, number: int) -> Training:
    settings = work.settings
    own = [one.format(epsilon=settings.penalty_epsilon) for one in REMEDIES[name]]
    shared = [f"training.epochs={settings.epochs}", f"training.seed={settings.seed + number}", f"training.max_records={settings.max_records}"]
    return work.train(_slug(name, number), "title", recipe=settings.recipe, overrides=[*settings.overrides, *shared, *own])


def _decode(work: Work[ExposureBiasSettings], name: str, number: int, beam: int, trained: Training) -> dict[str, float]:
    def make() -> Steps:
        from ..evaluate import evaluate

        say(f"{name}, seed {work.settings.seed + number}, beam {beam}")
        found = evaluate("title", run=trained.folder, data=work.data_of("title"), decode=[f"decode.beam={beam}"])
        return {key: found[key] for key in SCORES}

    return work.step(f"{_slug(name, number)}-beam-{beam}", make)


def _slug(name: str, number: int) -> str:
    return f"{name.replace(', ', '-').replace(' ', '-')}-{number + 1}"


def _mean(found: list[dict[str, float]], key: str) -> float:
    return float(np.mean([one[key] for one in found]))


def _toy_finding(toy: dict[str, Any]) -> str:
    (one, p), (two, q) = toy["found"]["1"], toy["found"]["2"]
    return f"in the toy distribution, whose target is ab, beam 1 finds {one} ({p:.2f}) and beam 2 finds {two} ({q:.2f})"


def _findings(scores: dict[str, Any], means: dict[str, Any]) -> list[str]:
    """By BLEU, the score that the article selects by: each remedy against teacher forcing, and what a wider beam brings."""
    first, last = min(next(iter(means.values()))), max(next(iter(means.values())))
    found = []
    base = means.get("teacher forcing")
    for name, by_beam in means.items():
        if base is None or name == "teacher forcing":
            continue
        gains = [100 * (one["bleu"] - two["bleu"]) for one, two in zip(scores[name][first], scores["teacher forcing"][first], strict=True)]
        told = ", ".join(f"{gain:+.2f}" for gain in gains)
        gain = 100 * (by_beam[first]["bleu"] - base[first]["bleu"])
        found.append(f"{name}: BLEU {gain:+.2f} over teacher forcing at beam {first} (by seed {told})")
    wider = {name: 100 * (by_beam[last]["bleu"] - by_beam[first]["bleu"]) for name, by_beam in means.items()}
    found.append(f"from beam {first} to {last} BLEU changes by " + ", ".join(f"{gain:+.2f} ({name})" for name, gain in wider.items()))
    return found


def _draw_toy(work: Work[ExposureBiasSettings], toy: dict[str, Any]) -> None:
    from .figures import BLUE, GREY, ORANGE

    (one, p), (two, q) = toy["found"]["1"], toy["found"]["2"]
    finding = f"Beam 1 keeps a and finds {one} ({p:.2f}), the target; beam 2 keeps c as well and finds {two} ({q:.2f}), which is wrong"
    places = {"": (0.0, 1.5), "a": (1.0, 2.4), "c": (1.0, 0.6), "ab": (2.0, 2.8), "ad": (2.0, 2.0), "cb": (2.0, 1.0), "cd": (2.0, 0.2)}
    with work.figure("toy", finding, size=(9, 5)) as (_, axes):
        axis = axes[0, 0]
        for before, after in TOY.items():
            for word, probability in after.items():
                (x, y), (to_x, to_y), name = places[before], places[before + word], before + word
                colour, dash = (BLUE, "-") if one.startswith(name) else (ORANGE, "--") if two.startswith(name) else (GREY, ":")
                axis.plot([x, to_x], [y, to_y], color=colour, linestyle=dash, linewidth=1 + 5 * probability)
                middle = (0.45 * x + 0.55 * to_x, 0.45 * y + 0.55 * to_y)
                axis.text(*middle, f"{probability:.2f}", ha="center", va="center", fontsize=12, bbox={"fc": "white", "ec": "none", "pad": 1.5})
        for name, (x, y) in places.items():
            axis.text(x, y, name[-1:] or "start", ha="center", va="center", fontsize=14, bbox={"boxstyle": "circle", "fc": "white", "ec": GREY})
            if len(name) == 2:
                beams = [beam for beam, (sequence, _) in toy["found"].items() if sequence == name]
                told = f"   p({name}) = {toy['joint'][name]:.2f}" + (f"  ← beam {', '.join(beams)}" if beams else "")
                axis.text(x + 0.06, y, told, ha="left", va="center", fontsize=12)
        axis.set(xlim=(-0.2, 3.1), ylim=(-0.1, 3.1))
        axis.axis("off")


def _draw_scores(work: Work[ExposureBiasSettings], scores: dict[str, Any], means: dict[str, Any]) -> None:
    from .figures import stroke

    settings = work.settings
    best = max(((name, beam) for name in means for beam in settings.beams), key=lambda place: means[place[0]][place[1]]["bleu"])
    finding = f"Best BLEU: {best[0]} with beam {best[1]}, {100 * means[best[0]][best[1]]['bleu']:.2f}"
    with work.figure("scores", finding, columns=2, size=(12, 5)) as (figure, axes):
        for place, key in enumerate(("bleu", "rouge_l")):
            axis = axes[0, place]
            for number, (name, by_beam) in enumerate(means.items()):
                axis.plot(settings.beams, [100 * by_beam[beam][key] for beam in settings.beams], **stroke(number), label=name)
                for beam in settings.beams:
                    points = [100 * one[key] for one in scores[name][beam]]
                    axis.plot([beam] * len(points), points, **{**stroke(number), "linestyle": ""}, alpha=0.35)
            axis.set(xlabel="beam", ylabel=f"{SCORES[key]}, %", xticks=settings.beams, title=f"{SCORES[key]}: mean (line), seeds (faint)")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)


def _draw_article(work: Work[ExposureBiasSettings], means: dict[str, Any]) -> None:
    from .figures import bars

    both = [name for name in means if name in ARTICLE and name != "teacher forcing"]
    first = min(work.settings.beams)
    if not both or "teacher forcing" not in means or first not in ARTICLE["teacher forcing"]:
        return
    ours = [100 * (means[name][first]["bleu"] - means["teacher forcing"][first]["bleu"]) for name in both]
    theirs = [ARTICLE[name][first][-1] - ARTICLE["teacher forcing"][first][-1] for name in both]
    agree = sum(one * two > 0 for one, two in zip(ours, theirs, strict=True))
    finding = f"The gain over teacher forcing has the article's sign for {agree} of {len(both)} remedies"
    with work.figure("article", finding, size=(8, 4.6)) as (_, axes):
        bars(axes[0, 0], both, {"here": ours, "article, BERT-wwm base": theirs}, digits=2)
        axes[0, 0].axhline(0, color="black", linewidth=0.8)
        axes[0, 0].set(ylabel=f"BLEU gain at beam {first}, points")


LAB = Lab(
    ExposureBiasSettings,
    {
        "epochs": 1.0,
        "max_records": 32,
        "seeds": 1,
        "beams": (1, 2),
        "remedies": ("teacher forcing", "gradient penalty"),
        "overrides": ("encoder.num_layers=1", "decode.max_target=8"),
    },
    run,
)
