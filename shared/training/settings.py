"""What a training is told; every value is a number or a name, so that a table of a recipe can give it."""

from __future__ import annotations

import math
from dataclasses import dataclass

OPTIMIZERS = ("adamw", "adax", "adax_l2", "adax_w")
AMP_LEVELS = ("O0", "O1", "O2")
AMP_DTYPES = ("bfloat16", "float16")
PENALTY_FORMS = ("central", "one_sided")


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs to know. Rates are the peaks of the schedule; ``warmup`` is a share of all steps.

    ``batch_tokens``: padded tokens of a whole step, however many parts and processes share it: the order of the data, the number of steps
    and the rates are those of the recipe, not of the machine. ``accumulation``: parts of a step that are computed one after the other,
    for a smaller memory; the gradient is the whole step's.

    ``optimizer``: ``adamw``, ``adax_w`` (decay apart from the gradient, as AdamW's), ``adax_l2`` (decay through the gradient), ``adax``
    (no decay; ``weight_decay`` must be 0). ``layer_decay``: see :func:`shared.optim.parameter_groups`. ``ema_decay``: of a moving average of the
    weights, which is what evaluations see; None for none. ``patience``: evaluations without a new best after which training ends, None for all.

    ``fgm_epsilon``, ``penalty_epsilon`` (with ``penalty_form``): :class:`shared.robust.FGM` and the gradient penalty at the token embeddings;
    0 for none. ``replacement_rows``, ``replacement_tokens`` and ``replacement_pool``: :class:`shared.robust.RandomReplacement` of inputs.
    ``rdrop``: weight of the divergence between two passes (R-Drop, arXiv 2106.14448), 0 for one pass. ``teacher_weight`` a, where there are
    teachers: the loss is 1 - a of the model's own and a of its divergence from their mean outputs (:mod:`shared.training.distillation`).

    ``amp``: ``O0`` float32, ``O1`` and ``O2`` paddle's mixed precision in ``amp_dtype``; float16 has a GradScaler.

    Raises ValueError for values that make no training.
    """

    epochs: float
    batch_tokens: int
    learning_rate: float
    head_learning_rate: float
    warmup: float
    weight_decay: float
    clip_norm: float
    evaluations_per_epoch: int
    seed: int
    optimizer: str = "adamw"
    layer_decay: float = 1.0
    accumulation: int = 1
    ema_decay: float | None = None
    patience: int | None = None
    fgm_epsilon: float = 0.0
    penalty_epsilon: float = 0.0
    penalty_form: str = "central"
    replacement_rows: float = 0.0
    replacement_tokens: float = 0.3
    replacement_pool: str = "target"
    rdrop: float = 0.0
    teacher_weight: float = 0.5
    amp: str = "O0"
    amp_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for name, least in (("batch_tokens", 1), ("accumulation", 1), ("evaluations_per_epoch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, found {getattr(self, name)}")
        if not math.isfinite(self.epochs) or self.epochs <= 0:
            raise ValueError(f"epochs must be a finite number above 0, found {self.epochs}: give e.g. 3, or 0.5 for half an epoch")
        choices_of = {"optimizer": OPTIMIZERS, "amp": AMP_LEVELS, "amp_dtype": AMP_DTYPES, "penalty_form": PENALTY_FORMS}
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, found {getattr(self, name)!r}")
        if not 0.0 <= self.teacher_weight <= 1.0:
            raise ValueError(f"teacher_weight must be from 0 to 1, found {self.teacher_weight}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, found {self.patience}: leave it out to train to the end")
        if self.fgm_epsilon and self.penalty_epsilon:
            raise ValueError(f"fgm_epsilon {self.fgm_epsilon} and penalty_epsilon {self.penalty_epsilon} exclude each other: keep one")
        if self.penalty_epsilon and self.amp != "O0":
            raise ValueError(f"penalty_epsilon {self.penalty_epsilon} with amp {self.amp}: half precision is too coarse for its differences")
