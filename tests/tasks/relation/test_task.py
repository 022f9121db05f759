"""The track as the pipelines see it: scores, differences, rows for people, and a zip that is accepted."""

import json

import pytest

from shared.errors import InputError
from shared.text import Tokenizer, Vocabulary
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task
from tasks.relation.predictions import Mention, Prediction
from tasks.relation.records import RelationRecord, Spo
from tasks.relation.schema import RelationSchema

TASK = get_task("relation")
RECIPE = load_recipe(TASK.recipes, "quick")
SCHEMA = RelationSchema(
    ("作者", "饰演"),
    {"作者": ("@value",), "饰演": ("@value", "inWork")},
    {"作者": "图书作品", "饰演": "娱乐人物"},
    {"作者": {"@value": "人物"}, "饰演": {"@value": "人物", "inWork": "影视作品"}},
)
BOOK, FILM, PLAIN = "《夜航》是NovaKite写的", "高远山在《北风》里演陆明，在《南港》里演沈舟", "今天没有人写书"


def author(subject, value):
    return Spo("作者", subject, (("@value", value),))


def role(subject, value, work):
    return Spo("饰演", subject, (("@value", value), ("inWork", work)))


ROWS = [
    RelationRecord(BOOK, (author("夜航", "NovaKite"),), 1),
    RelationRecord(FILM, (role("高远山", "陆明", "北风"), role("高远山", "沈舟", "南港")), 2),
    RelationRecord(PLAIN, (), 3),
]


def made(text, predicate, subject, probability=0.5, **slots):
    def mention(string):
        start = text.lower().index(string.lower())
        return Mention(string, start, start + len(string))

    slots = {"@value": slots.pop("value"), **slots}
    return Prediction(predicate, mention(subject), tuple((slot, mention(value)) for slot, value in slots.items()), probability)


FOUND = [
    [made(BOOK, "作者", "《夜航》", value="novakite")],
    [made(FILM, "饰演", "高远山", value="陆明", inWork="北风"), made(FILM, "饰演", "高远山", value="沈舟")],
    [],
]


def ceiling(rows, **options):
    tokenizer = Tokenizer(Vocabulary.build([row.text for row in rows], max_size=1000))
    features = TASK.make_features(rows, SCHEMA, tokenizer, FeatureSettings(**options))
    return features, TASK.ceiling(features, rows, SCHEMA, recipe=RECIPE)


# -- scores and differences --------------------------------------------------------------------------------------


def test_score_is_the_official_one():
    """Case and one pair of 《》 do not count; a slot too few makes a triple wrong."""
    scores = TASK.score(ROWS, FOUND)
    assert (scores["predicted"], scores["gold"], scores["correct"]) == (3, 3, 2)
    assert scores["precision"] == scores["recall"] == pytest.approx(2 / 3)
    assert scores["per_predicate"]["作者"]["f1"] == 1 and scores["per_predicate"]["饰演"]["f1"] == pytest.approx(0.5)
    assert scores["missing_ids"] == scores["unknown_ids"] == 0
    assert all(name in scores for name in TASK.shown_scores)


def test_score_wants_a_prediction_for_every_record():
    with pytest.raises(ValueError):
        TASK.score(ROWS, FOUND[:2])


def test_aliases_are_an_option():
    renamed = [FOUND[0], [made(FILM, "饰演", "高远山", value="陆明", inWork="南港")], []]
    assert TASK.score(ROWS, renamed)["correct"] == 1
    assert TASK.score(ROWS, renamed, alias={"北风": ("南港",), "南港": ("北风",)})["correct"] == 2


def test_differences_are_those_of_the_metric():
    features, _ = ceiling(ROWS)
    (fault,) = TASK.mistakes(ROWS, FOUND, features)
    assert (fault["line"], fault["fault"], fault["label"], fault["gold"]["subject"]) == (2, "wrong slots", "饰演", "高远山")
    assert fault["gold"]["object"] == {"@value": "沈舟", "inWork": "南港"} and fault["predicted"]["object"] == {"@value": "沈舟"}
    assert fault["cause"] and "cause" not in TASK.mistakes(ROWS, FOUND)[0]


def test_what_features_lose_is_explained():
    rows = [RelationRecord(BOOK, (author("夜航", "NovaKite"), author("夜航", "简宁"), author("夜航", "")), 7), *ROWS[1:]]
    features, predictions = ceiling(rows)
    faults = TASK.mistakes(rows, predictions, features)
    assert [(fault["line"], fault["fault"], fault["gold"]["object"]["@value"], fault["cause"]) for fault in faults] == [
        (7, "missing", "简宁", "'简宁' stands nowhere in the text"),
        (7, "missing", "", "an empty slot"),
    ]
    assert len(faults) == features.lost_count


def test_perfect_predictions_leave_nothing_to_explain():
    features, predictions = ceiling(ROWS)
    assert TASK.mistakes(ROWS, predictions, features) == []
    assert TASK.score(ROWS, predictions)["f1"] == 1


def test_unlabelled_records_have_no_gold():
    rows = [RelationRecord(BOOK), RelationRecord(PLAIN)]
    features, predictions = ceiling(rows)
    assert predictions == [[], []] and TASK.mistakes(rows, predictions, features) == []


# -- output ------------------------------------------------------------------------------------------------------


def test_rows_for_people():
    rows = TASK.as_rows(FOUND[1])
    assert rows[0] == {
        "subject": "高远山",
        "predicate": "饰演",
        "object": {"@value": "陆明", "inWork": "北风"},
        "subject_span": [0, 3],
        "object_spans": {"@value": [10, 12], "inWork": [5, 7]},
        "probability": 0.5,
    }
    assert rows[1]["object"] == {"@value": "沈舟"}
    for row in rows:
        start, end = row["subject_span"]
        assert FILM[start:end] == row["subject"]
        assert {slot: FILM[start:end] for slot, (start, end) in row["object_spans"].items()} == row["object"]
    assert json.loads(json.dumps(TASK.as_rows(ceiling(ROWS)[1][1]))) == TASK.as_rows(ceiling(ROWS)[1][1])


@pytest.mark.parametrize("window", [254, 12])
def test_the_zip_is_accepted_and_scores_as_the_predictions(tmp_path, window):
    gold = tmp_path / "dev.json"
    lines = [{"text": row.text, "spo_list": [_row(spo) for spo in row.spos]} for row in ROWS]
    gold.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    _, predictions = ceiling(ROWS, window=window, overlap=8 if window == 12 else 64)
    path = tmp_path / "out.zip"
    TASK.write_submission(path, ROWS, predictions, SCHEMA)
    assert TASK.check_submission(path, schema=SCHEMA, against=gold) == []
    from_file, in_memory = TASK.score_files(gold, path), TASK.score(ROWS, predictions)
    assert all(from_file[name] == in_memory[name] for name in ("f1", "predicted", "gold", "correct"))
    assert (in_memory["f1"] == 1) == (window == 254) and in_memory["predicted"] >= 1


def _row(spo):
    return {"predicate": spo.predicate, "subject": spo.subject, "object": dict(spo.object)}


def test_a_zip_wants_a_prediction_for_every_record(tmp_path):
    with pytest.raises(ValueError):
        TASK.write_submission(tmp_path / "out.zip", ROWS, FOUND[:2], SCHEMA)
    assert list(tmp_path.iterdir()) == []


# -- recipes -----------------------------------------------------------------------------------------------------


def test_shipped_recipes_are_sound():
    names = sorted(path.stem for path in TASK.recipes.glob("*.toml"))
    assert {"quick", "small"} <= set(names)
    for name in names:
        load_recipe(TASK.recipes, name, check=TASK.check_recipe)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.subject_power=0", "model.subject_power"),
        ("model.subject_powr=2", "Did you mean 'subject_power'"),
        ("decode.link_threshold=1", "decode.link_threshold"),
        ("decode.max_span=0", "decode.max_span"),
        ("model.name=pointer", "model.name"),
    ],
)
def test_wrong_settings_are_said(override, said):
    with pytest.raises(InputError, match=said):
        load_recipe(TASK.recipes, "quick", (override,), check=TASK.check_recipe)


def test_one_text_as_a_record():
    record = TASK.record_of_text(BOOK)
    assert (record.text, record.spos, TASK.text_of(record), TASK.identity_of(record)) == (BOOK, None, BOOK, BOOK)
