"""The settings of every objective by name; the first is the default. Their layers are beside, and loaded when they are asked for."""

from ...recipe import Settings
from .settings import MlmSettings, SimbertSettings

OBJECTIVES: dict[str, type[Settings]] = {"mlm": MlmSettings, "simbert": SimbertSettings}
