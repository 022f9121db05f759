"""The house: imports run down only, and tracks do not know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("shared", "tasks", "pipelines")
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def imported(path):
    """Top-level names of what a file imports absolutely, and (level, module) of what it imports relatively."""
    absolute, relative = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            absolute |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                relative.add((node.level, node.module or ""))
            else:
                absolute.add(node.module.split(".")[0])
    return absolute, relative


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down_only(path):
    floor = FLOORS.index(path.relative_to(ROOT).parts[0])
    absolute, relative = imported(path)
    allowed = set(FLOORS[: floor + 1]) if floor else set()  # shared/ imports itself relatively, so that it can be copied
    assert absolute & set(FLOORS) <= allowed
    depth = len(path.relative_to(ROOT).parts) - 1
    assert all(level <= depth for level, _ in relative)


def test_tracks_do_not_know_each_other():
    tracks = {path.name for path in (ROOT / "tasks").iterdir() if (path / "task.py").is_file()}
    assert len(tracks) >= 3
    for track in tracks:
        for path in (ROOT / "tasks" / track).rglob("*.py"):
            depth = len(path.relative_to(ROOT / "tasks" / track).parts)
            for level, module in imported(path)[1]:
                assert not (level == depth + 1 and module.split(".")[0] in tracks), path
