import pytest

from tasks.relation.profile import OVERLAPS, profile
from tasks.relation.records import RelationRecord, Spo
from tasks.relation.schema import RelationSchema

SCHEMA = RelationSchema(
    ("作者", "饰演", "校长"),
    {"作者": ("@value",), "饰演": ("@value", "inWork"), "校长": ("@value",)},
    {"作者": "图书作品", "饰演": "娱乐人物", "校长": "学校"},
    {"作者": {"@value": "人物"}, "饰演": {"@value": "人物", "inWork": "影视作品"}, "校长": {"@value": "人物"}},
)
TEXT = "岑若川写了《夜航》，在《北风》里演陆明"


def spo(predicate, subject, value, **slots):
    return Spo(predicate, subject, (("@value", value), *slots.items()))


def record(*spos, text=TEXT):
    return RelationRecord(text, spos, 1)


def overlaps(*spos, text=TEXT):
    return {kind for kind, count in profile([record(*spos, text=text)], SCHEMA).overlaps.items() if count}


def test_labels_with_those_that_never_occur():
    made = profile([record(spo("作者", "夜航", "岑若川"), spo("饰演", "岑若川", "陆明", inWork="北风")), RelationRecord("夜航有船", None, 2)], SCHEMA)
    assert made.labels == {"predicate": {"作者": 1, "饰演": 1}, "side slot": {"饰演 · inWork": 1}}
    assert made.known == {"predicate": ("作者", "饰演", "校长"), "side slot": ("饰演 · inWork",)}
    assert made.labelled == 1 and made.answers[1] is None and made.lengths["text"] == [len(TEXT), 4]


@pytest.mark.parametrize(
    ("spos", "told"),
    [
        ([spo("作者", "夜航", "岑若川")], {0}),
        ([spo("作者", "夜航", "岑若川"), spo("饰演", "陆明", "北风")], {0}),
        ([spo("作者", "夜航", "岑若川"), spo("作者", "北风", "岑若川")], {1}),
        ([spo("作者", "夜航", "岑若川"), spo("校长", "夜航", "岑若川")], {2}),
        ([spo("作者", "夜航", "岑若川"), spo("校长", "岑若川", "夜航")], {2}),
        ([spo("作者", "夜航", "岑若川"), spo("校长", "夜航", "岑若川"), spo("饰演", "岑若川", "陆明")], {1, 2}),
        ([spo("作者", "夜航", "《夜航》")], {0, 3, 5}),
        ([spo("饰演", "岑若川", "陆明", inWork="北风")], {0, 4}),
    ],
)
def test_classes_of_overlap(spos, told):
    assert overlaps(*spos) == {OVERLAPS[index] for index in told}


def test_a_triple_given_twice_shares_nothing_and_a_repeated_mention_is_seen():
    twice = (spo("作者", "夜航", "岑若川"),) * 2
    assert overlaps(*twice, text="岑若川写夜航，夜航好") == {OVERLAPS[0], OVERLAPS[6]}
    assert overlaps() == set()


def test_suspicious_places():
    rows = [
        record(),
        record(spo("作者", "岑若川", "岑若川"), spo("作者", "夜航 ", ""), spo("作者", "夜航 ", "")),
        record(Spo("作者", "夜航", (("@value", "岑若川"),), "学校", (("@value", "地点"),))),
        record(Spo("作者", "夜航", (("@value", "岑若川"),), "图书作品", (("@value", "人物"),)), text="岑若川写夜航\ue000"),
    ]
    assert [(what, index) for what, index, _ in profile(rows, SCHEMA).suspects] == [
        ("labelled texts without a triple", 0),
        ("mentions not in their text", 1),
        ("mentions with blanks at an edge", 1),
        ("mentions that are empty", 1),
        ("triples given twice", 1),
        ("subjects equal to their object", 1),
        ("subject types other than the schema's", 2),
        ("object types other than the schema's", 2),
        ("texts with a private-use character", 3),
    ]


def test_answers_are_compared_as_the_metric_does():
    same, again, other = profile(
        [record(spo("作者", "夜航", "岑若川")), record(*(spo("作者", "《夜航》", "岑若川"),) * 2), record(spo("作者", "北风", "岑若川"))], SCHEMA
    ).answers
    assert same == again != other
