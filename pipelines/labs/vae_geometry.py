"""Points that become ellipses: what region the codes of AE and VAE cover, and sentences between two sentences (kexue.fm article 7725)."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from ..console import progress
from .images import Distance, Images, Numbers, distance_of, make_autoencoder, moments_of, open_images, semi_axes, show, train_each
from .text_vae import TextRun, TextSettings, draw_texts, judge_texts, read_sentences, text_table, write_texts
from .work import Lab, Steps, Work

NAMES = {"ae": "AE", "vae": "KL", "vae_simple": "simple"}
PLANE = np.linspace(-2.5, 2.5, 13)
"""Along either axis of the decoded plane."""


class GeometrySettings(TextSettings):
    """Images as in the lab eae, codes of two numbers; a text VAE from scratch on the sentences of two tracks."""

    images: str = Field("", description="folder of images of one size; empty: scikit-learn's digits")
    max_images: int = Field(4000, ge=100)
    widths: tuple[int, ...] = (128, 64)
    weights: tuple[float, ...] = Field((1.0, 0.1), min_length=1, description="of either regulariser; the article has none, 1")
    steps: int = Field(1000, ge=1)
    batch: int = Field(128, ge=4)
    learning_rate: float = Field(2e-3, gt=0)
    seeds: int = Field(2, ge=1)
    points: int = Field(4000, ge=100, description="drawn from a region to see what share of it is covered")


def run(work: Work[GeometrySettings]) -> None:
    settings = work.settings
    images = open_images(settings.images, seed=settings.seed, most=settings.max_images)
    names = {"ae": "AE"} | {
        f"{kind}-{weight:g}": f"{NAMES[kind]}, weight {weight:g}" for weight in settings.weights for kind in ("vae", "vae_simple")
    }
    _draw_toys(work)
    distance, told = distance_of(work, images, steps=min(400, 10 * settings.steps))
    found = train_each(work, names, settings.seeds, partial(_train, settings, images, distance))
    floor = distance(images.train, images.test)
    _draw_ellipses(work, images, found, names)
    _draw_plane(work, found, names)
    sentences, held_out = read_sentences(work)
    texts = enumerate(settings.texts, 1)
    written = [work.step(f"text-{number}", partial(write_texts, settings, one, sentences, held_out)) for number, one in texts]
    draw_texts(work, written)
    keys = ("error", "frechet", "disc", "normal", "sigma", "moment_1", "moment_2")
    means, spreads = moments_of(found, (*keys, "redundant"))
    rows = [[name, *(f"{means[kind][key]:.3f} ± {spreads[kind][key]:.3f}" for key in keys), found[kind][0]["shape"]] for kind, name in names.items()]
    best = max(range(len(written)), key=lambda place: written[place]["exact"])
    work.report(
        f"Codes of two numbers for {images.name}, {len(images.train)} images to train on, {len(images.test)} to test",
        ["model", "squared error", "Fréchet, samples", "disc covered", "N(0, I) covered", "mean sigma", "moment 1", "moment 2", "shape"],
        rows,
        metrics={
            "models": {
                kind: {"mean": means[kind], "sd": spreads[kind], "holes_at_centre": [one["at_centre"] for one in found[kind]]} for kind in names
            },
            "frechet_floor": floor,
            "texts": [{key: value for key, value in one.items() if key not in ("seconds", "lines", "kl")} for one in written],
        },
        timing={"images": {kind: [one["seconds"] for one in runs] for kind, runs in found.items()}, "texts": [one["seconds"] for one in written]},
        more=[
            text_table(settings, written, len(sentences), len(held_out)),
            (f"Between two trained sentences, {settings.texts[best].name}", ["pair", "t", "sentence", "trained on"], written[best]["lines"]),
        ],
        findings=[
            f"Fréchet distances are taken in {told}; the two halves themselves are {floor:.3f} apart. ± is the deviation of {settings.seeds} seeds",
            "share of the unit disc and of N(0, I) that the training half's ellipses cover (circles around the AE's points): "
            + "; ".join(f"{name} {means[kind]['disc']:.0%} and {means[kind]['normal']:.0%}" for kind, name in names.items()),
            "redundant dimensions of 2, and trainings with a hole in the middle of the disc: "
            + "; ".join(f"{name} {means[kind]['redundant']:g}, {sum(one['at_centre'] for one in found[kind])}" for kind, name in names.items()),
            *(_compare_regularizers(means, spreads, f"{weight:g}") for weight in settings.weights),
            *judge_texts(settings, written),
        ],
    )


def _train(settings: GeometrySettings, images: Images, distance: Distance, name: str, number: int) -> Steps:
    """One model. Coverage, holes and moments are those of the training half, whose ellipses the decoder learned."""
    import paddle

    from shared.generative import VAE, aggregate_moments, coverage, describe_shape, holes, redundant_dimensions
    from shared.generative.fitting import fit

    kind, _, weight = name.partition("-")
    made = make_autoencoder(kind, images.shape, 2, settings.widths, weight=float(weight or 0))
    began = time.perf_counter()
    with progress(f"{NAMES[kind]} {weight}") as advance:
        fit(
            made,
            images.train,
            steps=settings.steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            seed=settings.seed + number,
            watch=lambda step: advance(step, settings.steps),
        )
    seconds = time.perf_counter() - began
    with paddle.no_grad():
        mu, shown = made.encode(paddle.to_tensor(images.train)).numpy(), made.encode(paddle.to_tensor(images.test)).numpy()  # [n, 2], [n, 2]
        back = made(paddle.to_tensor(images.test)).numpy()  # [n, c, h, w]
        plane = np.stack(np.meshgrid(PLANE, -PLANE), axis=-1).reshape(-1, 2).astype("float32")  # [p, 2]
        decoded = made.decode(paddle.to_tensor(plane)).numpy()  # [p, c, h, w]
    sigma = semi_axes(made, images.train) if isinstance(made, VAE) else None  # [n, 2]
    drawn = np.full_like(mu, 2.0 / np.sqrt(len(mu))) if sigma is None else sigma  # [n, 2]: n circles that could cover the unit disc four times
    moments, gaps = aggregate_moments(mu, sigma), holes(mu, drawn, points=settings.points)
    outside = holes(mu, drawn, region="normal", points=min(1500, settings.points))
    return {
        "error": float(np.square(back - images.test).sum(axis=(1, 2, 3)).mean()),
        "frechet": distance(made.sample(len(images.test), settings.seed + number).numpy(), images.test),
        "disc": 1.0 - gaps.share,
        "normal": coverage(mu, drawn, region="normal", points=settings.points).share,
        "at_centre": gaps.at_centre,
        "sigma": 0.0 if sigma is None else float(sigma.mean()),
        "moment_1": float(moments.second_moment[0]),
        "moment_2": float(moments.second_moment[1]),
        "redundant": len(redundant_dimensions(mu, sigma).dimensions),
        "shape": describe_shape(mu, sigma).kind,
        "seconds": seconds,
        "mu": mu,
        "drawn": drawn,
        "test_mu": shown,
        "test_sigma": semi_axes(made, images.test) if isinstance(made, VAE) else np.zeros_like(shown),
        "holes": outside.points,
        "plane": decoded,
    }


def _draw_toys(work: Work[GeometrySettings]) -> None:
    from shared.generative.geometry import SHAPES, describe_shape, toy_shape

    from .figures import COLOURS

    shapes = {kind: toy_shape(kind, seed=work.settings.seed) for kind in SHAPES}
    said = {kind: describe_shape(codes) for kind, codes in shapes.items()}
    right = sum(said[kind].kind == kind for kind in SHAPES)
    covered = ", ".join(kind for kind in SHAPES if said[kind].disc > 0.8) or "none"
    title = f"The diagnostics name {right} of the article's 4 regions right; covered to four fifths: {covered}"
    with work.figure("toys", title, columns=4, size=(13, 4)) as (_, axes):
        for axis, (kind, codes) in zip(axes[0], shapes.items(), strict=True):
            axis.scatter(*codes.T, s=6, color=COLOURS[0])
            found = said[kind]
            axis.set_title(f"{kind}: called {found.kind}\ncovered {found.disc:.0%}, middle {found.inner:.0%}, rim {found.rim:.0%}", fontsize=10)
            axis.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xlabel="first code", ylabel="second code")


def _draw_ellipses(work: Work[Any], images: Images, found: dict[str, list[dict[str, Any]]], names: dict[str, str]) -> None:
    """Above one ellipse an example with the places that none reaches, below one a label."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Circle

    from shared.generative import ellipses, group_ellipses

    from .figures import COLOURS, DASHES

    first = {kind: runs[0] for kind, runs in found.items()}
    shares = "; ".join(f"{names[kind]}: {one['normal']:.0%}" for kind, one in first.items())
    title = f"Share of N(0, I) that the ellipses of the training half cover – {shares}"
    with work.figure("ellipses", title, rows=2, columns=len(first), size=(max(2.8 * len(first), 8), 6.8)) as (figure, axes):
        for column, (kind, one) in enumerate(first.items()):
            drawn = ellipses(one["mu"][:250], one["drawn"][:250])
            axes[0, column].add_collection(LineCollection(list(drawn.outlines), colors=COLOURS[0], linewidths=0.6, alpha=0.6, zorder=3))
            axes[0, column].scatter(*drawn.centres.T, s=3, color=COLOURS[0], zorder=3, label="centres")
            axes[0, column].scatter(*one["holes"].T, s=4, color=COLOURS[1], label="points of N(0, I) in no ellipse")
            axes[0, column].set_title(f"{names[kind]}: {len(drawn.centres)} images", fontsize=11)
            labels = np.zeros(len(one["test_mu"]), dtype=int) if images.test_labels is None else images.test_labels
            groups = group_ellipses(one["test_mu"], labels.tolist(), one["test_sigma"] if kind != "ae" else None)
            for number, outline in enumerate(groups.outlines):
                axes[1, column].plot(*outline.T, color=COLOURS[number % 8], linestyle=DASHES[number % 8])
                if images.test_labels is not None:
                    axes[1, column].annotate(str(groups.labels[number]), groups.centres[number], ha="center", va="center", fontweight="bold")
            axes[1, column].set_title(f"{names[kind]}:\nmean ± deviation by label", fontsize=11)
            for axis in axes[:, column]:
                axis.add_patch(Circle((0.0, 0.0), 1.0, fill=False, color="black", linewidth=1.2, label="unit circle"))
                axis.set(aspect="equal", xlabel="first code", ylabel="second code" if column == 0 else "")
                if kind != "ae":
                    axis.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
                else:
                    axis.autoscale_view()
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)


def _draw_plane(work: Work[GeometrySettings], found: dict[str, list[dict[str, Any]]], names: dict[str, str]) -> None:
    best = min(names, key=lambda kind: np.mean([one["frechet"] for one in found[kind]]))
    title = f"The plane of codes from -{PLANE[-1]:g} to {PLANE[-1]:g}, decoded: samples of {names[best]} are nearest to the images"
    with work.figure("plane", title, columns=len(found), size=(3.4 * len(found), 4.4)) as (_, axes):
        for axis, (kind, runs) in zip(axes[0], found.items(), strict=True):
            show(axis, runs[0]["plane"], len(PLANE), f"{names[kind]}\nFréchet, samples: {runs[0]['frechet']:.2f}")


def _compare_regularizers(means: Numbers, spreads: Numbers, weight: str) -> str:
    kl, simple = means[f"vae-{weight}"], means[f"vae_simple-{weight}"]
    noise = max(spreads[f"{kind}-{weight}"]["frechet"] for kind in ("vae", "vae_simple"))
    return (
        f"KL against the simple regulariser, weight {weight}: squared error {kl['error']:.3f} and {simple['error']:.3f}, mean sigma "
        f"{kl['sigma']:.3f} and {simple['sigma']:.3f}, E[mu²] + E[sigma²] (1 for N(0, I)) {kl['moment_1']:.2f}, {kl['moment_2']:.2f} and "
        f"{simple['moment_1']:.2f}, {simple['moment_2']:.2f}, Fréchet distance of samples {kl['frechet']:.3f} and {simple['frechet']:.3f} "
        f"(seeds move it by {noise:.3f}; the plain autoencoder has {means['ae']['frechet']:.3f})"
    )


QUICK = {
    "max_images": 300,
    "widths": (32,),
    "weights": (0.1,),
    "steps": 25,
    "batch": 64,
    "seeds": 1,
    "points": 500,
    "tracks": ("event",),
    "characters": 20,
    "max_texts": 100,
    "text_width": 16,
    "text_steps": 6,
    "pairs": 2,
    "between": 3,
    "texts": (TextRun(name="weight 1").model_dump(),),
}

LAB = Lab(GeometrySettings, QUICK, run)
