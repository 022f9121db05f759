"""``lic tune``: thresholds by the official score, and how far a run's probabilities can be taken at their word.

"Tune", since it changes what the run then predicts; calibration alone does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error

from .candidates import Kept, keep_candidates, out_of_fold, run_marks
from .console import emit_json, say
from .decisions import parts_of, write_decision
from .reranker_file import RERANKER, require_xgboost, training_evidence
from .run_folder import DECISION, ENSEMBLE, find_run, stored_run, track_of

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.decision import Fitted
    from tasks.evidence import Evidence

RELIABILITY = "reliability.png"


def tune(
    run: Path,
    *,
    folds: Path | None = None,
    data: Path | None = None,
    calibration: str | None = None,
    rerank: bool = False,
    device: str = "auto",
    skip_bad: bool = False,
    always: bool = False,
) -> dict[str, Any]:
    """Fits thresholds for a run, and with ``calibration`` (``platt`` or ``isotonic``) a mapping of its probabilities; the run's ``decision.json``
    keeps them if they raise the score (``always``: in any case), or if a mapping was asked for and they do not lower it.

    Without ``folds`` they are fitted on dev, and what is reported there is cross-fitted: no record is scored by what was fitted on it. With
    ``folds``, a folder of lic train --folds on the same data, they are fitted on its out-of-fold candidates of the training file.
    ``rerank`` gives every candidate another probability first, from what the training file says of it; it is fitted on dev alone.
    """
    from shared.files import digest
    from tasks.calibration import reliability
    from tasks.decision import FOLDS, confidences, fit_decision
    from tasks.registry import get_task

    folder = find_run("", run)
    if (folder / ENSEMBLE).is_file():
        raise input_error(
            "LIC-U058", file=folder, found="an ensemble", expected="one run", remedy="lic ensemble fits the thresholds of an ensemble itself."
        )
    task = get_task(track_of(folder))
    kind = task.candidates
    if rerank:
        require_dev_for_evidence("--folds" if folds is not None else None)
    dev = keep_candidates(folder, "dev", data=data, device=device, skip_bad=skip_bad)
    source = dev
    if folds is not None:
        _require_same_schema(task, folder, folds)
        source = out_of_fold(folds, track=task.name, data=data, device=device, skip_bad=skip_bad)
    rows = source.plain if kind.ranked and not rerank else source.candidates
    evidence = evidence_of(task, folder, data, skip_bad=skip_bad) if rerank else None
    parts = parts_of(task, source.records, FOLDS)
    identities = [task.identity_of(record) for record in source.records]
    fitted = fit_decision(kind, source.records, [rows], identities, parts, weights=[1.0], calibration=calibration, evidence=evidence)
    before = _shown(task, dev.records, dev.plain)
    dev_rows = dev.plain if kind.ranked and not rerank else dev.candidates
    after = decided_scores(task, dev, [dev_rows], fitted, crossed=folds is None)
    score = task.shown_scores[-1]
    useful = always or after[score] > before[score] or (calibration is not None and after[score] >= before[score])
    about = {
        "split": "dev" if folds is None else f"the out-of-fold records of {folds}",
        "sha256": digest(source.file),
        "records": len(source.records),
        "before": before,
        "after": after,
    }
    if useful:
        write_decision(folder, fitted, marks=run_marks(folder), about=about)
    else:
        (folder / DECISION).unlink(missing_ok=True)
        (folder / RERANKER).unlink(missing_ok=True)
    probability, right, record = confidences(kind, dev.records, dev_rows)
    dev_parts = parts_of(task, dev.records, FOLDS)
    tables = reliability_tables(probability, right, dev_parts[record], calibration)
    if rerank:
        rows = [
            fitted.parts[part].candidates(kind, one, [row])
            for part, one, row in zip(dev_parts.tolist(), dev.records, dev_rows, strict=True)
        ]
        tables["reranked"] = reliability(*confidences(kind, dev.records, rows, shares=True)[:2])
    picture = draw_reliability(tables, folder / RELIABILITY, title=f"{task.name}, {folder.name}: candidates of dev") if len(probability) else None
    thresholds = fitted.decision.thresholds
    return {
        "track": task.name,
        "run": str(folder),
        "fitted_on": about["split"],
        "records": len(source.records),
        "before": before,
        "after": after,
        "threshold": None if kind.ranked else thresholds.default,
        "thresholds": [[*label, value] for label, value in sorted(thresholds.by_label.items())],
        "reranker": importance_of(fitted) if rerank else None,
        "kept": str(folder / DECISION) if useful else None,
        "reliability": tables,
        "picture": None if picture is None else str(picture),
    }


def decided_scores(
    task: Task, kept: Kept, members: Sequence[Sequence[Sequence[Any]]], fitted: Fitted, *, crossed: bool
) -> dict[str, float]:
    """The shown scores of what ``fitted`` decides; ``crossed``: each record by the decision that has not seen it."""
    from tasks.decision import decide

    decisions = fitted.parts if crossed else (fitted.decision,)
    parts = parts_of(task, kept.records, len(decisions))
    return _shown(task, kept.records, decide(task.candidates, kept.records, members, decisions, parts))


def require_dev_for_evidence(found: str | None) -> None:
    """Raises InputError without xgboost, and for a reranker that would be asked about the very records that its evidence is gathered from."""
    require_xgboost()
    if found is not None:
        raise input_error(
            "LIC-U068",
            found=f"--rerank with {found}",
            expected="a reranker fitted on dev, as its evidence is the training file",
            remedy=f"Leave {found} out, or --rerank.",
        )


def evidence_of(task: Task, folder: Path, data: Path | None, *, skip_bad: bool) -> Evidence:
    """What the training file of a run's data, or of ``data``, says."""
    from tasks.official import has_schema

    schema = task.read_schema(folder / "schema.json") if has_schema(task.name) else None
    return training_evidence(task, data or stored_run(folder, task.name).data, schema, skip_bad=skip_bad)


def importance_of(fitted: Fitted, most: int = 10) -> list[list[Any]]:
    """What the final reranker goes by: names and their share of all gain, the ``most`` greatest; nothing where none was learned."""
    reranker = fitted.decision.reranker
    return [] if reranker is None else [[name, round(share, 4)] for name, share in reranker.importance()[:most]]


def _shown(task: Task, records: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    scores = task.score(records, predictions)
    return {name: scores[name] for name in task.shown_scores}


def _require_same_schema(task: Task, run: Path, folds: Path) -> None:
    from tasks.official import has_schema

    from .candidates import members_to_use

    if not has_schema(task.name):
        return
    own = task.read_schema(run / "schema.json").as_lines()
    for member in members_to_use(folds):
        if track_of(member) == task.name and task.read_schema(member / "schema.json").as_lines() != own:
            raise input_error(
                "LIC-U059",
                file=member,
                found=f"another schema than that of {run}",
                expected="runs of one schema, line by line",
                remedy="Name runs that were trained with the same schema file.",
            )


def reliability_tables(probability: Any, right: Any, parts: Any, calibration: str | None) -> dict[str, Any]:
    """By name the reliability of probabilities [n] ``as given`` and, cross-fitted, under every mapping or the one asked for."""
    from tasks.calibration import KINDS, cross_fitted, reliability

    tables = {"as given": reliability(probability, right)}
    for kind in (calibration,) if calibration else KINDS:
        tables[kind] = reliability(cross_fitted(probability, right, parts, kind), right)
    return tables


def draw_reliability(tables: dict[str, Any], path: Path, *, title: str) -> Path:
    """A panel a table: accuracy over confidence, with the share of candidates in each bin below; the diagonal is a model at its word."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from shared.files import atomic_write

    from .curves import BLUE, GREY, ORANGE, STYLE, fonts

    with matplotlib.rc_context({**STYLE, "font.family": fonts()}):
        figure = Figure(figsize=(4.2 * len(tables), 4.6), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(f"{title}\n", x=0.02, ha="left", fontsize=14, fontweight="bold")
        for axes, (name, table) in zip(figure.subplots(1, len(tables), squeeze=False).ravel(), tables.items(), strict=True):
            filled = [row for row in table["bins"] if row["count"]]
            most = max((row["count"] for row in filled), default=1)
            middles = [(row["from"] + row["to"]) / 2 for row in table["bins"]]
            heights = [0.25 * row["count"] / most for row in table["bins"]]
            axes.bar(middles, heights, width=0.9 / len(middles), color=GREY, alpha=0.35, label="candidates")
            axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
            axes.plot([row["confidence"] for row in filled], [row["accuracy"] for row in filled], color=BLUE, marker="o", linewidth=2)
            for row in filled:
                axes.plot([row["confidence"]] * 2, [row["confidence"], row["accuracy"]], color=ORANGE, linewidth=1.2)
            axes.set_title(f"{name}: ECE {table['ece']:.3f}", loc="left", fontweight="bold")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.set_xlabel("mean probability")
            axes.set_ylabel("share that is right")
        with atomic_write(path) as file:
            figure.savefig(file, format="png")
    return path


def show(report: dict[str, Any]) -> None:
    """Scores before and after, the thresholds and the reliability table, on standard output."""
    from .console import table

    how = "cross-fitted on dev" if report["fitted_on"] == "dev" else f"on dev, fitted on {report['fitted_on']}"
    names = list(report["before"])
    rows = [["as decoded", *report["before"].values()], [how, *report["after"].values()]]
    table(f"{report['track']}: {report['run']}", ["dev", *names], rows)
    if report["threshold"] is not None:
        typer.echo(f"threshold {report['threshold']:.3f}; {len(report['thresholds'])} labels have one of their own")
    show_importance(report["reranker"])
    tables = report["reliability"]
    given = tables["as given"]
    columns = ["probability", "candidates", "mean", "right"]
    lines = [
        [f"{row['from']:.1f} to {row['to']:.1f}", row["count"], *("–" if row[name] is None else row[name] for name in ("confidence", "accuracy"))]
        for row in given["bins"]
    ]
    table("reliability, as given", columns, lines)
    typer.echo("expected calibration error: " + ", ".join(f"{one['ece']:.4f} {name}" for name, one in tables.items()) + " (mappings cross-fitted)")
    if report["picture"]:
        say(f"picture: {report['picture']}")
    if report["kept"]:
        typer.echo(f"{report['kept']}\tpredict, evaluate and extract go by it")
    else:
        say("nothing gained: no decision.json is kept, the run predicts as it decodes.")


def show_importance(rows: list[list[Any]] | None) -> None:
    """``rows`` of :func:`importance_of`; a word where a reranker was asked for and not learned."""
    from .console import table

    if rows is not None and not rows:
        say("note: too few candidates to learn a reranker from; the members' own probabilities stand.")
    if rows:
        table("what the reranker goes by", ["a candidate's", "share of gain"], rows)


def command(
    run: Annotated[Path, typer.Argument(help="run folder")],
    folds: Annotated[Path | None, typer.Option(help="fit on the out-of-fold candidates of this folder of folds instead of dev")] = None,
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    calibration: Annotated[str | None, typer.Option(help="also map the probabilities shown: platt or isotonic")] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="weigh candidates by what the training file says of them (needs xgboost)")] = False,
    always: Annotated[bool, typer.Option("--always", help="keep the thresholds even if they gain nothing")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Choose a run's thresholds by the official score, cross-fitted; predict, evaluate and extract then go by them."""
    require_calibration(calibration)
    report = tune(
        run, folds=folds, data=data, calibration=calibration, rerank=rerank, device=device, skip_bad=skip_bad, always=always
    )
    if json:
        emit_json(report)
    else:
        show(report)


def require_calibration(name: str | None) -> None:
    """Raises InputError for a mapping that does not exist."""
    from tasks.calibration import KINDS

    if name is not None and name not in KINDS:
        raise input_error("LIC-U060", found=f"--calibration {name}", expected=f"one of {', '.join(KINDS)}", remedy="Name one, or leave it out.")
