"""Work on tensors by several threads of one process, where Paddle's CPU kernels use one.

Paddle lets go of Python's lock inside a kernel, so kernels of different tensors run side by side. Every task does what it would do alone:
results do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import paddle

Value = TypeVar("Value")


def thread_count() -> int:
    """Threads that this process may use: what :func:`shared.environment.prepare` set, 1 where nobody called it."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked)) if asked.isdecimal() else 1


def side_by_side(tasks: Sequence[Callable[[], Value]], sizes: Sequence[int]) -> list[Value]:
    """The tasks' values, in order; without gradients. ``sizes`` say how long each takes, in any unit, so that the threads end together.

    The first error of a task is raised after all have ended.
    """
    threads = min(thread_count(), len(tasks))
    if threads < 2:
        with paddle.no_grad():
            return [task() for task in tasks]
    shares: list[list[int]] = [[] for _ in range(threads)]
    loads = [0] * threads
    for place in sorted(range(len(tasks)), key=lambda place: (-sizes[place], place)):
        lightest = loads.index(min(loads))
        shares[lightest].append(place)
        loads[lightest] += sizes[place]
    values: list[Any] = [None] * len(tasks)

    def run(share: list[int]) -> None:
        with paddle.no_grad():
            for place in share:
                values[place] = tasks[place]()

    others = [_pool(threads - 1).submit(run, share) for share in shares[1:]]
    try:
        run(shares[0])
    finally:
        errors = [future.exception() for future in others]
    for error in errors:
        if error is not None:
            raise error
    return values


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="shared")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads
