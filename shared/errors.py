"""What is wrong with an input, said so that a person can mend it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input.

    ``code`` is stable and greppable (``LIC-D003``); ``file`` and ``line`` (from 1) say where,
    ``found`` what stands there, ``expected`` what should, ``remedy`` what to do about it.
    """

    code: str
    found: str
    expected: str
    remedy: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = "" if self.file is None else self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where + ': ' if where else ''}[{self.code}] found {self.found}; expected {self.expected}. {self.remedy}"

    def as_dict(self) -> dict:
        return asdict(self)


class InputError(ValueError):
    """The user's input or flags are wrong (exit code 2). Carries every :class:`Problem` found, first ones first."""

    exit_code = 2

    def __init__(self, *problems: Problem):
        if not problems:
            raise TypeError("InputError needs at least one Problem")
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class WorkError(RuntimeError):
    """The input was right but the work failed, e.g. a full disk or a diverged loss (exit code 1)."""

    exit_code = 1


def input_error(code: str, *, found: str, expected: str, remedy: str, file: str | Path | None = None, line: int | None = None) -> InputError:
    """An :class:`InputError` of one problem."""
    return InputError(Problem(code, found, expected, remedy, None if file is None else str(file), line))
