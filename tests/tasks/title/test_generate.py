"""The title generator: what it is taught, that it may write any word, and that every search finds what it has learnt."""

import numpy as np
import pytest

from pipelines.train_setup import loop_settings
from shared.decoding import rerank_mbr
from shared.errors import InputError
from shared.text import Tokenizer, Vocabulary
from shared.text.overlap import text_scores
from shared.training.gradients import Gradients
from shared.training.parallel import Ranks
from tasks.generation_words import AnyWords
from tasks.recipe import override
from tasks.registry import get_task
from tasks.title.records import TitleRecord

from ..generation_parts import Kit, check_contract, check_targets, random_texts

TASK = get_task("title")
ROWS = [
    TitleRecord("白露昨天得了一把旧伞", "白露得伞记"),
    TitleRecord("今天没有事", "无事"),
    TitleRecord("简宁丢了他的船票又得了白露的旧伞", "简宁的得与失"),
    TitleRecord("林晚在海螺湾丢了船", "论船"),
]
KIT = Kit(TASK, ROWS, None, max_target=12)
WORDS = len(KIT.vocabulary) - 4  # all but [PAD], [UNK], [CLS], [MASK]


def titles(predictions):
    return [row[0].text for row in predictions]


def test_a_target_is_the_title_in_any_words_of_the_vocabulary():
    batch = check_targets(KIT, [2, 1, 0, 3])
    assert "writable" not in batch and len(batch["words"]) == len(set(batch["words"].tolist())) == WORDS
    special = {KIT.vocabulary.pad_id, KIT.vocabulary.unk_id, KIT.vocabulary.cls_id, KIT.vocabulary.mask_id}
    assert batch["words"][0] == KIT.vocabulary.sep_id and not special & set(batch["words"].tolist())
    tokens = [KIT.vocabulary.token(int(index)) for index in batch["ids"][0][batch["segments"][0] == 1]]
    assert "".join(tokens) == "简宁的得与失[SEP]"
    for row, copied in zip(batch["ids"], batch["copied"], strict=True):
        inside = copied >= 0
        assert batch["words"][copied[inside]].tolist() == row[: len(copied)][inside].tolist()
    assert batch["copied"].max() + 1 < WORDS  # what the texts have comes first, what no text has behind it
    lengths = KIT.model().training_lengths(KIT.features)
    assert lengths.tolist() == [int(KIT.collate(KIT.model(), [row])["lengths"][0]) for row in range(len(ROWS))]


def test_reserved_and_unknown_tokens_are_no_words():
    vocabulary = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "白", "露"])
    words = AnyWords.of_vocabulary(vocabulary)
    assert [vocabulary.token(word) for word in words.words.tolist()] == ["[SEP]", "白", "露"]
    numbered = words.words_of([np.array([7, 1, 7]), np.zeros(0, dtype=np.int64)])
    assert numbered.ids.tolist() == [3, 7, 6] and [text.tolist() for text in numbered.texts] == [[1, -1, 1], []] and numbered.writable is None
    assert numbered.tokens(numbered.numbers([6, 7, 3])) == (6, 7, 3)


def test_the_contract():
    check_contract(KIT, [0, 2, 1, 3], [1, 3])


def test_the_head_starts_at_random_on_any_encoder():
    recipe = KIT.recipe.model_copy(update={"encoder": KIT.recipe.encoder.model_copy(update={"source": "somewhere"})})
    built = TASK.build_model(KIT.model().backbone, None, recipe)
    weight = built.language_model_head.transform.weight.numpy()
    assert 0 < np.abs(weight).max() < 0.2


def test_a_longer_title_is_taught_in_part_and_that_is_said(caplog):
    built = KIT.model(max_target=5)
    batch = KIT.collate(built, [2])
    assert "".join(KIT.vocabulary.token(int(index)) for index in batch["words"][batch["labels"]]) == "简宁的得"
    built.training_lengths(KIT.features)
    assert "2 of 4 targets are longer than model.max_target = 5" in caplog.text


def test_replacement_penalty_and_two_passes_give_gradients():
    built = KIT.model(spread=0.1)
    batch = KIT.collate(built, [0, 2, 3])
    plain = Gradients(built, built.parameters(), loop_settings(KIT.recipe.training), Ranks()).of([batch], step=0)
    built.clear_gradients()
    target = {"replacement_rows": 1.0, "replacement_tokens": 0.9}
    every = {**target, "replacement_pool": "all"}
    penalised = {"penalty_epsilon": 1.0}
    losses = set()
    for options in (target, every, penalised, {**target, **penalised}, {"rdrop": 1.0}):
        chosen = loop_settings(KIT.recipe.training.model_copy(update=options))
        found = Gradients(built, built.parameters(), chosen, Ranks()).of([batch], step=0)
        assert np.isfinite(list(found.values())).all() and ("penalty" in found) == ("penalty_epsilon" in options)
        assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in built.parameters() if parameter.grad is not None)
        losses.add(round(float(found["loss"]), 6))
        built.clear_gradients()
    losses.add(round(float(plain["loss"]), 6))
    assert len(losses) == 3  # plain and penalised alike, and each pool its own


@pytest.mark.parametrize("copy_size", [64, 0])
def test_it_learns_and_every_search_finds_it(copy_size, caplog):
    built, loss = KIT.learn(steps=40, copy_size=copy_size)
    assert loss < 0.2 and not caplog.records and (built.copy_head is None) == (copy_size == 0)
    kinds = ({}, {"beam": 3, "length_penalty": "gnmt"}, {"search": "mbr", "samples": 3, "temperature": 0.3}, {"no_repeat_ngram": 2})
    for decode in kinds if copy_size else kinds[:2]:
        predictions = KIT.predict(built, KIT.decoding(**decode))
        assert titles(predictions) == [row.title for row in ROWS], decode
        assert all(len(row) == 1 and 0.2 < row[0].probability <= 1 for row in predictions)
    ranked = KIT.predict(built, KIT.decoding(beam=4, n_best=3))
    assert titles(ranked) == [row.title for row in ROWS] and all(2 <= len({one.text for one in row}) == len(row) <= 3 for row in ranked)
    candidates = KIT.predict(built, floor=0.0)
    assert titles(candidates) == titles(ranked) and sum(map(len, candidates)) > len(ROWS)
    assert TASK.score(ROWS, predictions)["bleu"] == pytest.approx(np.mean([text_scores(row.title, row.title).bleu for row in ROWS]))


def test_an_untrained_model_writes_any_words_and_repeats_none_that_it_may_not():
    texts = random_texts(3, 12)
    rows = [TitleRecord(text, "题") for text in texts]
    kit = Kit(TASK, rows, None, max_target=9)
    built = kit.model(spread=0.3)
    tokenizer = Tokenizer(kit.vocabulary)
    for decode in ({"max_target": 6}, {"beam": 3, "length_penalty": "mean", "no_repeat_ngram": 1}, {"search": "mbr", "samples": 4}):
        recipe = kit.decoding(**decode)
        found = kit.predict(built, recipe)
        again = kit.predict(built, recipe)
        assert found == again
        for (one,) in found:
            tokens = [kit.vocabulary.token(int(index)) for index in tokenizer.encode(one.text).ids]
            assert "[UNK]" not in tokens and len(tokens) <= decode.get("max_target", 9) and 0 <= one.probability <= 1
            if decode.get("no_repeat_ngram") == 1:
                assert len(set(tokens)) == len(tokens)
    assert any(character not in row.text for row, (one,) in zip(rows, found, strict=True) for character in one.text)


def test_of_samples_the_one_that_agrees_best_comes_first():
    built, _ = KIT.learn(steps=8)
    recipe = KIT.decoding(search="mbr", samples=8, n_best=8)
    for row in KIT.predict(built, recipe):
        best = [str(one.candidate) for one in rerank_mbr([one.text for one in row], lambda a, b: text_scores(a, b).bleu)]
        assert len(row) == len({one.text for one in row}) and set(best) == {one.text for one in row}


def test_settings_that_do_not_fit():
    for wrong in ("decode.rescore=spans", "model.max_target=1", "decode.no_repeat_ngram=-1", "model.copysize=0"):
        with pytest.raises(InputError):
            TASK.check_recipe(override(KIT.recipe, [wrong]))
    with pytest.raises(InputError, match="LIC-E003"):
        KIT.model(max_target=5000)
