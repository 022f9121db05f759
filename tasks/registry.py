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
    "paraphrase": "tasks.paraphrase.task:ParaphraseTask",
}
"""Trained, evaluated and predicted like tracks, but without a leaderboard: ``lic demo``, ``lic predict`` without a name and whatever else goes
through all tracks leave them out."""


def get_task(name: str) -> Task:
    """The track or auxiliary task of that name. Raises InputError for one that this version does not have."""
    known = {**TRACKS, **AUXILIARY}
    if name not in known:
        raise input_error(
            "LIC-T001", found=f"track {name!r}", expected=f"one of: {', '.join(known)}", remedy="Name a track that this version has."
        )
    module, _, attribute = known[name].partition(":")
    task: Task = getattr(importlib.import_module(module), attribute)()
    return task
