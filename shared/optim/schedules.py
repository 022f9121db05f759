"""Learning-rate schedules as plain functions of the step."""

from __future__ import annotations


def linear_schedule(step: int, *, total_steps: int, warmup_steps: int = 0) -> float:
    """Factor of the peak rate at ``step`` (from 0): linear from 0 up over the warm-up, then linear down to 0 at ``total_steps``.

    Raises ValueError unless 0 <= warmup_steps <= total_steps and total_steps >= 1.
    """
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"need 0 <= warmup_steps <= total_steps and total_steps >= 1, found {warmup_steps} and {total_steps}")
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))
