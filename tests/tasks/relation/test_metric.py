"""The relation score: hand-made values, properties, a reference by renaming, and the golden files."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.relation.metric import normalise, normalise_mention, read_alias, score
from tasks.relation.submission import score_files


def triple(subject="温小满", value="林川", predicate="配音", **slots):
    return predicate, subject, {"@value": value, **slots}


def counts(report):
    return report["predicted"], report["gold"], report["correct"], report["found"]


def prf(report):
    return report["precision"], report["recall"], report["f1"]


@pytest.mark.parametrize(
    ("mention", "expected"),
    [
        ("NovaKite", "novakite"),
        ("《雨夜列车》", "雨夜列车"),
        ("《《雨》》", "《雨》"),
        ("《雨》与《夜》", "雨》与《夜"),
        ("《雨夜列车", "《雨夜列车"),
        (" 《雨》", " 《雨》"),
        ("Ｎ", "ｎ"),
        ("《》", ""),
    ],
)
def test_what_is_folded(mention, expected):
    assert normalise_mention(mention) == expected
    assert normalise(("获奖", mention, {"onDate": "B", "@value": mention})) == ("获奖", expected, (("@value", expected), ("onDate", "b")))


@pytest.mark.parametrize(
    ("predicted", "right"),
    [
        (triple(inWork="《雨夜列车》"), True),
        (triple("《温小满》", inWork="雨夜列车"), True),
        (triple(), False),  # a slot too few
        (triple(inWork="雨夜列车", onDate="昨天"), False),  # and too many
        (triple(inWork="雨夜"), False),
        (triple(onDate="雨夜列车"), False),
        (triple("温小满 ", inWork="雨夜列车"), False),  # blanks count
        (triple("温青禾", inWork="雨夜列车"), False),
        (triple(predicate="饰演", inWork="雨夜列车"), False),
    ],
)
def test_a_triple_is_right_as_a_whole(predicted, right):
    report = score({"甲": [triple(inWork="雨夜列车")]}, {"甲": [predicted]})
    assert counts(report) == (1, 1, right, right)


def test_values():
    gold = {"甲": [triple(), triple(value="白鹭"), triple(value="海螺")], "乙": [triple()]}
    report = score(gold, {"甲": [triple(), triple(value="山雀")], "丙": [triple()]})
    assert counts(report) == (2, 4, 1, 1)
    assert prf(report) == (1 / 2, 1 / 4, pytest.approx(1 / 3))
    assert (report["ids"], report["missing_ids"], report["unknown_ids"]) == (2, 1, 1)


def test_repetitions_count_once_on_both_sides():
    report = score({"甲": [triple("NOVA"), triple("nova")]}, {"甲": [triple("《Nova》"), triple("Nova"), triple("别人")]})
    assert counts(report) == (2, 1, 1, 1)


def test_only_the_values_kept_loses_what_has_side_slots():
    gold = {"甲": [triple(inWork="雨夜列车"), triple("温青禾", "白鹭")]}
    kept = {text: [(predicate, subject, {"@value": slots["@value"]}) for predicate, subject, slots in row] for text, row in gold.items()}
    assert prf(score(gold, kept)) == (0.5, 0.5, 0.5)


def test_every_subject_with_every_object_costs_precision():
    gold = {"甲": [triple("甲某", "子"), triple("乙某", "丑")]}
    product = {"甲": [triple(subject, value) for subject in ("甲某", "乙某") for value in ("子", "丑")]}
    assert prf(score(gold, product))[:2] == (0.5, 1.0)


def test_the_predicate_has_its_own_figures():
    report = score({"甲": [triple(), triple(predicate="作者")]}, {"甲": [triple(), triple(predicate="国籍")]})
    assert {name: (part["gold"], part["predicted"], part["f1"]) for name, part in report["per_predicate"].items()} == {
        "作者": (1, 0, 0.0),
        "国籍": (0, 1, 0.0),
        "配音": (1, 1, 1.0),
    }


# -- aliases -----------------------------------------------------------------------------------------------------------


def test_an_alias_of_the_subject_is_found_from_its_word_only():
    gold, predicted = {"甲": [triple("温小满")]}, {"甲": [triple("小满")]}
    assert counts(score(gold, predicted, alias={"温小满": ["小满"]})) == (1, 1, 0, 1)
    assert counts(score(gold, predicted, alias={"小满": ["温小满"]})) == (1, 1, 1, 0)
    assert counts(score(gold, predicted, alias={"小满": ["温小满"], "温小满": ["小满"]})) == (1, 1, 1, 1)


def test_slot_texts_must_be_aliases_of_each_other():
    gold, predicted = {"甲": [triple(inWork="雨夜列车")]}, {"甲": [triple(inWork="雨夜")]}
    assert counts(score(gold, predicted, alias={"雨夜列车": ["雨夜"]})) == (1, 1, 0, 0)
    assert counts(score(gold, predicted, alias={"雨夜": ["雨夜列车"]})) == (1, 1, 0, 0)
    assert counts(score(gold, predicted, alias={"雨夜": ["雨夜列车"], "雨夜列车": ["雨夜"]})) == (1, 1, 1, 1)


def test_what_the_table_makes_equal_counts_once_the_first_of_it():
    alias = {"温小满": ["小满"]}
    gold = {"甲": [triple("温小满")]}
    assert counts(score(gold, {"甲": [triple("小满"), triple("温小满")]}, alias=alias)) == (1, 1, 0, 1)
    assert counts(score(gold, {"甲": [triple("温小满"), triple("小满")]}, alias=alias)) == (2, 1, 1, 1)


def test_gold_is_looked_for_in_all_that_was_predicted():
    predicted = {"甲": [triple("满"), triple("小满")]}  # the second is left out of P as the same, and yet finds the gold triple
    report = score({"甲": [triple("温小满")]}, predicted, alias={"小满": ["满"], "温小满": ["小满"]})
    assert counts(report) == (1, 1, 0, 1)


def test_the_table_folds_case_and_chains_nothing():
    gold = {"甲": [triple("NovaKite")]}
    assert score(gold, {"甲": [triple("nk")]}, alias={"NOVAKITE": ["NK"]})["found"] == 1
    assert score(gold, {"甲": [triple("k")]}, alias={"NovaKite": ["nk"], "nk": ["k"]})["found"] == 0


def test_read_alias(tmp_path):
    path = tmp_path / "alias.tsv"
    path.write_bytes("\ufeff温小满\t小满\t满满\r\n\r\nNovaKite \tNK\n".encode())
    assert read_alias(path) == {"温小满": ("小满", "满满"), "NovaKite ": ("NK",)}


def test_faults_of_an_alias_table_by_line(tmp_path):
    path = tmp_path / "alias.tsv"
    path.write_bytes("温小满\t小满\n林川 川\n温青禾\t\t禾\n温小满\t满\n".encode() + "雨\t夜\n".encode("gb18030"))
    with pytest.raises(InputError) as caught:
        read_alias(path)
    found = [(problem.code, problem.line) for problem in caught.value.problems]
    assert found == [("LIC-D040", 2), ("LIC-D012", 3), ("LIC-D041", 4), ("LIC-D004", 5)]
    with pytest.raises(InputError, match="LIC-D001"):
        read_alias(tmp_path / "none.tsv")


# -- properties --------------------------------------------------------------------------------------------------------

names = st.text("abA《》", min_size=1, max_size=3)
triples = st.lists(
    st.builds(
        lambda predicate, subject, value, side: (predicate, subject, {"@value": value, **side}),
        st.sampled_from("配作"),
        names,
        names,
        st.dictionaries(st.sampled_from(("inWork", "onDate")), names, max_size=1),
    ),
    max_size=6,
)
files = st.dictionaries(st.sampled_from("123"), triples, max_size=3)


@settings(max_examples=200, deadline=None)
@given(files, files, st.randoms())
def test_properties(gold, predicted, random):
    report = score(gold, predicted)
    assert all(0 <= value <= 1 for value in prf(report)) and report["correct"] == report["found"]
    for key in ("gold", "predicted", "correct", "found"):
        assert sum(part[key] for part in report["per_predicate"].values()) == report[key]
    perfect = score(gold, gold)
    assert prf(perfect) == ((1, 1, 1) if perfect["gold"] else (0, 0, 0))
    swapped = score({text: predicted.get(text, []) for text in gold}, gold)
    assert prf(swapped)[:2] == prf(report)[1::-1]
    shuffled = {text: random.sample(row, len(row)) for text, row in predicted.items()}
    assert prf(score(gold, shuffled)) == prf(report)


@settings(max_examples=200, deadline=None)
@given(files, files, st.dictionaries(st.sampled_from(("a", "b", "aa", "ab", "ba", "bb")), st.sampled_from("xyz")))
def test_a_table_of_equal_names_scores_as_one_name_for_all(gold, predicted, groups):
    alias = {word: [other for other in groups if groups[other] == group] for word, group in groups.items()}

    def rename(files):
        def name(mention):
            return groups.get(normalise_mention(mention), normalise_mention(mention)).replace("《", "<")  # a second 《》 is not to be taken off

        return {
            text: [(predicate, name(subject), {slot: name(value) for slot, value in slots.items()}) for predicate, subject, slots in row]
            for text, row in files.items()
        }

    assert counts(score(gold, predicted, alias=alias)) == counts(score(rename(gold), rename(predicted)))


# -- files that are there ------------------------------------------------------------------------------------------------


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of official data")
@pytest.mark.parametrize("with_alias", [False, True])
@pytest.mark.parametrize("name", ["relation_pred0", "relation_pred1", "relation_pred2"])
def test_golden_scores(name, with_alias):
    folder = Path(os.environ["LIC_REAL_DATA"]) / "golden"
    expected = json.loads((folder / "scores.json").read_text(encoding="utf-8"))[name + "+alias" * with_alias]
    alias = folder / "relation_alias.tsv" if with_alias else None
    report = score_files(folder / "relation_gold.json", folder / f"{name}.json", alias=alias)
    assert {key: round(report[key], 4) for key in expected} == expected
    assert sum(part["found"] for part in report["per_predicate"].values()) == report["found"]
