"""The reading track's generator: windows with and without the answer, what outputs come to, no answer, and its ceiling."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from shared.decoding import Hypothesis
from shared.text import Tokenizer, Vocabulary
from tasks.reading.models.generate_decode import answers_of, decode_batch
from tasks.reading.models.generate_design import ReadingDecodeSettings
from tasks.reading.records import Answer, ReadingRecord, read_records
from tasks.recipe import FeatureSettings
from tasks.registry import get_task

from ..generation_parts import CHARACTERS, Kit, check_contract, check_targets, check_untrained, random_texts

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "reading"
REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("reading")


def question(asked, text, *answers, identity="a"):
    return ReadingRecord(identity, asked, text, tuple(Answer(answer) for answer in answers) or None)


LONG = "岑若川在南港" + "种树" * 7 + "，后来去了" + "北风" * 6 + "，他养了九条船"
ROWS = [
    question("温青禾住在哪里", "温青禾住在海螺湾", "海螺湾", identity="a"),
    question("谁给了旧伞", "岑若川把旧伞给了温青禾", "岑若川", identity="b"),
    question("几条船", LONG, "九条", identity="c"),
]
KIT = Kit(TASK, ROWS, None, window=24, overlap=6)
"""The third passage has several windows; the last holds the answer."""


def texts(predictions):
    return [row[0].text for row in predictions]


def test_a_window_writes_its_answer_or_that_it_has_none():
    batch = check_targets(KIT, [0, 1, 2])
    told = [
        "".join({"[MASK]": "/", "[SEP]": "."}.get(token, token) for token in map(KIT.vocabulary.token, ids[own == 1].tolist()))
        for ids, own in zip(batch["ids"], batch["segments"], strict=True)
    ]
    windows = len(KIT.features.windows_of(2))
    assert windows > 2 and told == ["海螺湾.", "岑若川.", *["/."] * (windows - 1), "九条."]
    copied = KIT.collate(KIT.model(), [1])
    tokens = {KIT.vocabulary.token(int(index)) for index in copied["words"][copied["writable"][0]]}
    assert tokens == {*ROWS[1].text, "[SEP]", "[MASK]", "[CLS]"}  # the question's own words may not be written


def test_a_training_step_takes_some_windows_the_answer_among_them():
    built = KIT.model(train_windows=2)
    seen = set()
    for epoch in range(12):
        batch = KIT.collate(built, [2], epoch=epoch)
        assert len(batch["ids"]) == 2 and (batch["labels"] == KIT.collate(built, [2], epoch=epoch)["labels"]).all()
        seen.add(batch["ids"].tobytes())
        assert KIT.vocabulary.id("九") in batch["words"][batch["labels"]]
    assert len(seen) > 1
    assert (built.training_lengths(KIT.features) >= [int(KIT.collate(built, [row])["lengths"].sum()) for row in range(3)]).all()


def test_the_contract():
    check_contract(KIT, [0, 2, 1], [1])


def test_it_learns_and_every_search_finds_it():
    built, loss = KIT.learn(steps=45)
    assert loss < 0.1
    for decode in ({}, {"beam": 3, "n_best": 3}, {"search": "mbr", "samples": 3, "temperature": 0.3}, {"rescore": "spans"}):
        predictions = KIT.predict(built, KIT.decoding(**decode))
        assert texts(predictions) == ["海螺湾", "岑若川", "九条"], decode
        assert all(0.5 < row[0].probability <= 1 for row in predictions)
        assert all(len(row) == (3 if "n_best" in decode else 1) for row in predictions)
    candidates = KIT.predict(built, floor=0.0)
    assert all(len(row) >= 4 and sum(one.probability for one in row) <= 1 + 1e-6 for row in candidates)
    assert all(one.probability >= 0.05 for row in KIT.predict(built, floor=0.05) for one in row[1:])
    refusing = KIT.predict(built, KIT.decoding(no_answer_threshold=0.9))
    assert texts(refusing) == ["海螺湾", "岑若川", "九条"]
    assert texts(KIT.predict(built, KIT.decoding(no_answer_threshold=0.0))) == ["", "", ""]


# -- windows weighed against each other --------------------------------------------------------------------------


def hypothesis(text, probability):
    log = math.log(probability)
    return Hypothesis(tuple(KIT.vocabulary.id(character) for character in text), log, log, True)


def test_answers_are_weighed_over_all_windows():
    """Window one gives 0.2 and 0.1, and 0.7 to the no-answer token; window three 0.5 and the same answer 0.1 again."""
    features = KIT.features
    numbers = [number for number, _, _ in features.windows_of(2)]
    found = [((), 1.0)] * len(numbers)
    found[0] = ([hypothesis("南港", 0.2), hypothesis("种树", 0.1)], 0.7)
    found[-1] = ([hypothesis("九条", 0.5), hypothesis("船", 0.1)], 0.4)
    ranked = answers_of(found, numbers, features, ReadingDecodeSettings(beam=2))
    assert [LONG[first : last + 1] for first, last, _ in ranked] == ["九条", "南港", "种树", "船"]
    assert [probability for _, _, probability in ranked] == pytest.approx([5 / 9, 2 / 9, 1 / 9, 1 / 9])
    assert ranked[2][0] == LONG.index("种树")  # the first place
    settings = ReadingDecodeSettings(beam=2, no_answer_threshold=0.2, n_best=2)
    assert [one.text for one in decode_batch(found, [2], features, ROWS, settings)[0][1]] == ["", "九条"]
    (_, made) = decode_batch(found, [2], features, ROWS, settings.model_copy(update={"no_answer_threshold": 0.5}))[0]
    assert [one.text for one in made] == ["九条", ""] and made[0].probability == pytest.approx(5 / 9 * (1 - 0.28))
    assert made[1].probability == pytest.approx(0.28)
    sampled = answers_of(found, numbers, features, ReadingDecodeSettings(search="mbr"))
    assert [probability for _, _, probability in sampled] == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6])


def test_the_answer_of_the_highest_expected_f1():
    features, numbers = KIT.features, [number for number, _, _ in KIT.features.windows_of(0)]
    assert len(numbers) == 1
    found = [([hypothesis("温青", 0.36), hypothesis("海螺湾", 0.33), hypothesis("住在海螺湾", 0.31)], 0.0)]
    plain = decode_batch(found, [0], features, ROWS, ReadingDecodeSettings(beam=3))
    expected = decode_batch(found, [0], features, ROWS, ReadingDecodeSettings(beam=3, rescore="spans"))
    assert plain[0][1][0].text == "温青" and expected[0][1][0].text == "海螺湾"


# -- gold comes back ---------------------------------------------------------------------------------------------


def ceiling(rows, *, window=126, overlap=48, **decode):
    tokenizer = Tokenizer(Vocabulary.build([TASK.text_of(row) for row in rows], max_size=21128))
    features = TASK.make_features(rows, None, tokenizer, FeatureSettings(window=window, overlap=overlap))
    return TASK.ceiling(features, rows, None, recipe=KIT.decoding(**decode)), features


@pytest.mark.parametrize("window", [126, 60])
def test_gold_comes_back_from_the_samples(window):
    rows = read_records(SAMPLES / "dev.json", None, labelled=True).records[:120]
    predictions, features = ceiling(rows, window=window, overlap=window // 3)
    assert TASK.score(rows, predictions)["f1"] >= 0.99
    known = {one.id for one in features.lost}
    assert {fault["id"] for fault in TASK.mistakes(rows, predictions, features)} <= known


def test_a_longer_answer_than_may_be_written_is_cut_to_nothing_but_its_own_place():
    rows = [question("谁", "温青禾住在海螺湾", "温青禾住在海", "海螺湾")]
    assert texts(ceiling(rows)[0]) == ["温青禾住在海"]
    assert texts(ceiling(rows, max_answer_tokens=3)[0]) == ["海螺湾"]


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder of official data")
def test_the_ceiling_of_real_data():
    rows = read_records(Path(REAL) / "reading" / "dev.json", None, labelled=True).records[::4]
    predictions, _ = ceiling(rows, window=254, overlap=64)
    assert TASK.score(rows, predictions)["f1"] >= 0.998


# -- limits ------------------------------------------------------------------------------------------------------


def texts_of(seed):
    rows = [question("谁", text, identity=str(number)) for number, text in enumerate(random_texts(seed, 20))]
    return Kit(TASK, rows, None, window=16, overlap=4, texts=[CHARACTERS, "谁"])


def valid(kit, row, found):
    return len(found) == 1 and row.text[found[0].start : found[0].end] == found[0].text and 0 <= found[0].probability <= 1


def test_an_untrained_model_writes_valid_records():
    check_untrained(texts_of, valid)


def test_a_passage_of_no_token_answers_with_itself():
    kit = Kit(TASK, [question("谁", "\u3000 ", identity="a"), question("谁", "白露", "白露", identity="b")], None, window=16, overlap=4)
    built = kit.model()
    assert np.isfinite(float(built.loss(kit.collate(built, [0, 1]))))
    empty, other = kit.predict(built)
    assert empty[0].probability == 0.0 and other[0].text
    assert texts(kit.predict(built, kit.decoding(no_answer_threshold=0.5)))[0] == ""
