"""The event track's generator: what it is taught, what it may write, what its outputs come to, and its ceiling."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.train_setup import loop_settings
from shared.errors import InputError
from shared.text import Tokenizer, Vocabulary
from shared.training.gradients import Gradients
from shared.training.parallel import Ranks
from tasks.event.models.generate_form import EventForm
from tasks.event.records import Argument, Event, EventRecord, read_records
from tasks.event.schema import EventSchema
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task

from ..generation_parts import CHARACTERS, Kit, check_contract, check_targets, check_untrained, random_texts

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "event"
REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("event")
SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})


def event(kind, *arguments):
    return Event(kind, "", None, tuple(Argument(role, text, start=None) for role, text in arguments))


ROWS = [
    EventRecord("a", "白露昨天得了一把旧伞", (event("甲-得", ("人", "白露"), ("物", "一把旧伞")),)),
    EventRecord("b", "今天没有事", ()),
    EventRecord(
        "c",
        "简宁丢了他的船票又得了白露的旧伞",
        (event("乙-失", ("人", "简宁")), event("甲-得", ("人", "简宁"), ("物", "白露的旧伞"), ("物", "船票"))),
    ),
    EventRecord("d", "林晚在海螺湾丢了船", (event("乙-失", ("人", "林晚")),)),
]
TEXTS = [*(row.text for row in ROWS), "得失人物"]
KIT = Kit(TASK, ROWS, SCHEMA, texts=TEXTS, max_target=40)


def strings(predictions):
    return [{(found.type, found.role, found.text) for found in row} for row in predictions]


def gold(rows):
    return [{(event.type, argument.role, argument.text) for event in row.events for argument in event.arguments} for row in rows]


def ceiling(schema, rows, *, window=126, overlap=48, **decode):
    tokenizer = Tokenizer(Vocabulary.build([row.text for row in rows] or ["甲"], max_size=21128))
    features = TASK.make_features(rows, schema, tokenizer, FeatureSettings(window=window, overlap=overlap))
    recipe = KIT.decoding(max_target=200, **decode)
    return TASK.ceiling(features, rows, schema, recipe=recipe), features


def test_a_target_says_types_then_roles_and_arguments():
    batch = check_targets(KIT, [2, 1, 0, 3])
    tokens = [KIT.vocabulary.token(int(index)) for index in batch["ids"][0][batch["segments"][0] == 1]]
    told = "".join({"[MASK]": "/", "[CLS]": "|", "[SEP]": "."}.get(token, token) for token in tokens)
    assert told == "得/人/简宁/物/船票/物/白露的旧伞|失/人/简宁."
    assert [int(index) for index in batch["ids"][1][batch["segments"][1] == 1]] == [KIT.vocabulary.sep_id]
    lengths = KIT.model().training_lengths(KIT.features)
    assert lengths.tolist() == [int(KIT.collate(KIT.model(), [row])["lengths"][0]) for row in range(len(ROWS))]


def test_types_keep_their_class_where_names_would_be_the_same():
    schema = EventSchema(("甲-得", "乙-得"), {"甲-得": ("人",), "乙-得": ("人",)})
    assert EventForm(schema).form.names == ("甲-得", "乙-得", "人")
    assert EventForm(SCHEMA).form.names == ("得", "失", "人", "物")


def test_the_contract():
    check_contract(KIT, [0, 2, 1, 3], [1, 3])


def test_it_learns_and_every_search_finds_it(caplog):
    built, loss = KIT.learn(steps=40)
    assert loss < 0.2 and not caplog.records
    for decode in ({}, {"beam": 3, "length_penalty": "gnmt"}, {"search": "mbr", "samples": 3, "temperature": 0.3}, {"rescore": "spans"}):
        predictions = KIT.predict(built, KIT.decoding(**decode))
        assert strings(predictions) == gold(ROWS), decode
        assert all(0.3 < found.probability <= 1 for row in predictions for found in row)
    candidates = KIT.predict(built, floor=0.0)
    assert all(wanted <= found for wanted, found in zip(gold(ROWS), strings(candidates), strict=True))
    assert sum(map(len, candidates)) > sum(map(len, gold(ROWS)))
    sure = KIT.predict(built, floor=0.3)
    assert all(found.probability >= 0.3 for row in sure for found in row) and sum(map(len, sure)) < sum(map(len, candidates))
    again = KIT.predict(built, KIT.decoding(search="mbr", samples=4), floor=0.1)
    assert again == KIT.predict(built, KIT.decoding(search="mbr", samples=4), floor=0.1)


def test_replacement_penalty_and_two_passes_give_gradients():
    built = KIT.model(spread=0.1)
    batch = KIT.collate(built, [0, 2, 3])
    replaced, penalised = {"replacement_rows": 1.0}, {"penalty_epsilon": 1.0}
    for options in (replaced, penalised, {**replaced, **penalised}, {"rdrop": 1.0}):
        chosen = loop_settings(KIT.recipe.training.model_copy(update=options))
        found = Gradients(built, built.parameters(), chosen, Ranks()).of([batch], step=0)
        assert np.isfinite(list(found.values())).all() and ("penalty" in found) == ("penalty_epsilon" in options)
        assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in built.parameters() if parameter.grad is not None)
        built.clear_gradients()


# -- gold comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "window"), [("dev", 126), ("dev", 30)])
def test_gold_comes_back_from_the_samples(split, window):
    schema = EventSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / f"{split}.json", schema, labelled=True).records[:150]
    predictions, features = ceiling(schema, rows, window=window, overlap=window // 2)
    missing = [fault for fault in TASK.mistakes(rows, predictions, features) if fault["gold"]]
    assert TASK.score(rows, predictions)["f1"] >= 0.99
    if window == 126:
        assert all("its tokens stand for" in fault["cause"] for fault in missing)


@st.composite
def records(draw):
    text = draw(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=40))
    cuts = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 8))
    made = [(pair, text[begin : begin + size], begin) for pair in SCHEMA.pairs for begin, size in draw(st.lists(cuts, max_size=2))]
    events = tuple(Event(kind, "", None, (Argument(role, part, start=begin),)) for (kind, role), part, begin in made)
    return EventRecord("a", text, events)


@settings(max_examples=25, deadline=None)
@given(records())
def test_any_gold_comes_back_by_its_tokens(row):
    """What a gold argument's tokens stand for at their first place is what comes back, for any text; nothing else does."""
    predictions, features = ceiling(SCHEMA, [row])
    expected = set()
    for number in range(len(features)):
        words = features.ids[number].tolist()
        for pair, first, last in features.spans[number].tolist():
            span = words[first : last + 1]
            at = next(begin for begin in range(len(words)) if words[begin : begin + len(span)] == span)
            start, end = features.starts[0][at], features.ends[0][at + len(span) - 1]
            expected.add((*SCHEMA.pairs[pair], row.text[start:end]))
    found = strings(predictions)[0]
    assert found <= expected  # spans of one label that overlap are settled as for every model
    if len(expected) == len(features.spans[0] if len(features) else ()) == 1:
        assert found == expected


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder of official data")
def test_the_ceiling_of_real_data():
    schema = EventSchema.read(Path(REAL) / "event" / "schema.json")
    rows = read_records(Path(REAL) / "event" / "dev.json", schema, labelled=True).records[::5]
    predictions, _ = ceiling(schema, rows, window=254, overlap=64)
    assert TASK.score(rows, predictions)["f1"] >= 0.99


# -- limits ------------------------------------------------------------------------------------------------------


def texts_of(seed):
    rows = [EventRecord(f"{seed}-{number}", text, None) for number, text in enumerate(random_texts(seed, 20))]
    return Kit(TASK, rows, SCHEMA, window=20, overlap=4, texts=[CHARACTERS])


def valid(kit, row, found):
    spans = {(one.type, one.role, one.start, one.end) for one in found}
    return len(spans) == len(found) and all(
        (one.type, one.role) in SCHEMA.pair_index and one.text and row.text[one.start : one.end] == one.text and 0 <= one.probability <= 1
        for one in found
    )


def test_an_untrained_model_writes_valid_records():
    check_untrained(texts_of, valid)


@pytest.mark.parametrize("types", [1, 5000])
def test_schemas_of_any_size(types):
    kinds = tuple(f"类{number}" for number in range(types))
    schema = EventSchema(kinds, {kind: ("人", "物")[: 1 + number % 2] for number, kind in enumerate(kinds)})
    rows = [EventRecord("a", "白露得了一把旧伞", (event(kinds[-1], ("人", "白露")),)), EventRecord("b", "　 ", ())]
    kit = Kit(TASK, rows, schema)
    built = kit.model(spread=0.3)
    assert np.isfinite(float(built.loss(kit.collate(built, np.arange(len(kit.features))))))
    found = kit.predict(built, kit.decoding(max_target=16))
    assert found[1] == [] and all((one.type, one.role) in schema.pair_index for one in found[0])
    assert strings(ceiling(schema, rows)[0]) == gold(rows)


def test_targets_that_are_too_long_are_counted_and_said(caplog):
    kit = Kit(TASK, ROWS, SCHEMA, max_target=12, texts=TEXTS)
    built = kit.model()
    assert built.training_lengths(kit.features)[2] == kit.features.lengths[2] + 12
    assert "2 of 4 targets are longer than model.max_target = 12 tokens (the longest: 27)" in caplog.text
    batch = kit.collate(built, [2])
    assert batch["words"][batch["labels"]].tolist()[-1] != kit.vocabulary.sep_id  # no end is taught where there is none
    assert len(batch["labels"]) == len("得/人/简宁/物/船票")
    assert strings(TASK.ceiling(kit.features, ROWS, SCHEMA, recipe=kit.recipe))[2] == {("甲-得", "人", "简宁"), ("甲-得", "物", "船票")}


def test_encoders_that_cannot_write():
    with pytest.raises(InputError, match="does not fit the 512 positions"):
        Kit(TASK, ROWS, SCHEMA, window=400, overlap=10).model()
    with pytest.raises(InputError):
        load_recipe(TASK.recipes, "generate", ("decode.beem=3",), check=TASK.check_recipe)
