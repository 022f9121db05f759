"""The catalogue of coded messages: what every code means, in English and in Chinese. The words are in ``catalogue.toml``."""

from __future__ import annotations

import difflib
import functools
import sys
from pathlib import Path
from typing import NamedTuple

from shared.errors import input_error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "LIC-"


class Entry(NamedTuple):
    """``en``: what is wrong, one sentence; ``zh``: what is wrong and what to do."""

    en: str
    zh: str


@functools.lru_cache(maxsize=1)
def catalogue() -> dict[str, Entry]:
    """Every code and its entry, sorted by code."""
    table = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text(encoding="utf-8"))
    return {code: Entry(entry["en"], entry["zh"]) for code, entry in sorted(table.items())}


def find(code: str) -> tuple[str, Entry]:
    """The code in full and its entry; ``LIC-`` may be left out, case does not matter. Raises InputError (LIC-C002) with the nearest code."""
    codes = catalogue()
    wanted = code.strip().upper()
    wanted = wanted if wanted.startswith(PREFIX) else PREFIX + wanted
    if wanted not in codes:
        close = difflib.get_close_matches(wanted.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in codes], 1, 0.5)
        remedy = f"Did you mean {PREFIX}{close[0]}?" if close else "lic explain lists all."
        raise input_error("LIC-C002", found=f"the code {code!r}", expected="a code of the catalogue, e.g. LIC-D003", remedy=remedy)
    return wanted, codes[wanted]


def chinese(code: str) -> str | None:
    """The Chinese line of a code; None for one that the catalogue does not have."""
    entry = catalogue().get(code)
    return None if entry is None else entry.zh


def as_markdown() -> str:
    """The whole catalogue as ``docs/errors.md`` has it."""
    rows = [f"| `{code}` | {_cell(entry.en)} | {_cell(entry.zh)} |" for code, entry in catalogue().items()]
    return "\n".join([*_HEAD, *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_HEAD = (
    "# Codes of errors · 错误代码",
    "",
    "Written by `lic explain --markdown > docs/errors.md`; `lic explain CODE` shows one. Every message has the shape",
    "`FILE:LINE: [CODE] found …; expected …. What to do.`, with the Chinese line below it. Exit codes: 1 for what fails while working",
    "(`LIC-N…`, `LIC-O…`, `LIC-P…`), 2 for input or flags (all others), 130 for Ctrl-C, 143 for SIGTERM.",
    "",
    "本页由 `lic explain --markdown` 生成；`lic explain 代码` 可查看单条。退出码：1 表示运行中失败（`LIC-N…`、`LIC-O…`、`LIC-P…`），"
    "2 表示输入或参数有误（其余代码），130 表示被 Ctrl-C 中断，143 表示收到 SIGTERM。",
    "",
    "| Code | Meaning | 中文 |",
    "| --- | --- | --- |",
)
