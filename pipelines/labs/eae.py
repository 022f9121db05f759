"""An autoencoder whose codes become normal by their entropy alone, beside a plain one and VAEs, on small images (kexue.fm article 7343)."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from ..console import progress
from .estimator import draw_estimates, estimate, judge_estimates
from .images import Distance, Images, distance_of, make_autoencoder, moments_of, open_images, semi_axes, show, train_each
from .work import Lab, LabSettings, Steps, Work

MODELS = {"ae": "AE", "bn": "AE + BN", "eae": "EAE", "vae": "VAE", "vae_tuned": "tuned VAE"}
"""``bn``: the EAE with weight 0, which tells what batch normalisation does from what entropy does."""
SHOWN = 32
"""Images of a kind that are kept for pictures."""


class EaeSettings(LabSettings):
    """One body and as many steps for all; what is tuned is a weight of the EAE and of one VAE, on the training half."""

    images: str = Field("", description="folder of images of one size; empty: scikit-learn's digits")
    max_images: int = Field(4000, ge=100)
    latent_size: int = Field(8, ge=1)
    widths: tuple[int, ...] = (128, 64)
    steps: int = Field(1000, ge=1)
    batch: int = Field(128, ge=4)
    learning_rate: float = Field(2e-3, gt=0)
    rise: float = Field(0.5, ge=0, le=1, description="share of the steps over which a weight rises from 0")
    looks: int = Field(10, ge=1, description="at the entropy of the test codes, over the steps")
    seeds: int = Field(3, ge=1)
    eae_weights: tuple[float, ...] = (0.1, 0.3, 1.0)
    vae_weights: tuple[float, ...] = (0.03, 0.1, 0.3)
    repeats: int = Field(10, ge=2, description="draws for each estimate of an entropy")
    points: tuple[int, ...] = (10, 30, 100, 300, 1000)
    dimensions: tuple[int, ...] = (1, 2, 5, 10, 20)
    neighbours: tuple[int, ...] = (1, 3, 8)


def run(work: Work[EaeSettings]) -> None:
    settings = work.settings
    images = open_images(settings.images, seed=settings.seed, most=settings.max_images)
    points = settings.dimensions, settings.points, settings.neighbours
    estimates = work.step("estimator", partial(estimate, *points, repeats=settings.repeats, seed=settings.seed))
    distance, told = distance_of(work, images, steps=min(400, 3 * settings.steps))
    weights, tuning = _tune(work, images, distance)
    found = train_each(work, MODELS, settings.seeds, lambda kind, number: _train(settings, images, distance, kind, weights[kind], number))
    floor = distance(images.train, images.test)
    draw_estimates(work, estimates)
    _draw_pictures(work, images, found, floor)
    _draw_codes(work, found, tuning, weights)
    keys = ("error", "frechet_samples", "frechet_reconstructions", "entropy_gap", "ks", "correlation", "used")
    means, spreads = moments_of(found, keys)
    seconds = {kind: [one["seconds"] for one in runs] for kind, runs in found.items()}
    rows = [
        [name, weights[kind], *(f"{means[kind][key]:.3f} ± {spreads[kind][key]:.3f}" for key in keys), float(np.mean(seconds[kind]))]
        for kind, name in MODELS.items()
    ]
    best = min(("vae", "vae_tuned"), key=lambda kind: means[kind]["frechet_samples"])
    work.report(
        f"Autoencoders of {images.name}, {len(images.train)} images to train on, {len(images.test)} to test, codes of {settings.latent_size} numbers",
        [
            "model",
            "weight",
            "squared error",
            "Fréchet, samples",
            "Fréchet, reconstr.",
            "entropy − normal",
            "KS",
            "correlation",
            "used dim.",
            "seconds",
        ],
        rows,
        metrics={
            "models": {kind: {"weight": weights[kind], "mean": means[kind], "sd": spreads[kind]} for kind in MODELS},
            "frechet_floor": floor,
            "tuning": tuning,
            "estimator": estimates,
        },
        timing={"seconds": seconds},
        findings=[
            f"Fréchet distances are taken in {told}; the two halves themselves are {floor:.3f} apart. ± is the deviation of {settings.seeds} seeds",
            _compare("samples", "frechet_samples", means, spreads, best),
            _compare("reconstructions of the test half", "error", means, spreads, best),
            f"with weight 1, the article's, the VAE uses {means['vae']['used']:.1f} of {settings.latent_size} dimensions and the EAE "
            f"{means['eae']['used']:.1f}; with weight {weights['vae_tuned']:g} the VAE uses {means['vae_tuned']['used']:.1f} "
            "(used: the error rises by more than 5% when a dimension's codes are exchanged between images)",
            f"batch normalisation alone brings samples from {means['ae']['frechet_samples']:.2f} to {means['bn']['frechet_samples']:.2f}, "
            f"entropy from there to {means['eae']['frechet_samples']:.2f}",
            f"tuned on the training half by the Fréchet distance of samples: the EAE's weight among {_listed(settings.eae_weights)}, "
            f"one VAE's among {_listed(settings.vae_weights)}; every weight rises from 0 over {settings.rise:.0%} of the steps",
            judge_estimates(estimates),
        ],
    )


def _tune(work: Work[EaeSettings], images: Images, distance: Distance) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The weights, and the Fréchet distance of samples to the part of the training half that was not trained on, by kind and weight."""
    settings, half = work.settings, len(images.train) // 2
    parts = Images(images.name, images.train[:half], images.train[half:])
    tuning: dict[str, dict[str, float]] = {"eae": {}, "vae": {}}
    for kind, grid in (("eae", settings.eae_weights), ("vae", settings.vae_weights)):
        for weight in grid:
            step = work.step(f"tune-{kind}-{weight:g}", partial(_train, settings, parts, distance, kind, weight, 0))
            tuning[kind][f"{weight:g}"] = float(step["frechet_samples"])
    eae, vae = (float(min(tuning[kind], key=tuning[kind].__getitem__)) for kind in ("eae", "vae"))
    return {"ae": 0.0, "bn": 0.0, "eae": eae, "vae": 1.0, "vae_tuned": vae}, tuning


def _train(settings: EaeSettings, images: Images, distance: Distance, kind: str, weight: float, number: int) -> Steps:
    """One model: what it makes of the test half. ``codes``: of a VAE, drawn from the ellipses, as their union shall be N(0, I)."""
    import paddle

    from shared.generative import VAE, knn_entropy, latent_normality, standard_normal
    from shared.generative.fitting import dimension_use, fit

    made = make_autoencoder({"bn": "eae", "vae_tuned": "vae"}.get(kind, kind), images.shape, settings.latent_size, settings.widths, weight=weight)
    test, noise = paddle.to_tensor(images.test), np.random.default_rng(number).standard_normal((len(images.test), settings.latent_size))
    curve: list[tuple[int, float]] = []

    def codes() -> np.ndarray:
        mu = made.encode(test).numpy()  # [n, d]
        return np.asarray(mu + semi_axes(made, images.test) * noise if isinstance(made, VAE) else mu, dtype="float32")

    def entropy(z: Any) -> float:
        return float(knn_entropy(paddle.to_tensor(z)))

    reference, began = entropy(standard_normal(len(images.test), settings.latent_size, settings.seed)), time.perf_counter()
    with progress(f"{MODELS[kind]}, weight {weight:g}") as advance:

        def watch(step: int) -> None:
            curve.append((step, entropy(codes())))
            advance(step, settings.steps)

        fit(
            made,
            images.train,
            steps=settings.steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            rise=settings.rise if weight else 0.0,
            looks=settings.looks,
            seed=settings.seed + number,
            watch=watch,
        )
    seconds = time.perf_counter() - began
    with paddle.no_grad():
        z, back = codes(), made(test).numpy()  # [n, d], [n, c, h, w]
        samples = made.sample(len(images.test), settings.seed + number).numpy()  # [n, c, h, w]
        between = made.interpolate(test[:4], test[4:8], 8).numpy().swapaxes(0, 1).reshape([-1, *images.shape])  # [32, c, h, w]
    normality = latent_normality(z)
    return {
        "error": float(np.square(back - images.test).sum(axis=(1, 2, 3)).mean()),
        "frechet_samples": distance(samples, images.test),
        "frechet_reconstructions": distance(back, images.test),
        "entropy_gap": entropy(z) - reference,
        "ks": float(normality.ks.max()),
        "ks_limit": normality.ks_limit,
        "correlation": normality.largest_correlation,
        "used": int((dimension_use(made, images.test) > 0.05).sum()),
        "curve": [[step, value - reference] for step, value in curve],
        "seconds": seconds,
        "codes": z,
        "samples": samples[:SHOWN],
        "reconstructions": back[: SHOWN // 2],
        "between": between,
    }


def _draw_pictures(work: Work[EaeSettings], images: Images, found: dict[str, list[dict[str, Any]]], floor: float) -> None:
    best = min(MODELS, key=lambda kind: np.mean([one["frechet_samples"] for one in found[kind]]))
    title = f"Samples of the {MODELS[best]} are nearest to the images; the Fréchet distance of two halves of the data is {floor:.2f}"
    with work.figure("pictures", title, rows=3, columns=len(MODELS), size=(15, 6.2)) as (_, axes):
        for column, (kind, name) in enumerate(MODELS.items()):
            one = found[kind][0]
            half = one["reconstructions"]
            pairs = np.stack([images.test[: len(half)], half], axis=1).reshape([-1, *images.shape])  # [2 n, c, h, w]
            show(axes[0, column], pairs, 8, f"{name}\nimage, reconstruction: error {one['error']:.2f}")
            show(axes[1, column], one["samples"], 8, f"samples of N(0, I): Fréchet {one['frechet_samples']:.2f}")
            show(axes[2, column], one["between"], 8, "between two test images")


def _draw_codes(
    work: Work[EaeSettings], found: dict[str, list[dict[str, Any]]], tuning: dict[str, dict[str, float]], weights: dict[str, float]
) -> None:
    from .figures import logarithmic, stroke

    first = {kind: runs[0] for kind, runs in found.items()}
    x = np.linspace(-4, 4, 41)
    gaps = {kind: first[kind]["entropy_gap"] for kind in ("bn", "eae", "vae_tuned")}
    title = (
        f"Entropy of the codes ends {gaps['eae']:+.2f} nats from N(0, I)'s in the EAE, {gaps['bn']:+.2f} with batch normalisation alone, "
        f"{gaps['vae_tuned']:+.2f} in the tuned VAE"
    )
    with work.figure("codes", title, columns=3, size=(15, 4.8)) as (_, axes):
        for number, (kind, name) in enumerate(MODELS.items()):
            steps, values = zip(*first[kind]["curve"], strict=True)
            axes[0, 0].plot(steps, values, **stroke(number), label=name)
            density = np.histogram(first[kind]["codes"], bins=x, density=True)[0]
            axes[0, 1].plot((x[1:] + x[:-1]) / 2, density, **{**stroke(number), "marker": ""}, label=name)
        axes[0, 0].axhline(0.0, color="black", linewidth=0.8)
        axes[0, 0].set(xlabel="step", ylabel="nats", title="entropy of test codes − that of N(0, I)")
        axes[0, 1].plot(x, np.exp(-x * x / 2) / math.sqrt(2 * math.pi), color="black", linewidth=1, label="N(0, 1)")
        axes[0, 1].set(xlabel="code", ylabel="density", title="all dimensions of the test codes together")
        for number, (kind, grid) in enumerate(tuning.items()):
            axes[0, 2].plot([float(weight) for weight in grid], list(grid.values()), **stroke(number), label=kind.upper())
        axes[0, 2].set(xlabel="weight of the regulariser", ylabel="Fréchet distance of samples", title="tuning, on a part of the training half")
        logarithmic(axes[0, 2].xaxis, [float(weight) for weight in dict.fromkeys([*tuning["eae"], *tuning["vae"]])])
        for axis in axes[0]:
            axis.legend(fontsize=9)


def _compare(what: str, key: str, means: dict[str, dict[str, float]], spreads: dict[str, dict[str, float]], vae: str) -> str:
    own, other = means["eae"][key], means[vae][key]
    noise = max(spreads["eae"][key], spreads[vae][key])
    told = "better than" if own < other - noise else "worse than" if own > other + noise else "as good as"
    sure = f"seeds alone move this by {noise:.3f}" if noise else "of one seed, so that nothing says how sure this is"
    return f"{what}: the EAE's are {told} the best VAE's ({MODELS[vae]}), {own:.3f} against {other:.3f}, {sure}"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


QUICK = {
    "steps": 20,
    "batch": 64,
    "seeds": 1,
    "looks": 2,
    "max_images": 300,
    "eae_weights": (0.3,),
    "vae_weights": (0.1,),
    "widths": (32,),
    "repeats": 2,
    "points": (10, 100),
    "dimensions": (1, 5),
    "neighbours": (1, 3),
}

LAB = Lab(EaeSettings, QUICK, run)
