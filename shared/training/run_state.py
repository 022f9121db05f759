"""Everything that the rest of a training depends on, as arrays and a few numbers; and back, bit for bit.

What is not in it follows from it: the rows of every step from lengths and settings, which ``order`` fingerprints; the rates from the step;
the random states from seed and step (:func:`shared.training.loop.seed_everything`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import input_error
from ..optim.state import optimizer_state, set_optimizer_state
from .checkpoint import arrays_of, set_weights
from .loop import Progress, Training

FORMAT = 1


@dataclass(frozen=True)
class RunState:
    """``arrays``: ``weights``, ``optimizer`` and perhaps ``ema``, each a table of named arrays. ``counters``: plain JSON values."""

    arrays: Mapping[str, Mapping[str, np.ndarray]]
    counters: Mapping[str, Any] = field(default_factory=dict)


def capture(training: Training) -> RunState:
    """The state between two events of ``training``; copies, so that training may go on."""
    arrays = {
        "weights": _copies(training.layer.state_dict()),
        "optimizer": _copies(optimizer_state(training.optimizer, training.layer)),
    }
    if training.ema is not None:
        arrays["ema"] = _copies(training.ema.state_dict())
    scale = training.gradients.scale
    counters = {
        "format": FORMAT,
        "progress": asdict(training.progress),
        "scale": {"value": scale.value, "finite_steps": scale.finite_steps},
        "order": training.order.digest(),
        "total_steps": training.order.total_steps,
        "seed": training.settings.seed,
        "world": training.ranks.world,
    }
    return RunState(arrays, counters)


def restore(training: Training, state: RunState, path: str | Path) -> list[str]:
    """Puts ``state`` (read from ``path``) into a training that has not stepped yet; it then goes on as if it had never stopped.

    Returns what people should know, a sentence each without an end: that the number of processes differs.
    Raises InputError for a state of another format, order or model.
    """
    counters = state.counters
    if counters.get("format") != FORMAT:
        raise input_error(
            "LIC-K004",
            file=path,
            found=f"a checkpoint of format {counters.get('format')}",
            expected=f"format {FORMAT}",
            remedy="Go on with the version of lic that wrote it.",
        )
    if counters["order"] != training.order.digest():
        raise input_error(
            "LIC-K005",
            file=path,
            found="a checkpoint of other training data, batch sizes, epochs or seed",
            expected="the data and settings that the run began with",
            remedy="Put the training file back as it was, or begin a new run.",
        )
    if ("ema" in state.arrays) != (training.ema is not None):
        raise input_error(
            "LIC-K002", file=path, found="moving averages on one side only", expected="the run's own settings", remedy="Resume with its own recipe."
        )
    set_weights(training.layer, state.arrays["weights"], path)
    try:
        set_optimizer_state(training.optimizer, training.layer, state.arrays["optimizer"])
        if training.ema is not None:
            training.ema.set_state_dict(state.arrays["ema"])
    except ValueError as error:
        raise input_error(
            "LIC-K002", file=path, found=str(error), expected="the state of this run's own model", remedy="Begin a new run."
        ) from error
    training.progress = Progress(**counters["progress"])
    training.gradients.scale.value = counters["scale"]["value"]
    training.gradients.scale.finite_steps = counters["scale"]["finite_steps"]
    if counters["world"] != training.ranks.world:
        return [
            f"the checkpoint was written by {counters['world']} processes and {training.ranks.world} go on: "
            "the rows of every step are the same, but draws such as dropout's differ, so the run is not the one it would have been"
        ]
    return []


def _copies(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in arrays_of(tensors).items()}
