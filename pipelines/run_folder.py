"""A run: one self-contained folder. One path reloads everything.

``config.toml`` (track, data, the whole recipe) · ``encoder.json`` · ``vocab.txt`` · ``schema.json`` · ``environment.json`` ·
``weights.safetensors`` (best on dev) · ``best.json`` (its step and scores) · ``metrics.jsonl`` (no wall-clock) · ``timing.jsonl`` ·
``checkpoints/`` (what ``--resume`` goes on from) · ``finished.json`` (at the end) · ``curves.png`` · ``run.lock`` (while somebody writes) ·
after ``lic evaluate`` ``mistakes-SPLIT.jsonl`` · after ``lic candidates`` ``candidates-SPLIT.jsonl`` · after ``lic tune`` ``decision.json``.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from shared.errors import input_error
from shared.files import write_json, write_text
from tasks.official import has_schema
from tasks.recipe import Recipe, parse_settings, tomllib
from tasks.registry import TRACKS, get_task

from .console import say

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Tokenizer, Vocabulary
    from tasks.base import Task
    from tasks.pretraining.objective import Pretraining

    from .encoders import Encoder

RUNS = Path("runs")
WEIGHTS = "weights.safetensors"
BEST = "best.json"
CONFIG = "config.toml"
FIGURES = "metrics.jsonl"
TIMING = "timing.jsonl"
CHECKPOINTS = "checkpoints"
FINISHED = "finished.json"
DECISION = "decision.json"
ENSEMBLE = "ensemble.toml"
"""Stands in the place of config.toml where a folder is an ensemble of runs (:mod:`pipelines.ensemble_folder`)."""


@dataclass
class LoadedRun:
    """A run that is ready to predict."""

    folder: Path
    task: Task
    recipe: Recipe
    schema: Any
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    model: Any
    data: Path
    """The data folder it was trained on."""
    engine: str = "eager"
    """Which engine it is to predict with (:mod:`pipelines.engines`), which opens it when there is something to predict."""
    opened: Engine | None = None


def new_run_folder(track: str, name: str, folder: Path | None) -> Path:
    """Where a run may be written (not made yet): ``folder`` if it is new or empty, without it the next free ``runs/<track>/<name>[-N]``."""
    if folder is None:
        folder, number = RUNS / track / name, 2
        while folder.exists():
            folder, number = RUNS / track / f"{name}-{number}", number + 1
    elif folder.exists() and not folder.is_dir():
        raise input_error("LIC-U002", file=folder, found="a file", expected="a folder for the run", remedy="Name another with --run.")
    elif folder.exists() and (there := sorted(entry.name for entry in folder.iterdir())):
        holds_run = CONFIG in there
        found = "a folder that holds a run" if holds_run else f"a folder that holds {', '.join(there[:5])}{' …' if len(there) > 5 else ''}"
        remedy = "Go on with it by --resume, or name another with --run." if holds_run else "Name another with --run."
        raise input_error("LIC-U001", file=folder, found=found, expected="a new or empty folder", remedy=remedy)
    return folder


def run_to_resume(track: str, name: str, folder: Path | None) -> Path:
    """Where ``--resume`` goes on: ``folder``, without it the latest ``runs/<track>/<name>[-N]``, which need not be there."""
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise input_error("LIC-U002", file=folder, found="a file", expected="a folder for the run", remedy="Name another with --run.")
        return folder
    last, number = RUNS / track / name, 2
    while (following := RUNS / track / f"{name}-{number}").exists():
        last, number = following, number + 1
    return last


def is_begun(folder: Path) -> bool:
    """Whether a training began in this folder and wrote down what it is. Raises InputError for a folder of other things."""
    if not folder.is_dir():
        return False
    there = {entry.name for entry in folder.iterdir()}
    if CONFIG in there:
        return True
    foreign = sorted(name for name in there - _OWN if not name.endswith(".part"))
    if foreign:
        raise input_error(
            "LIC-U001",
            file=folder,
            found=f"a folder that holds {', '.join(foreign[:5])}{' …' if len(foreign) > 5 else ''} and no {CONFIG}",
            expected="a run, or a new or empty folder",
            remedy="Name another with --run.",
        )
    return False


_OWN = {
    *("schema.json", "vocab.txt", "encoder.json", "environment.json", FIGURES, TIMING, CHECKPOINTS, WEIGHTS, BEST, FINISHED),
    *("curves.png", "board", "run.lock", "simbert.json", "engines"),
}


@contextmanager
def claim_run_folder(track: str, name: str, folder: Path | None, *, begun: bool = False) -> Iterator[Path]:
    """Makes the folder of :func:`new_run_folder` for a body that trains into it, or takes ``folder``, where a training has ``begun``, and locks it.

    When the body of a new run fails before the first step stands in ``metrics.jsonl``, everything that was made is removed again.
    """
    from shared.locks import FolderLock
    from shared.training.snapshots import clear_leftovers

    missing: list[Path] = []
    while True:
        chosen = folder if begun and folder is not None else new_run_folder(track, name, folder)
        missing = [place for place in (chosen, *chosen.parents) if not place.exists()]  # the innermost first
        try:
            chosen.mkdir(parents=True, exist_ok=folder is not None)
            break
        except FileExistsError:  # another training took the name just now
            if not chosen.is_dir():
                raise
    try:
        with FolderLock(chosen) as lock:
            if lock.taken_over:
                say(f"{chosen}: {lock.taken_over} left its lock behind and is gone; this process takes over.")
            for place in (chosen, chosen / CHECKPOINTS):
                clear_leftovers(place)
            yield chosen
    except BaseException:
        figures = chosen / FIGURES
        if not begun and (not figures.is_file() or figures.stat().st_size == 0) and not (chosen / "run.lock").exists():
            with suppress(OSError):
                for entry in chosen.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                for place in missing:
                    place.rmdir()
        raise


def write_run(
    folder: Path,
    *,
    task: Task | Pretraining,
    recipe: Recipe,
    schema: Any,
    encoder: Encoder,
    data: Path,
    checksums: dict[str, str],
    environment: dict,
    fold: str | None = None,
    teachers: Sequence[str] = (),
) -> None:
    """Everything of a run but its weights and figures; ``config.toml`` last, since it says that the rest is there."""
    from shared.pretrained import save_encoder_config

    if schema is not None:
        schema.write(folder / "schema.json")
    encoder.vocabulary.save(folder / "vocab.txt")
    save_encoder_config(folder, encoder.backbone.config, encoder.lower_case)
    write_json(folder / "environment.json", environment)
    origin = {"track": task.name, "encoder": encoder.source, "vocabulary": encoder.vocabulary.sha256}
    perhaps = {"fold": fold, "teachers": list(teachers)}
    config = {
        "run": {**origin, **{name: value for name, value in perhaps.items() if value}, "data": {"folder": str(data.resolve()), **checksums}},
        "recipe": recipe.as_dict(),
    }
    write_text(folder / CONFIG, tomli_w.dumps(config))


def runs_of(track: str) -> list[Path]:
    """Trained runs of a track under ``runs/``, the latest first."""
    found = [path.parent for path in (RUNS / track).glob(f"*/{WEIGHTS}")]
    return sorted(found, key=lambda path: (path / WEIGHTS).stat().st_mtime, reverse=True)


def find_run(track: str, folder: Path | None) -> Path:
    """``folder``, or the latest trained run of the track. Raises InputError when there is none."""
    if folder is None:
        runs = runs_of(track)
        if not runs:
            raise input_error(
                "LIC-U003", found=f"no trained {track} run under {RUNS / track}", expected="a run", remedy=f"Train one: lic train {track}."
            )
        return runs[0]
    if not (folder / CONFIG).is_file() and not (folder / ENSEMBLE).is_file():
        raise input_error(
            "LIC-U004", file=folder, found="no config.toml", expected="the folder of a run", remedy="Give the folder that lic train wrote to."
        )
    return folder


def track_of(folder: Path) -> str:
    """The track that the folder of a run or an ensemble says it belongs to."""
    if (folder / ENSEMBLE).is_file():
        from .ensemble_folder import read_ensemble

        return str(read_ensemble(folder)["ensemble"]["track"])
    track: str = _config(folder)["run"]["track"]
    return track


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
        (config["run"]["track"], config["run"]["data"]["folder"], config["recipe"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        fault = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise input_error(
            "LIC-U004", file=folder / CONFIG, found=fault, expected="a run's config.toml", remedy="Give another folder with --run."
        ) from error
    return config


@dataclass(frozen=True)
class StoredRun:
    """What a run folder says of itself: its recipe, the data folder, the checksums of its files by split, the fold (``2/5``) if it is one,
    and what :func:`pipelines.teachers.teacher_marks` said of its teachers."""

    recipe: Recipe
    data: Path
    checksums: dict[str, str]
    fold: str | None = None
    teachers: tuple[str, ...] = ()


def stored_run(folder: Path, track: str) -> StoredRun:
    """Raises InputError when the run belongs to another track."""
    config = _config(folder)
    own = config["run"]["track"]
    if own != track:
        raise input_error(
            "LIC-U005", file=folder, found=f"a run of track {own}", expected=f"a run of track {track}", remedy="Give another folder with --run."
        )
    data = config["run"]["data"]
    checksums = {split: value for split, value in data.items() if split != "folder"}
    recipe = parse_settings(Recipe, config["recipe"], file=folder / CONFIG)
    return StoredRun(recipe, Path(data["folder"]), checksums, config["run"].get("fold"), tuple(config["run"].get("teachers", ())))


def load_run(folder: Path, track: str | None = None) -> LoadedRun:
    """Opens a run for prediction. Raises InputError when it belongs to another track or is not trained."""
    import paddle

    from shared.backbone import Backbone, BackboneConfig
    from shared.text import Tokenizer, Vocabulary
    from shared.training.checkpoint import load_weights

    config = _config(folder)
    own = config["run"]["track"]
    if track is not None and own != track:
        raise input_error(
            "LIC-U005", file=folder, found=f"a run of track {own}", expected=f"a run of track {track}", remedy="Give another folder with --run."
        )
    if not (folder / WEIGHTS).is_file():
        raise input_error(
            "LIC-U006", file=folder, found="no weights.safetensors", expected="a trained run", remedy="Let lic train reach its first evaluation."
        )
    task = get_task(own)
    recipe = parse_settings(Recipe, config["recipe"], file=folder / CONFIG)
    schema = task.read_schema(folder / "schema.json") if has_schema(own) else None
    vocabulary = Vocabulary.from_file(folder / "vocab.txt")
    if config["run"].get("vocabulary", vocabulary.sha256) != vocabulary.sha256:
        raise input_error(
            "LIC-U011",
            file=folder / "vocab.txt",
            found=f"another vocabulary ({len(vocabulary)} tokens) than the run was trained with",
            expected=f"the vocab.txt of sha256 {str(config['run']['vocabulary'])[:12]}…",
            remedy="Copy the vocab.txt of this very run back: with another one every token id means another token.",
        )
    try:
        encoder = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        lower_case = encoder.pop("lower_case")
        sizes = BackboneConfig.from_dict(encoder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise input_error(
            "LIC-U009",
            file=folder / "encoder.json",
            found=f"no sizes of an encoder ({error})",
            expected="the encoder.json that lic train wrote",
            remedy="Keep config.toml, encoder.json, schema.json and weights.safetensors of one run together.",
        ) from error
    if len(vocabulary) > sizes.vocab_size:
        raise input_error(
            "LIC-W006",
            file=folder / "vocab.txt",
            found=f"{len(vocabulary)} tokens in the vocabulary",
            expected=f"at most {sizes.vocab_size}, the rows of the token embedding",
            remedy="Put the vocabulary that belongs to these weights beside them.",
        )
    paddle.seed(0)
    model = task.build_model(Backbone(sizes), schema, recipe)
    load_weights(model, folder / WEIGHTS)
    model.eval()
    data = Path(config["run"]["data"]["folder"])
    recipe = _with_dev_choices(task, recipe, folder)
    return LoadedRun(folder, task, recipe, schema, Tokenizer(vocabulary, lower_case=lower_case), vocabulary, model, data)


def _with_dev_choices(task: Task, recipe: Recipe, folder: Path) -> Recipe:
    """``recipe`` with what it leaves to the dev evaluation of the weights: see :attr:`tasks.base.Task.candidates`."""
    from .run_figures import read_object

    asked = {key: score for key, score in getattr(task, "decode_from_dev", {}).items() if recipe.decode.get(key) is None}
    known = (read_object(folder / BEST) or {}).get("dev") or {} if asked else {}
    found = {key: known[score] for key, score in asked.items() if score in known}
    return recipe.model_copy(update={"decode": {**recipe.decode, **found}}) if found else recipe


def python_packages() -> dict[str, str]:
    """Versions of what decides a result."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": sys.version.split()[0]}
    for name in ("lic2020", "paddlepaddle", "paddlepaddle-gpu", "paddlenlp", "numpy", "scipy", "scikit-learn", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def tracks_to_do(track: str | None, run: Path | None) -> list[str]:
    """The named track; or the track that ``run`` says it has; or every track with a trained run. Raises InputError when there is none."""
    if track is not None:
        get_task(track)
        return [track]
    if run is not None:
        return [track_of(find_run("", run))]
    names = [name for name in TRACKS if runs_of(name)]
    if not names:
        raise input_error("LIC-U003", found=f"no trained run under {RUNS}", expected="a run", remedy="Train one: lic train TRACK.")
    return names
