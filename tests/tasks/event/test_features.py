"""Records to arrays: windows, offsets and gold spans."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from shared.text.windows import split_windows
from tasks.event.features import EventFeatures, make_features
from tasks.event.records import Argument, Event, EventRecord, read_records
from tasks.event.schema import EventSchema

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "event"
SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})
TEXT = "温青禾把旧伞给了Mira Tolden，温青禾很高兴"


def tokenizer(*texts):
    return Tokenizer(Vocabulary.build(texts, max_size=3000))


def record(text, *arguments, identity="a", event_type="甲-得"):
    return EventRecord(identity, text, (Event(event_type, None, None, tuple(arguments)),))


def features_of(*records, window=100, overlap=10):
    return make_features(records, SCHEMA, tokenizer(*(record.text for record in records)), window=window, overlap=overlap)


def said(features, records, window):
    """(pair, text) of every gold span of one window."""
    index, begin, _ = features.windows[window].tolist()
    starts, ends = features.starts[index], features.ends[index]
    return [
        (SCHEMA.pairs[pair], records[index].text[starts[begin + first] : ends[begin + last]])
        for pair, first, last in features.spans[window].tolist()
    ]


def test_arguments_as_token_spans():
    one = record(TEXT, Argument("人", "温青禾", 0), Argument("物", "旧伞", 4), Argument("人", "Mira Tolden", 8))
    features = features_of(one)
    assert len(features) == 1 and features.windows.tolist() == [[0, 0, len(features.ids[0])]]
    assert said(features, [one], 0) == [(("甲-得", "人"), "温青禾"), (("甲-得", "物"), "旧伞"), (("甲-得", "人"), "Mira Tolden")]
    assert (features.lost_count, features.lost) == (0, ())
    assert features.lengths.tolist() == [len(features.ids[0]) + 2]


def test_an_argument_without_offset_is_its_first_mention():
    features = features_of(record(TEXT, Argument("人", "温青禾")))
    assert features.spans[0].tolist() == [[0, 0, 2]]


def test_equal_arguments_count_once_and_pairs_stay_apart():
    one = EventRecord(
        "a",
        TEXT,
        (
            Event("甲-得", None, None, (Argument("人", "温青禾", 0), Argument("人", "温青禾", 0))),
            Event("乙-失", None, None, (Argument("人", "温青禾", 0),)),
        ),
    )
    features = features_of(one)
    assert features.spans[0].tolist() == [[0, 0, 2], [2, 0, 2]] and features.events[0].tolist() == [[0, 0], [1, 1]]


def test_every_span_knows_its_events():
    giver, thing = Argument("人", "温青禾", 0), Argument("物", "旧伞", 4)
    one = EventRecord("a", TEXT, (Event("甲-得", "给", 6, (giver, thing)), Event("甲-得", None, None, (giver,))))
    features = features_of(one)
    rows = {tuple(span): row for row, span in enumerate(features.spans[0].tolist())}
    person, thing = rows[0, 0, 2], rows[1, 4, 5]
    assert sorted(features.events[0].tolist()) == sorted([[0, person], [0, thing], [1, person]])
    cut = features_of(one, window=8, overlap=3)
    assert len(cut) > 1
    for window in range(len(cut)):
        spans = cut.spans[window].tolist()
        assert all(0 <= row < len(spans) and spans[row][0] < len(SCHEMA.pairs) for _, row in cut.events[window].tolist())


def test_what_tokens_can_not_hold_is_counted_with_its_cause():
    one = record("约2140台", Argument("物", "21", 1), Argument("物", "2140", 1))
    words = Tokenizer(Vocabulary.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "约", "台", "2140"]))
    features = make_features([one], SCHEMA, words, window=10, overlap=2)
    (lost,) = features.lost
    assert features.lost_count == 1
    assert (lost.id, lost.type, lost.role, lost.text, lost.reason) == ("a", "甲-得", "物", "21", "its tokens stand for '2140'")
    assert features.spans[0].tolist() == [[1, 1, 1]]


def test_texts_without_a_token_have_no_window():
    rows = [record(" 　"), record("有字", Argument("物", "有", 0), identity="b")]
    features = features_of(*rows)
    assert len(features) == 1 and features.windows[0, 0] == 1 and len(features.starts) == 2


def test_windows_cut_gold_at_their_borders():
    text = "一二三四五六七八九十" * 3
    one = record(text, Argument("物", text[6:22], 6), Argument("人", text[27:29], 27))
    features = features_of(one, window=12, overlap=3)
    windows = split_windows(30, 12, 3)
    assert features.windows[:, 1].tolist() == [begin for begin, _ in windows]
    for number, (begin, end) in enumerate(windows):
        assert features.ids[number].tolist() == features_of(one).ids[0][begin:end].tolist()
        wanted = [(pair, text[max(a, begin) : min(b, end)]) for pair, a, b in (("物", 6, 22), ("人", 27, 29)) if a < end and b > begin]
        assert said(features, [one], number) == [(("甲-得", role), part) for role, part in wanted]


def test_arrays_come_back_from_disk(tmp_path):
    schema = EventSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / "dev.json", schema, labelled=True).records
    made = make_features(rows, schema, tokenizer(*(row.text for row in rows)), window=40, overlap=8)
    made.save(tmp_path / "f", {"file": "dev.json"})
    loaded = EventFeatures.load(tmp_path / "f")
    for name in ("ids", "starts", "ends", "spans", "events"):
        np.testing.assert_array_equal(getattr(loaded, name).values, getattr(made, name).values)
        np.testing.assert_array_equal(getattr(loaded, name).offsets, getattr(made, name).offsets)
    np.testing.assert_array_equal(loaded.windows, made.windows)
    assert loaded.lost_count == made.lost_count and len(loaded) == len(made) > len(rows)
    assert json.loads((tmp_path / "f" / "manifest.json").read_text(encoding="utf-8"))["meta"]["file"] == "dev.json"


def test_no_records():
    features = features_of()
    assert len(features) == 0 and features.windows.shape == (0, 3) and features.lengths.tolist() == []


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.data())
def test_any_unicode_is_held_or_reported(texts, data):
    """Every argument either comes back verbatim from its tokens or is among the lost ones."""
    rows = []
    for number, text in enumerate(texts):
        arguments = []
        for _ in range(data.draw(st.integers(0, 3)) if text else 0):
            start = data.draw(st.integers(0, len(text) - 1))
            end = data.draw(st.integers(start + 1, len(text)))
            arguments.append(Argument(data.draw(st.sampled_from(["人", "物"])), text[start:end], start))
        rows.append(record(text, *arguments, identity=str(number)))
    features = make_features(rows, SCHEMA, tokenizer("常用字", "abc"), window=1000, overlap=10)
    lost = {(fault.id, fault.role, fault.text) for fault in features.lost}
    held = {(rows[features.windows[w, 0]].id, pair[1], text) for w in range(len(features)) for pair, text in said(features, rows, w)}
    for row in rows:
        for argument in row.events[0].arguments:
            where = (row.id, argument.role, argument.text)
            assert where in held or where in lost


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match="overlap=10, size=10"):
        features_of(record(TEXT), window=10, overlap=10)
