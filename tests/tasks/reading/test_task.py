"""The track as the pipelines see it: answers in order, scores, differences, and a zip that is accepted."""

import json

import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.errors import InputError
from shared.text import Tokenizer, Vocabulary
from tasks.reading.predictions import Prediction
from tasks.reading.records import Answer, ReadingRecord, write_records
from tasks.recipe import load_recipe
from tasks.registry import get_task

TASK = get_task("reading")
ROWS = [
    ReadingRecord("a", "温青禾住在哪里", "温青禾住在海螺湾", (Answer("海螺湾", 5),)),
    ReadingRecord("b", "谁在唱歌", "船" * 40 + "岑若川在唱歌" + "树" * 40, (Answer("唱歌的人"), Answer("岑若川"))),
    ReadingRecord("c", "造了几条", "造了九条船", (Answer("九条船 "),)),
    ReadingRecord("d", "谁写了夜航", "NovaKite写了夜航", (Answer("novakite"), Answer("夜航"))),
]


def recipe(*overrides):
    return load_recipe(TASK.recipes, "quick", overrides, check=TASK.check_recipe)


def answer(record, text):
    start = record.text.index(text)
    return [Prediction(text, start, start + len(text), 0.5)]


GIVEN = [answer(ROWS[0], "海螺湾"), answer(ROWS[1], "岑若"), answer(ROWS[2], "九条船"), answer(ROWS[3], "NovaKite")]


@pytest.fixture(scope="module")
def parts():
    """A model of random weights, its vocabulary, and features in windows of 24."""
    settings = recipe("features.window=24", "features.overlap=8", "decode.n_best=2")
    vocabulary = Vocabulary.build([TASK.text_of(row) for row in ROWS], max_size=300)
    features = TASK.make_features(ROWS, None, Tokenizer(vocabulary), settings.features)
    paddle.seed(2)
    config = BackboneConfig(vocab_size=len(vocabulary), hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32)
    model = TASK.build_model(Backbone(config), None, settings)
    for parameter in model.parameters():
        parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    model.eval()
    return model, features, vocabulary, settings


# -- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [16, 64, 8192])
def test_answers_come_in_the_order_of_the_questions(parts, tokens):
    model, features, vocabulary, settings = parts
    changed = settings.model_copy(update={"training": settings.training.model_copy(update={"evaluation_tokens": tokens})})
    steps = []
    found = TASK.predict(model, features, ROWS, None, vocabulary, changed, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (4, 4) and [done for done, _ in steps] == sorted({done for done, _ in steps})
    for row, answers in zip(ROWS, found, strict=True):
        single = TASK.make_features([row], None, Tokenizer(vocabulary), settings.features)
        (alone,) = TASK.predict(model, single, [row], None, vocabulary, settings)
        assert [one[:3] for one in answers] == [one[:3] for one in alone] and len(answers) == 2
        assert [one.probability for one in answers] == pytest.approx([one.probability for one in alone], rel=1e-3)
        assert all(one.text == row.text[one.start : one.end] for one in answers)


def test_answers_make_a_zip_that_is_accepted(parts, tmp_path):
    model, features, vocabulary, settings = parts
    found = TASK.predict(model, features, ROWS, None, vocabulary, settings)
    TASK.write_submission(tmp_path / "out.zip", ROWS, found, None)
    write_records(tmp_path / "dev.json", ROWS)
    assert TASK.check_submission(tmp_path / "out.zip", against=tmp_path / "dev.json") == []
    told = TASK.score_files(tmp_path / "dev.json", tmp_path / "out.zip")
    assert told == TASK.score(ROWS, found) and told["questions"] == 4
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == {row.id: one[0].text for row, one in zip(ROWS, found, strict=True)}


def test_rows_for_people():
    assert TASK.as_rows(GIVEN[0]) == [{"text": "海螺湾", "start": 5, "end": 8, "probability": 0.5}]


# -- scores ------------------------------------------------------------------------------------------------------


def test_the_first_answer_counts_against_the_best_reference():
    scores = TASK.score(ROWS, [[*GIVEN[0], *GIVEN[1]], *GIVEN[1:]])
    assert scores["em"] == 2 / 4
    # 岑若 shares two tokens with 岑若川 (2 and 3); the reference 九条船 keeps its blank as a fourth token
    assert scores["f1"] == pytest.approx((1 + 4 / 5 + 6 / 7 + 1) / 4)


def test_differences_have_a_cause():
    tokenizer = Tokenizer(Vocabulary.build([TASK.text_of(row) for row in ROWS], max_size=300))
    features = TASK.make_features(ROWS, None, tokenizer, recipe().features)
    told = TASK.mistakes(ROWS, GIVEN, features)
    assert [row["id"] for row in told] == ["b", "c"]
    assert [reference["text"] for reference in told[0]["gold"]["references"]] == ["唱歌的人", "岑若川"]
    assert (told[0]["predicted"]["text"], told[0]["f1"], told[0]["fault"]) == ("岑若", 0.8, "wrong boundary")
    assert told[0]["cause"].startswith("longer than decode.max_answer_tokens")
    assert (told[1]["cause"], told[1]["f1"]) == ("blanks at its ends", 6 / 7)


def test_the_ceiling_is_gold_where_features_hold_it():
    settings = recipe("features.window=24", "features.overlap=8")
    tokenizer = Tokenizer(Vocabulary.build([TASK.text_of(row) for row in ROWS], max_size=300))
    features = TASK.make_features(ROWS, None, tokenizer, settings.features)
    found = TASK.ceiling(features, ROWS, None, recipe=settings)
    assert [answers[0].text for answers in found] == ["海螺湾", "岑若川", "九条船", "夜航"]
    assert [row["id"] for row in TASK.mistakes(ROWS, found, features)] == ["c"]


# -- input -------------------------------------------------------------------------------------------------------


def test_a_text_needs_a_question():
    record = TASK.record_of_text("温青禾住在海螺湾", question="住在哪里")
    assert (record.question, record.text, record.answers) == ("住在哪里", "温青禾住在海螺湾", None)
    assert TASK.text_of(record) == "住在哪里\n温青禾住在海螺湾" and TASK.identity_of(record) == record.id
    for missing in (None, "", " 　"):
        with pytest.raises(InputError) as caught:
            TASK.record_of_text("温青禾住在海螺湾", question=missing)
        assert [problem.code for problem in caught.value.problems] == ["LIC-X002"]


@pytest.mark.parametrize(
    ("override", "code", "found"),
    [
        ("model.heads=2", "LIC-R004", "model.heads"),
        ("model.train_windows=0", "LIC-R006", "model.train_windows"),
        ("decode.max_answer_token=30", "LIC-R004", "decode.max_answer_token"),
        ("decode.n_best=0", "LIC-R006", "decode.n_best"),
    ],
)
def test_wrong_settings_are_refused(override, code, found):
    with pytest.raises(InputError) as caught:
        recipe(override)
    (problem,) = caught.value.problems
    assert problem.code == code and found in problem.found


@pytest.mark.parametrize("name", ["quick", "small", "default"])
def test_shipped_recipes_are_right(name):
    shipped = load_recipe(TASK.recipes, name, check=TASK.check_recipe)
    assert shipped.features.window <= 510 and shipped.model["name"] == "span"
