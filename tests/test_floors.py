"""The house: imports run down only, shared/ can be copied under another name, every package is shipped."""

import ast
import shutil
import subprocess
import sys
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


def test_shared_works_under_another_name(tmp_path):
    shutil.copytree(ROOT / "shared", tmp_path / "borrowed", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import sys, borrowed.text, borrowed.masks, borrowed.heads.crf, borrowed.optim, borrowed.backbone\nassert 'shared' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
