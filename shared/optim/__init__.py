"""Optimizers and their surroundings: AdaX, weight averages, schedules and parameter groups."""

from .adax import AdaX, AdaXL2, AdaXW
from .decay import DecayCriteria, decay_criteria, equivalent_decay
from .ema import EMA
from .groups import parameter_groups
from .schedules import linear_schedule

__all__ = [
    "EMA",
    "AdaX",
    "AdaXL2",
    "AdaXW",
    "DecayCriteria",
    "decay_criteria",
    "equivalent_decay",
    "linear_schedule",
    "parameter_groups",
]
