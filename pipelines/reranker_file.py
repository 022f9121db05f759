"""``reranker.json`` beside a decision: the training records' evidence once, and the trees of the final reranker and of each part's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import input_error

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.decision import Decision, Fitted
    from tasks.evidence import Evidence

RERANKER = "reranker.json"
FORMAT = 1


def require_xgboost() -> None:
    """Raises InputError where it is not installed."""
    if find_spec("xgboost") is None:
        raise input_error(
            "LIC-U066",
            found="no xgboost",
            expected="what the extra rerank brings",
            remedy="Install it (pip install 'lic2020[rerank]'), or decide without a reranker.",
        )


def training_evidence(task: Task, data: Path, schema: Any, *, skip_bad: bool) -> Evidence:
    """What the training file of ``data`` says."""
    from tasks.official import find_split

    from .data_files import data_folder, read_split

    path = find_split(task.name, data_folder(task.name, data), "train")
    return task.candidates.evidence.gather(read_split(task, path, schema, labelled=True, skip_bad=skip_bad))


def write_rerankers(folder: Path, fitted: Fitted) -> str | None:
    """The checksum of the file, None where no decision has a reranker: an older file then goes."""
    from shared.files import digest, write_text

    path = folder / RERANKER
    decisions = (fitted.decision, *fitted.parts)
    evidence = next((one.reranker.evidence for one in decisions if one.reranker is not None), None)
    if evidence is None:
        path.unlink(missing_ok=True)
        return None
    rows = [None if one.reranker is None else one.reranker.as_dict() for one in decisions]
    write_text(path, json.dumps({"reranker": FORMAT, "evidence": evidence.as_dict(), "final_and_parts": rows}, ensure_ascii=False))
    return digest(path)


def with_rerankers(folder: Path, task: Task, decisions: Sequence[Decision], checksum: str) -> list[Decision]:
    """The ``decisions``, the final one first, with their rerankers. Raises InputError where the file is missing, damaged or another one."""
    from shared.files import digest
    from tasks.reranking import Reranker

    require_xgboost()
    path = folder / RERANKER
    try:
        if digest(path) != checksum:
            raise ValueError("not the one that the decision was fitted with")
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["reranker"] != FORMAT:
            raise ValueError(f"of format {values['reranker']!r}")
        evidence = task.candidates.evidence.from_dict(values["evidence"])
        rows = values["final_and_parts"]
        return [
            one if row is None else replace(one, reranker=Reranker.from_dict(row, evidence))
            for one, row in zip(decisions, rows, strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise input_error(
            "LIC-U067",
            file=path,
            found=f"no {error}" if isinstance(error, KeyError) else str(error),
            expected="the reranker.json that was written with decision.json",
            remedy="Run lic tune --rerank (or lic ensemble --rerank) again, or delete decision.json to predict without.",
        ) from error
