"""``lic ensemble``: several runs of a track vote, and the folder of their votes predicts like a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import InputError, Problem, input_error

from .candidates import Kept, keep_candidates, members_to_use, out_of_fold, run_marks
from .console import emit_json, say
from .decisions import parts_of, write_decision
from .ensemble_folder import write_ensemble
from .run_folder import ENSEMBLE, WEIGHTS, new_run_folder, stored_run, track_of
from .tune import decided_scores, evidence_of, importance_of, require_calibration, require_dev_for_evidence, show_importance

if TYPE_CHECKING:
    from tasks.base import Task

AUTO = "auto"


def ensemble(
    runs: Sequence[Path],
    *,
    weights: str = AUTO,
    split: str = AUTO,
    name: str = "ensemble",
    data: Path | None = None,
    calibration: str | None = None,
    rerank: bool = False,
    device: str = "auto",
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Makes ``runs/TRACK/NAME[-N]`` of the runs, each a run folder or a folder of folds or seeds, whose members share one weight evenly.

    ``weights``: ``auto`` searches them, else numbers with commas between them, one a run of ``runs``; ``equal`` gives all the same. Weights and
    thresholds are fitted on ``split``: ``oof``, the training file by folders of folds, or ``dev``, where what is reported is cross-fitted;
    ``auto`` takes ``oof`` where every run is a folder of all folds of the same training file.
    ``rerank``: not votes but a reranker decides, from each run's probability and what the training file says; it is fitted on dev.
    Raises InputError for members of several tracks or schemas, one that is named twice, missing or not trained, and wrong weights.
    """
    from shared.files import digest, whole_folder
    from tasks.decision import FOLDS, Fitted, fit_decision
    from tasks.ensemble import spread
    from tasks.registry import get_task

    groups_of = [members_to_use(run) if not _is_ensemble(run) else _no_nesting(run) for run in runs]
    members = [member for group in groups_of for member in group]
    groups = [number for number, group in enumerate(groups_of) for _ in group]
    task = get_task(_same_track(members))
    _require_sound(task, members)
    given = _weights(weights, len(runs))
    dev = [keep_candidates(member, "dev", track=task.name, data=data, device=device, skip_bad=skip_bad) for member in members]
    _require_same_records(task, members, dev)
    kind = task.candidates
    if rerank:
        require_dev_for_evidence("--split oof" if split == "oof" else None)
    use_folds = split == "oof" or (split == AUTO and not rerank and _all_folds(task, groups_of))
    if split not in (AUTO, "dev", "oof"):
        raise input_error("LIC-U061", found=f"--split {split}", expected="dev, oof or auto", remedy="Name one of these.")
    if use_folds:
        parts_kept = [out_of_fold(run, track=task.name, data=data, device=device, skip_bad=skip_bad) for run in runs]
        source, own_groups = _aligned(task, parts_kept), list(range(len(runs)))
        rows = [_in_order(task, source, kept) for kept in parts_kept]
    else:
        source, rows, own_groups = dev[0], [kept.candidates for kept in dev], groups
    evidence = evidence_of(task, members[0], data, skip_bad=skip_bad) if rerank else None
    parts = parts_of(task, source.records, FOLDS)
    identities = [task.identity_of(record) for record in source.records]
    fitted = fit_decision(
        kind, source.records, rows, identities, parts, groups=own_groups, weights=given, calibration=calibration, evidence=evidence
    )
    if use_folds:  # a run of the vote was one column there, and is all its folds here
        flat = spread(fitted.decision.weights, groups)
        fitted = Fitted(replace(fitted.decision, weights=flat), tuple(replace(one, weights=spread(one.weights, groups)) for one in fitted.parts))
    candidates = [kept.candidates for kept in dev]
    alone = [member for member, weight in enumerate(fitted.decision.weights) if weight > 0]
    if len(alone) == 1:
        after = _scores(task, dev[alone[0]])
    else:
        after = decided_scores(task, dev[0], candidates, fitted, crossed=not use_folds)
    marks = [run_marks(member) for member in members]
    folder = new_run_folder(task.name, name, None)
    about = {
        "split": "dev" if not use_folds else "the out-of-fold records of the folds",
        "sha256": digest(source.file),
        "records": len(source.records),
        "after": after,
    }
    where = data or stored_run(members[0], task.name).data
    with whole_folder(folder, marker=ENSEMBLE) as made:
        write_ensemble(
            made, place=folder, track=task.name, data=where, members=members, weights=fitted.decision.weights, marks=marks
        )
        if len(alone) > 1:
            stored_marks = {"members": marks, "weights": list(fitted.decision.weights)}
            write_decision(made, fitted, marks=stored_marks, about=about)
    return {
        "track": task.name,
        "ensemble": str(folder),
        "fitted_on": about["split"],
        "records": len(source.records),
        "members": [
            {"run": str(member), "weight": weight, "scores": _scores(task, kept)}
            for member, weight, kept in zip(members, fitted.decision.weights, dev, strict=True)
        ],
        "scores": after,
        "reranker": importance_of(fitted) if rerank else None,
        "weights_of_parts": [list(one.weights) for one in fitted.parts],
        "threshold": None if kind.ranked else fitted.decision.thresholds.default,
        "thresholds": [[*label, value] for label, value in sorted(fitted.decision.thresholds.by_label.items())],
    }


def _scores(task: Task, kept: Kept) -> dict[str, float]:
    scores = task.score(kept.records, kept.plain)
    return {name: scores[name] for name in task.shown_scores}


def _is_ensemble(folder: Path) -> bool:
    return (folder / ENSEMBLE).is_file()


def _no_nesting(folder: Path) -> list[Path]:
    raise input_error(
        "LIC-U058", file=folder, found="an ensemble", expected="runs, or folders of folds or seeds", remedy="Name the ensemble's own members."
    )


def _same_track(members: Sequence[Path]) -> str:
    tracks = {member: track_of(member) for member in members}
    if len(set(tracks.values())) > 1:
        first = members[0]
        other = next(member for member in members if tracks[member] != tracks[first])
        raise input_error(
            "LIC-U062",
            file=other,
            found=f"a run of track {tracks[other]} beside {first} of track {tracks[first]}",
            expected="members of one track",
            remedy="Make an ensemble for each track.",
        )
    return tracks[members[0]]


def _require_sound(task: Task, members: Sequence[Path]) -> None:
    """Raises InputError with every member that is not trained, named twice, or of another schema than the first."""
    from tasks.official import has_schema

    problems: list[Problem] = []
    seen: set[Path] = set()
    lines: Any = None
    for member in members:
        if not (member / WEIGHTS).is_file():
            remedy = "Let lic train reach its first evaluation, or leave it out."
            problems.append(Problem("LIC-U006", "no weights.safetensors", "a trained run", remedy, str(member)))
        elif member.resolve() in seen:
            remedy = "Name each once; its weight says how much it counts."
            problems.append(Problem("LIC-U063", "a member that is named twice", "different runs", remedy, str(member)))
        elif has_schema(task.name):
            own = task.read_schema(member / "schema.json").as_lines()
            lines = lines or own
            if own != lines:
                remedy = "Name runs that were trained with the same schema file."
                found = f"another schema than that of {members[0]}"
                problems.append(Problem("LIC-U059", found, "runs of one schema, line by line", remedy, str(member)))
        seen.add(member.resolve())
    if problems:
        raise InputError(*problems)


def _weights(words: str, count: int) -> list[float] | None:
    """Numbers for each run, None to search them. Raises InputError for anything else."""
    if words == AUTO:
        return None
    if words == "equal":
        return [1.0] * count
    try:
        values = [float(word) for word in words.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(value) and value >= 0 for value in values) or not any(values):
        raise input_error(
            "LIC-U064",
            found=f"--weights {words}",
            expected=f"{count} numbers of at least 0, not all 0, one for each run named; or auto, or equal",
            remedy="For example --weights " + ",".join(["1"] * count) + ".",
        )
    return values


def _require_same_records(task: Task, members: Sequence[Path], kept: Sequence[Kept]) -> None:
    """Raises InputError where the members' data folders have different dev files."""
    first = [task.identity_of(record) for record in kept[0].records]
    for member, one in zip(members, kept, strict=True):
        if [task.identity_of(record) for record in one.records] != first:
            raise input_error(
                "LIC-U065",
                file=member,
                found=f"another dev file ({one.file}) than that of {members[0]}",
                expected="one file for all members",
                remedy="Name the data folder with --data.",
            )


def _all_folds(task: Task, groups_of: Sequence[Sequence[Path]]) -> bool:
    """Whether every run named is a folder of all folds of one and the same training file."""
    files = set()
    for group in groups_of:
        stored = [stored_run(member, task.name) for member in group]
        folds = {run.fold for run in stored}
        count = next(iter(folds)).partition("/")[2] if None not in folds else ""  # type: ignore[union-attr]
        if not count or folds != {f"{number}/{count}" for number in range(1, int(count) + 1)} or len(group) != int(count):
            return False
        files |= {(run.checksums.get("train"), run.recipe.training.max_records) for run in stored}
    return len(files) == 1


def _aligned(task: Task, kept: Sequence[Kept]) -> Kept:
    """The first of the out-of-fold parts; all others must have its records, in whatever order. Raises InputError where they have not."""
    first = sorted(_place(task, record) for record in kept[0].records)
    for other in kept[1:]:
        if sorted(_place(task, record) for record in other.records) != first:
            raise input_error(
                "LIC-U065",
                file=other.file,
                found="folds of other training records than those of the first run named",
                expected="one training file, and as many of its records, for all members",
                remedy="Take --split dev, or train the folds on the same records.",
            )
    return kept[0]


def _place(task: Task, record: Any) -> tuple[int, str]:
    return record.line or 0, task.identity_of(record)


def _in_order(task: Task, wanted: Kept, kept: Kept) -> list[list[Any]]:
    """The candidates of ``kept`` in the order of the records of ``wanted``."""
    rows = {_place(task, record): row for record, row in zip(kept.records, kept.candidates, strict=True)}
    return [rows[_place(task, record)] for record in wanted.records]


def show(report: dict[str, Any]) -> None:
    from .console import table

    names = list(report["scores"])
    rows = [[f"{one['weight']:.3f}", one["run"], *one["scores"].values()] for one in report["members"]]
    how = "cross-fitted" if report["fitted_on"] == "dev" else f"fitted on {report['fitted_on']}"
    rows.append(["", f"together ({how})", *report["scores"].values()])
    table(f"{report['track']}: dev", ["weight", "run", *names], rows)
    show_importance(report["reranker"])
    if len(set(map(tuple, report["weights_of_parts"]))) > 1:
        say("note: the weights of the parts of cross-fitting differ; lic ensemble --json lists them.")
    typer.echo(f"{report['ensemble']}\tpredicts like a run: lic predict {report['track']} --run {report['ensemble']}")


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders, or folders of folds or seeds, which count as one")],
    weights: Annotated[str, typer.Option(help="auto searches them; equal; or a number for each RUN: W,W,…")] = AUTO,
    split: Annotated[str, typer.Option(help="what weights and thresholds are fitted on: dev (cross-fitted), oof (folds), or auto")] = AUTO,
    name: Annotated[str, typer.Option(help="the folder under runs/TRACK/")] = "ensemble",
    data: Annotated[Path | None, typer.Option(help="data folder; default the one each run was trained on")] = None,
    calibration: Annotated[str | None, typer.Option(help="also map the probabilities shown: platt or isotonic")] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="a reranker decides, from all votes and the training file (needs xgboost)")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Let several runs of a track vote; the folder that is made predicts like a run."""
    require_calibration(calibration)
    report = ensemble(
        runs, weights=weights, split=split, name=name, data=data, calibration=calibration, rerank=rerank, device=device, skip_bad=skip_bad
    )
    if json:
        emit_json(report)
    else:
        show(report)
