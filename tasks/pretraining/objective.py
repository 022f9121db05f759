"""What pretraining can be asked for: its recipes, and the objectives by the name that ``[model]`` gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import Problem

from ..recipe import Recipe, SettingsError, parse_settings
from .models import OBJECTIVES


class Pretraining:
    """Stands where a track does in the run folder and in recipes: ``runs/pretraining/NAME``."""

    name = "pretraining"
    recipes = Path(__file__).parent / "recipes"

    def check_recipe(self, recipe: Recipe) -> None:
        """Raises SettingsError for a wrong key or value in ``[model]``, anything in ``[decode]``, and options that pretraining does not have."""
        settings = objective_settings(recipe)
        training = recipe.training
        problems: list[tuple[str, Problem]] = []

        def refuse(key: str, value: Any, expected: str) -> None:
            problems.append((key, Problem("LIC-R006", f"{key} = {value!r}", expected, "Leave it out.")))

        for key in recipe.decode:
            refuse(f"decode.{key}", recipe.decode[key], "nothing: pretraining decodes nothing")
        if training.teachers:
            refuse("training.teachers", training.teachers, "none: pretraining has no teachers")
        if training.train_on != "train":
            refuse("training.train_on", training.train_on, "train: set model.held_out = 0 to train on everything")
        if training.patience is not None and not settings.held_out:
            refuse("training.patience", training.patience, "none where model.held_out = 0: nothing is evaluated")
        for name in settings.refused:
            value = getattr(training, name)
            if value != type(training).model_fields[name].default:
                refuse(f"training.{name}", value, f"the default: the objective {settings.name} cannot have it")
        if problems:
            raise SettingsError([problem for _, problem in problems], [key for key, _ in problems])


def objective_settings(recipe: Recipe) -> Any:
    """The checked ``[model]`` table. Raises SettingsError for an unknown objective, key or value."""
    default = next(iter(OBJECTIVES))
    name = recipe.model.get("name", default)
    if name not in OBJECTIVES:
        problem = Problem("LIC-R006", f"model.name = {name!r}", f"one of {', '.join(OBJECTIVES)}", "Correct the value.")
        raise SettingsError([problem], ["model.name"])
    return parse_settings(OBJECTIVES[name], recipe.model, under="model")
