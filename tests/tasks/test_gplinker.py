"""What GPLinker promises on both tracks: its loss, parts of a batch, two passes, smoothing, half precision, schemas of any size."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.errors import InputError
from shared.heads.pair_decode import PartsTable
from shared.inference import EagerEngine
from shared.losses import multilabel_cross_entropy
from shared.text import Tokenizer, Vocabulary
from tasks import gplinker_decode
from tasks.event.models.gplinker import EventGplinker, EventGplinkerSettings
from tasks.event.records import Argument, Event, EventRecord
from tasks.event.schema import EventSchema
from tasks.gplinker import GplinkerScores
from tasks.gplinker_decode import logit, parts_of, places_of, probabilities, tables_of
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task
from tasks.relation.models.gplinker import RelationGplinker, RelationGplinkerSettings
from tasks.relation.records import RelationRecord, Spo
from tasks.relation.schema import RelationSchema

from .parts import check_divergence, check_half_precision, check_parts_add_up, check_replacement, check_smoothing

RELATION = RelationSchema(
    ("作者", "饰演"),
    {"作者": ("@value",), "饰演": ("@value", "inWork")},
    {"作者": "图书作品", "饰演": "娱乐人物"},
    {"作者": {"@value": "人物"}, "饰演": {"@value": "人物", "inWork": "影视作品"}},
)
EVENT = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})


def event(kind, trigger, start, *arguments):
    return Event(kind, trigger, start, tuple(Argument(role, text) for role, text in arguments))


ROWS = {
    "relation": [
        RelationRecord(
            "高远山在北风里演陆明，在南港里演沈舟",
            tuple(Spo("饰演", "高远山", (("@value", value), ("inWork", work))) for value, work in (("陆明", "北风"), ("沈舟", "南港"))),
        ),
        RelationRecord("夜航由简宁和林晚合著，夜航很厚", tuple(Spo("作者", "夜航", (("@value", value),)) for value in ("简宁", "林晚"))),
        RelationRecord("今天没有人写书", ()),
        RelationRecord("白露演陆明", (Spo("饰演", "白露", (("@value", "陆明"),)),)),
    ],
    "event": [
        EventRecord("a", "白露昨天得了一把旧伞", (event("甲-得", "得", 4, ("人", "白露"), ("物", "一把旧伞")),)),
        EventRecord(
            "b",
            "简宁丢了他的船票又得了白露的旧伞",
            (event("乙-失", "丢", 2, ("人", "简宁")), event("甲-得", "得", 9, ("人", "简宁"), ("物", "旧伞"))),
        ),
        EventRecord("c", "今天没有事", ()),
        EventRecord("d", "林晚在海螺湾丢了船", (event("乙-失", "丢", 6, ("人", "林晚")),)),
    ],
}
SCHEMAS = {"relation": RELATION, "event": EVENT}
TEXTS = [row.text for rows in ROWS.values() for row in rows]
VOCABULARY = Vocabulary.build(TEXTS, max_size=300)
FEATURES = {
    track: get_task(track).make_features(rows, SCHEMAS[track], Tokenizer(VOCABULARY), FeatureSettings(window=100, overlap=10))
    for track, rows in ROWS.items()
}
KINDS = [("relation", {}), ("relation", {"entities": "type"}), ("relation", {"head": "full"}), ("event", {}), ("event", {"head": "full"})]
kinds = pytest.mark.parametrize(("track", "kind"), KINDS, ids=str)


def model(track, schema=None, spread=0.0, bias=-2.0, **given):
    """A tiny model without dropout, in evaluation mode; with ``spread`` every weight is moved, so that no scores are alike."""
    paddle.seed(11)
    config = BackboneConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32, dropout=0.0, attention_dropout=0.0
    )
    layer, settings = (RelationGplinker, RelationGplinkerSettings) if track == "relation" else (EventGplinker, EventGplinkerSettings)
    built = layer(Backbone(config), schema=schema or SCHEMAS[track], settings=settings(head_dropout=0.0, head_size=8, logit_bias=bias, **given))
    rng = np.random.default_rng(5)
    for parameter in built.parameters() if spread else ():
        parameter.set_value(parameter.numpy() + rng.normal(0, spread, parameter.shape).astype(np.float32))
    built.eval()
    return built


def collate(built, rows, labelled=True, epoch=0):
    track = "relation" if isinstance(built, RelationGplinker) else "event"
    return built.collate(FEATURES[track], np.asarray(rows), VOCABULARY, labelled=labelled, epoch=epoch)


def plain_loss(built, batch, smoothing=0.0):
    """From all scores and dense labels, as nothing but a test may."""
    total = 0.0
    for name, scores in built(batch)._asdict().items():
        full = scores if isinstance(scores, paddle.Tensor) else scores.full()  # [b, k, l, l]
        labels = np.zeros(full.shape, dtype=np.float32)  # [b, k, l, l]
        labels[tuple(batch[name].T)] = 1
        flat = full.reshape([*full.shape[:2], -1])  # [b, k, l * l]
        for share, wanted in ((1 - smoothing, labels.reshape(flat.shape)), (smoothing, np.zeros(flat.shape, dtype=np.float32))):
            total += share * float(multilabel_cross_entropy(flat, paddle.to_tensor(wanted)).sum())
    return total / len(batch["ids"])


# -- batches -----------------------------------------------------------------------------------------------------


@kinds
def test_batches_hold_places_and_nothing_of_the_size_of_all_pairs(track, kind):
    built = model(track, **kind)
    batch = collate(built, [1, 2, 0])
    assert sorted(batch) == ["heads", "ids", "mask", "spans", "tails"] and sorted(collate(built, [1], labelled=False)) == ["ids", "mask"]
    texts = [ROWS[track][row].text for row in (1, 2, 0)]
    assert batch["mask"].sum(axis=1).tolist() == list(map(len, texts)) and batch["ids"].shape[1] == batch["mask"].shape[1] + 2
    for name in ("spans", "heads", "tails"):
        places = batch[name]
        assert places.shape[1] == 4 and len(np.unique(places, axis=0)) == len(places)
        assert set(places[:, 0].tolist()) <= {0, 2} and {0, 2} <= set(batch["spans"][:, 0].tolist())
        assert (places[:, 1] < (built.num_spans if name == "spans" else built.num_links)).all()
    assert all(np.array_equal(value, collate(built, [1, 2, 0], epoch=4)[name]) for name, value in batch.items())


def test_places_come_once_in_order():
    assert places_of([(1, 0, 2, 3), (0, 0, 0, 0), (1, 0, 2, 3)]).tolist() == [[0, 0, 0, 0], [1, 0, 2, 3]]
    assert places_of([]).shape == (0, 4)


# -- the loss ----------------------------------------------------------------------------------------------------


@kinds
def test_the_loss_is_the_multilabel_cross_entropy_of_every_label(track, kind):
    built = model(track, spread=0.2, **kind)
    batch = collate(built, [0, 1, 2, 3])
    assert float(built.loss(batch)) == pytest.approx(plain_loss(built, batch), rel=1e-4)


@kinds
def test_the_start_is_no_flood(track, kind):
    built = model(track, bias=-8.0, **kind)
    batch = collate(built, [0, 1, 2])
    labels = built.num_spans + 2 * built.num_links
    right = 8.5 * np.mean([sum((batch[name][:, 0] == row).sum() for name in ("spans", "heads", "tails")) for row in range(3)])
    assert float(built.loss(batch)) < right + 0.5 * labels


@kinds
@pytest.mark.parametrize(("rows", "cuts"), [([0, 1], [1]), ([2, 1, 3, 0], [1, 3])])
def test_losses_of_parts_add_up_to_the_whole(track, kind, rows, cuts):
    built = model(track, spread=0.2, **kind)
    assert check_parts_add_up(built, lambda part: collate(built, part), rows, cuts, built.loss) > 0


@kinds
def test_divergence(track, kind):
    built = model(track, spread=0.2, **kind)
    check_divergence(built, lambda part: collate(built, part), [0, 1, 2], [1])


@kinds
def test_smoothing_teaches_that_nothing_is_there(track, kind):
    check_smoothing(lambda **given: model(track, spread=0.2, **kind, **given), collate, [0, 1, 3], [2], plain_loss)


@pytest.mark.parametrize("track", ROWS)
def test_the_text_may_be_replaced_and_the_embedding_is_the_encoders(track):
    built = model(track)
    batch = collate(built, [0, 1, 2])
    places = np.arange(batch["ids"].shape[1])
    check_replacement(built, batch, VOCABULARY, inside=(places > 0) & (places < batch["mask"].sum(axis=1)[:, None] + 1))
    assert built.embedding is built.backbone.embeddings.token


@kinds
def test_half_precision(track, kind):
    built = model(track, spread=0.1, label_smoothing=0.1, **kind)
    check_half_precision(built, collate(built, [0, 1, 2]))


@pytest.mark.parametrize(("track", "head"), [("relation", "full"), ("event", "efficient")])
def test_it_learns_its_texts_by_heart(track, head):
    built, task = model(track, bias=-4.0, head=head), get_task(track)
    recipe = load_recipe(task.recipes, "gplinker", [f"model.head={head}", "model.head_size=8"])
    optimizer = paddle.optimizer.Adam(0.02, parameters=built.parameters())
    for _ in range(50):
        built.loss(collate(built, [0, 1, 2, 3])).backward()
        optimizer.step()
        optimizer.clear_grad()
    rows = ROWS[track]
    predictions = task.predict(built, FEATURES[track], rows, SCHEMAS[track], VOCABULARY, recipe)
    assert task.score(rows, predictions)["f1"] == 1
    wider = task.predict(built, FEATURES[track], rows, SCHEMAS[track], VOCABULARY, recipe, floor=0.01)

    def values(found):  # a triple with more slots may stand in the place of one
        return {made[:5] if track == "event" else (made.predicate, made.subject.text, made.object[0][1].text) for made in found}

    assert all(values(some) <= values(more) for some, more in zip(predictions, wider, strict=True))
    assert all(made.probability >= 0.5 for found in predictions for made in found)


# -- schemas and texts of any size -------------------------------------------------------------------------------


def relations(n):
    names = tuple(f"关系{number}" for number in range(n))
    return RelationSchema(names, dict.fromkeys(names, ("@value",)), dict.fromkeys(names, "人"), {name: {"@value": "物"} for name in names})


@pytest.mark.parametrize("n", [1, 5000])
def test_a_schema_with_one_or_thousands_of_predicates(n):
    schema, task = relations(n), get_task("relation")
    rows = [RelationRecord("白露写了夜航", (Spo(f"关系{n - 1}", "白露", (("@value", "夜航"),)),)), RelationRecord("今天没有人写书", ())]
    features = task.make_features(rows, schema, Tokenizer(VOCABULARY), FeatureSettings(window=100, overlap=10))
    built = model("relation", schema=schema, bias=-8.0)
    batch = built.collate(features, np.arange(2), VOCABULARY, labelled=True)
    loss = built.loss(batch)
    loss.backward()
    assert np.isfinite(float(loss)) and batch["heads"].tolist() == [[0, n - 1, 0, 4]]
    recipe = load_recipe(task.recipes, "gplinker", ["model.head_size=8"])
    assert len(task.predict(built, features, rows, schema, VOCABULARY, recipe)) == 2
    assert [[made.key() for made in found] for found in task.ceiling(features, rows, schema, recipe=recipe)] == [
        [(f"关系{n - 1}", "白露", (("@value", "夜航"),))],
        [],
    ]


def test_full_heads_for_thousands_of_labels_are_refused():
    with pytest.raises(InputError) as caught:
        model("relation", schema=relations(600), head="full")
    (problem,) = caught.value.problems
    assert problem.code == "LIC-R006" and "1202 labels" in problem.found and "efficient" in problem.remedy


def test_an_odd_head_size_is_refused():
    with pytest.raises(InputError) as caught:
        load_recipe(get_task("event").recipes, "gplinker", ["model.head_size=63"], check=get_task("event").check_recipe)
    assert "63 is not even" in str(caught.value)


def test_decoding_takes_few_windows_of_many_labels(monkeypatch):
    rows, lengths = np.arange(10), np.full(10, 20)
    assert [len(part) for part in parts_of(rows, lengths, labels=4, efficient=True)] == [10]
    monkeypatch.setattr(gplinker_decode, "SCORES_AT_ONCE", 3 * 20 * (20 + 2 * 4))
    assert [part.tolist() for part in parts_of(rows, lengths, labels=4, efficient=True)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert [len(part) for part in parts_of(rows, lengths, labels=4, efficient=False)] == [1] * 10


def test_tables_hold_the_scores():
    built = model("event", spread=0.2)
    rows = np.array([0, 1])
    ((part, tables),) = tables_of(EagerEngine(built.network()), FEATURES["event"].ids, rows, VOCABULARY)
    scores = built(collate(built, [0, 1], labelled=False))
    assert part.tolist() == [0, 1] and isinstance(scores, GplinkerScores) and all(isinstance(table, PartsTable) for table in tables)
    full = scores.spans.full().numpy()  # [b, k, l, l]
    np.testing.assert_allclose(tables.spans.at(1, np.array([0, 1]), np.array([2, 2]), np.array([2, 5])), full[1, [0, 1], 2, [2, 5]], rtol=1e-5)


def test_scores_and_probabilities():
    scores = np.array([-800.0, -1.0, 0.0, 30.0], dtype=np.float32)
    np.testing.assert_allclose(probabilities(scores), [0.0, 1 / (1 + np.e), 0.5, 1.0], atol=1e-12)
    assert [logit(float(value)) for value in probabilities(scores[1:3])] == pytest.approx([-1.0, 0.0])
