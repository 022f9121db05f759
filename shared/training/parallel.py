"""The processes of one training (data parallel, by ``paddle.distributed``): who this one is, and what it shares with the others.

One process that was not launched is a world of its own, and nothing here touches ``paddle.distributed`` then.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from ..optim.slots import HALF


@dataclass(frozen=True)
class Ranks:
    """Process ``rank`` of ``world``. Every method is a meeting: all ranks call it, in the same order."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def share_weights(self, layer: paddle.nn.Layer) -> None:
        """Gives every rank the parameters and buffers of rank 0."""
        if self.world > 1:
            for value in layer.state_dict().values():
                paddle.distributed.broadcast(value, src=0)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all ranks, position by position; all give equally many. Exact to float64."""
        if self.world == 1:
            return list(numbers)
        total = paddle.to_tensor(np.asarray(numbers, dtype=np.float64))  # [n]
        paddle.distributed.all_reduce(total)
        summed: list[float] = total.tolist()
        return summed

    def sum_gradients(self, parameters: Sequence[paddle.Tensor]) -> None:
        """Replaces the gradient of every parameter by the sum over all ranks; a rank without one counts as zero.

        A parameter that has a gradient nowhere keeps none. One message for all, in float32; the sum for a half-precision parameter
        stays float32 (a master gradient), on every rank, so that all take the same step.
        """
        if self.world == 1:
            return
        present = self.sum_numbers([float(parameter.grad is not None) for parameter in parameters])
        chosen = [parameter for parameter, count in zip(parameters, present, strict=True) if count]
        if not chosen:
            return
        with paddle.no_grad():
            parts = [
                paddle.zeros([int(parameter.size)], dtype="float32") if parameter.grad is None else parameter.grad.astype("float32").flatten()
                for parameter in chosen
            ]  # [size] each
            flat = paddle.concat(parts)  # [all]
            paddle.distributed.all_reduce(flat)
            for parameter, part in zip(chosen, paddle.split(flat, [int(parameter.size) for parameter in chosen]), strict=True):
                summed = part.reshape(parameter.shape)  # [...]
                if parameter.dtype not in HALF:
                    summed = summed.astype(parameter.dtype)  # [...]
                if parameter.grad is None:
                    parameter.grad = summed
                else:
                    paddle.assign(summed, parameter.grad)

    def gather(self, value: Any) -> list[Any]:
        """What every rank gave, by rank; plain Python values."""
        if self.world == 1:
            return [value]
        found: list[Any] = []
        paddle.distributed.all_gather_object(found, value)
        return found

    def merge(self, rows: Sequence[Any]) -> list[Any]:
        """The rows of all ranks in their order, where rank r worked on every ``world``-th from the r-th."""
        parts = self.gather(list(rows))
        merged: list[Any] = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            merged[rank :: self.world] = part
        return merged

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            paddle.distributed.barrier()


def launched_world(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes ``paddle.distributed.launch`` started this one among; 1 where it did not."""
    count = environment.get("PADDLE_TRAINERS_NUM", "1")
    return int(count) if count.isdecimal() else 1


def join() -> Ranks:
    """This process among those that ``paddle.distributed.launch`` started, with the connection made."""
    if launched_world() == 1:
        return Ranks()
    if not paddle.distributed.is_initialized():
        paddle.distributed.init_parallel_env()
    return Ranks(paddle.distributed.get_rank(), paddle.distributed.get_world_size())
