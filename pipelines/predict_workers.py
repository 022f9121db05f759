"""Parts of a prediction by several processes of this machine: each opens the run for itself, with its share of the cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.workers import run_in_order

if TYPE_CHECKING:
    from .ensemble_folder import LoadedEnsemble
    from .run_folder import LoadedRun


@dataclass(frozen=True)
class Opening:
    """How a run or an ensemble is opened for one prediction; ``n_best``: answers of a reading run to each question, None for the recipe's."""

    folder: Path
    track: str
    decode: tuple[str, ...] = ()
    engine: str = "auto"
    device: str = "auto"
    n_best: int | None = None

    def open(self) -> LoadedRun | LoadedEnsemble:
        """Raises InputError as :func:`pipelines.ensemble_folder.open_run`, and for wrong settings, device or engine."""
        from .decode_overrides import with_decode, with_n_best
        from .device import choose_device
        from .ensemble_folder import open_run

        choose_device(self.device)
        loaded = replace(with_decode(open_run(self.folder, self.track), self.decode), engine=self.engine)
        return loaded if self.n_best is None else with_n_best(loaded, self.n_best)


class PartWorker:
    """Writes parts of the file ``path`` into ``folder``."""

    def __init__(self, how: Opening, path: Path, folder: Path, threads: int):
        os.environ["LIC_THREADS"] = str(threads)
        from shared.environment import prepare

        prepare()
        from .decisions import Predictor

        self.folder, loaded = folder, how.open()
        self.task, self.predictor = loaded.task, Predictor(loaded, path, quiet=True)

    def __call__(self, job: tuple[int, Sequence[Any]]) -> int:
        """Takes the number and the records of a part; returns how many they are."""
        from .predict_parts import write_part

        number, records = job
        write_part(self.folder, number, self.task, records, self.predictor(records))
        return len(records)


def predict_parts(
    how: Opening, path: Path, folder: Path, parts: Iterator[tuple[int, Sequence[Any]]], *, workers: int
) -> Iterator[int]:
    """Has the parts written; yields the number of records of each, in order. Raises what a worker raises."""
    from shared.environment import prepare

    yield from run_in_order(PartWorker, (how, path, folder, max(1, prepare().threads // workers)), parts, workers=workers)
