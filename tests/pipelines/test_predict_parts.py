"""Parts of a prediction: whole or absent, of one prediction, without gaps and overlaps."""

import json

import pytest

from pipelines.predict_parts import MANIFEST, Plan, gather, open_parts, part_path, parts_there, read_part, write_part
from shared.errors import InputError
from tasks.event.predictions import Prediction
from tasks.event.records import EventRecord
from tasks.registry import get_task

TASK = get_task("event")
PLAN = Plan("event", {"file": "abc", "weights": "def"}, records=7, size=3)
RECORDS = [EventRecord(f"r{number}", f"第{number}条𠮷", None) for number in range(7)]
FOUND = [[Prediction("甲-得", "人", "第", 0, 1, 0.75, (0,))] * (number % 3) for number in range(7)]


def codes(caught):
    return [problem.code for problem in caught.value.problems]


def write(folder, *numbers):
    for number in numbers:
        own = slice(number * 3, number * 3 + 3)
        write_part(folder, number, TASK, RECORDS[own], FOUND[own])


def test_parts_come_back(tmp_path):
    assert open_parts(tmp_path / "p", PLAN, resume=True) == set()
    write(tmp_path / "p", 0, 1, 2)
    plan, places = gather([tmp_path / "p"])
    assert plan == PLAN and plan.count == 3 and list(places) == [0, 1, 2]
    found = [row for number, path in places.items() for row in read_part(path, TASK, RECORDS[number * 3 : number * 3 + 3])]
    assert found == FOUND


def test_going_on_keeps_parts_and_beginning_anew_does_not(tmp_path):
    folder = tmp_path / "p"
    open_parts(folder, PLAN, resume=False)
    write(folder, 1)
    assert open_parts(folder, PLAN, resume=True) == {1}
    assert open_parts(folder, PLAN, resume=False) == set() and parts_there(folder) == set()
    write(folder, 1)
    with pytest.raises(InputError) as caught:
        open_parts(folder, Plan("event", {"file": "abc", "weights": "other"}, 7, 3), resume=True)
    assert codes(caught) == ["LIC-X027"] and "another weights" in str(caught.value) and parts_there(folder) == {1}


def test_gaps_overlaps_and_strangers_are_refused_together(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, plan in zip(folders, (PLAN, PLAN, Plan("event", {"file": "abc", "weights": "x"}, 7, 3)), strict=True):
        open_parts(folder, plan, resume=False)
    write(folders[0], 0)
    write(folders[1], 0)
    write(folders[2], 1, 2)
    with pytest.raises(InputError) as caught:
        gather(folders)
    assert codes(caught) == ["LIC-X030", "LIC-X027", "LIC-X031"] and "1, 2" in str(caught.value)
    write(folders[1], 5)
    with pytest.raises(InputError) as caught:
        gather(folders[1:2])
    assert codes(caught) == ["LIC-X030", "LIC-X031"]


def test_shards_of_two_folders_are_a_whole(tmp_path):
    for name, numbers in (("a", (0, 2)), ("b", (1,))):
        open_parts(tmp_path / name, PLAN, resume=False)
        write(tmp_path / name, *numbers)
    _, places = gather([tmp_path / "a", tmp_path / "b"])
    assert {number: path.parent.name for number, path in places.items()} == {0: "a", 1: "b", 2: "a"}


@pytest.mark.parametrize("fault", ["cut", "line", "other"])
def test_a_damaged_part_is_named(tmp_path, fault):
    open_parts(tmp_path, PLAN, resume=False)
    write(tmp_path, 0)
    path, records = part_path(tmp_path, 0), RECORDS[:3]
    data = path.read_bytes()
    if fault == "cut":
        path.write_bytes(data[:-9])
    elif fault == "line":
        path.write_bytes(data.split(b"\n", 1)[1])
    else:
        records = RECORDS[3:6]
    with pytest.raises(InputError) as caught:
        list(read_part(path, TASK, records))
    assert codes(caught) == ["LIC-X029"] and caught.value.problems[0].file == str(path)


def test_what_is_no_folder_of_parts(tmp_path):
    for text in (None, "", "[]", json.dumps({"parts": 9})):
        if text is not None:
            (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            gather([tmp_path])
        assert codes(caught) == ["LIC-X028"]
