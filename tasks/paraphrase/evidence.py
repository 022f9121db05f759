"""No evidence: a pair has one candidate, so there is nothing for a reranker to weigh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from shared.errors import input_error

if TYPE_CHECKING:
    from ..evidence import Evidence


class NoEvidence:
    """Refuses to be gathered."""

    names: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def gather(cls, records: Sequence[Any]) -> NoEvidence:
        """Raises InputError: this task has no reranker."""
        raise input_error(
            "LIC-U069",
            found="--rerank for the paraphrase task",
            expected="a track whose texts have several candidates each",
            remedy="Leave --rerank out.",
        )

    def features(self, record: Any, candidates: Sequence[Any]) -> np.ndarray:
        return np.zeros((len(candidates), 0))  # [c, 0]

    def as_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NoEvidence:
        return cls()


if TYPE_CHECKING:
    _fulfils: Evidence = NoEvidence()
