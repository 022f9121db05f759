"""Images that labs learn from: scikit-learn's digits or a folder of files; the features that compare them, the bodies that code them, tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shared.errors import InputError, Problem, input_error

from ..console import say
from .work import Steps, Work

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shared.generative import VAE, Autoencoder

Numbers = dict[str, dict[str, float]]
Distance = Callable[[np.ndarray, np.ndarray], float]
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FEWEST = 100
"""Images of a folder: with fewer a half has fewer images than a covariance of 32 features needs."""
LARGEST = 1 << 16
"""Numbers an image: more is no work for perceptrons on a CPU."""


class Images(NamedTuple):
    """Two halves [n, c, h, w] with numbers in 0..1, and their labels [n] if there are any. ``name`` for titles."""

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None

    @property
    def shape(self) -> list[int]:
        return list(self.train.shape[1:])


def open_images(folder: str, *, seed: int, most: int) -> Images:
    """Two halves, drawn under ``seed``, of at most ``most`` images: scikit-learn's digits where no folder is named, or a folder's."""
    labels = None
    if folder:
        images, name = read_images(Path(folder), seed=seed, most=most), Path(folder).name
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images, labels, name = (digits.images[:, None] / 16).astype("float32"), digits.target.astype("int64"), "digits"  # [n, 1, 8, 8], [n]
    order = np.random.default_rng(seed).permutation(len(images))[:most]
    half = len(order) // 2
    train, test = order[:half], order[half : 2 * half]
    if labels is None:
        return Images(name, images[train], images[test])
    return Images(name, images[train], images[test], labels[train], labels[test])


def read_images(folder: Path, *, seed: int, most: int) -> np.ndarray:
    """The image files directly in ``folder``, [n, 1, h, w] if all are grey, else [n, 3, h, w]; transparency is dropped.

    Of more than ``most`` as many are drawn under ``seed``; what is left out is said. Raises InputError (codes LIC-L011, LIC-L012) for
    files that cannot be read, with every one of them, for different sizes, for large images, and for fewer than 100.
    """
    from PIL import Image

    if not folder.is_dir():
        raise input_error("LIC-L012", file=folder, found="no such folder", expected="a folder of images", remedy="Give another with --set images=.")
    entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES]
    if len(files) < len(entries):
        say(f"{folder}: {len(entries) - len(files)} files are not images by their ending ({', '.join(SUFFIXES)}): left out")
    if len(files) < FEWEST:
        raise input_error(
            "LIC-L012",
            file=folder,
            found=f"{len(files)} images",
            expected=f"at least {FEWEST}, half of them to train on",
            remedy="Give a folder that holds the files itself, without subfolders, or leave images empty for digits.",
        )
    if len(files) > most:
        say(f"{folder}: {most} of {len(files)} images are used, drawn under the seed; more with --set max_images=")
        files = [files[place] for place in sorted(np.random.default_rng(seed).choice(len(files), most, replace=False))]
    found: list[np.ndarray] = []
    problems: list[Problem] = []
    for file in files:
        try:
            with Image.open(file) as opened:
                grey = opened.mode in ("1", "L", "LA")
                pixels = np.asarray(opened.convert("L" if grey else "RGB"))  # [h, w] or [h, w, 3]
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            problems.append(Problem("LIC-L011", f"no readable image ({error})", "an image file", "Remove it or save it again.", str(file)))
            continue
        if found and pixels.shape[:2] != found[0].shape[:2]:
            size, expected = (f"{array.shape[1]} x {array.shape[0]} pixels" for array in (pixels, found[0]))
            remedy = "Resize the images to one size."
            problems.append(Problem("LIC-L011", size, f"{expected}, as the first image has", remedy, str(file)))
        elif pixels.shape[0] * pixels.shape[1] * 3 > LARGEST:
            size = f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
            problems.append(Problem("LIC-L011", size, f"at most {LARGEST // 3} pixels", "Make the images smaller.", str(file)))
        else:
            found.append(pixels)
    if problems:
        raise InputError(*problems)
    colours = any(pixels.ndim == 3 for pixels in found)
    whole = [np.repeat(pixels[:, :, None], 3 if colours else 1, axis=2) if pixels.ndim == 2 else pixels for pixels in found]
    return np.ascontiguousarray((np.stack(whole) / 255).astype("float32").transpose(0, 3, 1, 2))  # [n, c, h, w]


def distance_of(work: Work[Any], images: Images, *, steps: int) -> tuple[Distance, str]:
    """The Fréchet distance of images a and b in features fitted on the training half, and what a report says of these features.

    They are a classifier's where there are labels, else principal components.
    """
    import paddle

    from shared.generative.frechet import Classifier, PrincipalFeatures, frechet_of, train_classifier

    if images.train_labels is None:
        linear = PrincipalFeatures(images.train, size=32)
        return lambda a, b: frechet_of(linear, a, b), "32 principal components of the training half (no labels: a weaker measure)"
    train, labels = images.train, images.train_labels
    kept = work.step("classifier", lambda: {name: value.numpy() for name, value in train_classifier(train, labels, steps=steps).state_dict().items()})
    model = Classifier(math.prod(images.shape), int(labels.max()) + 1)
    model.set_state_dict({name: paddle.to_tensor(value) for name, value in kept.items()})
    right = model.accuracy(images.test, images.test_labels) if images.test_labels is not None else 0.0
    return lambda a, b: frechet_of(model, a, b), f"the 32 features of a classifier of the training half ({right:.1%} right on the test half)"


def make_autoencoder(kind: str, shape: list[int], latent_size: int, widths: tuple[int, ...], *, weight: float = 0.0) -> Autoencoder:
    """An ``ae``, ``eae``, ``vae`` (KL) or ``vae_simple`` of perceptrons with the same hidden layers; squared error summed over an image."""
    from shared.generative import EAE, MLP, VAE, Autoencoder

    numbers = math.prod(shape)
    decoder = MLP([latent_size, *reversed(widths), numbers], output_shape=shape)
    if kind in ("vae", "vae_simple"):
        regularizer = "kl" if kind == "vae" else "geometric"
        return VAE(MLP([numbers, *widths, 2 * latent_size]), decoder, latent_size, heads=False, regularizer=regularizer, weight=weight)
    encoder = MLP([numbers, *widths, latent_size])
    return EAE(encoder, decoder, weight=weight) if kind == "eae" else Autoencoder(encoder, decoder)


def train_each(work: Work[Any], kinds: Iterable[str], seeds: int, train: Callable[[str, int], Steps]) -> dict[str, list[dict[str, Any]]]:
    """What ``train(kind, number)`` returns, by kind and seed; a step each, so that an interruption loses one training at most."""
    return {kind: [work.step(f"{kind}-{number + 1}", partial(train, kind, number)) for number in range(seeds)] for kind in kinds}


def moments_of(found: Mapping[str, Sequence[Mapping[str, Any]]], keys: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Mean and deviation (0 of one) over the seeds, by kind of model and key."""
    values = {kind: {key: [float(one[key]) for one in runs] for key in keys} for kind, runs in found.items()}
    means = {kind: {key: float(np.mean(each)) for key, each in row.items()} for kind, row in values.items()}
    return means, {kind: {key: float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for key, each in row.items()} for kind, row in values.items()}


def semi_axes(model: VAE, images: np.ndarray) -> np.ndarray:
    """sigma [n, d] of every image [n, c, h, w]."""
    import paddle

    with paddle.no_grad():
        return np.asarray(model.posterior(paddle.to_tensor(images)).sigma.numpy())  # [n, d]


def tiles(images: np.ndarray, columns: int) -> np.ndarray:
    """Images [n, c, h, w] side by side, ``columns`` a row, on white with a line between them: [H, W] or [H, W, 3], clipped to 0..1."""
    n, c, h, w = images.shape
    rows = -(-n // columns)
    sheet = np.ones((rows * (h + 1) + 1, columns * (w + 1) + 1, c))  # [H, W, c]
    for place, picture in enumerate(np.clip(images, 0.0, 1.0)):
        top, left = place // columns * (h + 1) + 1, place % columns * (w + 1) + 1
        sheet[top : top + h, left : left + w] = picture.transpose(1, 2, 0)
    return sheet[:, :, 0] if c == 1 else sheet


def show(axes: Axes, images: np.ndarray, columns: int, title: str = "") -> None:
    """Draws tiles without ticks; of one channel, 0 is black and 1 white."""
    axes.imshow(tiles(images, columns), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
