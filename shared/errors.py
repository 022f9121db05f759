"""What is wrong with an input, or with the machine that works on it, said so that a person can mend it."""

from __future__ import annotations

import errno
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing wrong.

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
    """The input was right but the work failed, e.g. a diverged loss (exit code 1). Carries every :class:`Problem`, as InputError does."""

    exit_code = 1

    def __init__(self, *problems: Problem):
        if not problems:
            raise TypeError("WorkError needs at least one Problem")
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


def input_error(code: str, *, found: str, expected: str, remedy: str, file: str | Path | None = None, line: int | None = None) -> InputError:
    """An :class:`InputError` of one problem."""
    return InputError(Problem(code, found, expected, remedy, None if file is None else str(file), line))


def work_error(code: str, *, found: str, expected: str, remedy: str, file: str | Path | None = None) -> WorkError:
    """A :class:`WorkError` of one problem."""
    return WorkError(Problem(code, found, expected, remedy, None if file is None else str(file)))


_NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY})


def system_problem(error: OSError) -> Problem:
    """What the operating system refused. Codes: O001 no space, O002 no permission, O003 something in the way, O004 anything else."""
    said = error.strerror or str(error) or type(error).__name__
    file = None if error.filename is None else str(error.filename)
    if error.errno in _NO_SPACE:
        remedy = "Make room there, or work in another place; what was there before is untouched."
        return Problem("LIC-O001", f"no space left ({said})", "room to write", remedy, file)
    if error.errno in _REFUSED:
        remedy = "Change the permissions, or name another place."
        return Problem("LIC-O002", f"a place that may not be used ({said})", "a file or folder this user may read or write", remedy, file)
    if error.errno in _IN_THE_WAY:
        remedy = "Move it away, or name another place."
        return Problem("LIC-O003", f"something in the way ({said})", "a file where a file belongs, a folder where a folder does", remedy, file)
    return Problem("LIC-O004", f"a refusal of the system ({said})", "a file that can be read or written", "Look at the disk and the path.", file)
