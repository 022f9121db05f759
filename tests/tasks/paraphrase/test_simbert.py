"""The model on records: its losses are SimBERT's, groups are no negatives, and the network gives what training sees."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.errors import InputError
from shared.inference import EagerEngine
from shared.losses import in_batch_similarity, ranked_cosines
from shared.similarity import SimBERT
from shared.similarity.batcher import PairBatch
from shared.text import Tokenizer, Vocabulary
from tasks.paraphrase.features import make_features
from tasks.paraphrase.models.simbert_decode import cosines, engine_decoder
from tasks.paraphrase.records import ParaphraseRecord
from tasks.recipe import load_recipe
from tasks.registry import get_task

TASK = get_task("paraphrase")
ROWS = [
    ParaphraseRecord("护照怎么办", "如何办理护照", 1),
    ParaphraseRecord("驾照怎么办", "护照怎么办", 0),
    ParaphraseRecord("如何办理护照", "哪里能办护照", 1),
    ParaphraseRecord("宽带怎么办", "哪里能办宽带", 1),
    ParaphraseRecord("宽带怎么办", "宽带怎么办", 1),
    ParaphraseRecord("煤气", "驾照"),
]
TOKENIZER = Tokenizer(Vocabulary.build([TASK.text_of(row) for row in ROWS], max_size=200))
FEATURES = make_features(ROWS, TOKENIZER, window=12)


def recipe(*overrides):
    return load_recipe(TASK.recipes, "quick", ("features.window=12", "model.pair_weight=0.0", *overrides), check=TASK.check_recipe)


def new_model(*overrides, **changes):
    paddle.seed(5)
    sizes = {"hidden_size": 24, "num_layers": 2, "num_heads": 4, "intermediate_size": 32, "max_positions": 32, **changes}
    model = TASK.build_model(Backbone(BackboneConfig(vocab_size=len(TOKENIZER.vocabulary), **sizes)), None, recipe(*overrides))
    for parameter in model.parameters():
        parameter.set_value(parameter * 6 if parameter.ndim == 2 else parameter + 0.1 * paddle.randn(parameter.shape))
    model.eval()
    return model


def collate(model, rows, features=FEATURES):
    return model.collate(features, np.asarray(rows), TOKENIZER.vocabulary, labelled=True)


# -- what trains ---------------------------------------------------------------------------------------------------------


def test_lengths_are_those_of_the_rows_and_0_for_what_teaches_nothing():
    model = new_model()
    lengths = model.training_lengths(FEATURES)
    assert (lengths > 0).tolist() == [True, False, True, True, False, False]
    assert collate(model, [3])["ids"].size == lengths[3]
    short = new_model("model.sequence_weight=0.0")
    assert short.training_lengths(FEATURES)[0] == collate(short, [0])["ids"].size == 2 * 8
    ranked = new_model("model.pair_weight=1.0").training_lengths(FEATURES)
    assert (ranked > 0).tolist() == [True, True, True, True, False, False]


def test_a_batch_is_both_directions_of_every_pair():
    batch = collate(new_model(), [1, 3, 0])
    words = TOKENIZER.vocabulary.tokens
    texts = ["".join(words[token] for token in row if token != TOKENIZER.vocabulary.pad_id) for row in batch["ids"]]
    assert texts == [
        "[CLS]宽带怎么办[SEP]哪里能办宽带[SEP]",
        "[CLS]哪里能办宽带[SEP]宽带怎么办[SEP]",
        "[CLS]护照怎么办[SEP]如何办理护照[SEP]",
        "[CLS]如何办理护照[SEP]护照怎么办[SEP]",
        "[CLS]驾照怎么办[SEP]",
        "[CLS]护照怎么办[SEP]",
    ]
    assert batch["alike"].tolist() == [True, True, False] and len(batch["groups"]) == 2
    assert batch["segments"].sum(axis=1).tolist() == [7, 6, 7, 6, 0, 0]


def test_pairs_that_share_a_text_are_one_group():
    groups = new_model().groups_of(FEATURES)
    assert groups[0] == groups[2] != groups[3] == groups[4] and groups[1] == groups[5] == -1


# -- losses ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("double_backward", [False, True])
def test_the_loss_is_simberts(pooling, double_backward):
    model = new_model(f"model.pooling={pooling}", double_backward=double_backward)
    batch = collate(model, [0, 2, 3])
    whole = SimBERT(model.backbone, TOKENIZER, head=model.language_model_head, max_length=14, pooling=pooling)
    whole.pooler.weight.set_value(model.pooler.weight)
    whole.pooler.bias.set_value(model.pooler.bias)
    expected = whole.loss(PairBatch(batch["texts"], batch["segments"], batch["groups"]))
    assert float(model.loss(batch)) == pytest.approx(float(expected.total), rel=1e-5)
    vectors = whole(paddle.to_tensor(batch["texts"]), paddle.to_tensor(batch["segments"]))  # [6, h]
    masked, plain = (float(in_batch_similarity(vectors, groups=groups)) for groups in (batch["groups"], None))
    assert float(expected.similarity) == pytest.approx(masked, rel=1e-5) and masked < plain


def test_the_check_values_come_through_the_design(monkeypatch):
    model = new_model("model.sequence_weight=0.0", hidden_size=2, num_heads=1)
    given = paddle.to_tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])  # [4, h]
    monkeypatch.setattr(model.simbert, "vectors", lambda hidden, ids, segments: given)
    assert float(model.loss(collate(model, [0, 3]))) == pytest.approx(0.00123784260657, abs=5e-8)


def test_weights_weigh():
    batch = collate(new_model(), [0, 1, 3])
    parts = {}
    for name in ("similarity", "sequence", "pair"):
        others = [f"model.{other}_weight=0.0" for other in ("similarity", "sequence", "pair") if other != name]
        parts[name] = float(new_model(*others, f"model.{name}_weight=1.0").loss(batch))
    both = new_model("model.similarity_weight=0.5", "model.sequence_weight=2.0", "model.pair_weight=3.0").loss(batch)
    assert float(both) == pytest.approx(0.5 * parts["similarity"] + 2 * parts["sequence"] + 3 * parts["pair"], rel=1e-5)
    model = new_model()
    vectors = model.simbert(paddle.to_tensor(batch["texts"]), paddle.to_tensor(batch["segments"])).numpy()  # [6, h]
    ranked = ranked_cosines(paddle.to_tensor(cosines(vectors[::2], vectors[1::2]).astype("float32")), batch["alike"])
    assert parts["pair"] == pytest.approx(float(ranked), rel=1e-4)


def test_a_vector_does_not_know_its_target():
    whole, short = new_model("model.similarity_weight=1.0"), new_model("model.sequence_weight=0.0")
    batches = [collate(model, [0, 3]) for model in (whole, short)]
    assert batches[1]["segments"].sum() == 0 < batches[0]["segments"].sum()
    losses = []
    for batch in batches:
        vectors = whole.simbert(paddle.to_tensor(batch["texts"]), paddle.to_tensor(batch["segments"]))  # [4, h]
        losses.append(float(in_batch_similarity(vectors)))
    assert float(short.loss(batches[1])) == pytest.approx(losses[0], rel=1e-4) and losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("rows", [[1], [3], [0, 1]])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_every_batch_has_a_loss_and_a_gradient(rows, weight):
    model = new_model("model.pair_weight=1.0", f"model.sequence_weight={weight}")
    model.train()
    loss = model.loss(collate(model, rows))
    loss.backward()
    assert np.isfinite(float(loss)) and all(np.isfinite(p.grad.numpy()).all() for p in model.parameters() if p.grad is not None)


def test_random_replacement_changes_what_is_read_alone():
    model = new_model()
    batch = collate(model, [0, 3])
    segments, lengths = model.replaceable(batch)
    assert (segments == batch["segments"]).all() and lengths.tolist() == (batch["texts"] != TOKENIZER.vocabulary.pad_id).sum(axis=1).tolist()
    other = batch["ids"].copy()
    other[0, int(segments[0].argmax())] = TOKENIZER.vocabulary.sep_id
    vectors = [model.simbert(paddle.to_tensor(ids), paddle.to_tensor(segments)).numpy() for ids in (batch["ids"], other)]
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-6)  # a source does not see its target
    assert float(model.loss({**batch, "ids": other})) != float(model.loss(batch))


# -- prediction --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_cosine_is_that_of_simberts_vectors_whatever_else_is_in_the_batch(pooling):
    model = new_model(f"model.pooling={pooling}")
    decode = engine_decoder(EagerEngine(model.network()), FEATURES, TOKENIZER.vocabulary, threshold=0.5)
    found = dict(decode(np.arange(len(ROWS))))
    whole = SimBERT(model.backbone, TOKENIZER, head=model.language_model_head, max_length=14, pooling=pooling)
    whole.pooler.weight.set_value(model.pooler.weight)
    whole.pooler.bias.set_value(model.pooler.bias)
    whole.eval()
    vectors = [whole.encode([getattr(row, name) for row in ROWS]) for name in ("text", "pair")]
    assert [found[unit].score for unit in range(6)] == pytest.approx((vectors[0] * vectors[1]).sum(axis=1).tolist(), abs=1e-5)
    assert dict(decode(np.asarray([4])))[4].score == pytest.approx(1.0)
    assert all(dict(decode(np.asarray([unit])))[unit].score == pytest.approx(found[unit].score, abs=1e-5) for unit in range(6))


# -- what is refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.accumulation=2", "training.accumulation = 2"),
        ("training.rdrop=1.0", "training.rdrop = 1.0"),
        ('training.teachers=["a"]', "training.teachers"),
        ("model.pooling=max", "model.pooling = 'max'"),
        ("model.scale=0", "model.scale"),
        ("decode.threshold=high", "decode.threshold"),
    ],
)
def test_settings_that_cannot_be(override, told):
    with pytest.raises(InputError) as error:
        recipe(override)
    assert [problem.code for problem in error.value.problems] == ["LIC-R006"] and told in error.value.problems[0].found


def test_nothing_to_learn_and_encoders_that_do_not_fit():
    with pytest.raises(InputError, match="all 0"):
        recipe("model.similarity_weight=0.0", "model.sequence_weight=0.0")
    for changes, told in (({"num_segments": 1}, "num_segments is 1"), ({"max_positions": 26}, "two texts of 12 tokens")):
        with pytest.raises(InputError, match=told) as error:
            new_model(**changes)
        assert error.value.problems[0].code == "LIC-E003"
