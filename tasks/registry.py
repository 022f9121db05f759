"""Every track by name. Adding one is one folder and one line here."""

from __future__ import annotations

import importlib

from shared.errors import input_error

from .base import Task

TRACKS = {
    "relation": "tasks.relation.task:RelationTask",
    "event": "tasks.event.task:EventTask",
    "reading": "tasks.reading.task:ReadingTask",
}


def get_task(name: str) -> Task:
    """The track of that name. Raises InputError for a track that this version does not have."""
    if name not in TRACKS:
        raise input_error(
            "LIC-T001", found=f"track {name!r}", expected=f"one of: {', '.join(TRACKS)}", remedy="Name a track that this version has."
        )
    module, _, attribute = TRACKS[name].partition(":")
    task: Task = getattr(importlib.import_module(module), attribute)()
    return task
