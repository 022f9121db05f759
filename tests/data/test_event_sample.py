"""What the bundled sample of the event track alone has: its schema, spans, names, frames and traps. test_samples.py has the rest."""

import importlib
import json
import re
from collections import Counter

import pytest

from tasks.event.records import as_triples, describe

LABELLED = ("train", "dev", "test_a", "test_b")


@pytest.fixture(scope="module")
def track():
    return "event"


# -- files -------------------------------------------------------------------------------------------------------


def test_the_schema_is_that_of_duee(schema):
    assert (len(schema.types), len(schema.pairs), len({role for _, role in schema.pairs})) == (65, 217, 121)
    assert all(roles[0] == "时间" for roles in schema.roles.values())
    assert {name: schema.class_of(name) for name in ("财经/交易-出售/收购", "灾害/意外-坍/垮塌")} == {
        "财经/交易-出售/收购": "财经/交易",
        "灾害/意外-坍/垮塌": "灾害/意外",
    }
    sizes = {"组织关系": 8, "组织行为": 4, "竞赛行为": 6, "产品行为": 5, "财经/交易": 9, "交往": 5, "人生": 12, "司法行为": 8, "灾害/意外": 8}
    assert Counter(schema.class_of(name) for name in schema.types) == sizes


@pytest.mark.parametrize("split", LABELLED)
def test_every_span_stands_where_its_offset_says(folder, schema, split):
    for line in (folder / f"{split}.json").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["event_list"]
        for event in row["event_list"]:
            assert event["class"] == schema.class_of(event["event_type"]) and event["arguments"]
            assert event["trigger"] and row["text"].startswith(event["trigger"], event["trigger_start_index"])
            for argument in event["arguments"]:
                assert row["text"].startswith(argument["argument"], argument["argument_start_index"]) and argument["alias"] == []


# -- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "least"), [("train", 10), ("test_a", 1), ("test_b", 1)])
def test_every_type_and_role_is_there(schema, splits, split, least):
    counts = Counter(pair for row in splits[split] for pair in {triple[:2] for triple in as_triples(row)})
    assert set(counts) == set(schema.pairs)
    assert min(counts.values()) >= least


def test_every_type_has_three_frames_to_learn_from_and_one_held_out(generator):
    for frames, least in ((generator.TRAINED, 3), (generator.HELD_OUT, 1)):
        counts = Counter(name for frame in frames for name in frame.types)
        assert set(counts) == set(generator.ROLES) and min(counts.values()) >= least


# -- splits ------------------------------------------------------------------------------------------------------


def names(rows, generator):
    """Every argument that is a name or has one in it: no date, amount or number, which are free."""
    kinds = re.compile("|".join(f"{{{kind}}}" for kind in importlib.import_module("invented").NAMES))
    patterns = {(name, role): generator.pattern_of(name, role) for name, roles in generator.ROLES.items() for role in roles}
    return {text for row in rows for name, role, text in as_triples(row) if kinds.search(patterns[name, role])}


@pytest.mark.parametrize("split", ["dev", "test_a", "test_b"])
def test_no_name_is_one_that_training_says(generator, splits, split):
    mine, known = names(splits[split], generator), names(splits["train"], generator)
    assert len(mine) > 100 and not mine & known


@pytest.mark.usefixtures("generator")  # which finds invented.py
def test_names_of_pools_are_said_on_one_side_only(splits):
    invented = importlib.import_module("invented")
    said = {split: "\n".join(row.text for row in splits[split]) for split in LABELLED}
    pool = [*invented.CITIES, *invented.FAIRS, *invented.GADGETS, *invented.CUPS, *invented.AREAS]
    for name in pool:
        splits_of_name = {split for split, text in said.items() if name in text}
        assert splits_of_name <= ({"dev", "test_a", "test_b"} if invented.is_held_out(name) else {"train"}), name


def expression(frame):
    """A frame's sentence as a regular expression: an alternative of each ``[a|b]``, anything for a ``{role}``, triggers as they are."""
    parts = re.split(r"(\[[^]]*\]|\{[^}]+\})", re.sub(r"<(?:2:)?([^>]+)>", r"\1", frame.sentence))
    made = ""
    for part in parts:
        if part.startswith("["):
            made += "(?:" + "|".join(map(re.escape, part[1:-1].split("|"))) + ")"
        else:
            made += ".+?" if part.startswith("{") else re.escape(part)
    return re.compile(made)


def test_test_a_has_the_frames_of_train_and_test_b_has_others(generator, splits):
    known, held_out = ([(set(frame.types), expression(frame)) for frame in frames] for frames in (generator.TRAINED, generator.HELD_OUT))

    def of(frames, row):
        return [number for number, (types, frame) in enumerate(frames) if types == {event.type for event in row.events} and frame.search(row.text)]

    for split in ("train", "dev", "test_a"):
        assert all(of(known, row) and not of(held_out, row) for row in splits[split])
    assert all(of(held_out, row) and not of(known, row) for row in splits["test_b"])
    for split, frames in (("train", known), ("test_a", known), ("test_b", held_out)):
        assert {number for row in splits[split] for number in of(frames, row)} == set(range(len(frames)))


# -- traps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test_a"])
def test_the_traps_are_there(splits, split):
    rows = splits[split]
    counts = describe(rows)
    for trap in ("several_events", "several_events_of_one_type", "repeated_role", "several_roles_on_one_span"):
        assert counts[f"share_{trap}"] > 0.01, trap
    assert counts["arguments_repeated_exactly"] > 0
    assert counts["text_length_max"] > 200 and counts["text_length_p50"] < 60
    arguments = [(row, argument) for row in rows for event in row.events for argument in event.arguments]
    labelled = {(row.id, argument.start) for row, argument in arguments}
    assert any((row.id, row.text.rfind(argument.text)) not in labelled for row, argument in arguments)
