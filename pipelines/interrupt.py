"""Ctrl-C and SIGTERM that wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Terminated(BaseException):
    """SIGTERM came: what a scheduler sends before it kills."""


@contextmanager
def after_this_step(check: Check | None = None) -> Iterator[Check]:
    """Yields ``check()`` (the one given, or a new one), which raises KeyboardInterrupt if Ctrl-C came since, or Terminated for SIGTERM.

    A second signal interrupts at once. ``check.asked()`` tells without raising. Outside the main thread, where no signal can be caught, it changes
    nothing.
    """
    check = check or Check()
    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, check.ask) for number in CODES}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Check:
    """What came, as a call that raises it."""

    def __init__(self) -> None:
        self._number: int | None = None

    def ask(self, number: int, frame: object) -> None:
        again = self._number is not None
        self._number = number
        if again:
            self()

    def asked(self) -> int | None:
        """The signal that came, or None."""
        return self._number

    def raise_for(self, number: int) -> None:
        """What signal ``number`` stands for; nothing for 0."""
        if number == signal.SIGTERM:
            raise Terminated
        if number:
            raise KeyboardInterrupt

    def __call__(self) -> None:
        self.raise_for(self._number or 0)
