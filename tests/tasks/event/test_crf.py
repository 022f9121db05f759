"""The CRF tagger: batches, its loss in parts."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.text import Tokenizer, Vocabulary
from tasks.event.models.crf import CrfSettings, EventCrf
from tasks.event.models.crf_decode import gold_tags
from tasks.event.records import Argument, Event, EventRecord
from tasks.event.schema import EventSchema
from tasks.recipe import FeatureSettings
from tasks.registry import get_task

from ..parts import check_divergence, check_half_precision, check_parts_add_up, check_replacement, check_smoothing

TASK = get_task("event")
SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})
TEXTS = ("白露昨天得了一把旧伞", "今天没有事", "简宁丢了他的船票又得了白露的旧伞", "林晚在海螺湾丢了船")


def event(kind, trigger, start, *arguments):
    return Event(kind, trigger, start, tuple(Argument(role, text, start=None) for role, text in arguments))


ROWS = [
    EventRecord("a", TEXTS[0], (event("甲-得", "得", 4, ("人", "白露"), ("物", "一把旧伞")),)),
    EventRecord("b", TEXTS[1], ()),
    EventRecord(
        "c", TEXTS[2], (event("乙-失", "丢", 2, ("人", "简宁")), event("甲-得", "得", 9, ("人", "简宁"), ("物", "白露的旧伞"), ("物", "旧伞")))
    ),
    EventRecord("d", TEXTS[3], (event("乙-失", "丢", 6, ("人", "林晚")),)),
]
VOCABULARY = Vocabulary.build([row.text for row in ROWS], max_size=300)
FEATURES = TASK.make_features(ROWS, SCHEMA, Tokenizer(VOCABULARY), FeatureSettings(window=100, overlap=10))
KINDS = [{"tagging": "per_role"}, {"tagging": "flat"}, {"tagging": "per_role", "triggers": False, "text_gate": False}]


def model(spread=0.0, **given):
    """A tiny model without dropout, in evaluation mode; with ``spread`` every weight is moved, so that no scores are alike."""
    paddle.seed(11)
    config = BackboneConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32, dropout=0.0, attention_dropout=0.0
    )
    settings = CrfSettings(head_dropout=0.0, **given)
    built = EventCrf(Backbone(config), num_pairs=len(SCHEMA.pairs), num_types=len(SCHEMA.types), settings=settings)
    rng = np.random.default_rng(5)
    for parameter in built.parameters() if spread else ():
        parameter.set_value(parameter.numpy() + rng.normal(0, spread, parameter.shape).astype(np.float32))
    built.eval()
    return built


def collate(built, rows, labelled=True, epoch=0):
    return built.collate(FEATURES, np.asarray(rows), VOCABULARY, labelled=labelled, epoch=epoch)


# -- batches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_batches_hold_the_gold(kind):
    built = model(**kind)
    batch = collate(built, [2, 1, 0])
    lengths = [len(TEXTS[row]) for row in (2, 1, 0)]
    assert batch["lengths"].tolist() == lengths and batch["ids"].shape == (3, max(lengths) + 2)
    for row, ids, tags, length in zip((2, 1, 0), batch["ids"], batch["tags"], lengths, strict=True):
        assert ids.tolist() == [VOCABULARY.cls_id, *FEATURES.ids[row].tolist(), VOCABULARY.sep_id] + [VOCABULARY.pad_id] * (max(lengths) - length)
        expected = gold_tags(FEATURES.spans[row], max(lengths), built.num_labels, built.settings.tagging)
        np.testing.assert_array_equal(tags, expected)
        assert tags.any() == (row != 1)
    assert set(collate(built, [2, 1], labelled=False)) == {"ids", "lengths"}
    assert all(np.array_equal(value, collate(built, [2, 1, 0], epoch=4)[name]) for name, value in batch.items())


# -- parts of a batch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "cuts"), [([0, 1], [1]), ([1, 2, 0, 3], [1, 3])])
def test_losses_of_parts_add_up_to_the_whole(kind, rows, cuts):
    built = model(spread=0.2, **kind)
    assert check_parts_add_up(built, lambda part: collate(built, part), rows, cuts, built.loss) > 0
    alone = [float(built.loss(collate(built, [row]))) for row in rows]
    assert float(built.loss(collate(built, rows))) == pytest.approx(np.mean(alone), rel=1e-5)


# -- two passes, smoothing, replacement --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_divergence_is_that_of_the_emissions(kind):
    built = model(spread=0.2, **kind)
    rows = [0, 1, 3]
    check_divergence(built, lambda part: collate(built, part), rows, [1])
    batch = collate(built, rows)
    first = built(batch)  # [b, l, r, k]
    second = first + paddle.randn(first.shape)
    p, q = (np.exp(x.numpy().astype(np.float64)) / np.exp(x.numpy().astype(np.float64)).sum(axis=-1, keepdims=True) for x in (first, second))
    both = ((p - q) * np.log(p / q)).sum(axis=-1) / 2  # [b, l, r]
    expected = np.mean([both[row, :length].sum() for row, length in enumerate(batch["lengths"])])
    assert float(built.divergence(first, second, batch)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_smoothing_mixes_in_random_taggings(kind):
    def expected(built, batch, smoothing):
        given = [paddle.to_tensor(batch[name]) for name in ("tags", "lengths")]
        emissions = built(batch)  # [b, l, r, k]
        partition = built.crf.log_partition(emissions, given[1]).numpy().astype(np.float64)  # [b, r]
        gold, drawn = built.crf.path_score(emissions, *given).numpy(), built.crf.random_score(emissions, given[1]).numpy()  # [b, r] each
        return (partition - (1 - smoothing) * gold - smoothing * drawn).sum() / len(gold)

    check_smoothing(lambda **given: model(spread=0.2, **kind, **given), collate, [0, 1, 3], [2], expected)


def test_the_text_may_be_replaced():
    built = model()
    batch = collate(built, [0, 1, 2])
    inside = (np.arange(batch["ids"].shape[1]) < batch["lengths"][:, None] + 1) & (np.arange(batch["ids"].shape[1]) > 0)
    check_replacement(built, batch, VOCABULARY, inside=inside)


def test_the_embedding_is_the_encoders():
    built = model()
    assert built.embedding is built.backbone.embeddings.token


@pytest.mark.parametrize("kind", [*KINDS, {"label_smoothing": 0.1}])
def test_half_precision(kind):
    built = model(spread=0.2, **kind)
    check_half_precision(built, collate(built, [0, 1, 3]))
