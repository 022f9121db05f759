"""What the bundled sample of the relation track alone has: its schema, labels, names, frames and traps. test_samples.py has the rest."""

import importlib
import json
import re
from collections import Counter

import pytest

from shared.text.spans import occurrences
from tasks.relation.records import describe

LABELLED = ("train", "dev", "test_a", "test_b")


@pytest.fixture(scope="module")
def track():
    return "relation"


def mentions(spo):
    return [spo.subject, *(value for _, value in spo.object)]


# -- files -------------------------------------------------------------------------------------------------------


def test_the_schema_is_that_of_duie(schema):
    several = {predicate: sorted(slots) for predicate, slots in schema.slots.items() if len(slots) > 1}
    assert len(schema.predicates) == 48 and len(schema.pairs) == 55
    assert several == {
        "配音": ["@value", "inWork"],
        "饰演": ["@value", "inWork"],
        "上映时间": ["@value", "inArea"],
        "票房": ["@value", "inArea"],
        "获奖": ["@value", "inWork", "onDate", "period"],
    }


@pytest.mark.parametrize("split", LABELLED)
def test_every_label_stands_in_its_text_and_has_the_types_of_the_schema(folder, schema, split):
    for line in (folder / f"{split}.json").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["spo_list"]
        for spo in row["spo_list"]:
            assert spo["subject"] in row["text"] and all(value in row["text"] for value in spo["object"].values())
            assert spo["subject_type"] == schema.subject_types[spo["predicate"]]
            assert spo["object_type"] == {slot: schema.object_types[spo["predicate"]][slot] for slot in spo["object"]}


# -- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "least"), [("train", 10), ("dev", 1), ("test_a", 1), ("test_b", 1)])
def test_every_predicate_and_slot_is_there(schema, splits, split, least):
    counts = Counter((spo.predicate, slot) for row in splits[split] for spo in row.spos for slot, _ in spo.object)
    assert set(counts) == set(schema.pairs)
    assert min(counts.values()) >= least


def test_every_predicate_has_three_frames_to_learn_from_and_one_held_out(generator):
    frames = importlib.import_module("relation_frames")
    for block, least in ((frames.TRAIN, 3), (frames.HELD_OUT, 1)):
        counts = Counter(
            predicate for frame in frames.frames(block) for predicate in {triple.split(" ")[1] for triple in frame.partition(" || ")[2].split("; ")}
        )
        assert set(counts) == set(generator.SCHEMA) and min(counts.values()) >= least


def test_wives_and_husbands_are_labelled_both_ways(splits):
    for split in LABELLED:
        pairs = Counter()
        for row in splits[split]:
            for spo in row.spos:
                if spo.predicate in ("妻子", "丈夫"):
                    pair = (spo.subject, spo.object[0][1])
                    pairs[row.text, pair if spo.predicate == "妻子" else pair[::-1]] += 1
        assert pairs and set(pairs.values()) == {2}


# -- splits ------------------------------------------------------------------------------------------------------


def names(rows, schema):
    """Every labelled name: no date, number, code or climate, which are free, nor what title brackets stand around it."""
    found = set()
    for spo in (spo for row in rows for spo in row.spos):
        found.add(spo.subject.strip("《》"))
        types = schema.object_types[spo.predicate]
        if spo.predicate not in ("专业代码", "邮政编码"):
            found |= {value for slot, value in spo.object if types[slot] not in ("Date", "Number", "气候")}
    return found


@pytest.mark.parametrize("split", ["dev", "test_a", "test_b"])
def test_no_name_is_one_that_training_says(schema, splits, split):
    mine, known = names(splits[split], schema), names(splits["train"], schema)
    assert len(mine) > 100 and not mine & known


def expression(frame):
    """A frame's sentence as a regular expression: an alternative of each ``[a|b]``, anything for a ``{slot}``."""
    parts = re.split(r"(\[[^]]*\]|\{\w+\})", frame.partition(" || ")[0])
    inside = {"[": lambda part: "(?:" + "|".join(expression(choice).pattern for choice in part[1:-1].split("|")) + ")", "{": lambda part: ".+?"}
    return re.compile("".join(inside[part[0]](part) if part[:1] in inside and part else re.escape(part) for part in parts))


def test_test_a_has_the_frames_of_train_and_test_b_has_others(generator, splits):
    frames = importlib.import_module("relation_frames")
    known, held_out = ([expression(frame) for frame in frames.frames(block)] for block in (frames.TRAIN, frames.HELD_OUT))
    for split in ("train", "dev", "test_a"):
        texts = [row.text for row in splits[split]]
        assert all(any(frame.search(text) for frame in known) for text in texts)
        assert not any(frame.search(text) for frame in held_out for text in texts)
        assert all(any(frame.search(text) for text in texts) for frame in known)
    texts = [row.text for row in splits["test_b"]]
    assert all(any(frame.search(text) for frame in held_out) for text in texts)
    assert all(any(frame.search(text) for text in texts) for frame in held_out)


# -- traps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test_a"])
def test_the_traps_are_there(splits, split):
    rows = splits[split]
    counts = describe(rows)
    for trap in (
        "several_spos",
        "several_objects_of_one_subject_predicate",
        "several_predicates_of_one_subject_object",
        "nested_or_same_subject_object",
        "mention_occurs_more_than_once",
    ):
        assert counts[f"share_{trap}"] > 0.01, trap
    assert counts["text_length_max"] > 200 and counts["text_length_p50"] < 60
    spos = [spo for row in rows for spo in row.spos]
    assert any(spo.subject == value for spo in spos for _, value in spo.object)
    assert any(spo.subject.startswith("《") for spo in spos)
    assert any({spo.subject for spo in row.spos} & {value for spo in row.spos for _, value in spo.object} for row in rows)
    assert any(len(occurrences(row.text, mention)) > 1 for row in rows for spo in row.spos for mention in mentions(spo))


@pytest.mark.parametrize("split", ["train", "test_a"])
def test_two_values_of_one_subject_have_slots_of_their_own(splits, split):
    for predicate, slot in (("饰演", "inWork"), ("上映时间", "inArea"), ("票房", "inArea"), ("获奖", "onDate")):
        assert any(
            len({dict(spo.object).get(slot) for spo in row.spos if (spo.predicate, spo.subject) == (predicate, subject)} - {None}) > 1
            for row in splits[split]
            for subject in {spo.subject for spo in row.spos}
        ), predicate
