"""Gold through features, head tensors and the decode that predict uses comes back; whatever is predicted stands in the text."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads.crf_decode import FORBIDDEN, bio_constraints
from shared.text import Tokenizer, Vocabulary
from tasks.event.features import make_features
from tasks.event.models.crf_decode import decode_batch, gold_emissions, gold_tags
from tasks.event.predictions import Prediction, to_predictions
from tasks.event.records import Argument, Event, EventRecord, read_records
from tasks.event.schema import EventSchema
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "event"
REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("event")
SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})


def sample(split="dev"):
    schema = EventSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / f"{split}.json", schema, labelled=True).records
    return schema, rows, Tokenizer(Vocabulary.build([row.text for row in rows], max_size=21128))


def ceiling(schema, rows, tokenizer, *, tagging="per_role", window=126, overlap=48):
    features = TASK.make_features(rows, schema, tokenizer, FeatureSettings(window=window, overlap=overlap))
    recipe = load_recipe(TASK.recipes, "quick", [f"model.tagging={tagging}"])
    return TASK.ceiling(features, rows, schema, recipe=recipe), features


def spans(predictions):
    return [{(p.type, p.role, p.start, p.end, p.text) for p in row} for row in predictions]


def gold_spans(rows):
    return [{(e.type, a.role, a.start, a.start + len(a.text), a.text) for e in row.events for a in e.arguments} for row in rows]


# -- the ceiling -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "dev"])
def test_gold_comes_back_from_the_samples(split):
    schema, rows, tokenizer = sample(split)
    predictions, features = ceiling(schema, rows, tokenizer)
    scores = TASK.score(rows, predictions)
    assert scores["f1"] >= 0.99 and scores["strict"]["f1"] >= 0.99
    assert len(features) >= len(rows)
    missing = [fault for fault in TASK.mistakes(rows, predictions, features) if fault["gold"]]
    assert all("its tokens stand for" in fault["cause"] for fault in missing)
    assert len(missing) == scores["gold"] - scores["strict"]["correct"] <= features.lost_count


def test_losses_of_arguments_with_aliases():
    arguments = (Argument("人", "温青禾", 0), Argument("人", "小温", 3, ("温",)))
    rows = [EventRecord("a", "温青禾小温离开", (Event("甲-得", None, None, arguments),))]
    features = make_features(rows, SCHEMA, Tokenizer(Vocabulary.build([rows[0].text], max_size=99)), window=20, overlap=4)
    alias, extra = Prediction("甲-得", "人", "温", 4, 5, 0.9), Prediction("甲-得", "物", "温", 4, 5, 0.9)

    def told(*found):
        some = [(fault["fault"], fault["gold"] or fault["predicted"]) for fault in TASK.mistakes(rows, [found], features)]
        return [(fault, one["role"], one["text"]) for fault, one in some]

    assert told() == [("missing", "人", "温青禾"), ("missing", "人", "小温")]
    assert told(alias, extra) == [("missing", "人", "温青禾"), ("extra", "物", "温")]


def test_flat_tags_lose_spans_of_two_roles():
    schema, rows, tokenizer = sample()
    flat, _ = ceiling(schema, rows, tokenizer, tagging="flat")
    roles, _ = ceiling(schema, rows, tokenizer)
    assert 0.85 < TASK.score(rows, flat)["f1"] < TASK.score(rows, roles)["f1"]
    two = EventRecord("a", "温青禾离开", (Event("甲-得", None, None, (Argument("人", "温青禾", 0), Argument("物", "温青禾", 0))),))
    one_role, _ = ceiling(SCHEMA, [two], tokenizer, tagging="flat")
    both_roles, _ = ceiling(SCHEMA, [two], tokenizer)
    assert len(one_role[0]) == 1 and spans(both_roles) == gold_spans([two])


@pytest.mark.parametrize("tagging", ["per_role", "flat"])
@pytest.mark.parametrize(("window", "overlap"), [(8, 1), (9, 5), (24, 8)])
def test_tiny_windows_give_what_whole_texts_give(tagging, window, overlap):
    schema, rows, tokenizer = sample()
    rows = [row for row in rows if not overlapping(row)][::4]  # 435 tags in one chain take their time
    whole, features = ceiling(schema, rows, tokenizer, tagging=tagging, window=1000)
    assert len(features) == len(rows)
    split, features = ceiling(schema, rows, tokenizer, tagging=tagging, window=window, overlap=overlap)
    assert len(features) > 2 * len(rows) or window > 9
    assert spans(split) == spans(whole)


def overlapping(row):
    """Whether two arguments share a character: in one chain the longer one wins, and windows see parts of different lengths."""
    places = sorted({(a.start, a.start + len(a.text)) for e in row.events for a in e.arguments})
    return any(left[1] > right[0] for left, right in itertools.pairwise(places))


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder with the official data")
def test_ceilings_on_official_dev():
    folder = Path(REAL) / "event"
    schema = EventSchema.read(folder / "schema.json")
    rows = read_records(folder / "dev.json", schema, labelled=True).records
    tokenizer = Tokenizer(Vocabulary.build([row.text for row in rows], max_size=21128))
    per_role = TASK.score(rows, ceiling(schema, rows, tokenizer, window=254, overlap=64)[0])["f1"]
    assert per_role >= 0.995
    rows = rows[::4]  # 435 tags in one chain take their time
    flat = TASK.score(rows, ceiling(schema, rows, tokenizer, tagging="flat", window=254, overlap=64)[0])["f1"]
    assert 0.95 < flat < 0.975


# -- any text, any scores ----------------------------------------------------------------------------------------


@st.composite
def records(draw):
    """One to three records over any Unicode with arguments that do not overlap inside a (type, role)."""
    rows = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(st.text(min_size=1, max_size=50) | st.text("温青禾 aB2İ\u0301🎉\u3000", min_size=1, max_size=50))
        events = []
        for event_type in SCHEMA.types:
            arguments, position = [], 0
            while position < len(text) and draw(st.booleans()):
                start = draw(st.integers(position, len(text) - 1))
                end = draw(st.integers(start + 1, len(text)))
                arguments.append(Argument("人", text[start:end], start))
                position = end
            events.append(Event(event_type, None, None, tuple(arguments)))
        rows.append(EventRecord(str(number), text, tuple(events)))
    return rows


WORDS = Tokenizer(Vocabulary.build(["温青禾", "ab2i"], max_size=200))


@settings(max_examples=60, deadline=None)
@given(records(), st.integers(8, 30).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size - 1))))
def test_gold_comes_back_from_any_text(rows, sizes):
    features = TASK.make_features(rows, SCHEMA, WORDS, FeatureSettings(window=sizes[0], overlap=sizes[1]))
    predictions = TASK.ceiling(features, rows, SCHEMA, recipe=load_recipe(TASK.recipes, "quick"))
    assert verbatim(rows, predictions)
    if not features.lost_count:
        found = [{(p.type, p.role, p.text) for p in row} for row in predictions]
        assert found == [{(e.type, a.role, a.text) for e in row.events for a in e.arguments} for row in rows]


def verbatim(rows, predictions):
    return len(rows) == len(predictions) and all(
        p.text and p.text == row.text[p.start : p.end] and 0 <= p.probability <= 1
        for row, found in zip(rows, predictions, strict=True)
        for p in found
    )


@settings(max_examples=40, deadline=None)
@given(records(), st.sampled_from(["per_role", "flat"]), st.integers(0, 1000), st.sampled_from([0.1, 3.0, 30.0]))
def test_any_scores_give_verbatim_predictions(rows, tagging, seed, spread):
    rng = np.random.default_rng(seed)
    features = make_features(rows, SCHEMA, WORDS, window=10, overlap=3)
    chains, labels = (3, 1) if tagging == "per_role" else (1, 3)
    allowed, starts = bio_constraints(labels)
    transitions = (rng.normal(size=(chains, 2 * labels + 1, 2 * labels + 1)) + np.where(allowed, 0, FORBIDDEN)).astype(
        np.float32
    )  # [r, k, k]
    found = []
    for row in range(len(features)):
        emissions = rng.normal(0, spread, (1, len(features.ids[row]), chains, 2 * labels + 1)).astype(np.float32)  # [1, l, r, k]
        found += decode_batch(emissions, [row], features, transitions, allowed_start=starts)
    predictions = to_predictions(found, features, rows, SCHEMA)
    assert verbatim(rows, predictions)
    for row in predictions:
        for pair in SCHEMA.pairs:
            places = sorted((p.start, p.end) for p in row if (p.type, p.role) == pair)
            assert len(set(places)) == len(places)


# -- parts -------------------------------------------------------------------------------------------------------


def one_text(text="温青禾把旧伞给了岑若川"):
    rows = [EventRecord("a", text)]
    return rows, make_features(rows, SCHEMA, Tokenizer(Vocabulary.build([text], max_size=500)), window=100, overlap=10)


def test_a_batch_decodes_as_its_rows_alone():
    schema, rows, tokenizer = sample()
    features = make_features(rows[:12], schema, tokenizer, window=20, overlap=6)
    allowed, starts = bio_constraints(1)
    chains = len(schema.pairs)
    rng = np.random.default_rng(0)
    transitions = np.repeat(np.where(allowed, 0.0, FORBIDDEN).astype(np.float32)[None], chains, axis=0)  # [r, k, k]
    batch = np.arange(len(features))  # [b]
    emissions = rng.normal(size=(len(features), int(features.ids.lengths.max()), chains, 3)).astype(np.float32)  # [b, l, r, k]
    emissions[..., 0] += 3
    together = decode_batch(emissions, batch, features, transitions, allowed_start=starts)
    alone = []
    for row in batch:
        length = len(features.ids[row])
        alone += decode_batch(emissions[row : row + 1, :length], [row], features, transitions, allowed_start=starts)

    def rounded(found):
        return sorted((record, span._replace(score=round(span.score, 4))) for record, span in found)

    assert rounded(together) == rounded(alone) and len(alone) > 20


def test_probability_is_that_of_the_span_among_all_taggings():
    _, features = one_text("旧伞")
    allowed, starts = bio_constraints(1)
    transitions = np.repeat(np.where(allowed, 0.0, FORBIDDEN).astype(np.float32)[None], 3, axis=0)  # [3, 3, 3]
    emissions = np.zeros((1, 2, 3, 3), dtype=np.float32)  # [1, l, r, k]
    emissions[0, :, 1:, 0] = 20
    emissions[0, 0, 0] = [0.0, 1.0, 0.0]
    emissions[0, 1, 0] = [0.0, 0.0, 2.0]
    ((record, span),) = decode_batch(emissions, [0], features, transitions, allowed_start=starts)
    assert (record, span.label, span.first, span.last) == (0, 0, 0, 1)
    # OO 0, OB 0, BO 1, BB 1, BI 3: the others are forbidden
    assert span.score == pytest.approx(np.exp(3) / (2 + 2 * np.exp(1) + np.exp(3)), rel=1e-4)


def test_probability_does_not_count_longer_spans():
    _, features = one_text("旧伞")
    allowed, starts = bio_constraints(1)
    transitions = np.repeat(np.where(allowed, 0.0, FORBIDDEN).astype(np.float32)[None], 3, axis=0)  # [3, 3, 3]
    emissions = np.zeros((1, 2, 3, 3), dtype=np.float32)  # [1, l, r, k]
    emissions[0, :, 1:, 0] = 20
    emissions[0, 0, 0] = [0.0, 3.0, 0.0]
    emissions[0, 1, 0] = [1.0, -20.0, 0.5]
    ((_, span),) = decode_batch(emissions, [0], features, transitions, allowed_start=starts)
    assert (span.first, span.last) == (0, 0)
    # OO 1, BO 4, BI 3.5; OB and BB come to nothing
    assert span.score == pytest.approx(np.exp(4) / (np.exp(1) + np.exp(4) + np.exp(3.5)), rel=1e-4)


def test_outside_shift_trades_precision_for_recall():
    _, features = one_text()
    allowed, starts = bio_constraints(1)
    transitions = np.repeat(np.where(allowed, 0.0, FORBIDDEN).astype(np.float32)[None], 3, axis=0)  # [3, 3, 3]
    emissions = np.random.default_rng(1).normal(size=(1, len(features.ids[0]), 3, 3)).astype(np.float32)  # [1, l, r, k]
    kept = emissions.copy()
    covered = []
    for shift in (-5.0, 0.0, 5.0):
        found = decode_batch(emissions, [0], features, transitions, allowed_start=starts, outside_shift=shift)
        covered.append(sum(span.last - span.first + 1 for _, span in found))
    assert covered[0] < covered[1] < covered[2]
    np.testing.assert_array_equal(emissions, kept)


def test_gold_tags_and_emissions():
    gold = np.array([[0, 1, 2], [2, 1, 1], [0, 4, 4]])  # [n, 3]
    assert gold_tags(gold, 5, 3, "per_role").T.tolist() == [[0, 1, 2, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
    assert gold_tags(gold, 5, 3, "flat").T.tolist() == [[0, 1, 2, 0, 1]]
    assert gold_tags(np.zeros((0, 3), dtype=np.int32), 2, 3, "flat").tolist() == [[0], [0]]
    emissions = gold_emissions(np.array([[0], [2]]), 3)
    assert emissions.tolist() == [[[30, 0, 0]], [[0, 0, 30]]]


def test_a_longer_argument_wins_inside_a_chain():
    gold = np.array([[0, 1, 2], [0, 0, 3]])  # [n, 3]
    assert gold_tags(gold, 5, 1, "per_role")[:, 0].tolist() == [1, 2, 2, 2, 0]
