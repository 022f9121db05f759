"""The protocol says what pipelines use of a track, and every track provides it."""

import inspect
import re
from pathlib import Path

import pytest

from shared.errors import InputError
from tasks.base import ReadResult, Task
from tasks.registry import AUXILIARY, TRACKS, get_task

ROOT = Path(__file__).parents[2]
USERS = [*(ROOT / "pipelines").glob("*.py"), ROOT / "tasks" / "chunks.py"]
ATTRIBUTES = {name for name in Task.__annotations__ if not name.startswith("_")}
METHODS = {name for name, value in vars(Task).items() if inspect.isfunction(value) and not name.startswith("_")}
PROPERTIES = {name for name, value in vars(Task).items() if isinstance(value, property)}


def test_the_protocol_is_what_pipelines_use():
    used = set()
    for path in USERS:
        used |= set(re.findall(r"(?:\btask|\bget_task\(\w+\))\.(\w+)", path.read_text(encoding="utf-8")))
    used -= {"base", "description", "fields"}  # tasks.base, and rich's columns
    assert used == ATTRIBUTES | METHODS | PROPERTIES


@pytest.mark.parametrize("track", [*TRACKS, *AUXILIARY])
def test_every_track_provides_it(track):
    task = get_task(track)
    assert task.name == track and task.member.endswith(".json")
    assert task.shown_scores and task.recipes.is_dir()
    for name in ATTRIBUTES | PROPERTIES:
        assert hasattr(task, name), name
    for name in METHODS:
        asked = inspect.signature(getattr(Task, name))
        given = inspect.signature(getattr(type(task), name))
        wanted, has = list(asked.parameters.values()), given.parameters
        for parameter in wanted:
            assert parameter.name in has, f"{name} lacks {parameter.name}"
            assert has[parameter.name].kind == parameter.kind, f"{name}({parameter.name})"
            assert parameter.default is inspect.Parameter.empty or has[parameter.name].default == parameter.default, (
                f"{name}({parameter.name})"
            )
        positional = [parameter.name for parameter in wanted if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        assert list(has)[: len(positional)] == positional, f"{name}: another order"
        further = [parameter for parameter in has.values() if parameter.name not in asked.parameters]
        assert all(parameter.default is not inspect.Parameter.empty for parameter in further), f"{name} asks for more: {further}"


def test_auxiliary_tasks_are_found_as_tracks_are_but_are_none():
    assert not TRACKS.keys() & AUXILIARY.keys() and "title" in AUXILIARY
    with pytest.raises(InputError) as caught:
        get_task("titel")
    (problem,) = caught.value.problems
    assert problem.code == "LIC-T001" and all(name in problem.expected for name in (*TRACKS, *AUXILIARY))


def test_a_read_result_owns_its_problems():
    first, second = ReadResult([]), ReadResult([])
    first.problems.append(object())
    assert second.problems == [] and second.skipped == 0
