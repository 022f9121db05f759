"""SimBERT's step as an objective: whole batches, the loss of the component, scores by their definition."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.errors import InputError
from shared.robust import RandomReplacement
from shared.similarity import PairBatcher
from shared.text import Tokenizer, Vocabulary
from tasks.pretraining.models.settings import SimbertSettings
from tasks.pretraining.models.simbert import SimilarityModel, batch_of, rows_of_budget
from tasks.pretraining.objective import Pretraining
from tasks.recipe import load_recipe, recipe_names

PAIRS = [(f"{a}多远{b}", f"{b}的距离是{a}") for a in "甲乙丙丁戊" for b in "子丑寅卯"]
VOCABULARY = Vocabulary.build([text for pair in PAIRS for text in pair], max_size=80)
TOKENIZER = Tokenizer(VOCABULARY)
BATCHER = PairBatcher(PAIRS, TOKENIZER, batch_rows=6, max_length=12)


@pytest.fixture(scope="module")
def model():
    paddle.seed(2)
    config = BackboneConfig(len(VOCABULARY), 16, 1, 2, 32, dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
    built = SimilarityModel(Backbone(config), TOKENIZER, SimbertSettings(max_length=12, scale=5.0))
    built.eval()
    return built


def test_a_step_is_a_whole_batch_of_an_epoch(model):
    for epoch in (0, 3):
        count = BATCHER.steps(epoch)
        for number, pairs in enumerate(BATCHER.batches(epoch)):
            for batch in (batch_of(BATCHER, number, epoch), batch_of(BATCHER, number + count, epoch)):
                np.testing.assert_array_equal(batch["ids"], pairs.ids)
                assert float(model.loss(batch, {"batches": 1.0})) == float(model.simbert.loss(pairs).total)


def test_parts_stand_under_the_names_that_simbert_gives_them(model):
    names = {name.partition(".")[0] for name in model.state_dict()}
    assert names == {"backbone", "language_model_head", "pooler"}
    assert len(model.parameters()) == len(model.simbert.parameters())


def test_scores_by_their_definition(model):
    batches = list(BATCHER.batches(1))
    told = list(model.evaluate(batches))
    assert len(told) == len(batches) + 1
    rows, right, losses = 0, 0, np.zeros(2)
    for batch in batches:
        found = model.simbert.loss(batch)
        vectors = model.simbert(paddle.to_tensor(batch.ids), paddle.to_tensor(batch.segment_ids)).numpy()
        cosines = [[-9 if i == j else a @ b / np.linalg.norm(a) / np.linalg.norm(b) for j, b in enumerate(vectors)] for i, a in enumerate(vectors)]
        right += sum(int(np.argmax(row)) == (i + 1 if i % 2 == 0 else i - 1) for i, row in enumerate(cosines))
        losses += np.asarray([float(found.seq2seq), float(found.similarity)]) * len(vectors)
        rows += len(vectors)
    expected = {"sequence_loss": losses[0] / rows, "similarity_loss": losses[1] / rows, "accuracy": right / rows}
    assert told[-1] == pytest.approx(expected, rel=1e-5)


def test_only_targets_are_replaced_and_labels_stay(model):
    batch = batch_of(BATCHER, 0, 0)
    segments, lengths = model.replaceable(batch)
    replaced = {**batch, "ids": RandomReplacement(1.0, 0.9, pool="target", seed=1)(batch["ids"], segments, lengths, step=0)}
    changed = replaced["ids"] != batch["ids"]
    assert changed.any() and not changed[segments == 0].any()
    assert float(model.loss(replaced)) != float(model.loss(batch))


def test_rows_of_a_budget():
    assert rows_of_budget(4096, 32) == 64 and rows_of_budget(4 * 23 + 22, 12) == 4
    for tokens in range(92, 900, 7):
        rows = rows_of_budget(tokens, 12)
        assert rows % 2 == 0 and tokens / 2 < rows * 23 <= tokens  # so that no two steps fit one budget
    with pytest.raises(ValueError, match="give 92 or more"):
        rows_of_budget(91, 12)


@pytest.mark.parametrize("name", recipe_names(Pretraining.recipes))
def test_shipped_recipes_hold(name):
    load_recipe(Pretraining.recipes, name, check=Pretraining().check_recipe)


@pytest.mark.parametrize(
    ("name", "override", "key"),
    [
        ("mlm", "model.maskin=word", "model.maskin"),
        ("mlm", "model.name=bert", "model.name"),
        ("mlm", "model.random_share=0.5", "model"),
        ("mlm", "decode.beam=3", "decode.beam"),
        ("mlm", 'training.teachers=["a"]', "training.teachers"),
        ("mlm", "training.train_on=train+dev", "training.train_on"),
        ("mlm", "training.replacement_rows=0.5", "training.replacement_rows"),
        ("simbert", "training.accumulation=2", "training.accumulation"),
        ("simbert", "training.rdrop=1", "training.rdrop"),
    ],
)
def test_what_pretraining_does_not_have_is_refused(name, override, key):
    with pytest.raises(InputError, match=key.replace(".", r"\.")):
        load_recipe(Pretraining.recipes, name, [override], check=Pretraining().check_recipe)
