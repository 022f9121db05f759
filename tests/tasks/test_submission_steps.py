"""The pass in step says that all is well exactly where it is, in the test file's order; everything else is left to the whole check."""

import json
import zipfile
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import submission_steps
from tasks.registry import get_task
from tasks.submission_steps import sound_in_step

TEXTS = [f"第{number}天，星海科技裁员。" for number in range(7)]


def line(track, number, **changes):
    row = {"id": str(number), "event_list": []} if track == "event" else {"text": TEXTS[number], "spo_list": []}
    return json.dumps({**row, **changes}, ensure_ascii=False) + "\n"


def given_files(folder, track, lines, numbers):
    against, path = folder / "test1.json", folder / "f.zip"
    rows = [{"id": str(at) if track == "event" else "x", "text": TEXTS[number]} for at, number in enumerate(numbers)]
    against.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(get_task(track).member, "".join(lines))
    return path, against


def in_step(track, path, against):
    task = get_task(track)
    module = __import__(f"tasks.{track}.submission", fromlist=["submission"])
    return sound_in_step(task, path, partial(module.rows_in_step, schema=None), against), module.check_submission(path, None, against)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(submission_steps, "LINES", 2)


@pytest.mark.parametrize("track", ["event", "relation"])
def test_a_sound_zip_takes_one_pass(track, tmp_path, monkeypatch):
    numbers = range(7) if track == "event" else [0, 1, 0, 2, 3, 4, 1, 5, 6]
    path, against = given_files(tmp_path, track, [line(track, number) for number in range(7)], numbers)
    assert in_step(track, path, against) == (True, [])
    assert in_step(track, path, None) == (True, [])
    module = __import__(f"tasks.{track}.submission", fromlist=["submission"])
    monkeypatch.setattr(module, "check_submission", None)
    assert get_task(track).check_submission(path, against=against) == []


@pytest.mark.parametrize("track", ["event", "relation"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_not_sound_is_never_passed(track, tmp_path, data):
    numbers = data.draw(st.lists(st.sampled_from(range(7)), max_size=9))
    lines = [line(track, number) for number in numbers]
    if data.draw(st.booleans()):
        lines.insert(data.draw(st.integers(0, len(lines))), data.draw(st.sampled_from(["\n", "[]\n", "{}\n", line(track, 0)[:-1] + "\r\n"])))
    path, against = given_files(tmp_path, track, lines, range(7))
    for test in (against, None):
        sound, problems = in_step(track, path, test)
        assert not (sound and problems), problems
        if test is not None:
            assert sound == (numbers == list(range(7)) and len(lines) == 7)


@pytest.mark.parametrize(
    "change",
    [
        {"event_list": [{"event_type": "财经/交易-裁员", "arguments": [{"role": "裁员方", "argument": "novakite"}]}]},
        {"event_list": 3},
        {"id": 4},
    ],
)
def test_wrong_lines(change, tmp_path):
    path, against = given_files(tmp_path, "event", [line("event", number, **(change if number == 4 else {})) for number in range(7)], range(7))
    sound, problems = in_step("event", path, against)
    assert not sound and problems and get_task("event").check_submission(path, against=against) == problems


def test_a_test_file_with_problems(tmp_path):
    path, against = given_files(tmp_path, "event", [line("event", number) for number in range(7)], range(7))
    against.write_text(against.read_text(encoding="utf-8") + "[]\n", encoding="utf-8")
    assert in_step("event", path, against)[0] is False
    assert [problem.code for problem in get_task("event").check_submission(path, against=against)] == ["LIC-D009"]
