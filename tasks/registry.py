"""Every track and auxiliary task by name. Adding one is one folder and one line here."""

from __future__ import annotations

import importlib

from shared.errors import input_error

from .base import Task

TRACKS = {
    "relation": "tasks.relation.task:RelationTask",
    "event": "tasks.event.task:EventTask",
    "reading": "tasks.reading.task:ReadingTask",
}
AUXILIARY = {
    "title": "tasks.title.task:TitleTask",
    "paraphrase": "tasks.paraphrase.task:ParaphraseTask",
}
"""Tasks that are trained, predicted and scored as the tracks are, each by its name. No leaderboard asks for them: what is done for all tracks when
none is named (``lic demo``, ``lic predict``, ``lic evaluate``) leaves them out."""
NAMES = f"{', '.join(TRACKS)}, or an auxiliary task: {', '.join(AUXILIARY)}"
"""As the command line's help has them."""


def get_task(name: str) -> Task:
    """The track or auxiliary task of that name. Raises InputError for one that this version does not have."""
    modules = TRACKS | AUXILIARY
    if name not in modules:
        raise input_error(
            "LIC-T001", found=f"track {name!r}", expected=f"one of: {', '.join(modules)}", remedy="Name a track that this version has."
        )
    module, _, attribute = modules[name].partition(":")
    task: Task = getattr(importlib.import_module(module), attribute)()
    return task
