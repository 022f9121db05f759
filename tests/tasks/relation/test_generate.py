"""The relation track's generator: what it is taught, what it may write, what its outputs come to, and its ceiling."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from tasks.recipe import FeatureSettings
from tasks.registry import get_task
from tasks.relation.records import RelationRecord, Spo, read_records
from tasks.relation.schema import RelationSchema

from ..generation_parts import CHARACTERS, Kit, check_contract, check_targets, check_untrained, random_texts

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "relation"
REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("relation")
SCHEMA = RelationSchema(
    ("作者", "饰演"),
    {"作者": ("@value",), "饰演": ("@value", "在于", "时")},
    {"作者": "书", "饰演": "人"},
    {"作者": {"@value": "人"}, "饰演": {"@value": "人", "在于": "戏", "时": "日"}},
)


def spo(predicate, subject, *slots):
    return Spo(predicate, subject, tuple(zip(SCHEMA.slots[predicate], slots, strict=False)))


ROWS = [
    RelationRecord("高远山在北风里演陆明，在南港里演沈舟", (spo("饰演", "高远山", "陆明", "北风"), spo("饰演", "高远山", "沈舟", "南港")), 1),
    RelationRecord("夜航由简宁和林晚合著，演白露", (spo("作者", "夜航", "简宁"), spo("作者", "夜航", "林晚"), spo("饰演", "简宁", "白露")), 2),
    RelationRecord("今天没有人写书", (), 3),
    RelationRecord("白露演陆明", (spo("饰演", "白露", "陆明"),), 4),
]
TEXTS = [*(row.text for row in ROWS), "作者饰演在于时"]
KIT = Kit(TASK, ROWS, SCHEMA, texts=TEXTS, max_target=40)


def strings(predictions):
    return [{made.key() for made in row} for row in predictions]


def gold(rows):
    return [{(one.predicate, one.subject, one.object) for one in row.spos} for row in rows]


def ceiling(schema, rows, *, window=126, overlap=48):
    tokenizer = Tokenizer(Vocabulary.build([row.text for row in rows], max_size=21128))
    features = TASK.make_features(rows, schema, tokenizer, FeatureSettings(window=window, overlap=overlap))
    return TASK.ceiling(features, rows, schema, recipe=KIT.decoding(max_target=200)), features


def test_a_target_says_subjects_then_predicates_and_objects():
    batch = check_targets(KIT, [0, 1, 2, 3])
    told = [
        "".join({"[MASK]": "/", "[CLS]": "|", "[SEP]": "."}.get(token, token) for token in map(KIT.vocabulary.token, ids[own == 1].tolist()))
        for ids, own in zip(batch["ids"], batch["segments"], strict=True)
    ]
    assert told == [
        "高远山/饰演/陆明/在于/北风/饰演/沈舟/在于/南港.",
        "夜航/作者/简宁/作者/林晚|简宁/饰演/白露.",
        ".",
        "白露/饰演/陆明.",
    ]
    lengths = KIT.model().training_lengths(KIT.features)
    assert lengths.tolist() == [int(KIT.collate(KIT.model(), [row])["lengths"][0]) for row in range(len(ROWS))]


def test_the_contract():
    check_contract(KIT, [0, 2, 1, 3], [1, 3])


def test_it_learns_and_every_search_finds_it():
    built, loss = KIT.learn(steps=40)
    assert loss < 0.2
    for decode in ({}, {"beam": 3}, {"search": "mbr", "samples": 3, "temperature": 0.2}, {"rescore": "spans"}):
        predictions = KIT.predict(built, KIT.decoding(**decode))
        assert strings(predictions) == gold(ROWS), decode
        assert all(0.3 < found.probability <= 1 for row in predictions for found in row)
    candidates = KIT.predict(built, floor=0.0)
    assert sum(map(len, candidates)) > sum(map(len, gold(ROWS)))


# -- gold comes back ---------------------------------------------------------------------------------------------


def test_gold_comes_back_from_the_samples():
    schema = RelationSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / "dev.json", schema, labelled=True).records[:150]
    predictions, features = ceiling(schema, rows)
    assert TASK.score(rows, predictions)["f1"] >= 0.99
    known = {(one.line, one.spo.subject, one.spo.predicate) for one in features.lost}
    for fault in TASK.mistakes(rows, predictions, features):
        assert fault["gold"] is None or (fault["line"], fault["gold"]["subject"], fault["gold"]["predicate"]) in known


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_gold_comes_back(data):
    """Distinct characters: every string stands once, so that nothing but nested objects is lost, which features say."""
    text = "".join(data.draw(st.permutations("白露得失船旧伞人物山水")))
    cut = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 4)).map(lambda one: text[one[0] : sum(one)])
    written = st.builds(lambda subject, value: spo("作者", subject, value), cut, cut)
    played = st.builds(lambda subject, *slots: spo("饰演", subject, *slots), cut, cut, cut)
    spos = data.draw(st.lists(st.one_of(written, played), max_size=3))
    row = RelationRecord(text, tuple(spos), 1)
    predictions, features = ceiling(SCHEMA, [row])
    lost = {(one.spo.predicate, one.spo.subject, one.spo.object) for one in features.lost}
    subjects = {one[1] for one in gold([row])[0]}
    found = strings(predictions)[0]
    if not lost and len(spos) < 3 and len(subjects) == len(spos):
        assert found == gold([row])[0]
    assert all(value in text for _, subject, slots in found for value in (subject, *(value for _, value in slots)))


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder of official data")
def test_the_ceiling_of_real_data():
    schema = RelationSchema.read(Path(REAL) / "relation" / "schema.json")
    rows = read_records(Path(REAL) / "relation" / "dev.json", schema, labelled=True).records[::12]
    predictions, _ = ceiling(schema, rows, window=254, overlap=64)
    assert TASK.score(rows, predictions)["f1"] >= 0.995


# -- limits ------------------------------------------------------------------------------------------------------


def valid(kit, row, found):
    return len({made.key() for made in found}) == len(found) and all(
        made.predicate in kit.schema.slots
        and made.object[0][0] == "@value"
        and [slot for slot, _ in made.object] == [slot for slot in kit.schema.slots[made.predicate] if slot in dict(made.object)]
        and all(mention.text and row.text[mention.start : mention.end] == mention.text for mention in (made.subject, *dict(made.object).values()))
        and 0 <= made.probability <= 1
        for made in found
    )


def texts_of(seed):
    rows = [RelationRecord(text, None, number) for number, text in enumerate(random_texts(seed, 20))]
    return Kit(TASK, rows, SCHEMA, window=20, overlap=4, texts=[CHARACTERS])


def test_an_untrained_model_writes_valid_records():
    check_untrained(texts_of, valid)


@pytest.mark.parametrize("predicates", [1, 5000])
def test_schemas_of_any_size(predicates):
    names = tuple(f"系{number}" for number in range(predicates))
    slots = {name: ("@value", "时")[: 1 + number % 2] for number, name in enumerate(names)}
    types = dict.fromkeys(names, "人")
    schema = RelationSchema(names, slots, types, {name: dict.fromkeys(own, "人") for name, own in slots.items()})
    rows = [RelationRecord("白露得了一把旧伞", (Spo(names[-1], "白露", (("@value", "旧伞"),)),), 1), RelationRecord("　 ", (), 2)]
    kit = Kit(TASK, rows, schema)
    built = kit.model()
    assert np.isfinite(float(built.loss(kit.collate(built, np.arange(len(kit.features))))))
    found = kit.predict(built, kit.decoding(max_target=16))
    assert found[1] == [] and valid(kit, rows[0], found[0])
    assert strings(ceiling(schema, rows)[0]) == gold(rows)
