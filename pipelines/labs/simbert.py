"""One encoder that finds texts of one meaning and writes them, beside shared characters and itself before training (kexue.fm article 7427)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tasks.paraphrase.baseline import fit_tfidf

from ..data_files import open_labelled
from . import same_meaning as meaning
from .same_meaning import USUAL, Encode, Judge, Model, Pairs
from .work import Lab, LabSettings, Training, Work

TFIDF, UNTRAINED, WHOLE = "TF-IDF", "untrained", "SimBERT"
Variant = Literal["SimBERT", "similarity alone", "SimBERT + CoSENT"]
LOSSES: dict[Variant, tuple[str, ...]] = {
    "SimBERT": ("model.pair_weight=0",),
    "similarity alone": ("model.pair_weight=0", "model.sequence_weight=0"),
    "SimBERT + CoSENT": ("model.pair_weight=1",),
}
"""The article's two losses; the similarity alone; both and a third, by which pairs of two meanings teach too (CoSENT)."""
WRITING = (WHOLE, "SimBERT + CoSENT")
GOLD, UNLIKE = "the gold pair", "pairs of two meanings"
ACCURACY, TOP_1 = 79.82, 0.96
"""The article's: on LCQMC's validation set with a cosine above .9, and on a set of its own."""


class SimbertSettings(LabSettings):
    """Every variant is a run of ``lic train paraphrase``; those that have the sequence loss also write."""

    recipe: str = "quick"
    overrides: tuple[str, ...] = Field((), description="further settings of every run, e.g. encoder.num_layers=3")
    epochs: float = Field(10.0, gt=0)
    max_records: int = Field(1_000_000, ge=1)
    evaluations: int = Field(1, ge=1, description="on dev, an epoch")
    variants: tuple[Variant, ...] = tuple(LOSSES)
    nearest: int = Field(10, ge=5, description="texts that are found for a query")
    questions: int = Field(40, ge=1, description="dev texts for which other words are written")
    draws: int = Field(100, ge=1, description="a question")
    top_k: int = Field(5, ge=1, description="tokens that each is drawn from")
    kept: int = Field(5, ge=1, description="of the draws, those nearest to the question by the model that wrote them")
    longest: int = Field(30, ge=1, description="tokens of what is written")


def run(work: Work[SimbertSettings]) -> None:
    settings = work.settings
    variants = list(dict.fromkeys(settings.variants))
    trained: dict[str, Training] = {
        name: work.train(_slug(name), "paraphrase", recipe=settings.recipe, overrides=_overrides(settings, name)) for name in variants
    }
    data, first = work.data_of("paraphrase"), _overrides(settings, variants[0])
    opened = open_labelled("paraphrase", data=data, recipe=settings.recipe, overrides=first, skip_bad=False)
    pairs = meaning.pairs_of(opened.dev)
    models: dict[str, Model] = {UNTRAINED: cache(lambda: meaning.open_untrained(opened, work.folder / "untrained"))}
    models |= {name: cache(partial(meaning.open_trained, one.folder)) for name, one in trained.items()}
    fitted = cache(lambda: fit_tfidf(list(opened.records_in_use())))
    encoders: dict[str, Encode] = {TFIDF: lambda texts: fitted().transform(texts)}
    encoders |= {name: partial(meaning.encode, model) for name, model in models.items()}
    measured = {
        name: work.step(f"found-{_slug(name)}", partial(meaning.measure_pairs, pairs, vectors, nearest=settings.nearest))
        for name, vectors in encoders.items()
    }
    judges = {name: Judge(vectors, measured[name]["scores"]["threshold"]) for name, vectors in encoders.items() if name not in WRITING}
    writers = [name for name in models if name == UNTRAINED or name in WRITING]
    places = pairs.asked(settings.questions)  # [q]
    sources, gold = ([pairs.texts[place] for place in side[places]] for side in (pairs.first, pairs.second))
    options = {"n": settings.draws, "kept": settings.kept, "top_k": settings.top_k, "max_length": settings.longest, "seed": settings.seed}
    written = {name: work.step(f"written-{_slug(name)}", partial(meaning.write_words, models[name], sources, **options)) for name in writers}
    unlike = np.flatnonzero(pairs.labels == 0)[: len(places)]  # [at most q]
    apart = [[pairs.texts[place] for place in side[unlike]] for side in (pairs.first, pairs.second)]
    wording: dict[str, Any] = {}
    for name, found in written.items():
        judging = {other: judge for other, judge in judges.items() if other != name}  # nobody judges what he wrote
        wording[name] = work.step(f"words-{_slug(name)}", partial(meaning.measure_words, sources, found["kept"], gold, judging))
    for name, (texts, others) in {GOLD: (sources, gold), UNLIKE: apart}.items():
        wording[name] = work.step(f"words-{_slug(name)}", partial(meaning.measure_words, texts, [[text] for text in others], None, judges))
    scores = {name: found["scores"] for name, found in measured.items()}
    _draw_cosines(work, pairs, measured)
    _draw_retrieval(work, measured)
    _draw_curves(work, trained, scores)
    _draw_words(work, wording, written, scores)
    work.report(
        f"{len(pairs.labels):,} pairs of dev, and its {len(pairs.queries):,} texts with one of the same meaning among {len(pairs.texts):,}",
        ["model", "accuracy, best threshold", f"accuracy at {USUAL}", "Spearman", "AUC", "top 1", "top 5"],
        [[name, *(one[key] for key in ("best_accuracy", "accuracy", "spearman", "auc")), *_top(measured[name])] for name, one in scores.items()],
        metrics={
            "scores": scores,
            "recall": {name: found["recall"] for name, found in measured.items()},
            "words": wording,
            "new": {name: found["new"] for name, found in written.items()},
            "dev": {name: [[step, found["spearman"]] for step, found in run.dev] for name, run in trained.items()},
        },
        timing={"training_seconds": {name: round(run.seconds, 1) for name, run in trained.items()}},
        findings=_findings(measured, wording, written, trained),
        more=[
            (
                f"Other words for {len(sources)} dev texts, the {settings.kept} nearest of {settings.draws} draws",
                ["written by", "new draws", "Rouge-2 source", "Rouge-2 gold", "BLEU gold", *(f"kept, {name}" for name in judges)],
                [[name, *_words_row(found, written.get(name), judges)] for name, found in wording.items()],
            ),
            (
                "The nearest draw and its cosine by the model itself",
                ["text", "gold", *writers],
                [[source, gold[at], *(_best(written[name], at) for name in writers)] for at, source in enumerate(sources[:12])],
            ),
        ],
    )


def _overrides(settings: SimbertSettings, name: Variant) -> tuple[str, ...]:
    shared = (f"training.epochs={settings.epochs}", f"training.max_records={settings.max_records}", f"training.seed={settings.seed}")
    return (*settings.overrides, *shared, f"training.evaluations_per_epoch={settings.evaluations}", *LOSSES[name])


def _slug(name: str) -> str:
    return name.lower().replace(" + ", "-").replace(" ", "-")


def _top(found: dict[str, Any]) -> list[Any]:
    return [found["recall"][0], found["recall"][4]] if found["recall"] else ["-", "-"]


def _words_row(found: dict[str, Any], written: dict[str, Any] | None, judges: Iterable[str]) -> list[Any]:
    cells = [written and written["new"], *(found[key] for key in ("rouge_2_source", "rouge_2_gold", "bleu_gold"))]
    return ["-" if cell is None else cell for cell in (*cells, *map(found["kept"].get, judges))]


def _best(found: dict[str, Any], place: int) -> str:
    texts, cosines = found["kept"][place], found["cosines"][place]
    return f"{texts[0]} ({cosines[0]:.3f})" if texts else "-"


def _findings(measured: dict[str, Any], wording: dict[str, Any], written: dict[str, Any], trained: dict[str, Training]) -> list[str]:
    scores = {name: one["scores"] for name, one in measured.items()}
    best = max(scores, key=lambda name: scores[name]["spearman"])
    told = ", ".join(f"{name} {one['spearman']:.4f}" for name, one in scores.items() if name != best)
    found = [f"by Spearman of cosine and label {best} is best with {scores[best]['spearman']:.4f} (others: {told})"]
    if measured[best]["recall"]:
        told = ", ".join(f"{100 * one['recall'][0]:.1f} % ({name})" for name, one in measured.items())
        found.append(f"the nearest text means the same for {told} of the queries")
    if WHOLE in scores and "similarity alone" in scores:
        one, two = measured[WHOLE], measured["similarity alone"]
        moved = f"the sequence loss moves Spearman by {one['scores']['spearman'] - two['scores']['spearman']:+.4f}"
        top = f" and top-1 retrieval by {100 * (one['recall'][0] - two['recall'][0]):+.1f} points" if one["recall"] else ""
        steps = " and ".join(str(trained[name].dev[-1][0]) for name in (WHOLE, "similarity alone"))
        found.append(f"{moved}{top} against the similarity alone: one seed, {steps} steps, since without targets a batch holds more pairs")
    for name, words in written.items():
        kept = {row: wording[row]["kept"] for row in (name, GOLD, UNLIKE)}
        told = ", ".join(
            f"{_percent(share)} by {judge} (of {GOLD} {_percent(kept[GOLD][judge])}, of {UNLIKE} {_percent(kept[UNLIKE][judge])})"
            for judge, share in kept[name].items()
        )
        found.append(f"{_percent(words['new'])} of the draws of {name} are new; of those kept means the same as its source: {told}")
    whole = WHOLE if WHOLE in scores else best
    score = scores[whole]
    found.append(
        f"at a cosine of {USUAL} {whole} is right for {100 * score['accuracy']:.2f} % of these pairs, at its best threshold, "
        f"{score['threshold']:.3f}, for {100 * score['best_accuracy']:.2f} %; the article's {ACCURACY} % (LCQMC, {USUAL}) and its "
        f"top-1 retrieval of {TOP_1} (a set of its own) are of other data and 22 million groups to learn from: not comparable"
    )
    return found


def _percents(found: dict[str, Any], keys: Iterable[str]) -> list[float]:
    """Not a number, which draws no bar, for what was not measured."""
    return [float("nan") if found.get(key) is None else 100 * found[key] for key in keys]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _draw_cosines(work: Work[SimbertSettings], pairs: Pairs, measured: dict[str, Any]) -> None:
    from sklearn.metrics import roc_curve

    from .figures import stroke

    shown = WHOLE if WHOLE in measured else list(measured)[-1]
    areas = {name: found["scores"]["auc"] for name, found in measured.items()}
    said = "Training tells meanings apart" if areas[shown] > areas[UNTRAINED] else "Training does not help here"
    finding = f"{said}: area under the curve {areas[UNTRAINED]:.3f} before, {areas[shown]:.3f} after; {TFIDF} {areas[TFIDF]:.3f}"
    with work.figure("cosines", finding, columns=3, size=(14, 4.8)) as (_, axes):
        for axis, name in zip(axes[0], (UNTRAINED, shown), strict=False):
            meaning.draw_cosines(axis, pairs, measured[name])
            axis.set(title=f"{name}: cosines by label")
        for number, (name, found) in enumerate(measured.items()):
            wrong, right, _ = roc_curve(pairs.labels, found["cosines"])  # [m], [m]
            axes[0, 2].plot(100 * wrong, 100 * right, **{**stroke(number), "marker": ""}, label=f"{name} ({areas[name]:.3f})")
        axes[0, 2].set(xlabel="pairs of two meanings called alike, %", ylabel="pairs of one meaning called alike, %", title="all thresholds (area)")
        axes[0, 2].legend(fontsize=9, loc="lower right")


def _draw_retrieval(work: Work[SimbertSettings], measured: dict[str, Any]) -> None:
    from .figures import stroke

    known = {name: found["recall"] for name, found in measured.items() if found["recall"]}
    if not known:
        return
    best = max(known, key=lambda name: known[name][0])
    finding = f"The nearest text means the same for {100 * known[best][0]:.1f} % of the queries with {best}; {TFIDF} {100 * known[TFIDF][0]:.1f} %"
    with work.figure("retrieval", finding, size=(10, 5)) as (_, axes):
        for number, (name, recall) in enumerate(known.items()):
            axes[0, 0].plot(range(1, len(recall) + 1), [100 * share for share in recall], **stroke(number), label=name)
        axes[0, 0].set(xlabel="texts looked at, k", ylabel="queries with one of their meaning among them, %", xticks=range(1, len(known[best]) + 1))
        axes[0, 0].legend()


def _draw_curves(work: Work[SimbertSettings], trained: dict[str, Training], scores: dict[str, Any]) -> None:
    from .figures import BLUE, stroke

    best = max(trained, key=lambda name: scores[name]["spearman"])
    finding = f"Of the variants {best} ends highest: Spearman {scores[best]['spearman']:.4f} of its best weights"
    with work.figure("curves", finding, size=(9, 5)) as (_, axes):
        for number, (name, run) in enumerate(trained.items()):
            steps, points = [0, *(step for step, _ in run.dev)], [scores[UNTRAINED]["spearman"], *(found["spearman"] for _, found in run.dev)]
            axes[0, 0].plot(steps, points, **stroke(number + 2), label=name)  # as in the other figures
        axes[0, 0].axhline(scores[TFIDF]["spearman"], color=BLUE, linestyle=":", label=TFIDF)
        axes[0, 0].set(xlabel="step", ylabel="dev: Spearman of cosine and label")
        axes[0, 0].legend()


def _draw_words(work: Work[SimbertSettings], wording: dict[str, Any], written: dict[str, Any], scores: dict[str, Any]) -> None:
    from .figures import bars

    shown = next((name for name in written if name != UNTRAINED), UNTRAINED)
    best = max(wording[shown]["kept"], key=lambda judge: scores[judge]["spearman"])
    kept = {row: _percent(wording[row]["kept"][best]) for row in (shown, GOLD, UNLIKE)}
    finding = f"By the best judge, {best}, {kept[shown]} of what {shown} writes keeps its meaning; {GOLD} {kept[GOLD]}, {UNLIKE} {kept[UNLIKE]}"
    with work.figure("words", finding, columns=2, size=(14, 5)) as (_, axes):
        judges = list(wording[GOLD]["kept"])
        bars(axes[0, 0], judges, {row: _percents(found["kept"], judges) for row, found in wording.items()}, digits=0)
        axes[0, 0].set(ylabel="texts said to mean the same as their source, %", xlabel="judge", title="meaning kept")
        overlap = {"with the source": "rouge_2_source", "with the gold pair": "rouge_2_gold"}
        bars(axes[0, 1], list(overlap), {row: _percents(found, overlap.values()) for row, found in wording.items()}, digits=0)
        axes[0, 1].set(ylabel="Rouge-2 by characters, %", xlim=(-0.5, 1.5), title="characters in common")
        axes[0, 0].get_legend().remove()
        axes[0, 1].margins(y=0.6)


LAB = Lab(
    SimbertSettings,
    {"epochs": 1.0, "max_records": 120, "variants": (WHOLE, "similarity alone"), "questions": 3, "draws": 8, "longest": 8},
    run,
)
