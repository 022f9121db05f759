"""lic evaluate writes every mistake as a JSON line and counts them, for a run and for the baseline."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipelines.cli import run
from pipelines.mistakes import as_line, faults_frame
from tasks.event.records import Argument, Event, EventRecord, write_records
from tasks.event.schema import EventSchema

SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人", "物")})
PEOPLE, THINGS = ("温青禾", "岑若川", "简宁", "高远山"), ("旧伞", "九条船", "NovaKite")


def record(number):
    person, thing = PEOPLE[number % 4], THINGS[number % 3]
    kind, verb = (("甲-得", "得到"), ("乙-失", "丢了"))[number % 2]
    text = f"{person}昨天{verb}{thing}"
    arguments = (Argument("人", person, 0), Argument("物", thing, text.index(thing)))
    return EventRecord(f"{number:04}", text, (Event(kind, verb, text.index(verb), arguments),), number + 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a run of half an epoch on invented data: it finds next to nothing."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "data").mkdir()
    SCHEMA.write(folder / "data" / "schema.json")
    write_records(folder / "data" / "train.json", map(record, range(24)))
    write_records(folder / "data" / "dev.json", map(record, range(24, 31)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = ("training.epochs=1", "training.max_records=20")
        assert run(["train", "event", "--recipe", "quick", "--data", "data", *(word for one in settings for word in ("--set", one))]) == 0
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def check(told, records):
    """The file is what the report says it is, and with gold it gives as many predictions as were scored."""
    mistakes = lines(told["mistakes"]["file"])
    assert len(mistakes) == told["mistakes"]["count"]
    assert {one["fault"]: one["count"] for one in told["mistakes"]["faults"]} == Counter(one["fault"] for one in mistakes)
    gold = Counter((row.id, e.type, a.role, a.text.lower()) for row in records for e in row.events for a in e.arguments)
    missed, added = (
        Counter((one["id"], one[side]["type"], one[side]["role"], one[side]["text"].lower()) for one in mistakes if one[side])
        for side in ("gold", "predicted")
    )
    assert missed <= gold and not (gold - missed) & added
    assert (gold - missed + added).total() == told["predicted"]
    assert (gold - missed).total() == told["strict"]["correct"]


@pytest.mark.parametrize("split", ["dev", "train"])
def test_a_run_leaves_its_mistakes_beside_its_weights(split, report):
    told = report("evaluate", "event", "--split", split)
    assert told["mistakes"]["file"] == str(Path("runs/event/quick") / f"mistakes-{split}.jsonl")
    check(told, list(map(record, range(24, 31) if split == "dev" else range(24))))
    assert not list(Path("runs").rglob("*.part"))


def test_a_file_of_ones_own(report, tmp_path):
    target = tmp_path / "new" / "mine.jsonl"
    told = report("evaluate", "event", "--mistakes", target)
    assert told["mistakes"]["file"] == str(target)
    assert target.read_bytes() == Path(report("evaluate", "event")["mistakes"]["file"]).read_bytes()


def test_the_baseline_writes_where_it_is_told_to(report, tmp_path):
    told = report("evaluate", "event", "--baseline", "--data", "data")
    assert told["mistakes"]["file"] is None and told["mistakes"]["count"] > 0
    named = report("evaluate", "event", "--baseline", "--data", "data", "--mistakes", tmp_path / "m.jsonl")
    assert named["mistakes"]["faults"] == told["mistakes"]["faults"]
    check(named, list(map(record, range(24, 31))))


def test_people_are_told_the_counts_and_the_file(tmp_path, capfd):
    target = tmp_path / "m.jsonl"
    assert run(["evaluate", "event", "--baseline", "--data", "data", "--mistakes", str(target)]) == 0
    out = capfd.readouterr().out
    assert "by type" in out and "correct" in out and "fault" in out and f"{target}\t{len(lines(target))} mistakes" in out


def test_a_folder_is_no_file(tmp_path, capfd):
    assert run(["evaluate", "event", "--mistakes", str(tmp_path)]) == 2
    assert "LIC-U016" in capfd.readouterr().err


def test_scores_survive_a_run_folder_that_takes_no_mistakes(tmp_path, report, capfd):
    shutil.copytree("runs/event/quick", tmp_path / "run", ignore=shutil.ignore_patterns("mistakes-*"))
    (tmp_path / "run" / "mistakes-dev.jsonl").mkdir()
    told = report("evaluate", "event", "--run", tmp_path / "run")
    assert told["mistakes"]["file"] is None and told["mistakes"]["count"] > 0 and told["gold"] == 14
    assert run(["evaluate", "event", "--run", str(tmp_path / "run")]) == 0
    assert "--mistakes" in capfd.readouterr().err


def test_counts_by_fault():
    mistakes = [
        {"line": 1, "fault": "missing", "label": "作者"},
        {"line": 1, "fault": "missing", "label": "饰演"},
        {"line": 2, "fault": "missing", "label": "饰演"},
        {"line": 2, "fault": "extra", "label": "作者"},
    ]
    assert faults_frame(mistakes).to_dict("records") == [
        {"fault": "missing", "count": 3, "records": 2, "label": "饰演", "of_label": 2},
        {"fault": "extra", "count": 1, "records": 1, "label": "作者", "of_label": 1},
    ]
    assert faults_frame([]).empty


def test_one_line_for_the_eye():
    gold = {"subject": "高远山", "predicate": "饰演", "object": {"@value": "陆\n明"}, "subject_span": [0, 3]}
    told = as_line({"line": 4, "fault": "missing", "label": "饰演", "gold": gold, "predicted": None, "cause": "an empty slot"})
    assert told == "4\tmissing\tsubject=高远山 predicate=饰演 @value=陆 明\t\tan empty slot"


@pytest.mark.parametrize("track", ["event", "reading"])
@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
def test_official_dev(track, report, tmp_path):
    told = report("evaluate", track, "--baseline", "--data", Path(os.environ["LIC_REAL_DATA"]) / track, "--mistakes", tmp_path / "m.jsonl")
    mistakes = lines(tmp_path / "m.jsonl")
    if track == "reading":
        assert len(mistakes) == told["questions"] - round(told["em"] * told["questions"]) == len({one["id"] for one in mistakes})
    else:
        correct = told["strict"]["correct"]
        assert sum(one["gold"] is not None for one in mistakes) == told["gold"] - correct
        assert sum(one["predicted"] is not None for one in mistakes) == told["predicted"] - correct
