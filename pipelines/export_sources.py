"""Which of this program's files an exported model needs: found by following imports, and copied.

Only imports at the top of a module count, without those for type checking; what a function imports is its own affair, unless it is named among
the roots. A package's ``__init__.py`` that would bring in more than is allowed is left empty.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

FLOORS = ("shared", "tasks")
ROOT = Path(__file__).resolve().parents[1]


def copy_sources(roots: Sequence[str], folder: Path, *, allowed: Collection[str]) -> list[str]:
    """Copies the modules ``roots`` and all that they import to ``folder``; their names, in order.

    ``allowed``: packages that they may import beside Python's own. Raises ValueError for a module that imports another one.
    """
    wanted: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in wanted:
            continue
        wanted[name] = _file(name)
        own, foreign = imports_of(name)
        strange = sorted(foreign - set(allowed))
        if strange:
            raise ValueError(f"{name} imports {', '.join(strange)}: an exported model may import {', '.join(sorted(allowed))}")
        waiting += own
    for path in sorted(wanted.values()):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for package in sorted({parent for path in wanted.values() for parent in path.relative_to(ROOT).parents if parent.parts}):
        place = folder / package / "__init__.py"
        if not place.exists():
            _copy_package(package, place, allowed, set(wanted))
    return sorted(wanted)


def _copy_package(package: Path, place: Path, allowed: Collection[str], known: Collection[str]) -> None:
    own, foreign = imports_of(".".join(package.parts))
    clean = not foreign - set(allowed) and set(own) <= set(known)
    place.write_text((ROOT / package / "__init__.py").read_text(encoding="utf-8") if clean else "", encoding="utf-8")


def imports_of(name: str) -> tuple[list[str], set[str]]:
    """The modules of ours that a module imports at its top, and the other packages but Python's own."""
    path = _file(name)
    own: list[str] = []
    foreign: set[str] = set()
    for node in _top(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = _from(node, name, package=path.name == "__init__.py")
        for found in names:
            if found.partition(".")[0] in FLOORS:
                own.append(found)
            elif found.partition(".")[0] not in sys.stdlib_module_names:
                foreign.add(found.partition(".")[0])
    return own, foreign


def _top(body: Sequence[ast.stmt]) -> list[ast.Import | ast.ImportFrom]:
    found: list[ast.Import | ast.ImportFrom] = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append(node)
        elif (isinstance(node, ast.If) and not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")) or isinstance(node, ast.Try):
            found += _top([*node.body, *node.orelse])
    return found


def _from(node: ast.ImportFrom, name: str, *, package: bool) -> list[str]:
    """Modules that ``from … import …`` brings in: the names themselves where they are modules, else the module that holds them."""
    parts = name.split(".")
    base = parts[: len(parts) - node.level + package] if node.level else []
    source = ".".join([*base, *([node.module] if node.module else [])])
    if source.partition(".")[0] not in FLOORS:
        return [source]
    modules = [f"{source}.{alias.name}" for alias in node.names]
    return [module if _is_module(module) else source for module in modules]


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
