"""GPLinker on relations: gold through places and the decode that predict uses comes back; any scores give triples that stand in the text."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.heads.pair_decode import FullTable, PartsTable
from shared.text import Tokenizer, Vocabulary
from tasks.gplinker_decode import GplinkerTables
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task
from tasks.relation.features import make_features
from tasks.relation.models import gplinker_decode
from tasks.relation.models.gplinker_decode import Labels, decode_tables, gold_places
from tasks.relation.models.gplinker_design import DecodeSettings
from tasks.relation.predictions import to_predictions
from tasks.relation.records import read_records
from tasks.relation.schema import RelationSchema

from .test_casrel_decode import CASES, CHARACTERS, SAMPLES, SCHEMA, gold, record, role, triples, verbatim

REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("relation")
LABELS = {entities: Labels.of(SCHEMA, entities) for entities in ("role", "type")}
both = pytest.mark.parametrize("entities", ["role", "type"])


def ceiling(rows, *, schema=SCHEMA, tokenizer=CHARACTERS, window=1000, overlap=10, entities="role"):
    features = TASK.make_features(rows, schema, tokenizer, FeatureSettings(window=window, overlap=overlap))
    recipe = load_recipe(TASK.recipes, "gplinker", [f"model.entities={entities}"])
    return TASK.ceiling(features, rows, schema, recipe=recipe), features


def random_tables(seed, rows, length, labels, spread, shift):
    """Scores in parts, barred as the pointers bar them; and the same in full."""
    rng = np.random.default_rng(seed)
    tables = []
    for name, count in (("spans", labels.spans), ("heads", labels.links), ("tails", labels.links)):
        pairs, first, last = (
            rng.normal(shift if not at else 0, spread, shape).astype(np.float32)
            for at, shape in enumerate(((rows, length, length), (rows, count, length), (rows, count, length)))
        )
        if name == "spans":
            pairs[:, np.tril(np.ones((length, length), dtype=bool), -1)] = -65504.0
        tables.append(PartsTable(pairs, first, last))
    full = [FullTable(table.pairs[:, None] + table.first[..., None] + table.last[:, :, None]) for table in tables]
    return GplinkerTables(*tables), GplinkerTables(*full)


# -- the ceiling -------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", CASES)
def test_gold_comes_back(name, entities):
    row = CASES[name]
    (found,), features = ceiling([row], entities=entities)
    assert features.lost_count == 0
    assert triples(found) == gold(row) and verbatim([row], [found])
    assert all(made.probability > 0.999 for made in found)


@both
def test_gold_comes_back_from_all_at_once_and_from_windows(entities):
    rows = [*CASES.values(), record(" 　"), *CASES.values()]
    whole, _ = ceiling(rows, entities=entities)
    assert [triples(found) for found in whole] == [gold(row) for row in rows]
    filler = "\u4e00" * 30
    long = [record(filler + row.text + filler, *row.spos) for row in rows]
    split, features = ceiling(long, window=60, overlap=50, entities=entities)
    assert len(features) > 3 * len(rows) and [triples(found) for found in split] == [triples(found) for found in whole]


def test_gold_comes_back_from_the_sample():
    schema = RelationSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / "dev.json", schema, labelled=True).records
    tokenizer = Tokenizer(Vocabulary.build([row.text for row in rows], max_size=21128))
    predictions, _ = ceiling(rows, schema=schema, tokenizer=tokenizer, window=254, overlap=64)
    assert TASK.score(rows, predictions)["f1"] >= 0.99 and verbatim(rows, predictions)


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder with the official data")
def test_the_ceiling_on_official_dev():
    folder = Path(REAL) / "relation"
    schema = RelationSchema.read(folder / "schema.json")
    rows = read_records(folder / "dev.json", schema, labelled=True).records
    tokenizer = Tokenizer(Vocabulary.from_file(Path(REAL) / "weights" / "e5-small-bertvocab-zh" / "vocab.txt"))
    predictions, features = ceiling(rows, schema=schema, tokenizer=tokenizer, window=254, overlap=64)
    assert TASK.score(rows, predictions)["f1"] >= 0.998
    assert all(fault["cause"] for fault in TASK.mistakes(rows, predictions, features) if fault["gold"])


# -- labels and places -------------------------------------------------------------------------------------------


def test_labels_of_spans_and_links():
    role_labels, type_labels = LABELS["role"], LABELS["type"]
    assert (role_labels.spans, role_labels.subjects, set(role_labels.subject), set(role_labels.object)) == (2, 1, {0}, {1})
    assert type_labels.subject == (0, 1, 1, 1, 1, 1, 1) and type_labels.subjects == 2
    assert type_labels.object == (2, 2, 3, 4, 5, 6, 7) and type_labels.spans == 8
    assert role_labels.links == 7 + 7 and role_labels.slots[1, 2] == 7 and len(set(role_labels.slots.values())) == 7


def test_places_of_a_text_by_hand():
    row = record("甲演乙和丙，甲", role("甲", "乙", "丙"))
    features = make_features([row], SCHEMA, CHARACTERS, window=100, overlap=10)
    spans, heads, tails = gold_places(features, [0], LABELS["role"])
    assert spans.tolist() == [[0, 0, 0, 0], [0, 0, 6, 6], [0, 1, 2, 2], [0, 1, 4, 4]]
    assert heads.tolist() == [[0, 1, 0, 2], [0, 1, 6, 2], [0, 2, 0, 4], [0, 2, 6, 4], [0, 7, 2, 4]] == tails.tolist()


# -- any scores --------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=14) | st.text("简宁 aB2İ\u0301🎉", min_size=1, max_size=14), min_size=1, max_size=3),
    st.integers(0, 1000),
    st.sampled_from(["role", "type"]),
    st.sampled_from([(0.3, -2.5), (3.0, -6.0), (30.0, -60.0)]),
)
def test_any_scores_give_triples_of_the_text(texts, seed, entities, scores):
    rows = [record(text) for text in texts]
    features = make_features(rows, SCHEMA, CHARACTERS, window=10, overlap=3)
    if not len(features):
        return
    labels = LABELS[entities]
    tables, full = random_tables(seed, len(features), int(features.ids.lengths.max()), labels, *scores)
    for row, length in enumerate(features.ids.lengths.tolist()):  # as the mask does
        tables.spans.pairs[row, length:] = tables.spans.pairs[row, :, length:] = -65504.0
        full.spans.scores[row, :, length:] = full.spans.scores[row, :, :, length:] = -65504.0
    batch = np.arange(len(features))
    found = list(decode_tables(tables, batch, SCHEMA, labels, DecodeSettings()))
    predictions = to_predictions(found, features, rows, SCHEMA)
    assert verbatim(rows, predictions)
    for made in (one for row in predictions for one in row):
        assert made.probability >= 0.499 and made.object[0][0] == "@value"
        assert [slot for slot, _ in made.object] == [slot for slot in SCHEMA.slots[made.predicate] if slot in dict(made.object)]
    other = to_predictions(decode_tables(full, batch, SCHEMA, labels, DecodeSettings()), features, rows, SCHEMA)
    assert [triples(row) for row in predictions] == [triples(row) for row in other]


def test_hundreds_of_candidates_stay_bounded(monkeypatch):
    """A flood: every span is a subject and an object, and everything is linked."""
    labels, length = LABELS["role"], 40
    zeros = [np.zeros((1, count, length), dtype=np.float32) for count in (labels.spans, labels.links)]
    pairs = np.random.default_rng(0).uniform(1, 2, (1, length, length)).astype(np.float32)
    tables = GplinkerTables(*(PartsTable(pairs, table, table) for table in (zeros[0], zeros[1], zeros[1])))
    chosen = DecodeSettings(max_spans=12, max_span=40)
    asked = []
    monkeypatch.setattr(gplinker_decode, "AT_ONCE", 12 * 7 * 5)
    whole = PartsTable.at
    monkeypatch.setattr(PartsTable, "at", lambda *given: asked.append(whole(*given).size) or whole(*given))
    found = list(decode_tables(tables, [0], SCHEMA, labels, chosen))
    subjects = {(triple.subject.first, triple.subject.last) for _, triple in found}
    assert len(subjects) == 12 and max(asked[:6]) == 12 * 7 * 5
    assert len(found) <= 12 * 3 * (64 + 4 * 12)
    surest = sorted(pairs[0].ravel().tolist())[-12:]
    assert {float(pairs[0][place]) for place in subjects} == set(surest)


@pytest.mark.parametrize("span", [1, 3])
def test_long_spans_are_left_out(span):
    labels = LABELS["role"]
    tables, _ = random_tables(0, 1, 8, labels, 0.1, 5.0)
    for _, triple in decode_tables(tables, [0], SCHEMA, labels, DecodeSettings(max_span=span)):
        assert all(one.last - one.first < span for one in (triple.subject, *(other for _, other in triple.slots)))
