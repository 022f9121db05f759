"""Which parameters learn at which rate, and which decay."""

from __future__ import annotations

from typing import Any

from paddle import nn


def parameter_groups(layer: nn.Layer, *, head_ratio: float, weight_decay: float, backbone_prefix: str = "backbone.") -> list[dict[str, Any]]:
    """Groups for a paddle optimizer over all trainable parameters of ``layer``.

    Parameters outside ``backbone_prefix`` learn at ``head_ratio`` times the optimizer's rate; a parameter's own attribute
    ``rate_multiplier`` multiplies that. Only matrices decay: biases, norms and anything with its own multiplier do not.
    """
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in layer.named_parameters():
        if parameter.stop_gradient:
            continue
        multiplier = getattr(parameter, "rate_multiplier", 1.0)
        ratio = (1.0 if name.startswith(backbone_prefix) else head_ratio) * multiplier
        decay = weight_decay if parameter.ndim >= 2 and multiplier == 1.0 else 0.0
        groups.setdefault((ratio, decay), []).append(parameter)
    return [
        {"params": parameters, "learning_rate": ratio, "weight_decay": decay} for (ratio, decay), parameters in sorted(groups.items())
    ]
