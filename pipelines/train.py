"""``lic train``: a run folder from official files and a recipe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import progress, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.base import Progress
    from tasks.recipe import Recipe

    Evaluate = Callable[[Progress], tuple[dict[str, Any], float]]


def train(
    track: str,
    *,
    data: Path | None = None,
    recipe: str = "default",
    overrides: tuple[str, ...] = (),
    run: Path | None = None,
    device: str = "auto",
    skip_bad: bool = False,
) -> Path:
    """Trains and returns the run folder. ``weights.safetensors`` in it are the best on dev; on Ctrl-C the last checkpoint stays.

    What fails before the first step leaves no run folder.
    """
    import paddle

    from shared import environment

    from .data_files import open_labelled
    from .device import choose_device
    from .encoders import open_encoder
    from .preprocess import features_of
    from .run_folder import claim_run_folder, new_run_folder, python_packages, write_run

    name = Path(recipe).stem
    new_run_folder(track, name, run)  # a place that is taken is said before the work
    chosen = choose_device(device)
    opened = open_labelled(track, data=data, recipe=recipe, overrides=overrides, skip_bad=skip_bad)
    task, settings, schema, paths, records = opened.task, opened.recipe, opened.schema, opened.paths, opened.records
    paddle.seed(settings.training.seed)
    encoder = open_encoder(settings.encoder, texts=opened.texts, data=opened.folder)
    features = {split: features_of(task, paths[split], records[split], schema, encoder, settings.features)[0] for split in paths}
    model = task.build_model(encoder.backbone, schema, settings)

    def evaluate(progress: Progress) -> tuple[dict[str, Any], float]:
        predictions = task.predict(model, features["dev"], records["dev"], schema, encoder.vocabulary, settings, progress=progress)
        scores = task.score(records["dev"], predictions)
        return {name: scores[name] for name in task.shown_scores}, scores[task.shown_scores[-1]]

    def collate(rows: Any) -> Any:
        return model.collate(features["train"], rows, encoder.vocabulary, labelled=True)

    with claim_run_folder(track, name, run) as target:
        write_run(
            target,
            task=task,
            recipe=settings,
            schema=schema,
            encoder=encoder,
            data=opened.folder,
            checksums=_checksums(paths),
            environment={"device": chosen, **environment.prepare().as_dict(), "packages": python_packages()},
        )
        millions = sum(p.size for p in model.parameters()) / 1e6
        say(f"{track}: {len(features['train'].ids)} windows to train on, {millions:.1f} M parameters, {chosen}")
        say(f"run folder: {target}")
        _run(model, model.training_lengths(features["train"]), collate, evaluate, settings, target, title=f"train {track}")
    return target


def _run(model: Any, lengths: Any, collate: Any, evaluate: Evaluate, recipe: Recipe, target: Path, *, title: str) -> None:
    """Drives the loop: draws progress, writes figures and checkpoints."""
    from shared.files import LineLog, write_json
    from shared.training import loop
    from shared.training.checkpoint import save_weights

    from .interrupt import after_this_step
    from .memory import peak_memory_mib
    from .run_folder import FIGURES, LAST, WEIGHTS

    names = loop.LoopSettings.__dataclass_fields__
    settings = loop.LoopSettings(**{name: value for name, value in recipe.training.model_dump().items() if name in names})
    saved, note = False, ""
    began = mark = time.perf_counter()
    with (
        LineLog(target / FIGURES) as metrics,
        LineLog(target / "timing.jsonl") as timing,
        progress(title) as advance,
        after_this_step() as check_interrupt,
    ):
        def scored() -> tuple[dict[str, Any], float]:
            return evaluate(lambda done, total: check_interrupt())

        try:
            for event in loop.train(model, lengths=lengths, collate=collate, evaluate=scored, settings=settings):
                now = time.perf_counter()
                if isinstance(event, loop.Step):
                    metrics.write(step=event.step, epoch=round(event.epoch, 4), loss=event.loss, rate=event.rate, grad_norm=event.grad_norm)
                    timing.write(step=event.step, seconds=round(now - mark, 4), tokens=event.tokens, padded_tokens=event.padded_tokens)
                    speed = event.tokens / (now - mark)
                    advance(event.step, event.total_steps, f"loss {event.loss:.3f}  {speed:.0f} tokens/s{note}")
                else:
                    save_weights(model, target / LAST)
                    if event.best:
                        save_weights(model, target / WEIGHTS)
                        write_json(target / "best.json", {"step": event.step, "epoch": round(event.epoch, 4), "dev": event.scores})
                        saved = True
                    metrics.write(step=event.step, epoch=round(event.epoch, 4), dev=event.scores)
                    timing.write(step=event.step, evaluation_seconds=round(now - mark, 4), peak_memory_mib=peak_memory_mib())
                    shown = "  ".join(f"{name} {value:.4f}" for name, value in event.scores.items())
                    note = f"  dev {event.score:.4f}"
                    say(f"epoch {event.epoch:.2f}: dev {shown}{'  (best so far)' if event.best else ''}  after {(now - began) / 60:.1f} min")
                check_interrupt()
                mark = time.perf_counter()
        except BaseException as error:
            if (target / FIGURES).stat().st_size == 0:
                raise  # no step: the run folder goes
            if not isinstance(error, KeyboardInterrupt):
                say(f"kept in {target}: settings, figures and {'the weights that were best on dev so far' if saved else 'no weights yet'}.")
                raise
            save_weights(model, target / LAST)
            if not saved:
                save_weights(model, target / WEIGHTS)
            kept = "the best so far on dev" if saved else "the last ones, not evaluated"
            say(f"interrupted: {target / LAST} holds the last weights; {target / WEIGHTS} are {kept}.")
            raise
    say(f"best weights: {target / WEIGHTS}; figures: {target / FIGURES}")


def _checksums(paths: dict[str, Path]) -> dict[str, str]:
    from shared.files import digest

    return {split: f"{path.name} sha256:{digest(path)}" for split, path in paths.items()}


def command(
    track: Annotated[str, typer.Argument(help="relation, event or reading")],
    data: Annotated[Path | None, typer.Option(help="folder with train, dev and schema; default data/TRACK")] = None,
    recipe: Annotated[str, typer.Option(help="a shipped recipe's name (default, small, quick) or a TOML file")] = "default",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. training.epochs=3; repeatable")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the next free runs/TRACK/RECIPE")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
) -> None:
    """Train a model; the best weights on dev stay in the run folder."""
    folder = train(track, data=data, recipe=recipe, overrides=tuple(set_ or ()), run=run, device=device, skip_bad=skip_bad)
    typer.echo(str(folder))
