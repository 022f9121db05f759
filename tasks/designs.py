"""Designs: the models that a track can be trained with, each under the name that ``[model]`` gives it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import Problem

from .decoding import Decoder
from .recipe import Recipe, Settings, SettingsError, parse_settings

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Vocabulary

GOLD_TOKENS = 4096
"""Padded tokens a batch of gold tensors."""

class Design(Protocol):
    """One model of a track: its settings, its layer, its decode, and gold in the layer's place."""

    @property
    def settings(self) -> type[Settings]:
        """The ``[model]`` table; its ``name`` is a literal with the design's name as default."""
        ...

    @property
    def decode_settings(self) -> type[Settings]:
        """The ``[decode]`` table."""
        ...

    def build(self, backbone: Any, schema: Any, recipe: Recipe) -> Any:
        """The layer of :class:`tasks.base.Task` on top of a backbone."""
        ...

    def decoder(
        self, engine: Engine, features: Any, rows: Sequence[Any], schema: Any, vocabulary: Vocabulary, recipe: Recipe, *, floor: float | None = None
    ) -> Decoder:
        """How ``engine``, which runs the layer's network, answers for the records ``rows``, whose features are given.

        ``floor``: everything of at least about this probability counts, whatever ``[decode]`` says: candidates for ensembles and thresholds.
        """
        ...

    def gold_decoder(self, features: Any, rows: Sequence[Any], schema: Any, recipe: Recipe) -> Decoder:
        """The same decode with gold's own head tensors in place of a model's."""
        ...


class Designs:
    """The designs of a track; ``modules``: ``module:class`` by name, the first is the default. Modules are loaded when asked for."""

    def __init__(self, modules: Mapping[str, str]):
        self.modules = modules

    def of(self, recipe: Recipe) -> Design:
        """The design that ``[model]`` names. Raises SettingsError for another name."""
        default = next(iter(self.modules))
        name = recipe.model.get("name", default)
        if name not in self.modules:
            near = difflib.get_close_matches(str(name), list(self.modules), 1, 0.5)
            remedy = f"Did you mean {near[0]!r}?" if near else "Correct the value."
            problem = Problem("LIC-R006", f"model.name = {name!r}", f"one of {', '.join(self.modules)}", remedy)
            raise SettingsError([problem], ["model.name"])
        module, _, attribute = self.modules[name].partition(":")
        design: Design = getattr(importlib.import_module(module), attribute)()
        return design

    def check(self, recipe: Recipe) -> None:
        """Raises InputError for a wrong key or value in ``[model]`` or ``[decode]``."""
        design = self.of(recipe)
        model_settings(design, recipe)
        decode_settings(design, recipe)


def model_settings(design: Design, recipe: Recipe) -> Any:
    """The checked ``[model]`` table."""
    return parse_settings(design.settings, recipe.model, under="model")


def decode_settings(design: Design, recipe: Recipe) -> Any:
    """The checked ``[decode]`` table."""
    return parse_settings(design.decode_settings, recipe.decode, under="decode")
