"""What a person gets who installs the wheel: every package, the recipes, the catalogue and the sample; and a demo that runs anywhere."""

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tasks.recipe import tomllib

ROOT = Path(__file__).parents[1]
FLOORS = ("shared", "tasks", "pipelines")


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    samples = {f"pipelines.samples.{folder.name}" for folder in (ROOT / "data" / "samples").iterdir() if [*folder.glob("train.json*")]}
    recipes = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "tasks").rglob("*.toml")}
    assert listed == sorted(there | samples | recipes)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, unpacked as an installer would."""
    if tuple(map(int, version("setuptools").split(".")[:2])) < (70, 1):
        pytest.skip("this setuptools cannot build a wheel by itself")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in (*FLOORS, "data/samples"):
        _copy(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _copy(source, target):
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())


def test_the_wheel_has_what_code_reads(installed):
    for pattern in ("tasks/*/recipes/*.toml", "pipelines/*.toml"):
        expected = {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)}
        assert expected and {str(path.relative_to(installed)) for path in installed.glob(pattern)} == expected
    for path in (ROOT / "data" / "samples").glob("*/*.json*"):
        assert (installed / "pipelines" / "samples" / path.relative_to(ROOT / "data" / "samples")).read_bytes() == path.read_bytes()


def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    """Cut short: a hundred records and one epoch a track; the goals are for ``make demo``."""
    settings = ["--set", "training.epochs=1", "--set", "training.max_records=100"]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "demo", *settings],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"lic-demo"}
    folder = tmp_path / "lic-demo"
    report = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    assert list(report["tracks"]) == ["relation", "event", "reading"]
    for track, result in report["tracks"].items():
        assert (folder / result["zip"]).is_file() and (folder / result["run"] / "weights.safetensors").is_file()
        assert f"{track} zip, checked: {Path('lic-demo') / result['zip']}" in done.stdout
        assert f"$ lic train {track} --recipe quick" in done.stderr
        assert set(result["tests"]) == {"test_a", "test_b"} and result["reached"] == (result["tests"]["test_a"]["f1"] >= result["goal"])
        assert 0 <= result["without_learning"]["f1"] < result["goal"]
    assert "Test A" in done.stdout and "lic data import event" in done.stdout and "Traceback" not in done.stderr
    assert (folder / "demo.svg").read_text(encoding="utf-8").startswith("<svg")
