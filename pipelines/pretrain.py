"""``lic pretrain``: an encoder goes on learning from plain text, into a folder that ``encoder.source`` of any recipe opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error

from .console import say

if TYPE_CHECKING:
    from tasks.recipe import Recipe

    from .pretrain_setup import PreparedText

DEFAULT = "mlm"
BACKBONE = "backbone"
"""The folder inside the run that holds the encoder as other programs read it."""


def pretrain(
    files: list[Path],
    *,
    recipe: str | None = None,
    overrides: tuple[str, ...] = (),
    run: Path | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    resume: bool = False,
    board: bool = False,
) -> Path:
    """Trains and returns the run folder, which opens as ``encoder.source``; ``backbone`` in it is the same as a Hugging Face BERT folder.

    ``files``: passages, one a line (``.txt``, also ``.xz`` and ``.gz``), or for the objective ``simbert`` groups of texts with one meaning as
    JSON lines; none with ``resume``: those of the run. ``resume`` goes on from the newest whole checkpoint, as :func:`pipelines.train.train` does.
    What fails before the first step leaves no run folder.
    """
    from shared.training.parallel import join
    from tasks.pretraining.objective import Pretraining

    from .device import choose_device
    from .interrupt import Check
    from .pretrain_setup import prepare_text
    from .run_folder import FINISHED, claim_run_folder, is_begun, new_run_folder, run_to_resume
    from .train import check_settings
    from .train_run import drive

    task = Pretraining()
    name = Path(recipe or DEFAULT).stem
    chosen, ranks = choose_device(device), join()
    place = run_to_resume(task.name, name, run) if resume else None
    begun = bool(ranks.gather(place is not None and is_begun(place))[0])
    if place is None:
        new_run_folder(task.name, name, run)  # a place that is taken is said before the work
    elif begun:
        check_settings(place, task, recipe, overrides)
    else:
        say(f"no run to resume in {place}: training begins there.")
    if place is not None and begun and (place / FINISHED).is_file() and (place / BACKBONE).is_dir():
        say(f"{place} is finished: nothing is left to do.")
        return place
    files, settings = _opened(task, files, recipe, overrides, place if begun else None)
    check = Check()
    prepared = prepare_text(files, settings, ranks=ranks, skip_bad=skip_bad, check=check)
    if not ranks.first:
        target = Path(ranks.gather("")[0])
        drive(prepared.training, settings, target, check, title="pretrain", resume=begun)
        return target
    with claim_run_folder(task.name, name, place or run, begun=place is not None and place.is_dir()) as target:
        ranks.gather(str(target))  # to those that follow
        if not begun:
            _describe(task, target, prepared, files, chosen)
        millions = sum(int(parameter.size) for parameter in prepared.training.layer.parameters()) / 1e6
        say(f"{prepared.rows:,} rows to train on, {millions:.1f} M parameters, {chosen}{f', {ranks.world} processes' if ranks.world > 1 else ''}")
        say(f"run folder: {target}")
        if chosen == "cpu" and settings.training.amp != "O0":
            say(f"training.amp = {settings.training.amp}: paddle computes in float32 on a CPU, so it has no effect here.")
        drive(prepared.training, settings, target, check, title=f"pretrain {name}", resume=begun, board=board)
        _publish(target)
    return target


def _opened(task: Any, files: list[Path], recipe: str | None, overrides: tuple[str, ...], begun: Path | None) -> tuple[list[Path], Recipe]:
    """Files and recipe; of a run that has begun its own. Raises InputError where the files are not those that it began with."""
    from shared.files import digest
    from tasks.recipe import load_recipe

    from .run_folder import stored_run

    if begun is None:
        if not files:
            raise input_error("LIC-C001", found="no file of text", expected="one at least", remedy="See lic pretrain --help.")
        return files, load_recipe(task.recipes, recipe or DEFAULT, overrides, check=task.check_recipe)
    own = stored_run(begun, task.name)
    began = [mark.rpartition(" sha256:") for _, mark in sorted(own.checksums.items(), key=lambda item: int(item[0].rpartition(" ")[2]))]
    files = files or [Path(path) for path, _, _ in began]
    now = [digest(path) if path.is_file() else None for path in files]
    if now != [checksum for _, _, checksum in began]:
        raise input_error(
            "LIC-K005",
            file=begun,
            found=f"other files than the run began with ({', '.join(map(str, files))})",
            expected="the very files whose checksums its config.toml has, in their order",
            remedy="Put them back, or begin a new run without --resume.",
        )
    return files, own.recipe


def _describe(task: Any, target: Path, prepared: PreparedText, files: list[Path], device: str) -> None:
    from shared import environment
    from shared.files import digest

    from .run_folder import python_packages, write_run

    settings = prepared.recipe.model
    if settings.get("name") == "simbert":
        prepared.training.layer.simbert.save_settings(target)
    write_run(
        target,
        task=task,
        recipe=prepared.recipe,
        schema=None,
        encoder=prepared.encoder,
        data=files[0].parent,
        checksums={f"file {number}": f"{path.resolve()} sha256:{digest(path)}" for number, path in enumerate(files, 1)},
        environment={"device": device, **environment.prepare().as_dict(), "packages": python_packages()},
    )


def _publish(target: Path) -> None:
    """Writes the best weights as a BERT folder inside the run, where the encoder is one."""
    from shared.huggingface import save_huggingface, whats_not_bert
    from shared.pretrained import load_backbone
    from shared.unilm import UniLM

    found = load_backbone(target)
    other = whats_not_bert(found.backbone.config)
    if other:
        say(f"{target} opens as encoder.source; as an encoder with {other} it is no BERT folder for other programs.")
        return
    head = None
    if found.backbone.config.num_segments > 1:  # fewer make no UniLM, and the encoder goes without its head
        unilm = UniLM(found.backbone)
        head = unilm.language_model_head if unilm.load_head(found) else None
    save_huggingface(target / BACKBONE, found.backbone, found.tokenizer(), head=head)
    say(f"encoder.source = {str(target)!r} opens it; as a Hugging Face BERT folder: {target / BACKBONE}")


def show_pretraining(files: list[Path], *, recipe: str, overrides: tuple[str, ...], device: str, skip_bad: bool, json: bool) -> None:
    """The plan of a pretraining, as ``lic train --dry-run`` shows one."""
    from shared.training.parallel import Ranks
    from tasks.pretraining.objective import Pretraining

    from .device import choose_device
    from .pretrain_setup import prepare_text
    from .train_plan import plan_of, show_report

    chosen = choose_device(device)
    files, settings = _opened(Pretraining(), files, recipe, overrides, None)
    prepared = prepare_text(files, settings, ranks=Ranks(), skip_bad=skip_bad, quiet=True)
    about = {"track": Pretraining.name, "recipe": recipe, "device": chosen, "records": prepared.passages, "windows": prepared.rows}
    show_report(about | plan_of(prepared.training, chosen), "lic pretrain", json=json)


def command(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="text, one passage a line (.txt, .xz, .gz); for simbert groups as JSON lines")] = None,
    recipe: Annotated[str | None, typer.Option(help="a shipped recipe's name (mlm, whole_word, simbert) or a TOML file")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. model.masking=span; repeatable")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the next free runs/pretraining/RECIPE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint of --run, or of the recipe's latest run")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan, take one step's measure, write nothing")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    devices: Annotated[str | None, typer.Option(help="several at once, data-parallel: e.g. 0,1 for two GPUs; not for simbert")] = None,
    backend: Annotated[str, typer.Option(help="nccl for GPUs, gloo for processes on the CPU; auto chooses")] = "auto",
    board: Annotated[bool, typer.Option("--board", help="also write TensorBoard event files to the run folder")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad lines out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="with --dry-run: one JSON object on standard output")] = False,
) -> None:
    """Go on training an encoder on plain text; recipes open what comes of it by encoder.source."""
    overrides = tuple(set_ or ())
    if dry_run and (resume or devices):
        raise input_error("LIC-U023", found="--dry-run with --resume or --devices", expected="one of them", remedy="Leave one out.")
    if devices is not None:
        from .train_many import launch

        launch(devices, backend, arguments=context.find_root().obj)
        return
    if dry_run:
        show_pretraining(files or [], recipe=recipe or DEFAULT, overrides=overrides, device=device, skip_bad=skip_bad, json=json)
        return
    options: dict[str, Any] = {"run": run, "device": device, "skip_bad": skip_bad, "resume": resume, "board": board}
    typer.echo(str(pretrain(files or [], recipe=recipe, overrides=overrides, **options)))
