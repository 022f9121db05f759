"""``lic train``: a run folder from official files and a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error
from tasks.registry import NAMES

from .console import say

if TYPE_CHECKING:
    from shared.training.parallel import Ranks

    from .data_files import LabelledData
    from .interrupt import Check
    from .train_setup import Fold, Prepared

DEFAULT = "default"


def train(
    track: str,
    *,
    data: Path | None = None,
    recipe: str | None = None,
    overrides: tuple[str, ...] = (),
    run: Path | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    resume: bool = False,
    fold: Fold | None = None,
    workers: int | None = None,
    board: bool = False,
) -> Path:
    """Trains and returns the run folder. ``weights.safetensors`` in it are the best on dev.

    ``resume``: goes on from the newest whole checkpoint of ``run`` (default: the recipe's latest run) as if nothing had happened; without one it
    begins anew and says so; a finished run is left as it is. ``recipe`` None is the run's own, else ``default``.
    ``fold``: holds a part of the training records out and evaluates on it instead of dev. ``board``: TensorBoard event files beside the figures.
    What fails before the first step leaves no run folder. After Ctrl-C or SIGTERM the step is finished and a checkpoint written.
    Under ``paddle.distributed.launch`` every process calls this; the first writes.
    """
    from shared.training.parallel import join
    from tasks.registry import get_task

    from .device import choose_device
    from .interrupt import Check
    from .run_folder import FINISHED, claim_run_folder, is_begun, new_run_folder, run_to_resume
    from .train_run import drive
    from .train_setup import prepare

    name = Path(recipe or DEFAULT).stem
    chosen = choose_device(device)
    ranks = join()
    place = run_to_resume(track, name, run) if resume else None
    begun = bool(ranks.gather(place is not None and is_begun(place))[0])
    if place is not None and begun and (place / FINISHED).is_file():
        check_settings(place, get_task(track), recipe, overrides)
        say(f"{place} is finished: nothing is left to do.")
        return place
    if place is None:
        new_run_folder(track, name, run)  # a place that is taken is said before the work
    elif not begun:
        say(f"no run to resume in {place}: training begins there.")
    opened = _opened(track, data, recipe, overrides, skip_bad, workers, place if begun else None)
    fold = _own_fold(place, track, fold) if place is not None and begun else fold
    check = Check()
    prepared = prepare(opened, ranks=ranks, fold=fold, check=check)
    if not ranks.first:
        return _follow(prepared, ranks, check, resume=begun)
    with claim_run_folder(track, name, place or run, begun=place is not None and place.is_dir()) as target:
        ranks.gather(str(target))  # to those that follow
        if not begun:
            _describe(target, prepared, chosen, fold)
        say(f"{track}: {prepared.windows} windows to train on, {_millions(prepared.model):.1f} M parameters, {chosen}{_among(ranks)}")
        say(f"run folder: {target}")
        if chosen == "cpu" and opened.recipe.training.amp != "O0":
            say(f"training.amp = {opened.recipe.training.amp}: paddle computes in float32 on a CPU, so it has no effect here.")
        drive(prepared.training, opened.recipe, target, check, title=f"train {track}", resume=begun, board=board)
    return target


def _own_fold(begun: Path, track: str, asked: Fold | None) -> Fold | None:
    """The fold that the run began with. Raises InputError when another is asked for."""
    from .run_folder import stored_run
    from .train_setup import Fold

    said = stored_run(begun, track).fold
    own = Fold(*map(int, said.split("/"))) if said else None
    if asked is not None and asked != own:
        raise input_error(
            "LIC-U022",
            file=begun,
            found=f"a run of {f'fold {own}' if own else 'no fold'}",
            expected=f"one of fold {asked}",
            remedy="Resume with the --folds that it began with, or name another folder with --run.",
        )
    return own


def _opened(
    track: str,
    data: Path | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    skip_bad: bool,
    workers: int | None,
    begun: Path | None,
) -> LabelledData:
    """The data and the recipe; of a run that has begun its own, which what is asked for must not differ from."""
    from .data_files import open_labelled

    if begun is None:
        return open_labelled(track, data=data, recipe=recipe or DEFAULT, overrides=overrides, skip_bad=skip_bad, workers=workers)
    from tasks.registry import get_task

    from .run_folder import stored_run
    from .teachers import check_same_teachers

    check_settings(begun, get_task(track), recipe, overrides)
    own = stored_run(begun, track)
    opened = open_labelled(track, data=data or own.data, recipe=own.recipe, overrides=(), skip_bad=skip_bad, workers=workers)
    changed = [split for split, checksum in _checksums(opened.files).items() if own.checksums.get(split) != checksum]
    if changed:
        raise input_error(
            "LIC-K005",
            file=begun,
            found=f"another {' and '.join(opened.files[split].name for split in changed)} than the run began with",
            expected="the very files whose checksums its config.toml has",
            remedy="Put them back, or begin a new run without --resume.",
        )
    check_same_teachers(begun, own)
    return opened


def check_settings(begun: Path, task: Any, recipe: str | None, overrides: tuple[str, ...]) -> None:
    """Raises InputError when a recipe or overrides are given that are not those of the run in ``begun``.

    ``task``: has the run's track as ``name``, a folder of ``recipes`` and ``check_recipe``.
    """
    from tasks.recipe import load_recipe, override

    from .run_folder import stored_run
    from .train_setup import differing_keys

    own = stored_run(begun, task.name).recipe
    if recipe is None and not overrides:
        return
    asked = load_recipe(task.recipes, recipe, overrides, check=task.check_recipe) if recipe else override(own, overrides)
    differing = differing_keys(own, asked)
    if differing:
        raise input_error(
            "LIC-U022",
            file=begun,
            found=f"a run with other settings: {'; '.join(differing[:5])}{' …' if len(differing) > 5 else ''}",
            expected="the settings that it began with",
            remedy="Resume without --recipe and --set, or begin a new run without --resume.",
        )


def _describe(target: Path, prepared: Prepared, device: str, fold: Fold | None) -> None:
    from shared import environment

    from .run_folder import python_packages, write_run
    from .teachers import teacher_marks

    opened = prepared.opened
    write_run(
        target,
        task=opened.task,
        recipe=opened.recipe,
        schema=opened.schema,
        encoder=prepared.encoder,
        data=opened.folder,
        checksums=_checksums(opened.files),
        environment={"device": device, **environment.prepare().as_dict(), "packages": python_packages()},
        fold=str(fold) if fold else None,
        teachers=teacher_marks(opened.recipe),
    )


def _follow(prepared: Prepared, ranks: Ranks, check: Check, *, resume: bool) -> Path:
    """What a rank but the first does: the same steps, writing nothing."""
    from .train_run import drive

    target = Path(ranks.gather("")[0])
    drive(prepared.training, prepared.opened.recipe, target, check, title="train", resume=resume)
    return target


def _millions(model: Any) -> float:
    count: float = sum(int(parameter.size) for parameter in model.parameters()) / 1e6
    return count


def _among(ranks: Ranks) -> str:
    return f", {ranks.world} processes" if ranks.world > 1 else ""


def _checksums(paths: dict[str, Path]) -> dict[str, str]:
    from shared.files import digest

    return {split: f"{path.name} sha256:{digest(path)}" for split, path in paths.items()}


def command(
    context: typer.Context,
    track: Annotated[str, typer.Argument(help=NAMES)],
    data: Annotated[Path | None, typer.Option(help="folder with train, dev and schema; default data/TRACK")] = None,
    recipe: Annotated[str | None, typer.Option(help="a shipped recipe's name (default, small, quick) or a TOML file")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. training.epochs=3; repeatable")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the next free runs/TRACK/RECIPE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint of --run, or of the recipe's latest run")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan, take one step's measure, write nothing")] = False,
    folds: Annotated[int | None, typer.Option(min=2, help="so many runs, each evaluated on a part of train that it does not see")] = None,
    fold: Annotated[int | None, typer.Option(min=1, help="only this one of --folds")] = None,
    extra: Annotated[
        list[Path] | None, typer.Option(help="reading: a further file to train on, shaped as SQuAD 1.1 or 2.0; repeatable")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="several runs, e.g. 1,2,3")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    devices: Annotated[str | None, typer.Option(help="several at once, data-parallel: e.g. 0,1 for two GPUs")] = None,
    backend: Annotated[str, typer.Option(help="nccl for GPUs, gloo for processes on the CPU; auto chooses")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="processes that make features; default one a core")] = None,
    board: Annotated[bool, typer.Option("--board", help="also write TensorBoard event files to the run folder")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="with --dry-run: one JSON object on standard output")] = False,
) -> None:
    """Train a model; the best weights on dev stay in the run folder."""
    from .train_many import launch, train_folds, train_seeds

    if fold is not None and (folds is None or fold > folds):
        found = f"--fold {fold}" + ("" if folds is None else f" of --folds {folds}")
        raise input_error("LIC-U023", found=found, expected="--folds K --fold I with I up to K", remedy="For example --folds 5 --fold 1.")
    if (folds and seeds) or (dry_run and (resume or seeds or devices)):
        first = "--folds with --seeds" if folds and seeds else "--dry-run with --resume, --seeds or --devices"
        raise input_error("LIC-U023", found=first, expected="one of them", remedy="Leave one out; seeds also go by --set training.seed=N.")
    if devices is not None:
        launch(devices, backend, arguments=context.find_root().obj)
        return
    if extra:
        from json import dumps

        set_ = [*(set_ or ()), f"training.extra={dumps([str(path) for path in extra], ensure_ascii=False)}"]
    if dry_run:
        from .train_plan import show_plan

        show_plan(track, data=data, recipe=recipe or DEFAULT, overrides=tuple(set_ or ()), device=device, skip_bad=skip_bad, json=json)
        return
    options: dict[str, Any] = {"data": data, "recipe": recipe, "run": run, "device": device, "skip_bad": skip_bad}
    options |= {"overrides": tuple(set_ or ()), "resume": resume, "workers": workers, "board": board}
    if folds is not None:
        made = train_folds(track, folds=folds, only=fold, **options)
    elif seeds is not None:
        made = train_seeds(track, seeds=seeds, **options)
    else:
        made = [train(track, **options)]
    for folder in made:
        typer.echo(str(folder))


