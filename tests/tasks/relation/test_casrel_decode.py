"""Gold through features, head and the decode that predict uses comes back; whatever is predicted stands in the text."""

import os
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from tasks.recipe import FeatureSettings, load_recipe
from tasks.registry import get_task
from tasks.relation.features import make_features
from tasks.relation.models import casrel_decode as decode
from tasks.relation.models.casrel_decode import GoldHead, decode_batch, link_types
from tasks.relation.models.casrel_design import DecodeSettings
from tasks.relation.predictions import to_predictions
from tasks.relation.records import RelationRecord, Spo, read_records
from tasks.relation.schema import RelationSchema

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "relation"
REAL = os.environ.get("LIC_REAL_DATA")
TASK = get_task("relation")
RECIPE = load_recipe(TASK.recipes, "quick")
SCHEMA = RelationSchema(
    ("作者", "饰演", "获奖"),
    {"作者": ("@value",), "饰演": ("@value", "inWork"), "获奖": ("@value", "inWork", "onDate", "period")},
    {"作者": "图书作品", "饰演": "娱乐人物", "获奖": "娱乐人物"},
    {
        "作者": {"@value": "人物"},
        "饰演": {"@value": "人物", "inWork": "影视作品"},
        "获奖": {"@value": "奖项", "inWork": "作品", "onDate": "Date", "period": "Number"},
    },
)
TYPES = link_types(SCHEMA.pairs)
CHARACTERS = Tokenizer(Vocabulary.build(["简宁夜航", "ab2i"], max_size=200))


def author(subject, value):
    return Spo("作者", subject, (("@value", value),))


def role(subject, value, work=None):
    return Spo("饰演", subject, (("@value", value), *([] if work is None else [("inWork", work)])))


def award(subject, value, **slots):
    return Spo("获奖", subject, (("@value", value), *slots.items()))


def record(text, *spos):
    return RelationRecord(text, spos, 1)


def ceiling(rows, *, schema=SCHEMA, tokenizer=None, window=1000, overlap=10):
    tokenizer = tokenizer or Tokenizer(Vocabulary.build([row.text for row in rows], max_size=21128))
    features = TASK.make_features(rows, schema, tokenizer, FeatureSettings(window=window, overlap=overlap))
    return TASK.ceiling(features, rows, schema, recipe=RECIPE), features


def triples(found):
    keys = [made.key() for made in found]
    assert len(set(keys)) == len(keys)
    return set(keys)


def gold(row):
    return {(spo.predicate, spo.subject, spo.object) for spo in row.spos}


def verbatim(rows, predictions):
    return len(rows) == len(predictions) and all(
        mention.text and mention.text == row.text[mention.start : mention.end] and 0 < made.probability <= 1
        for row, found in zip(rows, predictions, strict=True)
        for made in found
        for mention in (made.subject, *(mention for _, mention in made.object))
    )


# -- the ceiling -------------------------------------------------------------------------------------------------

CASES = {
    "several objects of one subject and predicate": record(
        "《雨夜列车》由简宁、林晚和沈舟合著", author("雨夜列车", "简宁"), author("雨夜列车", "林晚"), author("雨夜列车", "沈舟")
    ),
    "two actors with two roles each": record(
        "高远山在《北风》里演陆明，在《南港》里演沈舟；白露在《北风》里演林晚，在《南港》里演简宁",
        role("高远山", "陆明", "北风"),
        role("高远山", "沈舟", "南港"),
        role("白露", "林晚", "北风"),
        role("白露", "简宁", "南港"),
    ),
    "one role in two works, two roles in one": record(
        "高远山在《北风》和《南港》里都演陆明，在《南港》里还演沈舟",
        role("高远山", "陆明", "北风"),
        role("高远山", "陆明", "南港"),
        role("高远山", "沈舟", "南港"),
    ),
    "awards of two, three and four slots": record(
        "白露2011年凭《北风》获第5届金帆奖，2013年获第8届银桨奖，凭《南港》获铜锚奖，还得过木舵奖",
        award("白露", "金帆奖", inWork="北风", onDate="2011年", period="5"),
        award("白露", "银桨奖", onDate="2013年", period="8"),
        award("白露", "铜锚奖", inWork="南港"),
        award("白露", "木舵奖"),
    ),
    "nested subjects that share a start": record("青石桥往事是简宁和林晚写的", author("青石桥往事", "简宁"), author("青石桥", "林晚")),
    "subjects that share an end": record("新青石桥是简宁和林晚写的", author("新青石桥", "简宁"), author("青石桥", "林晚")),
    "a value alone beside linked ones": record("高远山演过陆明，在《南港》里演沈舟", role("高远山", "陆明"), role("高远山", "沈舟", "南港")),
    "one pair under two predicates": record("简宁写了夜航又演夜航", author("简宁", "夜航"), role("简宁", "夜航")),
    "a subject that is its own object": record("简宁演简宁", role("简宁", "简宁")),
    "a mention with blanks and Latin": record("NovaKite Band 的 Mira Tolden 写了 Blue Harbour", author("Blue Harbour", "Mira Tolden")),
    "one character": record("甲乙", author("甲", "乙")),
    "no triple": record("今天没有人写书"),
}


@pytest.mark.parametrize("name", CASES)
def test_gold_comes_back(name):
    row = CASES[name]
    (found,), features = ceiling([row])
    assert features.lost_count == 0
    assert triples(found) == gold(row) and verbatim([row], [found])
    assert all(made.probability == 1 for made in found)


def test_gold_comes_back_from_all_at_once():
    rows = [*CASES.values(), record(" 　"), *CASES.values()]
    predictions, _ = ceiling(rows)
    assert [triples(found) for found in predictions] == [gold(row) for row in rows]


@pytest.mark.parametrize("split", ["train", "dev", "test_a", "test_b"])
def test_gold_comes_back_from_the_samples(split):
    schema = RelationSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / f"{split}.json", schema, labelled=True).records
    predictions, features = ceiling(rows, schema=schema, window=254, overlap=64)
    assert TASK.score(rows, predictions)["f1"] >= 0.99 and verbatim(rows, predictions)
    missing = [fault for fault in TASK.mistakes(rows, predictions, features) if fault["gold"]]
    assert len(missing) == sum(len(gold(row)) for row in rows) - TASK.score(rows, predictions)["found"]


def test_a_string_found_without_its_case_is_cut_as_the_text_has_it():
    row = record("NOVA是简宁的书", author("Nova", "简宁"))
    (found,), _ = ceiling([row])
    assert triples(found) == {("作者", "NOVA", (("@value", "简宁"),))}
    assert TASK.score([row], [found])["f1"] == 1


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder with the official data")
def test_ceiling_on_official_dev():
    folder = Path(REAL) / "relation"
    schema = RelationSchema.read(folder / "schema.json")
    rows = read_records(folder / "dev.json", schema, labelled=True).records
    predictions, features = ceiling(rows, schema=schema, window=254, overlap=64)
    assert verbatim(rows, predictions)
    assert TASK.score(rows, predictions)["f1"] >= 0.995
    missing = [fault for fault in TASK.mistakes(rows, predictions, features) if fault["gold"]]
    assert len(missing) <= features.lost_count + 5


# -- windows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "overlap"), [(12, 6), (14, 5), (20, 10), (31, 1)])
def test_windows_merge_their_triples(window, overlap):
    rows = [
        record("一二三四五六七八" + "夜航是简宁写的" + "九十百千万亿" * 3, author("夜航", "简宁")),
        record("一二三四五" * 4 + "高远山演过陆明" + "六七八九十" * 3, role("高远山", "陆明")),
    ]
    predictions, features = ceiling(rows, window=window, overlap=overlap)
    assert len(features) > len(rows) and features.lost_count == 0
    assert [triples(found) for found in predictions] == [gold(row) for row in rows] and verbatim(rows, predictions)
    assert [(made.subject.start, made.object[0][1].start) for (made,) in predictions] == [(8, 11), (20, 25)]


def test_the_window_that_saw_more_of_an_object_wins():
    text = "一二三四五六七八高远山演陆明于北风一二三四"
    row = record(text, role("高远山", "陆明", "北风"))
    tokenizer = Tokenizer(Vocabulary.build([text], max_size=100))
    features = make_features([row], SCHEMA, tokenizer, window=14, overlap=6)
    assert [len(features.objects[number]) for number in range(len(features))] == [1, 2]
    (found,), _ = ceiling([row], tokenizer=tokenizer, window=14, overlap=6)
    assert triples(found) == gold(row)


def test_equal_triples_count_once_with_their_best_probability():
    row = record("夜航和夜航都是简宁写的", author("夜航", "简宁"))
    features = make_features([row], SCHEMA, CHARACTERS, window=100, overlap=10)
    (author_pair,) = (index for index, pair in enumerate(SCHEMA.pairs) if pair[0] == "作者")

    def found(first, probability):
        subject, value = decode.Span(first, first + 1, probability), decode.Span(7, 8, 1.0)
        return 0, decode.Found(subject, ((author_pair, value),), probability)

    for order in ((found(0, 0.5), found(3, 0.75)), (found(3, 0.75), found(0, 0.5))):
        ((made,),) = to_predictions(order, features, [row], SCHEMA)
        assert (made.probability, made.subject.start, made.subject.text) == (0.75, 3, "夜航")
    ((first,),) = to_predictions([found(0, 0.5), found(3, 0.5)], features, [row], SCHEMA)
    assert first.subject.start == 0


# -- scores ------------------------------------------------------------------------------------------------------


class GivenHead:
    """Answers from tensors: subjects [b, l, 2]; objects [b, l, p, 2] and links [p, p] for whatever subject."""

    def __init__(self, subjects, objects, links):
        self.given = subjects, objects, links
        self.slots = {number: pair for pair, number in TYPES.items()}

    def subjects(self):
        return self.given[0]

    def objects(self, rows, spans):
        return self.given[1][rows]

    def links(self, links):
        return np.array([self.given[2][self.slots[kind]] for kind in links[:, 1].tolist()], dtype=np.float32)


def one_triple(subject=(1.0, 1.0), value=(1.0, 1.0), work=(1.0, 1.0), link=1.0, **thresholds):
    """What decoding makes of "高演陆北" with these probabilities for 高, its role 陆 and its work 北."""
    row = record("高演陆北")
    features = make_features([row], SCHEMA, CHARACTERS, window=100, overlap=10)
    subjects = np.zeros((1, 4, 2), dtype=np.float32)  # [b, l, 2]
    objects = np.zeros((1, 4, len(SCHEMA.pairs), 2), dtype=np.float32)  # [b, l, p, 2]
    links = np.zeros((len(SCHEMA.pairs), len(SCHEMA.pairs)), dtype=np.float32)  # [p, p]
    subjects[0, 0] = subject
    objects[0, 2, SCHEMA.pair_index["饰演", "@value"]] = value
    objects[0, 3, SCHEMA.pair_index["饰演", "inWork"]] = work
    links[SCHEMA.pair_index["饰演", "@value"], SCHEMA.pair_index["饰演", "inWork"]] = link
    found = decode_batch(GivenHead(subjects, objects, links), [0], features, SCHEMA, TYPES, DecodeSettings(**thresholds))
    return to_predictions(found, features, [row], SCHEMA)[0]


def test_thresholds():
    both, alone = {("饰演", "高", (("@value", "陆"), ("inWork", "北")))}, {("饰演", "高", (("@value", "陆"),))}
    assert triples(one_triple()) == both
    for low in ((0.39, 1.0), (1.0, 0.39)):
        assert one_triple(subject=low) == [] and one_triple(value=low) == []
        assert triples(one_triple(work=low)) == alone
    assert triples(one_triple(subject=(0.41, 0.41), value=(0.41, 0.41), work=(0.41, 0.41), link=0.51)) == both
    assert triples(one_triple(link=0.49)) == alone
    assert one_triple(subject=(0.8, 1.0), subject_threshold=0.9) == []
    assert one_triple(value=(0.8, 1.0), object_threshold=0.9) == []
    assert triples(one_triple(link=0.8, link_threshold=0.9)) == alone
    assert triples(one_triple(link=0.3, link_threshold=0.2)) == both


def test_the_probability_is_that_of_the_least_sure_part():
    assert one_triple()[0].probability == 1
    assert one_triple(subject=(0.9, 0.4001))[0].probability == pytest.approx((0.9 * 0.4001) ** 0.5, rel=1e-6)
    assert one_triple(value=(0.49, 1.0), subject=(0.9, 0.9))[0].probability == pytest.approx(0.7, rel=1e-6)
    assert one_triple(work=(0.64, 0.64), value=(0.9, 0.9))[0].probability == pytest.approx(0.64, rel=1e-6)
    assert one_triple(link=0.6, work=(0.7, 0.7))[0].probability == pytest.approx(0.6, rel=1e-6)
    assert one_triple(link=0.3, work=(0.7, 0.7))[0].probability == 1


def test_spans_longer_than_the_longest_are_left_out():
    row = record("一二三四是简宁写的", author("一二三四", "简宁"))
    features = make_features([row], SCHEMA, CHARACTERS, window=100, overlap=10)

    def found(longest):
        head = GoldHead(features, [0], len(SCHEMA.pairs), TYPES)
        return decode_batch(head, [0], features, SCHEMA, TYPES, DecodeSettings(max_span=longest))

    assert len(found(4)) == 1 and found(3) == []


def test_objects_are_the_largest_sets_of_linked_slots():
    """Works that are not linked with each other's date stay apart; what is a part of a larger object goes."""
    pairs = [SCHEMA.pair_index["获奖", slot] for slot in ("@value", "inWork", "onDate")]
    value, work, other, date = ((pairs[kind], decode.Span(at, at, 1.0)) for kind, at in ((0, 0), (1, 1), (1, 2), (2, 3)))
    linked = {(0, *sorted(two)): 0.9 for two in ((value, work), (value, other), (value, date), (work, date))}
    objects = list(decode._assemble(0, [other, date, work, value], SCHEMA, linked, 0.5))
    assert sorted(objects) == sorted([((value, work, date), 0.9), ((value, other), 0.9)])


def test_any_part_of_the_subjects_at_once(monkeypatch):
    rows = list(CASES.values())
    together, _ = ceiling(rows)
    monkeypatch.setattr(decode, "CONDITIONED_TOKENS", 1)
    assert ceiling(rows)[0] == together


# -- any text, any scores ----------------------------------------------------------------------------------------


@st.composite
def puzzles(draw):
    """A text of different characters with triples of mentions that do not overlap: every value alone or with some of the works."""
    text = "".join(chr(0x4E00 + index) for index in draw(st.permutations(range(30))))
    cuts = sorted(draw(st.sets(st.integers(0, 30), min_size=7, max_size=12)))
    parts = draw(st.permutations([text[a:b] for a, b in pairwise(cuts)]))
    subjects, values, works = parts[:2], parts[2:4], parts[4:6]
    spos = []
    for subject, value in product(subjects, values):
        with_works = draw(st.sets(st.sampled_from(works)))
        if draw(st.booleans()):
            spos += [role(subject, value, work) for work in sorted(with_works)] or [role(subject, value)]
        if draw(st.booleans()):
            spos.append(author(subject, value))
    return record(text, *spos)


@settings(max_examples=80, deadline=None)
@given(st.lists(puzzles(), min_size=1, max_size=3))
def test_gold_comes_back_from_any_puzzle(rows):
    predictions, features = ceiling(rows, tokenizer=CHARACTERS)
    assert features.lost_count == 0
    assert [triples(found) for found in predictions] == [gold(row) for row in rows]


TEXTS = st.text(min_size=1, max_size=30) | st.text("简宁夜航 aB2İ\u0301Ⅱ🎉\u3000é", min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 0.3]))
def test_any_scores_give_verbatim_triples(texts, seed, share):
    rng = np.random.default_rng(seed)
    rows = [RelationRecord(text) for text in texts]
    features = make_features(rows, SCHEMA, CHARACTERS, window=10, overlap=3)
    found = []
    for window in range(len(features)):
        length = len(features.ids[window])
        subjects = rng.random((1, length, 2), dtype=np.float32) ** 2  # [b, l, 2]
        objects = np.where(rng.random((1, length, len(SCHEMA.pairs), 2)) < share, rng.random((1, length, len(SCHEMA.pairs), 2)), 0)
        links = rng.random((len(SCHEMA.pairs), len(SCHEMA.pairs)))  # [p, p]
        found += decode_batch(GivenHead(subjects, objects.astype(np.float32), links), [window], features, SCHEMA, TYPES, DecodeSettings())
    predictions = to_predictions(found, features, rows, SCHEMA)
    assert verbatim(rows, predictions)
    for made in predictions:
        keys = triples(made)
        for predicate, subject, slots in keys:
            names = [slot for slot, _ in slots]
            assert names == [slot for slot in SCHEMA.slots[predicate] if slot in names] and names[0] == "@value"
            assert not any(set(slots) < set(other) for kind, name, other in keys if (kind, name) == (predicate, subject))
