"""Other words for questions: rules that keep numbers and never give the question back, the file, and how answers change."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.reading.paraphrases import Paraphrase, read_paraphrases, write_paraphrases
from tasks.reading.predictions import Prediction
from tasks.reading.records import Answer, ReadingRecord
from tasks.reading.rephrase import RULES, rephrase, same_anchors
from tasks.reading.sensitivity import asked_anew, over_sensitivity

PIECES = st.sampled_from(
    ["什么时候", "哪里", "多少钱", "几天", "谁", "温青禾", "在", "1998年", "是", "2", "ab", "吗", "？", "电话", "能", "为什么", "多久"]
)
QUESTIONS = st.one_of(st.text(max_size=12), st.lists(PIECES, max_size=6).map("".join))


@given(QUESTIONS)
def test_other_words_are_other_words(question):
    found = rephrase(question)
    texts = [text for _, text in found]
    assert len(texts) == len(set(texts)) and question not in texts and question.strip() not in texts
    assert {rule for rule, _ in found} <= set(RULES) and all(text.strip() for text in texts)
    assert rephrase(question) == found
    for text in texts:
        assert sorted(re.findall("[0-9]+", text)) == sorted(re.findall("[0-9]+", question.strip()))


@pytest.mark.parametrize(
    ("question", "rule", "other"),
    [
        ("海螺湾什么时候有北风", "when", "海螺湾何时有北风"),
        ("旧伞在哪？", "where", "旧伞在哪里？"),
        ("夜航船票多少钱", "how many", "夜航船票的价格是多少"),
        ("造船需要多少钱", "how many", "造船的价格是多少"),
        ("造一条船要几天", "how many", "造一条船要多少天"),
        ("温青禾是谁", "who", "温青禾是哪位"),
        ("北风是什么意思", "meaning", "北风的意思是什么"),
        ("船能过海螺湾吗", "whether", "船能不能过海螺湾"),
        ("船厂电话", "asked noun", "船厂的电话是多少"),
        ("岑若川在1998年造了什么", "order of time", "在1998年，岑若川造了什么"),
        ("谁造了船", "courtesy", "请问谁造了船"),
        ("谁造了船", "particle", "谁造了船呢"),
        ("谁造了船？", "mark", "谁造了船"),
    ],
)
def test_rules(question, rule, other):
    assert (rule, other) in rephrase(question)


@pytest.mark.parametrize("question", ["船厂好几天没开", "海螺湾怎么样", "第几天到海螺湾", "请问谁造了船", "船厂1998年的电话号码"])
def test_rules_leave_alone_what_may_mean_something_else(question):
    told = {rule for rule, _ in rephrase(question)} - {"mark", "particle"}
    assert told <= ({"asked noun"} if "电话" in question else set()) | (set() if question.startswith("请") else {"courtesy"})


def test_numbers_latin_words_and_negations_must_agree():
    assert same_anchors("NovaKite 2 有几条船", "novakite 2 的船有多少") and not same_anchors("2条船", "3条船")
    assert not same_anchors("谁会造船", "谁不会造船") and same_anchors("船能过吗", "船能不能过") and not same_anchors("ab船", "船")


def test_the_file_comes_back(tmp_path):
    known = {"谁造了船": [Paraphrase("请问谁造了船", "rule: courtesy", 0.97), Paraphrase("造船的是谁")], "多久": []}
    write_paraphrases(tmp_path / "p.jsonl", known)
    assert read_paraphrases(tmp_path / "p.jsonl") == {"谁造了船": known["谁造了船"]}


def test_every_fault_of_the_file_is_said(tmp_path):
    rows = [
        {"question": "谁", "paraphrases": [{"text": " "}, {"text": "何人", "score": "high"}, "何人", {"words": "何人"}]},
        {"question": " ", "paraphrases": []},
        {"paraphrases": {}},
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_paraphrases(tmp_path / "p.jsonl")
    told = [(problem.code, problem.line) for problem in caught.value.problems]
    assert told == [("LIC-D012", 1), ("LIC-D011", 1), ("LIC-D011", 1), ("LIC-D010", 1), ("LIC-D012", 2), ("LIC-D010", 3), ("LIC-D011", 3)]
    with pytest.raises(InputError, match="no such file"):
        read_paraphrases(tmp_path / "none.jsonl")


def test_over_sensitivity_counts_changed_answers():
    rows = [ReadingRecord(name, asked, "旧伞在船上", (Answer("船上"),)) for name, asked in (("a", "在哪"), ("b", "谁"), ("c", "几"))]
    known = {"在哪": [Paraphrase("在哪里", "rule: where"), Paraphrase("哪里", "pool")], "几": [Paraphrase("多少", "pool")]}
    asked, owners, sources = asked_anew(rows, known)
    assert [record.question for record in asked] == ["在哪里", "哪里", "多少"] and owners == [0, 0, 2] and len({record.id for record in asked}) == 3

    def answer(*texts):
        return [[Prediction(text, 0, len(text), 1.0)] for text in texts]

    report = over_sensitivity(rows, answer("船上", "旧", "旧伞"), answer("船上", "在船上", "船上。"), owners, sources)
    assert (report["questions"], report["paraphrases"]) == (2, 3)
    assert report["changed"] == pytest.approx(2 / 3) and report["f1_between"] == pytest.approx((1 + 4 / 5 + 0) / 3)
    assert report["em"] == pytest.approx(2 / 3) and report["em_paraphrased"] == pytest.approx(2 / 3)
    assert report["f1_paraphrased"] == pytest.approx((1 + 4 / 5 + 1) / 3) and report["lost"] == report["won"] == pytest.approx(1 / 3)
    assert list(report["per_source"]) == ["pool", "rule: where"] and report["per_source"]["rule: where"]["changed"] == 0
