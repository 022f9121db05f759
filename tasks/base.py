"""The protocol that a track fulfils; the pipelines know nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shared.errors import Problem


@dataclass
class ReadResult:
    """Records of one official file, and everything that is wrong with it.

    ``skipped`` counts records left out of ``records`` because a problem makes them unusable.
    """

    records: list[Any]
    problems: list[Problem] = field(default_factory=list)
    skipped: int = 0


class Task(Protocol):
    """One track. Every method is a plain function of its arguments; ``R`` is the track's record type."""

    name: str
    """``relation``, ``event`` or ``reading``."""
    member: str
    """Name of the file inside the submission zip, e.g. ``duee.json``."""
    models: Sequence[str]
    """Names of the models, the default first."""
    split_files: Mapping[str, Sequence[str]]
    """``train``, ``dev``, ``test1``, ``test2``, ``schema`` to the official file names, LIC2020's first."""
    known_md5: Mapping[str, str]
    """md5 of official files to what they are."""

    # -- files ---------------------------------------------------------------------------------------------------
    def read_schema(self, path: Path) -> Any: ...

    def read_records(self, path: Path, schema: Any, *, labelled: bool | None = None) -> ReadResult:
        """``labelled``: True wants annotations, False ignores them, None takes what each line has."""
        ...

    def describe(self, records: Sequence[Any]) -> dict[str, Any]:
        """Counts for ``lic data check``."""
        ...

    def write_submission(self, path: Path, ids_and_predictions: Sequence[tuple[Any, Any]]) -> None:
        """Writes the zip ``path`` and the bare file beside it, both atomically."""
        ...

    def check_submission(self, path: Path, schema: Any, against: Path | None) -> list[Problem]:
        """Every reason why the leaderboard would refuse the zip (or lose part of it)."""
        ...

    def score_files(self, gold: Path, prediction: Path, *, alias: Path | None = None, **options: Any) -> dict[str, Any]: ...

    # -- model -------------------------------------------------------------------------------------------------
    def build_model(self, backbone: Any, schema: Any, settings: Mapping[str, Any]) -> Any:
        """A paddle layer: ``layer(batch)`` gives the head's output tensors, ``layer.loss(batch)`` the training loss."""
        ...

    def make_features(self, records: Sequence[Any], schema: Any, tokenizer: Any, settings: Mapping[str, Any]) -> Any: ...

    def decode(self, outputs: Any, features: Any, records: Sequence[Any], schema: Any) -> list[Any]: ...

    def score(self, gold: Sequence[Any], predictions: Sequence[Any], **options: Any) -> dict[str, Any]: ...
