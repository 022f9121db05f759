"""Other decode settings than a run was trained with, for one call of ``lic evaluate``, ``predict`` or ``extract``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import input_error

from .run_folder import LoadedRun

if TYPE_CHECKING:
    from .ensemble_folder import LoadedEnsemble


def with_decode(loaded: LoadedRun | LoadedEnsemble, overrides: Sequence[str]) -> LoadedRun | LoadedEnsemble:
    """The run with ``decode.KEY=VALUE`` settings in place of its recipe's. Raises InputError for other keys and values, and for an ensemble."""
    from tasks.recipe import override

    if not overrides:
        return loaded
    if not isinstance(loaded, LoadedRun):
        raise input_error("LIC-X026", found="an ensemble", expected="one run", remedy="Name a member with --run.")
    for one in overrides:
        if not one.strip().startswith("decode."):
            raise input_error(
                "LIC-R003", found=f"--set {one}", expected="--set decode.KEY=VALUE", remedy="A trained run's other settings stay as they are."
            )
    recipe = override(loaded.recipe, overrides)
    loaded.task.check_recipe(recipe)
    return replace(loaded, recipe=recipe)


def with_n_best(loaded: LoadedRun | LoadedEnsemble, count: int) -> LoadedRun | LoadedEnsemble:
    """The run with ``count`` answers to each question. Raises InputError for another track, an ensemble, and a model that has no such setting."""
    from .sensitivity import check_track

    check_track(loaded.task.name, "--n-best")
    return with_decode(loaded, [f"decode.n_best={count}"])
