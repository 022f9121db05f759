"""The CasRel model: batches, its parts against hand computations, and that it learns."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.inference import EagerEngine
from shared.optim import parameter_groups
from shared.text import Tokenizer, Vocabulary
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task
from tasks.relation.models.casrel import DISTANCES, CasrelLogits, CasrelSettings, RelationCasrel, wrong_subjects
from tasks.relation.models.casrel_decode import EngineHead, GoldHead, link_types
from tasks.relation.predictions import Prediction
from tasks.relation.records import RelationRecord, Spo
from tasks.relation.schema import RelationSchema

from ..parts import check_divergence, check_half_precision, check_parts_add_up, check_replacement, check_smoothing

TASK = get_task("relation")
RECIPE = load_recipe(TASK.recipes, "quick")
SCHEMA = RelationSchema(
    ("作者", "饰演"),
    {"作者": ("@value",), "饰演": ("@value", "inWork")},
    {"作者": "图书作品", "饰演": "娱乐人物"},
    {"作者": {"@value": "人物"}, "饰演": {"@value": "人物", "inWork": "影视作品"}},
)
AUTHOR, ROLE, WORK = range(3)


def role(subject, value, work):
    return Spo("饰演", subject, (("@value", value), ("inWork", work)))


def author(subject, value):
    return Spo("作者", subject, (("@value", value),))


ROWS = [
    RelationRecord("高远山在北风里演陆明，在南港里演沈舟", (role("高远山", "陆明", "北风"), role("高远山", "沈舟", "南港")), 1),
    RelationRecord("夜航由简宁和林晚合著，夜航很厚", (author("夜航", "简宁"), author("夜航", "林晚")), 2),
    RelationRecord("今天没有人写书", (), 3),
    RelationRecord("白露演陆明", (Spo("饰演", "白露", (("@value", "陆明"),)),), 4),
]
VOCABULARY = Vocabulary.build([row.text for row in ROWS], max_size=300)
FEATURES = TASK.make_features(ROWS, SCHEMA, Tokenizer(VOCABULARY), FeatureSettings(window=100, overlap=10))


def model(seed=0, **given):
    paddle.seed(11)
    config = BackboneConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_layers=1, num_heads=2, intermediate_size=64, dropout=0.0, attention_dropout=0.0
    )
    built = RelationCasrel(Backbone(config), pairs=SCHEMA.pairs, settings=CasrelSettings(link_size=8, **given), seed=seed)
    built.eval()
    return built


def head_of(built, batch):
    """What the model answers on a batch."""
    return EngineHead(EagerEngine(built.network()), batch["ids"], batch["mask"])


def shaken(spread=0.3, **given):
    """A model whose every weight is random: nothing is zero, so nothing can hide."""
    built = model(**given)
    rng = np.random.default_rng(5)
    for parameter in built.parameters():
        parameter.set_value(paddle.to_tensor(rng.normal(0, spread, parameter.shape).astype(np.float32)))
    return built


def collate(built, rows, labelled=True, epoch=0):
    return built.collate(FEATURES, np.asarray(rows), VOCABULARY, labelled=labelled, epoch=epoch)


# -- batches -----------------------------------------------------------------------------------------------------


def test_unlabelled_batches_are_ids_and_mask():
    batch = collate(model(), [1, 3], labelled=False)
    assert sorted(batch) == ["ids", "mask"]
    lengths = [len(ROWS[1].text), len(ROWS[3].text)]
    assert batch["mask"].tolist() == [[1.0] * n + [0.0] * (max(lengths) - n) for n in lengths]
    assert batch["ids"].shape == (2, max(lengths) + 2)
    assert batch["ids"][1, : lengths[1] + 2].tolist() == [VOCABULARY.cls_id, *FEATURES.ids[3].tolist(), VOCABULARY.sep_id]
    assert (batch["ids"][1, lengths[1] + 2 :] == VOCABULARY.pad_id).all()


def test_labelled_batches_hold_the_gold():
    batch = collate(model(negatives=0), [1, 2, 0])
    assert batch["rows"].tolist() == [0, 2] and batch["spans"][1].tolist() == [0, 2]
    assert np.argwhere(batch["subjects"][0, :, 0] == 1).tolist() == [[0, 0], [1, 1], [11, 0], [12, 1]]
    assert batch["spans"][0].tolist() in ([0, 1], [11, 12])
    assert not batch["subjects"][1].any() and batch["subjects"].shape == (3, 18, 1, 2)
    gold = GoldHead(FEATURES, [1, 2, 0], len(SCHEMA.pairs), link_types(SCHEMA.pairs))
    np.testing.assert_array_equal(batch["objects"], gold.objects(batch["rows"], batch["spans"]))
    links = batch["links"].tolist()
    assert [link[:2] for link in links] == [[1, 0]] * 4
    assert sorted(tuple(link[2:]) for link, linked in zip(links, batch["linked"], strict=True) if linked) == [(8, 9, 4, 5), (16, 17, 12, 13)]
    np.testing.assert_array_equal(batch["linked"], gold.links(batch["links"]))


def test_what_is_drawn_depends_on_seed_epoch_and_window_alone():
    def same(left, right):
        return all(np.array_equal(left[name], right[name]) for name in left)

    def spans(batch, position):
        return batch["spans"][batch["rows"] == position].tolist()

    rows = [1, 0, 3]
    batches = [collate(model(negatives=3, seed=seed), rows) for seed in range(6)]
    built = model(negatives=3)
    collate(built, [2])
    assert same(collate(built, rows), batches[0]) and same(collate(built, rows), batches[0])
    assert not all(same(batch, batches[0]) for batch in batches[1:])
    picked = {tuple(batch["spans"][0].tolist()) for batch in batches}
    assert picked == {(0, 1), (11, 12)}
    epochs = [collate(built, rows, epoch=epoch) for epoch in range(6)]
    assert same(epochs[0], batches[0]) and len({tuple(map(tuple, spans(batch, 1))) for batch in epochs}) > 1
    assert {tuple(batch["spans"][0].tolist()) for batch in epochs} == picked
    for epoch, batch in enumerate(epochs):
        for position, row in enumerate(rows):
            assert spans(collate(built, [row], epoch=epoch), 0) == spans(collate(built, [2, row], epoch=epoch), 1) == spans(batch, position)


def test_batches_without_any_subject():
    built = model(negatives=0)
    batch = collate(built, [2])
    assert batch["rows"].shape == (0,) and batch["spans"].shape == (0, 2) and batch["objects"].shape == (0, 7, 3, 2)
    assert batch["links"].shape == (0, 6) and batch["linked"].shape == (0,)
    assert np.isfinite(float(built.loss(batch)))


def test_a_window_of_one_token():
    rows = [RelationRecord("夜", (), 1)]
    features = TASK.make_features(rows, SCHEMA, Tokenizer(VOCABULARY), FeatureSettings(window=100, overlap=10))
    built = model(negatives=2)
    batch = built.collate(features, np.array([0]), VOCABULARY, labelled=True)
    assert batch["spans"].tolist() == [[0, 0], [0, 0]] and np.isfinite(float(built.loss(batch)))
    assert TASK.predict(built, features, rows, SCHEMA, VOCABULARY, RECIPE) == [[]]


def test_wrong_subjects_are_spans_that_are_no_subject():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(400):
        length = int(rng.integers(1, 15))
        first = rng.integers(0, length, (4, 1))  # [4, 1]
        spans = np.concatenate([first, np.minimum(first + rng.integers(0, 4, (4, 1)), length - 1)], axis=1)  # [4, 2]
        subjects, objects = spans[: rng.integers(0, 4)], spans[rng.integers(0, 4) :]
        own, others = (list(map(tuple, part.tolist())) for part in (subjects, objects))
        found = wrong_subjects(own, others, length, rng.random((3, 3)).tolist())
        gold = set(map(tuple, subjects.tolist()))
        assert len(found) <= 3
        for start, end in found:
            assert 0 <= start <= end < length and (start, end) not in gold
            crossed = {a for a, _ in gold} & {start} and {b for _, b in gold} & {end}
            kinds.add("crossed" if crossed else "object" if [start, end] in objects.tolist() else "any")
    assert kinds == {"crossed", "object", "any"}
    assert wrong_subjects([], [], 5, []) == []


def test_link_types_join_slots_of_one_predicate():
    pairs = (("甲", "@value"), ("乙", "@value"), ("乙", "b"), ("丙", "@value"), ("丙", "b"), ("丙", "c"))
    assert link_types(pairs) == {(1, 2): 0, (3, 4): 1, (3, 5): 2, (4, 5): 3}
    assert link_types(pairs[:1]) == {}


# -- parts -------------------------------------------------------------------------------------------------------


def test_the_conditional_norm_is_the_plain_one_at_the_start():
    built = model()
    x = paddle.to_tensor(np.random.default_rng(0).normal(2, 3, (2, 6, 32)).astype(np.float32))
    rows, spans = paddle.to_tensor([1, 0, 1]), paddle.to_tensor([[0, 2], [5, 5], [1, 1]])
    plain = paddle.nn.functional.layer_norm(x, [32], epsilon=1e-12)
    np.testing.assert_allclose(built._condition(x, rows, spans).numpy(), plain.numpy()[[1, 0, 1]], atol=1e-6)


def test_objects_equal_a_hand_computation():
    built = shaken()
    batch = collate(built, [0, 1], labelled=False)
    with paddle.no_grad():
        features = built.backbone(paddle.to_tensor(batch["ids"])).pre_norm.numpy()[1, 1:-1].astype(np.float64)  # [l, h]
    weights = {name: value.numpy().astype(np.float64) for name, value in built.named_parameters()}
    condition = np.concatenate([features[3], features[4]])  # [2h]
    gain = weights["norm.weight"] + condition @ weights["norm.weight_projection.weight"]  # [h]
    shift = weights["norm.bias"] + condition @ weights["norm.bias_projection.weight"]  # [h]
    centred = features - features.mean(axis=1, keepdims=True)  # [l, h]
    seen = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True)) * gain + shift  # [l, h]
    logits = (seen @ weights["object.project.weight"] + weights["object.project.bias"]).reshape(-1, 3, 2)  # [l, p, 2]
    expected = (1 / (1 + np.exp(-logits))) ** 4  # [l, p, 2]
    length = len(ROWS[1].text)
    head = head_of(built, batch)
    found = head.objects(np.array([1]), np.array([[3, 4]]))[0]  # [l, p, 2]
    np.testing.assert_allclose(found[:length], expected[:length], rtol=1e-3, atol=1e-5)
    assert not found[length:].any()

    ends = np.concatenate([seen[2], seen[4]]), np.concatenate([seen[0], seen[0]])  # [2h], [2h]
    hidden = weights["link_distance.weight"][DISTANCES - 2]  # [k]
    for side, vector in zip(("left", "right"), ends, strict=True):
        hidden = hidden + vector @ weights[f"link_{side}.weight"] + weights[f"link_{side}.bias"]  # [k]
    logit = (np.tanh(hidden) @ weights["link.weight"] + weights["link.bias"])[0]
    (linked,) = head.links(np.array([[0, 0, 2, 4, 0, 0]]))
    assert linked == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-3, abs=1e-5)


def test_each_type_of_link_has_its_own_output():
    paddle.seed(0)
    config = BackboneConfig(vocab_size=len(VOCABULARY), hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8)
    pairs = (("乙", "@value"), ("乙", "b"), ("丙", "@value"), ("丙", "b"))
    built = RelationCasrel(Backbone(config), pairs=pairs, settings=CasrelSettings())
    built.eval()
    built.link.bias.set_value(paddle.to_tensor([9.0, -9.0]))
    head = head_of(built, collate(built, [0], labelled=False))
    head.objects(np.array([0]), np.array([[0, 2]]))
    first, second = head.links(np.array([[0, 0, 4, 5, 8, 9], [0, 1, 4, 5, 8, 9]]))
    assert first > 0.99 and second < 0.01


def expected_loss(built, batch, smoothing=0.0):
    """Averaged over real tokens: once each for subjects and links, over the tokens that each asked subject sees for objects."""
    head = head_of(built, batch)
    found = head.subjects()[:, :, None].astype(np.float64)  # [b, l, 1, 2]
    objects = head.objects(batch["rows"], batch["spans"]).astype(np.float64)  # [n, l, p, 2]
    linked = head.links(batch["links"]).astype(np.float64)  # [m]
    mask = batch["mask"][:, :, None, None]  # [b, l, 1, 1]

    def cross_entropy(gold, probability):
        return -(gold * np.log(np.maximum(probability, 1e-300)) + (1 - gold) * np.log1p(-probability))

    def tags(gold, probability, mask):
        gold = (1 - smoothing) * gold + smoothing / 2
        return (cross_entropy(gold, np.where(mask > 0, probability, 0.5)) * mask).sum() / 2 / mask.sum()

    expected = tags(batch["subjects"], found, mask) + tags(batch["objects"], objects, mask[batch["rows"]])
    return expected + cross_entropy(batch["linked"], linked).sum() / mask.sum()


def test_the_loss_is_that_of_subjects_objects_and_links():
    built = shaken(spread=0.1)
    batch = collate(built, [0, 1, 3])
    assert len(batch["linked"]) and float(built.loss(batch)) == pytest.approx(expected_loss(built, batch), rel=1e-4)


def test_subjects_are_squared_sigmoids_hidden_behind_the_end():
    built = shaken()
    batch = collate(built, [0, 3], labelled=False)
    with paddle.no_grad():
        hidden = built.backbone(paddle.to_tensor(batch["ids"])).hidden[:, 1:-1]  # [b, l, h]
        logits = built.subject(hidden).numpy()[:, :, 0]  # [b, l, 2]
    found = head_of(built, batch).subjects()
    length = len(ROWS[3].text)
    np.testing.assert_allclose(found[0], (1 / (1 + np.exp(-logits[0]))) ** 2, rtol=1e-4, atol=1e-6)
    assert found[1, :length].all() and not found[1, length:].any()


def test_a_batch_answers_as_its_rows_alone():
    built = shaken()
    rows = [0, 1, 2, 3]
    where, spans = np.array([0, 3, 1, 3]), np.array([[0, 2], [0, 1], [3, 5], [4, 4]])
    head = head_of(built, collate(built, rows, labelled=False))
    together, tags = head.subjects(), head.objects(where, spans)
    for row in rows:
        length = len(ROWS[row].text)
        alone = head_of(built, collate(built, [row], labelled=False))
        np.testing.assert_allclose(together[row, :length], alone.subjects()[0], atol=1e-5)
        own = np.flatnonzero(where == row)
        if len(own):
            found = alone.objects(np.zeros(len(own), dtype=np.int64), spans[own])
            np.testing.assert_allclose(tags[own, :length], found, atol=1e-5)


def test_links_weigh_distance_no_further_than_they_know():
    built = shaken()
    far = "高" * 200
    features = TASK.make_features([RelationRecord(far)], SCHEMA, Tokenizer(VOCABULARY), FeatureSettings(window=254, overlap=10))
    head = head_of(built, built.collate(features, np.array([0]), VOCABULARY, labelled=False))
    head.objects(np.array([0]), np.array([[0, 0]]))
    for link in ([0, 0, 0, 0, 199, 199], [0, 0, 199, 199, 0, 0]):
        assert 0 <= head.links(np.array([link]))[0] <= 1


# -- parts of a batch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "cuts"), [([0, 1, 3], [1]), ([1, 2, 0, 3], [1, 2]), ([2, 0], [1]), ([3, 0, 1, 2, 0], [2, 4])])
def test_losses_of_parts_add_up_to_the_whole(rows, cuts):
    built = shaken(spread=0.1, negatives=2)
    assert check_parts_add_up(built, lambda part: collate(built, part, epoch=3), rows, cuts, built.loss) > 0


def test_a_part_without_any_subject_adds_its_share():
    built = shaken(spread=0.1, negatives=0)
    assert built.divisors(collate(built, [2])) == {"tokens": 7.0, "subject_tokens": 0.0}
    check_parts_add_up(built, lambda part: collate(built, part), [0, 2], [1], built.loss)
    assert check_parts_add_up(built, lambda part: collate(built, part), [2, 2], [1], built.loss) > 0


# -- two passes, smoothing, replacement --------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "cuts"), [([0, 1, 2, 3], [1, 3]), ([2, 3], [1]), ([2, 2], [1])])
def test_divergence_of_two_passes(rows, cuts):
    built = shaken(spread=0.1, negatives=0)
    check_divergence(built, lambda part: collate(built, part, epoch=2), rows, cuts)


def test_divergence_is_that_of_tags_and_links():
    built = shaken(spread=0.1)
    batch = collate(built, [0, 1, 2, 3])
    first = built.examine(batch)[1]
    second = CasrelLogits(*(part + paddle.randn(part.shape) for part in first))

    def apart(left, right, power):
        p, q = ((1 / (1 + np.exp(-x.numpy().astype(np.float64)))) ** power for x in (left, right))
        return (p - q) * (np.log(p / (1 - p)) - np.log(q / (1 - q))) / 2

    mask = batch["mask"][:, :, None, None]  # [b, l, 1, 1]
    expected = (apart(first.subjects, second.subjects, 2) * mask).sum() / 2 / mask.sum()
    expected += (apart(first.objects, second.objects, 4) * mask[batch["rows"]]).sum() / 2 / mask[batch["rows"]].sum()
    expected += apart(first.links, second.links, 1).sum() / mask.sum()
    assert float(built.divergence(first, second, batch)) == pytest.approx(expected, rel=1e-3)


def test_smoothing_softens_tags():
    check_smoothing(lambda **given: shaken(spread=0.1, **given), collate, [0, 1, 3], [1], expected_loss)


def test_the_text_may_be_replaced():
    built = model()
    batch = collate(built, [0, 1, 2])
    inside = np.pad(batch["mask"] > 0, ((0, 0), (1, 1)))  # [b, l + 2]
    check_replacement(built, batch, VOCABULARY, inside=inside)
    assert built.embedding is built.backbone.embeddings.token


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_half_precision(smoothing):
    built = shaken(spread=0.1, label_smoothing=smoothing)
    batch = collate(built, [0, 1, 2, 3])
    check_half_precision(built, batch)
    loss, logits = built.examine(batch)
    for dtype in ("bfloat16", "float16"):
        halves = CasrelLogits(*(part.astype(dtype) for part in logits))
        assert float(built._loss(halves, batch, built.divisors(batch))) == pytest.approx(float(loss), rel=0.01)
        assert float(built.divergence(halves, halves, batch)) == 0


def test_schemas_without_side_slots():
    paddle.seed(0)
    config = BackboneConfig(vocab_size=len(VOCABULARY), hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8)
    built = RelationCasrel(Backbone(config), pairs=(("作者", "@value"),), settings=CasrelSettings())
    schema = RelationSchema(("作者",), {"作者": ("@value",)}, {"作者": "图书作品"}, {"作者": {"@value": "人物"}})
    features = TASK.make_features(ROWS[1:3], schema, Tokenizer(VOCABULARY), FeatureSettings(window=100, overlap=10))
    assert np.isfinite(float(built.loss(built.collate(features, np.array([0, 1]), VOCABULARY, labelled=True))))


# -- learning ----------------------------------------------------------------------------------------------------


def test_every_weight_gets_a_gradient():
    built = shaken()
    built.train()
    built.loss(collate(built, [0, 1, 3])).backward()
    idle = {name for name, parameter in built.named_parameters() if parameter.grad is None or not parameter.grad.numpy().any()}
    assert not idle
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in built.parameters() if parameter.grad is not None)


def test_new_links_are_undecided():
    built = model()
    head = head_of(built, collate(built, [0], labelled=False))
    head.objects(np.array([0]), np.array([[0, 2]]))
    spans = np.array([[0, 0, a, a + 1, b, b + 1] for a in range(0, 16, 2) for b in range(0, 16, 3)])
    np.testing.assert_allclose(head.links(spans), 0.5, atol=0.1)


def test_four_sentences_are_learnt_by_heart():
    built = model()
    built.train()
    groups = parameter_groups(built, head_ratio=2.0, weight_decay=0.0)
    optimizer = paddle.optimizer.AdamW(learning_rate=2e-3, parameters=groups, weight_decay=0.0)
    losses = []
    for step in range(150):
        loss = built.loss(collate(built, np.roll([0, 1, 2, 3], step), epoch=step))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    assert np.isfinite(losses).all() and np.mean(losses[-10:]) < 0.05 * np.mean(losses[:5])
    built.eval()
    predictions = TASK.predict(built, FEATURES, ROWS, SCHEMA, VOCABULARY, RECIPE)
    assert TASK.score(ROWS, predictions)["f1"] == 1
    assert all(isinstance(made, Prediction) and 0 < made.probability <= 1 for found in predictions for made in found)
