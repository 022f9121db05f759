"""Work for several processes or threads, its results in order."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .errors import work_error

Job = TypeVar("Job")
Result = TypeVar("Result")

_work: Callable[[Any], Any]


def run_in_order(build: Callable[..., Callable[[Job], Result]], arguments: tuple, jobs: Iterable[Job], *, workers: int) -> Iterator[Result]:
    """``build(*arguments)(job)`` of every job, in order. Everything that goes to the processes and back must be picklable.

    ``build`` is called once in each process, and here when ``workers`` is 1. Jobs are taken from ``jobs`` at most ``2 * workers`` ahead of the
    result that is waited for. The processes are new ones (spawned): nothing of this one is in them but the main module, so a script
    that comes here needs ``if __name__ == "__main__":``. They leave Ctrl-C to this process and end when it ends, however it ends.
    An exception of a job is raised here once the jobs under way are over; WorkError when a process died.
    """
    if workers <= 1:
        yield from map(build(*arguments), jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(build, arguments))
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            with _interrupts_held():  # a new process keeps what is held when it begins
                waiting.append(pool.submit(_call, job))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise work_error(
            "LIC-A002",
            found="a worker process that ended before its work was done",
            expected="worker processes that live",
            remedy="The system may have been short of memory: try fewer processes (--workers 1).",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def one_ahead(items: Iterable[Job]) -> Iterator[Job]:
    """The items themselves; while one is worked on, the next is made in a thread of its own. What making one raises is raised in its turn."""
    end, source = object(), iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        waiting = pool.submit(next, source, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, source, end)
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def map_in_threads(function: Callable[[Job], Result], jobs: Sequence[Job], *, threads: int) -> Iterator[Result]:
    """``function`` of every job, in order, ``threads`` at a time: for work that mostly waits for code that lets other threads run."""
    if threads <= 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
    try:
        yield from pool.map(function, jobs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(build: Callable[..., Callable[[Any], Any]], arguments: tuple) -> None:
    global _work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = build(*arguments)


def _call(job: Any) -> Any:
    return _work(job)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
