"""A tiny SimBERT, trained here on invented questions: what it finds and what it writes."""

from itertools import islice

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.similarity import PairBatcher, SimBERT, generate_synonyms
from shared.text import Tokenizer, Vocabulary

THINGS = ["护照", "驾照", "宽带", "煤气", "社保卡", "房产证", "图书证", "停车位"]
FORMS = ["怎么办{}", "{}如何办理", "哪里能办{}呢", "想办{}要去哪"]
GROUPS = [[form.format(thing) for form in FORMS] for thing in THINGS]
TEXTS = [text for group in GROUPS for text in group]
NUMBERS = np.repeat(np.arange(len(GROUPS)), len(FORMS))
TOKENIZER = Tokenizer(Vocabulary.from_tokens([*Vocabulary.build(TEXTS, max_size=100), "[unused1]"]))


def new_model(seed=3):
    paddle.seed(seed)
    config = BackboneConfig(
        vocab_size=len(TOKENIZER.vocabulary) + 2,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        intermediate_size=48,
        max_positions=32,
        dropout=0.0,
        attention_dropout=0.0,
        initializer_range=0.1,
    )
    model = SimBERT(Backbone(config), TOKENIZER, max_length=12)
    model.eval()
    return model


@pytest.fixture(scope="module")
def trained():
    model = new_model()
    optimizer = paddle.optimizer.Adam(5e-3, parameters=model.parameters())
    model.train()
    for batch in islice(PairBatcher(GROUPS, TOKENIZER, batch_rows=16, max_length=12).stream(), 150):
        model.loss(batch).total.backward()
        optimizer.step()
        optimizer.clear_grad()
    model.eval()
    return model


def gap(model):
    """Mean cosine of pairs with one meaning, less that of the others."""
    vectors = model.encode(TEXTS)
    cosines = vectors @ vectors.T  # [n, n]
    same = NUMBERS[:, None] == NUMBERS[None]
    others = ~np.eye(len(TEXTS), dtype=bool)
    return cosines[same & others].mean() - cosines[~same].mean()


def test_training_brings_texts_of_one_meaning_together(trained):
    assert gap(new_model()) < 0.2
    assert gap(trained) > 0.6
    index = trained.index(TEXTS, backend="sklearn")
    nearest = [trained.similar(text, index, top_k=2)[1].text for text in TEXTS]
    assert np.mean([NUMBERS[TEXTS.index(found)] == number for found, number in zip(nearest, NUMBERS, strict=True)]) > 0.9


def test_it_writes_the_other_questions_of_the_group(trained):
    written = 0
    for group, thing, found in zip(GROUPS, THINGS, generate_synonyms(trained, [group[0] for group in GROUPS], n=40), strict=True):
        texts = [text for text, _ in found]
        assert group[0] not in texts and len(set(texts)) == len(texts)
        assert thing in texts[0]  # the nearest is about the same
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        written += len(set(texts) & set(group[1:]))
    assert written > 0.7 * len(GROUPS) * (len(FORMS) - 1)


def test_scores_are_cosines_to_the_text(trained):
    text = TEXTS[0]
    for other, score in trained.generate(text, n=20, best=5):
        assert score == pytest.approx(float(trained.encode([other])[0] @ trained.encode([text])[0]), abs=1e-5)


def test_the_seed_chooses_whatever_stands_beside(trained):
    together = generate_synonyms(trained, TEXTS[:9], n=30, temperature=1.5, top_k=None, seed=7)
    for text, found in zip(TEXTS[:9], together, strict=True):
        alone = trained.generate(text, n=30, temperature=1.5, top_k=None, seed=7)
        assert [other for other, _ in alone] == [other for other, _ in found]
    others = generate_synonyms(trained, TEXTS[:9], n=30, temperature=1.5, top_k=None, seed=8)
    assert [[text for text, _ in found] for found in others] != [[text for text, _ in found] for found in together]


def test_an_untrained_model_writes_other_texts_of_known_tokens():
    model = new_model()
    text = "HELLO 护照"  # [UNK] and an ideograph
    found = model.generate(text, n=200, best=500, top_k=None, temperature=3.0)
    assert len({other for other, _ in found}) == len(found) > 100
    unknown = TOKENIZER.vocabulary.unk_id
    for other, _ in found:
        ids = TOKENIZER.encode(other).ids
        assert 1 <= len(ids) <= 10 and unknown not in ids and "[" not in other


def test_texts_are_compared_as_the_tokenizer_sees_them(trained):
    plain = generate_synonyms(trained, ["怎么办护照", " 怎么 办护照 "], n=60)
    assert [text for text, _ in plain[0]] == [text for text, _ in plain[1]]
    assert "怎么办护照" not in [text for text, _ in plain[1]]


def test_bad_input_is_refused(trained):
    assert generate_synonyms(trained, []) == []
    with pytest.raises(ValueError, match="n is 0 and best is 20"):
        trained.generate("怎么办护照", n=0)
    with pytest.raises(ValueError, match="has no token"):
        trained.generate(" ")
    with pytest.raises(ValueError, match="max_length is 21, but 32 positions leave 20"):
        trained.generate("怎么办护照", max_length=21)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        trained.generate("怎么办护照", top_k=0)
