"""The two graphs of a network that writes, for :class:`.seq2seq.Steps`: what is common to all such networks over a :class:`Backbone`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import paddle
from paddle import nn

from .attention import Beams
from .backbone import Backbone, Cache
from .inference import Graph, Input, Network
from .seq2seq import READ, WRITE

Given = dict[str, paddle.Tensor]
Found = tuple[tuple[paddle.Tensor, ...], Cache]
"""Outputs, the logits first, and what every block keeps of the tokens."""


def network_of(
    layer: nn.Layer,
    backbone: Backbone,
    read: Callable[[Given], Found],
    write: Callable[[Given, Beams, Cache], Found],
    *,
    reads: Mapping[str, Input],
    writes: Mapping[str, Input],
    scores: tuple[str, ...] = ("logits",),
    by_source: Mapping[str, Input] | None = None,
) -> Network:
    """The network of ``layer``, which writes with ``backbone``.

    ``read`` is given ``ids`` [b, s], ``last`` [b] (the places of the sources' last tokens among all b s) and the inputs ``reads``; it gives
    ``scores`` and then the outputs ``by_source``, and what the blocks keep. ``write`` is given ``ids`` and ``positions`` [r], the inputs ``writes``
    and ``by_source``, and gives ``scores``.
    """
    config, held = backbone.config, dict(by_source or {})
    parts = backbone.blocks[0].attention.scores.key_parts + 1
    numbers, n, d = range(config.num_layers * parts), config.num_heads, config.hidden_size // config.num_heads
    row, cells = Input(("r",), "int64"), Input(("b", "g"), "int64")
    ask = {"ids": Input(("b", "s"), "int64"), "last": Input(("b",), "int64"), **reads}
    placed = {"places": cells, "key_places": Input(("b", "k"), "int64")} if backbone.is_placed else {}
    step = {"ids": row, "positions": row, "rows": row, "cells": cells, "bias": Input(("b", "g", "m")), **placed, **writes, **held}
    askers, names = list(ask), list(step)

    def run_read(*tensors: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        found, kept = read(_named(askers, tensors))
        return (*found, *_flat(kept))

    def run_write(*tensors: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        given, rest = _named(names, tensors), tensors[len(names) :]
        kept = [rest[at : at + parts] for at in range(0, len(rest), parts)]  # [b, n, k, d] each
        beams = Beams(given["rows"], given["cells"], given["bias"], given.get("places"), given.get("key_places"))
        found, new = write(given, beams, kept)
        return (*found, *_flat(new))

    old = {f"kept_{number}": Input(("b", n, "k", d)) for number in numbers}
    graphs = {
        READ: Graph(run_read, ask, (*scores, *held, *old)),
        WRITE: Graph(run_write, {**step, **old}, (*scores, *(f"new_{number}" for number in numbers))),
    }
    facts: dict[str, Any] = {
        "pad_id": config.pad_id,
        "first_position": backbone.first_position,
        "max_length": config.max_length,
        "placed": backbone.is_placed,
        "parts": len(numbers),
        "by_source": list(held),
    }
    return Network(layer, graphs, facts=facts)


def _named(names: list[str], tensors: tuple[paddle.Tensor, ...]) -> Given:
    return {name: tensors[place] for place, name in enumerate(names)}


def _flat(kept: Cache) -> list[paddle.Tensor]:
    return [part for of_block in kept for part in of_block]
