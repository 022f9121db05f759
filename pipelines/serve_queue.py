"""Texts of many requests read together: those that wait go to the model as one batch, as soon as it is free."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

Found = list[dict[str, Any]]
"""What is found in one text."""
Read = Callable[[Sequence[str], "Sequence[str] | None"], list[Found]]
"""Takes texts, and questions for a model that asks, and gives what is found in each."""


class Full(Exception):
    """The queue holds as many texts as it may."""


@dataclass(eq=False)
class Asked:
    """The texts of one request. ``left``: numbers of those that no batch has taken yet; ``answer`` is done when all are read, when one
    failed, or when the client has gone."""

    texts: Sequence[str]
    questions: Sequence[str] | None
    answer: asyncio.Future[list[Found]]
    left: deque[int]
    found: dict[int, Found] = field(default_factory=dict)


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
    """Gathers texts for ``read``, up to ``batch`` texts and ``characters`` at a time, while ``most`` may wait.

    One thread runs the model; what comes meanwhile is the next batch, one text of every request in turn, so that a small request need not
    wait for all of a big one. A model that is idle begins at once: to wait 2 ms for more texts made batches 3 % larger and
    nothing faster. A text whose client has gone is left out.
    """

    def __init__(self, read: Read, *, batch: int, most: int, characters: int = 8192):
        self.read, self.batch, self.most, self.characters = read, batch, most, characters
        self.counts = Counts()
        self._asked: deque[Asked] = deque()
        self._waiting = 0
        self._came = asyncio.Event()
        self._ending = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return self._waiting

    async def start(self) -> None:
        """Begins to work, in the running loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ends once all that waits is read."""
        self._ending = True
        self._came.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=True)

    async def ask(self, texts: Sequence[str], questions: Sequence[str] | None) -> list[Found]:
        """What is found in the texts of one request. Raises :class:`Full` when they do not all find a place, and what the model raises.

        Cancelled, it leaves the texts that no batch has taken yet unread.
        """
        if self._waiting + len(texts) > self.most:
            self.counts.refused += 1
            raise Full
        own = Asked(texts, questions, asyncio.get_running_loop().create_future(), deque(range(len(texts))))
        self._asked.append(own)
        self._waiting += len(texts)
        self._came.set()
        began = time.perf_counter()
        try:
            found = await own.answer
        except asyncio.CancelledError:
            self.counts.given_up += len(texts) - len(own.found)
            raise
        finally:
            self._waiting -= len(own.left)
            own.left.clear()
        self.counts.requests += 1
        self.counts.latencies.append(time.perf_counter() - began)
        return found

    async def _work(self) -> None:
        while True:
            if not self._asked:
                if self._ending:
                    return
                self._came.clear()
                await self._came.wait()
            part = self._take()
            if part:
                began = time.perf_counter()
                await self._read(part)
                self.counts.seconds += time.perf_counter() - began

    def _take(self) -> list[tuple[Asked, int]]:
        """The next batch: (request, number of the text), one of every request in turn, no more once it is full."""
        part: list[tuple[Asked, int]] = []
        room = self.characters
        while self._asked and len(part) < self.batch:
            own = self._asked[0]
            if own.left:
                size = len(own.texts[own.left[0]])
                if part and size > room:
                    break
                room -= size
                part.append((own, own.left.popleft()))
                self._waiting -= 1
            self._asked.popleft()
            if own.left:
                self._asked.append(own)
        return part

    async def _read(self, part: Sequence[tuple[Asked, int]]) -> None:
        """Answers a batch; one that fails is read again text by text, so that a bad text spoils no other request."""
        part = [(own, number) for own, number in part if not own.answer.done()]
        if not part:
            return
        texts = [own.texts[number] for own, number in part]
        asked = [own.questions[number] for own, number in part if own.questions is not None]
        self.counts.batches += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self.read, texts, asked or None)
            if len(found) != len(part):
                raise RuntimeError(f"{len(found)} answers to {len(part)} texts")
        except Exception as error:  # whatever it is, the request must hear of it, and the next ones be served
            if len(part) > 1:
                for one in part:
                    await self._read([one])
                return
            self.counts.failed += 1
            if not part[0][0].answer.done():
                part[0][0].answer.set_exception(error)
            return
        self.counts.texts += len(part)
        for (own, number), finding in zip(part, found, strict=True):
            own.found[number] = finding
            if len(own.found) == len(own.texts) and not own.answer.done():
                own.answer.set_result([own.found[place] for place in range(len(own.texts))])
