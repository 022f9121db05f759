"""Losses as functions of logits, from operations that can be differentiated twice."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F


def powered_bce(logits: paddle.Tensor, targets: paddle.Tensor, power: int) -> paddle.Tensor:
    """Binary cross entropy of ``sigmoid(logits) ** power``, element by element: [...] and [...] give [...].

    The power is a device against class imbalance (kexue.fm article 7161): at the start a negative costs little, a positive ``power`` times
    as much. From logits, without overflow: log(1 - p^n) = log(1 - p) + log(1 + p + ... + p^(n-1)). Raises ValueError for a power below 1.
    """
    if power < 1:
        raise ValueError(f"the power must be at least 1, found {power}: 1 is plain binary cross entropy")
    positive = F.softplus(-logits) * power  # [...]
    negative = F.softplus(logits)  # [...]
    if power > 1:
        probability = F.sigmoid(logits)  # [...]
        series = probability + 1.0  # [...]
        for _ in range(power - 2):
            series = series * probability + 1.0  # [...]
        negative = negative - paddle.log(series)  # [...]
    return targets * positive + (1.0 - targets) * negative  # [...]
