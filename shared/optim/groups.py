"""Which parameters learn at which rate, and which decay."""

from __future__ import annotations

from typing import Any

from paddle import nn


def parameter_groups(
    layer: nn.Layer, *, head_ratio: float = 1.0, weight_decay: float = 0.0, backbone_prefix: str = "backbone.", layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for a paddle optimizer over all trainable parameters of ``layer``.

    Parameters outside ``backbone_prefix`` learn at ``head_ratio`` times the optimizer's rate; a parameter's own attribute
    ``rate_multiplier`` multiplies that. Only matrices decay: biases, norms and anything with its own multiplier do not.

    ``layer_decay``: the backbone's topmost block learns at the full rate, each block below at ``layer_decay`` times the one above, and what
    stands before the blocks (``embeddings.``, ``convolution.``) at ``layer_decay`` times the lowest (arXiv 1801.06146, 2003.10555).
    Raises ValueError unless 0 < layer_decay <= 1, and for one below 1 where the backbone has no ``blocks``.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay must lie in (0, 1], found {layer_decay}: give e.g. 0.9, or 1 for one rate")
    depths = _depths(layer, backbone_prefix) if layer_decay < 1 else {}
    if layer_decay < 1 and not depths:
        raise ValueError(f"layer_decay needs parameters named {backbone_prefix}blocks.N., found none: give layer_decay=1 or another prefix")
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in layer.named_parameters():
        if parameter.stop_gradient:
            continue
        multiplier = getattr(parameter, "rate_multiplier", 1.0)
        ratio = (layer_decay ** depths.get(name, 0) if name.startswith(backbone_prefix) else head_ratio) * multiplier
        decay = weight_decay if parameter.ndim >= 2 and multiplier == 1.0 else 0.0
        groups.setdefault((ratio, decay), []).append(parameter)
    return [
        {"params": parameters, "learning_rate": ratio, "weight_decay": decay} for (ratio, decay), parameters in sorted(groups.items())
    ]


def _depths(layer: nn.Layer, prefix: str) -> dict[str, int]:
    """How many blocks stand above each parameter of the backbone's blocks and of what comes before them."""
    names = [name for name, _ in layer.named_parameters() if name.startswith(prefix)]
    blocks = {name: int(name[len(prefix) :].split(".")[1]) for name in names if name[len(prefix) :].startswith("blocks.")}
    count = max(blocks.values(), default=-1) + 1
    below = {name: count for name in names if name[len(prefix) :].startswith(("embeddings.", "convolution."))} if count else {}
    return {name: count - 1 - number for name, number in blocks.items()} | below


def freeze_backbone(backbone: nn.Layer, blocks: int) -> int:
    """Keeps the embeddings, a convolution after them and the first ``blocks`` blocks as they are; returns how many numbers do not learn.

    Call it before the optimizer is made. Raises ValueError for more blocks than there are.
    """
    count = len(backbone.blocks)
    if not 0 <= blocks <= count:
        raise ValueError(f"cannot freeze {blocks} blocks of an encoder that has {count}: give 0 to {count}")
    frozen = 0
    for name, parameter in backbone.named_parameters():
        first, _, rest = name.partition(".")
        if first in ("embeddings", "convolution") or (first == "blocks" and int(rest.split(".")[0]) < blocks):
            parameter.stop_gradient = True
            frozen += int(parameter.size)
    return frozen
