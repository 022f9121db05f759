"""Optimizers' surroundings: schedules and parameter groups."""

from .groups import parameter_groups
from .schedules import linear_schedule

__all__ = ["linear_schedule", "parameter_groups"]
