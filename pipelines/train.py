"""``lic train``: a run folder from official files and a recipe."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import progress, say

if TYPE_CHECKING:
    from tasks.recipe import Recipe


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
    """Trains and returns the run folder. ``weights.safetensors`` in it are the best on dev; on Ctrl-C the last checkpoint stays."""
    import paddle

    from shared import environment

    from .data_files import open_labelled
    from .device import choose_device
    from .encoders import open_encoder
    from .preprocess import features_of
    from .run_folder import new_run_folder, python_packages, write_run

    target = new_run_folder(track, Path(recipe).stem, run)
    opened = open_labelled(track, data=data, recipe=recipe, overrides=overrides, skip_bad=skip_bad)
    task, settings, schema, paths, records = opened.task, opened.recipe, opened.schema, opened.paths, opened.records
    chosen = choose_device(device)
    paddle.seed(settings.training.seed)
    encoder = open_encoder(settings.encoder, texts=opened.texts, data=opened.folder)
    features = {split: features_of(task, paths[split], records[split], schema, encoder, settings.features)[0] for split in paths}
    model = task.build_model(encoder.backbone, schema, settings)

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
    say(f"{track}: {len(features['train'].ids)} windows to train on, {sum(p.size for p in model.parameters()) / 1e6:.1f} M parameters, {chosen}")
    say(f"run folder: {target}")

    def evaluate() -> tuple[dict[str, Any], float]:
        predictions = task.predict(model, features["dev"], records["dev"], schema, encoder.vocabulary, settings)
        scores = task.score(records["dev"], predictions)
        return {name: scores[name] for name in task.shown_scores}, scores[task.shown_scores[-1]]

    def collate(rows: Any) -> Any:
        return model.collate(features["train"], rows, encoder.vocabulary, labelled=True)

    _run(model, model.training_lengths(features["train"]), collate, evaluate, settings, target, title=f"train {track}")
    return target


def _run(model: Any, lengths: Any, collate: Any, evaluate: Any, recipe: Recipe, target: Path, *, title: str) -> None:
    """Drives the loop: draws progress, writes figures and checkpoints."""
    from shared.files import write_json
    from shared.training import loop
    from shared.training.checkpoint import save_weights

    from .interrupt import after_this_step
    from .memory import peak_memory_mib
    from .run_folder import LAST, WEIGHTS

    names = loop.LoopSettings.__dataclass_fields__
    settings = loop.LoopSettings(**{name: value for name, value in recipe.training.model_dump().items() if name in names})
    events = loop.train(model, lengths=lengths, collate=collate, evaluate=evaluate, settings=settings)
    saved, note = False, ""
    began = mark = time.perf_counter()
    with (
        open(target / "metrics.jsonl", "w", buffering=1, encoding="utf-8", newline="\n") as metrics,
        open(target / "timing.jsonl", "w", buffering=1, encoding="utf-8", newline="\n") as timing,
        progress(title) as advance,
        after_this_step() as check_interrupt,
    ):
        try:
            for event in events:
                now = time.perf_counter()
                if isinstance(event, loop.Step):
                    _line(metrics, step=event.step, epoch=round(event.epoch, 4), loss=event.loss, rate=event.rate, grad_norm=event.grad_norm)
                    _line(timing, step=event.step, seconds=round(now - mark, 4), tokens=event.tokens, padded_tokens=event.padded_tokens)
                    speed = event.tokens / (now - mark)
                    advance(event.step, event.total_steps, f"loss {event.loss:.3f}  {speed:.0f} tokens/s{note}")
                else:
                    save_weights(model, target / LAST)
                    if event.best:
                        save_weights(model, target / WEIGHTS)
                        write_json(target / "best.json", {"step": event.step, "epoch": round(event.epoch, 4), "dev": event.scores})
                        saved = True
                    _line(metrics, step=event.step, epoch=round(event.epoch, 4), dev=event.scores)
                    _line(timing, step=event.step, evaluation_seconds=round(now - mark, 4), peak_memory_mib=peak_memory_mib())
                    shown = "  ".join(f"{name} {value:.4f}" for name, value in event.scores.items())
                    note = f"  dev {event.score:.4f}"
                    say(f"epoch {event.epoch:.2f}: dev {shown}{'  (best so far)' if event.best else ''}  after {(now - began) / 60:.1f} min")
                check_interrupt()
                mark = time.perf_counter()
        except KeyboardInterrupt:
            save_weights(model, target / LAST)
            if not saved:
                save_weights(model, target / WEIGHTS)
            kept = "the best so far on dev" if saved else "the last ones, not evaluated"
            say(f"interrupted: {target / LAST} holds the last weights; {target / WEIGHTS} are {kept}.")
            raise
    say(f"best weights: {target / WEIGHTS}; figures: {target / 'metrics.jsonl'}")


def _line(file: Any, **values: Any) -> None:
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


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
