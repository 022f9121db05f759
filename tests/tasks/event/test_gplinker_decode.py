"""GPLinker on events: gold through places and the decode comes back, event by event; any scores give arguments that stand in the text."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads.pair_decode import PartsTable
from shared.text import Tokenizer, Vocabulary
from shared.text.windows import WindowSpan
from tasks.event.features import make_features
from tasks.event.mistakes import MIXED, PART
from tasks.event.models.gplinker_decode import decode_tables, gold_places, types_of_pairs
from tasks.event.models.gplinker_design import DecodeSettings
from tasks.event.predictions import Prediction, WindowLink, as_events, to_predictions
from tasks.event.records import Argument, Event, EventRecord, read_records, write_records
from tasks.event.schema import EventSchema
from tasks.gplinker_decode import GplinkerTables
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task

from .test_crf_decode import SAMPLES, gold_spans, spans, verbatim

REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("event")
RECIPE = load_recipe(TASK.recipes, "gplinker")
SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})
TYPES = types_of_pairs(SCHEMA)
CHARACTERS = Tokenizer(Vocabulary.build(["温青禾", "ab2i"], max_size=200))


def one_event(text, *arguments, kind="甲-得"):
    return Event(kind, None, None, tuple(Argument(role, part, text.index(part)) for role, part in arguments))


def ceiling(rows, *, schema=SCHEMA, window=200, overlap=20, tokenizer=CHARACTERS):
    features = TASK.make_features(rows, schema, tokenizer, FeatureSettings(window=window, overlap=overlap))
    return TASK.ceiling(features, rows, schema, recipe=RECIPE), features


def events(row):
    return sorted((kind, sorted(arguments)) for kind, arguments in as_events(row))


def gold_events(record):
    return sorted((event.type, sorted((a.role, a.text) for a in event.arguments)) for event in record.events if event.arguments)


TWO = "白露得了旧伞，简宁得了船票，林晚什么都没有"
CASES = {
    "two events of one type": (TWO, [[("人", "白露"), ("物", "旧伞")], [("人", "简宁"), ("物", "船票")]]),
    "events that share an argument": (TWO, [[("人", "白露"), ("物", "旧伞")], [("人", "白露"), ("物", "船票")]]),
    "an argument without a partner": (TWO, [[("人", "白露"), ("物", "旧伞")], [("人", "林晚")]]),
    "several of one role": (TWO, [[("人", "白露"), ("人", "简宁"), ("物", "旧伞")], [("人", "林晚")]]),
    "one span, two roles": (TWO, [[("人", "白露"), ("物", "白露")]]),
    "nested spans of one role": (TWO, [[("物", "旧伞"), ("物", "旧伞，简宁")]]),
    "nothing": (TWO, []),
}


# -- the ceiling -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_gold_comes_back_event_by_event(name):
    text, found = CASES[name]
    row = EventRecord("a", text, (*(one_event(text, *arguments) for arguments in found), one_event(text, ("人", "白露"), kind="乙-失")))
    predictions, features = ceiling([row])
    assert spans(predictions) == gold_spans([row]) and verbatim([row], predictions)
    assert events(predictions[0]) == gold_events(row)
    scores = TASK.score([row], predictions)
    assert scores["f1"] == scores["exact_events"]["f1"] == 1 and TASK.mistakes([row], predictions, features) == []


def test_events_that_no_graph_can_tell_are_listed_with_their_cause():
    part = EventRecord("a", TWO, (one_event(TWO, ("人", "白露"), ("物", "旧伞")), one_event(TWO, ("人", "白露"))))
    triangle = [[("人", "白露"), ("物", "旧伞")], [("人", "白露"), ("物", "船票")], [("物", "旧伞"), ("物", "船票")]]
    mixed = EventRecord("b", TWO, tuple(one_event(TWO, *arguments) for arguments in triangle))
    predictions, features = ceiling([part, mixed])
    assert TASK.score([part, mixed], predictions)["f1"] == 1
    told = [(fault["id"], fault["fault"], fault["cause"]) for fault in TASK.mistakes([part, mixed], predictions, features)]
    assert told == [("a", "wrong event", PART), *[("b", "wrong event", MIXED)] * 3]
    assert not [fault for fault in TASK.mistakes([part, mixed], predictions) if fault["fault"] == "wrong event"]


def test_events_are_found_across_windows():
    filler = "\u4e00" * 9
    text = f"白露{filler}旧伞{filler}简宁{filler}船票"
    row = EventRecord("a", text, (one_event(text, ("人", "白露"), ("物", "旧伞"), ("人", "简宁")), one_event(text, ("物", "船票"))))
    predictions, features = ceiling([row], window=26, overlap=16)
    assert len(features) > 1 and events(predictions[0]) == gold_events(row)


def test_halves_of_an_argument_are_joined_with_their_links():
    text = "白露得了" + "\u4e00" * 30
    row = EventRecord("a", text, (one_event(text, ("人", "白露"), ("物", text[4:])),))
    predictions, features = ceiling([row], window=20, overlap=10)
    assert len(features) > 1 and events(predictions[0]) == gold_events(row)


def test_gold_comes_back_from_the_sample(tmp_path):
    schema = EventSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / "dev.json", schema, labelled=True).records
    tokenizer = Tokenizer(Vocabulary.build([row.text for row in rows], max_size=21128))
    predictions, _ = ceiling(rows, schema=schema, tokenizer=tokenizer)
    scores = TASK.score(rows, predictions)
    assert scores["f1"] >= 0.99 and scores["exact_events"]["f1"] >= 0.95
    ungrouped = [[made._replace(events=()) for made in row] for row in predictions]
    without = TASK.score(rows, ungrouped)
    assert {**scores, "exact_events": 0} == {**without, "exact_events": 0} and without["exact_events"]["f1"] < scores["exact_events"]["f1"]
    write_records(tmp_path / "gold.json", rows, schema)
    for found in (predictions, ungrouped):
        TASK.write_submission(tmp_path / "event.zip", rows, found, schema)
        assert TASK.check_submission(tmp_path / "event.zip", schema=schema, against=tmp_path / "gold.json") == []
        assert TASK.score_files(tmp_path / "gold.json", tmp_path / "event.zip")["f1"] == scores["f1"]


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder with the official data")
def test_the_ceiling_on_official_dev():
    folder = Path(REAL) / "event"
    schema = EventSchema.read(folder / "schema.json")
    rows = read_records(folder / "dev.json", schema, labelled=True).records
    predictions, features = ceiling(rows, schema=schema, window=254, overlap=64)
    scores = TASK.score(rows, predictions)
    assert scores["f1"] >= 0.995 and scores["exact_events"]["f1"] >= 0.98
    assert all(fault["cause"] for fault in TASK.mistakes(rows, predictions, features) if fault["gold"])


# -- events of predictions ---------------------------------------------------------------------------------------


def made(text, start, *numbers, kind="甲-得", role="人"):
    return Prediction(kind, role, text, start, start + len(text), 0.9, numbers)


def test_events_of_predictions():
    alone = [made("白露", 0), made("旧伞", 4, role="物"), made("白露", 0, kind="乙-失")]
    assert as_events(alone) == [("甲-得", [("人", "白露"), ("物", "旧伞")]), ("乙-失", [("人", "白露")])]
    apart = [made("白露", 0, 0, 1), made("旧伞", 4, 0, role="物"), made("船票", 11, 1, role="物"), made("白露", 20, 2), made("白露", 30, 3)]
    assert as_events(apart) == [("甲-得", [("人", "白露"), ("物", "旧伞")]), ("甲-得", [("人", "白露"), ("物", "船票")]), ("甲-得", [("人", "白露")])]
    assert as_events([]) == []


def test_without_links_nothing_is_grouped_and_overlaps_are_settled():
    row = EventRecord("a", "白露得了旧伞")
    features = make_features([row], SCHEMA, CHARACTERS, window=100, overlap=10)
    inner, outer = WindowSpan(0, 0, 0, 0.6), WindowSpan(0, 0, 1, 0.9)
    (found,) = to_predictions([(0, inner), (0, outer)], features, [row], SCHEMA)
    assert [(one.text, one.events) for one in found] == [("白露", ())]
    links = [(0, WindowLink((0, 0, last), (0, 0, last))) for last in (0, 1)]
    (found,) = to_predictions([(0, inner), (0, outer), *links], features, [row], SCHEMA)
    assert sorted((one.text, one.events) for one in found) == [("白", (0,)), ("白露", (1,))]


def test_links_of_arguments_that_are_gone_are_left_out():
    row = EventRecord("a", "白露得了旧伞")
    features = make_features([row], SCHEMA, CHARACTERS, window=100, overlap=10)
    (found,) = to_predictions([(0, WindowSpan(0, 0, 1, 0.9)), (0, WindowLink((0, 0, 1), (1, 4, 5)))], features, [row], SCHEMA)
    assert [(one.text, one.events) for one in found] == [("白露", (0,))]


def test_places_of_a_text_by_hand():
    text = "伞给了甲和乙"
    event = Event("甲-得", "给", 1, (Argument("物", "伞", 0), Argument("人", "甲和乙", 3), Argument("人", "甲", 3)))
    features = make_features([EventRecord("a", text, (event,))], SCHEMA, CHARACTERS, window=100, overlap=10)
    spans_, heads, tails = gold_places(features, [0], TYPES, 3)
    assert spans_.tolist() == [[0, 0, 3, 3], [0, 0, 3, 5], [0, 1, 0, 0]]
    assert heads.tolist() == [[0, 0, 0, 3], [0, 0, 3, 3]] and tails.tolist() == [[0, 0, 0, 3], [0, 0, 0, 5], [0, 0, 3, 5]]
    assert gold_places(features, [0], TYPES, 5)[0].tolist() == [[0, 0, 3, 3], [0, 0, 3, 5], [0, 1, 0, 0], [0, 3, 1, 1]]


# -- any scores --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=25) | st.text("温青禾 aB2İ\u0301🎉", min_size=1, max_size=25), min_size=1, max_size=3),
    st.integers(0, 1000),
    st.sampled_from([(0.3, -2.0), (3.0, -6.0), (30.0, -60.0)]),
    st.booleans(),
    st.integers(1, 30),
)
def test_any_scores_give_arguments_of_the_text(texts, seed, scores, overlaps, most):
    rows = [EventRecord(str(number), text) for number, text in enumerate(texts)]
    features = make_features(rows, SCHEMA, CHARACTERS, window=10, overlap=3)
    rng = np.random.default_rng(seed)
    spread, shift = scores
    chosen = DecodeSettings(overlaps=overlaps, max_spans=most)
    found = []
    for row in range(len(features)):
        l, tables = len(features.ids[row]), []
        for labels in (5, 2, 2):
            pairs = np.triu(rng.normal(shift, spread, (l, l))) + np.tril(np.full((l, l), -65504.0), -1)  # [l, l]
            tables.append(PartsTable(*(part.astype(np.float32)[None] for part in (pairs, *rng.normal(0, spread, (2, labels, l))))))
        some = list(decode_tables(GplinkerTables(*tables), [row], features, TYPES, chosen))
        inside = [(span.label, span.first, span.last) for _, span in some if isinstance(span, WindowSpan)]
        assert len(inside) <= most and sum(isinstance(one, WindowLink) and one.left == one.right for _, one in some) == len(inside)
        if not overlaps:
            for label in range(3):
                places = sorted(span[1:] for span in inside if span[0] == label)
                assert all(left[1] < right[0] for left, right in pairwise(places))
        found += some
    predictions = to_predictions(found, features, rows, SCHEMA)
    assert verbatim(rows, predictions)
    for row in predictions:
        assert all(one.events and one.probability >= 0.5 for one in row)
        members = {}
        for place, one in enumerate(row):
            for number in one.events:
                members.setdefault(number, set()).add(place)
                assert row[min(members[number])].type == one.type
        assert not any(left < right for left in members.values() for right in members.values())
