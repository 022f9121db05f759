"""``decision.json`` of a run or an ensemble: what ``lic tune`` and ``lic ensemble`` chose, and how everything that predicts goes by it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import input_error

from .candidates import features_of, find_candidates, predict_run, run_marks
from .console import Advance, say
from .engines import engine_of
from .ensemble_folder import LoadedEnsemble
from .reranker_file import with_rerankers, write_rerankers
from .run_folder import DECISION, load_run

if TYPE_CHECKING:
    import numpy as np

    from tasks.base import Task
    from tasks.decision import Decision, Fitted

    from .run_folder import LoadedRun

FORMAT = 1


@dataclass(frozen=True)
class StoredDecision:
    """``fitted``: on what (``split``, the ``sha256`` of its file, ``records``) and with which scores ``before`` and ``after``."""

    folder: Path
    decision: Decision
    parts: tuple[Decision, ...]
    fitted: Mapping[str, Any]

    def over(self, task: Task, records: Sequence[Any], *, crossed: bool) -> tuple[Sequence[Decision], np.ndarray]:
        """Decisions, and which of them decides each record [n]. ``crossed``, for the very file that it was fitted on: the one that has not seen
        the record."""
        import numpy as np

        if crossed:
            return self.parts, parts_of(task, records, len(self.parts))
        return (self.decision,), np.zeros(len(records), dtype=np.int64)  # [n]


def parts_of(task: Task, records: Sequence[Any], count: int) -> np.ndarray:
    """The part of cross-fitting that each record belongs to [n]: its text decides."""
    import numpy as np

    from .train_setup import fold_of

    return np.fromiter((fold_of(task.text_of(record), count) for record in records), dtype=np.int64, count=len(records))


def write_decision(folder: Path, fitted: Fitted, *, marks: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """``marks``: checksums of the run or the members; ``about``: see :class:`StoredDecision`."""
    from shared.files import write_json

    checksum = write_rerankers(folder, fitted)
    write_json(
        folder / DECISION,
        {
            "decision": FORMAT,
            "marks": marks,
            "fitted": about,
            "reranker": checksum,
            "final": fitted.decision.as_dict(),
            "parts": [one.as_dict() for one in fitted.parts],
        },
    )


def read_decision(folder: Path, task: Task, marks: Mapping[str, Any]) -> StoredDecision | None:
    """The decision of a folder, None where it has none. Raises InputError for a damaged one and for one of other weights or settings."""
    from tasks.decision import Decision

    path = folder / DECISION
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["decision"] != FORMAT:
            raise ValueError(f"of format {said['decision']!r}")
        fitted = {**said["fitted"], "sha256": str(said["fitted"]["sha256"]), "split": str(said["fitted"]["split"])}
        decisions = [Decision.from_dict(said["final"]), *map(Decision.from_dict, said["parts"])]
        own, checksum = dict(said["marks"]), said.get("reranker")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise input_error(
            "LIC-U053",
            file=path,
            found=f"what is no decision ({error})",
            expected="the decision.json that lic tune or lic ensemble wrote",
            remedy="Delete it, and run lic tune again.",
        ) from error
    if own != dict(marks):
        raise input_error(
            "LIC-U054",
            file=path,
            found="a decision for other weights or settings than are here now",
            expected="the one that was fitted for these",
            remedy="Run lic tune again, or delete it to predict without.",
        )
    if checksum is not None:
        decisions = with_rerankers(folder, task, decisions, str(checksum))
    return StoredDecision(folder, decisions[0], tuple(decisions[1:]), fitted)


class Predictor:
    """Predicts records of the file ``source``, part by part: by the decision of the folder where it has one, which is said, else as the run decodes.

    The file that a decision was fitted on is decided cross-fitted: each record by what was fitted without it. An ensemble whose weights leave one
    member gives that member's own predictions; its members stay loaded from part to part.
    """

    def __init__(self, loaded: LoadedRun | LoadedEnsemble, source: Path | None = None, *, quiet: bool = False):
        self._loaded, self._task = loaded, loaded.task
        self._members: dict[int, LoadedRun] = {}
        self._only: Predictor | None = None
        self._stored: StoredDecision | None = None
        self._active: list[int] = []
        if isinstance(loaded, LoadedEnsemble):
            self._active = [number for number, weight in enumerate(loaded.weights) if weight > 0]
            if len(self._active) == 1:
                self._only = Predictor(self._member(self._active[0]), source, quiet=quiet)
                return
            marks = {"members": list(loaded.marks), "weights": list(loaded.weights)}
            self._stored = read_decision(loaded.folder, self._task, marks)
        else:
            self._stored = read_decision(loaded.folder, self._task, run_marks(loaded.folder))
        self._crossed = self._stored is not None and _parts_used(self._stored, source)
        self._quiet = quiet

    def prepare(self, records: Sequence[Any]) -> Any:
        """The features of records that will be predicted, for a thread that makes them ahead; None of an ensemble, whose members differ in them."""
        if self._only is not None:
            return self._only.prepare(records)
        return None if isinstance(self._loaded, LoadedEnsemble) else features_of(self._loaded, records)

    def open_engines(self, texts: int) -> None:
        """Opens what will run the models on ``texts`` texts, so that every graph is recorded once before several processes need it."""
        if self._only is not None:
            self._only.open_engines(texts)
        elif isinstance(self._loaded, LoadedEnsemble):
            for number in range(len(self._loaded.members)) if self._crossed else self._active:
                engine_of(self._member(number), texts)
        else:
            engine_of(self._loaded, texts)

    def __call__(self, records: Sequence[Any], advance: Advance | None = None, *, features: Any = None) -> list[list[Any]]:
        """Predictions for every record, in order. ``features``: what :meth:`prepare` gave for these records."""
        if self._only is not None:
            return self._only(records, advance, features=features)
        if not records:
            return []
        members, kept = self._find(records, advance, features)
        if self._stored is None and not isinstance(self._loaded, LoadedEnsemble):
            return members[0]
        return self._decide(records, members, kept)

    def _find(self, records: Sequence[Any], advance: Advance | None, features: Any) -> tuple[list[list[list[Any]]], int]:
        """What every member finds, and how many answers of a ranked track the recipes ask for."""
        if not isinstance(self._loaded, LoadedEnsemble):
            as_decoded = self._stored is None or (self._task.candidates.ranked and self._stored.decision.reranker is None)
            find = predict_run if as_decoded else find_candidates
            return [find(self._loaded, records, advance, features=features)], int(self._loaded.recipe.decode.get("n_best", 1))
        members: list[list[list[Any]]] = [[[] for _ in records] for _ in self._loaded.members]
        kept = 1
        for number in range(len(members)) if self._crossed else self._active:
            run = self._member(number)
            members[number] = find_candidates(run, records, advance)
            kept = max(kept, int(run.recipe.decode.get("n_best", 1)))
        return members, kept

    def _decide(self, records: Sequence[Any], members: list[list[list[Any]]], kept: int) -> list[list[Any]]:
        from tasks.decision import decide

        stored = self._stored
        if stored is None:
            assert isinstance(self._loaded, LoadedEnsemble)
            stored = _untuned(self._loaded)
        decisions, parts = stored.over(self._task, records, crossed=self._crossed)
        if not self._quiet:
            _say(stored, self._crossed)
            self._quiet = True
        found = decide(self._task.candidates, records, members, decisions, parts)
        return [row[:kept] for row in found] if self._task.candidates.ranked else found

    def _member(self, number: int) -> LoadedRun:
        assert isinstance(self._loaded, LoadedEnsemble)
        if number not in self._members:
            self._members[number] = replace(load_run(self._loaded.members[number], self._task.name), engine=self._loaded.engine)
        return self._members[number]


def _parts_used(stored: StoredDecision, source: Path | None) -> bool:
    from shared.files import digest

    return bool(stored.parts) and source is not None and digest(source) == stored.fitted["sha256"]


def _untuned(loaded: LoadedEnsemble) -> StoredDecision:
    """Thresholds of one half, for an ensemble whose decision.json was deleted."""
    from tasks.decision import Decision

    return StoredDecision(loaded.folder, Decision(loaded.weights), (), {"split": "nothing", "sha256": "", "records": 0})


def _say(stored: StoredDecision, crossed: bool) -> None:
    with_trees = ", with a reranker" if stored.decision.reranker is not None else ""
    after = "; each record by what was fitted without it" if crossed else ""
    say(f"{stored.folder / DECISION}: fitted on {stored.fitted['split']}{with_trees}{after}.")
