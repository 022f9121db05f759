"""Texts of many requests read together: those that wait go to the model as one batch, as soon as it is free."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Read = Callable[[Sequence[str], "Sequence[str] | None"], list[list[dict[str, Any]]]]
"""Takes texts, and questions for a model that asks, and gives what is found in each."""


class Full(Exception):
    """The queue holds as many texts as it may."""


class Waiting(NamedTuple):
    """One text in the queue; ``answer`` takes what is found in it."""

    text: str
    question: str | None
    answer: asyncio.Future[list[dict[str, Any]]]


@dataclass
class Counts:
    """What happened so far. ``seconds``: the model was at work; ``latencies``: of the last requests, in seconds."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    texts: int = 0
    given_up: int = 0
    batches: int = 0
    seconds: float = 0.0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=1000))


class BatchQueue:
    """Gathers texts for ``read`` up to ``batch`` at a time, for at most ``wait`` seconds after the first, while ``most`` may wait.

    One thread runs the model; meanwhile the next batch gathers. A text whose client has gone is left out.
    """

    def __init__(self, read: Read, *, batch: int, wait: float, most: int):
        self.read, self.batch, self.wait, self.most = read, batch, wait, most
        self.counts = Counts()
        self._waiting: deque[Waiting] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def start(self) -> None:
        """Begins to work, in the running loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ends once nothing waits."""
        while self._waiting:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=True)

    async def ask(self, texts: Sequence[str], questions: Sequence[str] | None) -> list[list[dict[str, Any]]]:
        """What is found in the texts of one request. Raises :class:`Full` when they do not all find a place, and what the model raises."""
        if len(self._waiting) + len(texts) > self.most:
            self.counts.refused += 1
            raise Full
        loop = asyncio.get_running_loop()
        asked = questions if questions is not None else [None] * len(texts)
        own = [Waiting(text, question, loop.create_future()) for text, question in zip(texts, asked, strict=True)]
        self._waiting.extend(own)
        self._came.set()
        began = time.perf_counter()
        try:
            found = await asyncio.gather(*(one.answer for one in own))
        except asyncio.CancelledError:
            self.counts.given_up += len(own)
            raise
        self.counts.requests += 1
        self.counts.latencies.append(time.perf_counter() - began)
        return found

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            if len(self._waiting) < self.batch and self.wait:
                await asyncio.sleep(self.wait)
            part: list[Waiting] = []
            while self._waiting and len(part) < self.batch:
                one = self._waiting.popleft()
                if not one.answer.cancelled():
                    part.append(one)
            if not self._waiting:
                self._came.clear()
            if not part:
                continue
            began = time.perf_counter()
            await self._read(loop, part)
            self.counts.seconds += time.perf_counter() - began

    async def _read(self, loop: asyncio.AbstractEventLoop, part: Sequence[Waiting]) -> None:
        """Answers a batch; one that fails is read again text by text, so that a bad text spoils no other request."""
        questions = None if part[0].question is None else [one.question or "" for one in part]
        self.counts.batches += 1
        try:
            found = await loop.run_in_executor(self._thread, self.read, [one.text for one in part], questions)
        except Exception as error:  # whatever it is, the request must hear of it, and the next ones be served
            if len(part) > 1:
                for one in part:
                    await self._read(loop, [one])
                return
            self.counts.failed += 1
            if not part[0].answer.done():
                part[0].answer.set_exception(error)
            return
        self.counts.texts += len(part)
        for one, answer in zip(part, found, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
