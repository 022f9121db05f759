"""Records to arrays: every mention a span, links between slots, windows, and what can not be held."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import Tokenizer, Vocabulary
from shared.text.windows import split_windows
from tasks.relation.features import RelationFeatures, make_features
from tasks.relation.records import RelationRecord, Spo, read_records
from tasks.relation.schema import RelationSchema

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "relation"
SCHEMA = RelationSchema(
    ("作者", "饰演"),
    {"作者": ("@value",), "饰演": ("@value", "inWork")},
    {"作者": "图书作品", "饰演": "娱乐人物"},
    {"作者": {"@value": "人物"}, "饰演": {"@value": "人物", "inWork": "影视作品"}},
)
AUTHOR, ROLE, WORK = range(3)


def tokenizer(*texts):
    return Tokenizer(Vocabulary.build(texts, max_size=3000))


def words(*tokens):
    return Tokenizer(Vocabulary.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens]))


def author(subject, value):
    return Spo("作者", subject, (("@value", value),))


def role(subject, value, work=None):
    return Spo("饰演", subject, (("@value", value), *([] if work is None else [("inWork", work)])))


def record(text, *spos, line=1):
    return RelationRecord(text, spos, line)


def features_of(*records, window=100, overlap=10, tokens=None):
    return make_features(records, SCHEMA, tokens or tokenizer(*(row.text for row in records)), window=window, overlap=overlap)


def said(features, records, window):
    """(subjects, objects, links) of one window as texts, subjects by all their mentions."""
    index, begin, _ = features.windows[window].tolist()
    starts, ends, text = features.starts[index], features.ends[index], records[index].text

    def cut(first, last):
        return text[starts[begin + first] : ends[begin + last]]

    subjects = {}
    for number, first, last in features.subjects[window].tolist():
        subjects.setdefault(number, []).append((first, cut(first, last)))
    objects = [(s, pair, cut(first, last)) for s, pair, first, last in features.objects[window].tolist()]
    links = [(s, a, cut(*left), b, cut(*right)) for s, a, *left, b, c, d in features.links[window].tolist() for right in [(c, d)]]
    return subjects, objects, links


def reasons(features):
    return [(lost.line, lost.spo.subject, lost.reason) for lost in features.lost]


# -- mentions ----------------------------------------------------------------------------------------------------


def test_every_mention_is_a_span():
    one = record("简宁写了夜航，夜航的作者简宁很高兴", author("夜航", "简宁"))
    features = features_of(one)
    assert said(features, [one], 0) == ({0: [(4, "夜航"), (7, "夜航")]}, [(0, AUTHOR, "简宁"), (0, AUTHOR, "简宁")], [])
    assert features.objects[0].tolist() == [[0, AUTHOR, 0, 1], [0, AUTHOR, 12, 13]]
    assert (features.lost_count, features.lost) == (0, ())
    assert features.windows.tolist() == [[0, 0, 17]] and features.lengths.tolist() == [19]


def test_a_mention_inside_a_longer_one_counts_only_where_nothing_stands_alone():
    text = "青石桥往事是简宁写青石桥的书"
    alone = record(text, author("青石桥往事", "简宁"), author("青石桥", "简宁"))
    assert said(features_of(alone), [alone], 0)[0] == {0: [(0, "青石桥往事")], 1: [(9, "青石桥")]}
    inside = record("青石桥往事是简宁写的书", author("青石桥往事", "简宁"), author("青石桥", "简宁"))
    assert said(features_of(inside), [inside], 0)[0] == {0: [(0, "青石桥往事")], 1: [(0, "青石桥")]}


def test_links_join_slots_of_one_object_the_smaller_pair_first():
    one = record("高远山在北风里演陆明，在南港里演沈舟", role("高远山", "陆明", "北风"), role("高远山", "沈舟", "南港"))
    subjects, objects, links = said(features_of(one), [one], 0)
    assert subjects == {0: [(0, "高远山")]}
    assert objects == [(0, ROLE, "陆明"), (0, WORK, "北风"), (0, ROLE, "沈舟"), (0, WORK, "南港")]
    assert links == [(0, ROLE, "陆明", WORK, "北风"), (0, ROLE, "沈舟", WORK, "南港")]


def test_equal_triples_count_once():
    one = record("简宁写夜航", author("夜航", "简宁"), author("夜航", "简宁"))
    features = features_of(one)
    assert features.subjects[0].tolist() == [[0, 3, 4]] and features.objects[0].tolist() == [[0, AUTHOR, 0, 1]]


def test_case_does_not_count_where_a_string_stands_nowhere():
    one = record("MIRA写夜航", author("夜航", "Mira"))
    features = features_of(one)
    assert said(features, [one], 0)[1] == [(0, AUTHOR, "MIRA")] and features.lost_count == 0
    both = record("MIRA和Mira写夜航", author("夜航", "Mira"))
    assert [text for *_, text in said(features_of(both), [both], 0)[1]] == ["Mira"]


def test_case_folding_never_shifts_offsets():
    """İ has two characters in lower case: there is no alignment to trust, so the mention is reported."""
    one = record("İ市MIRA写夜航", author("夜航", "Mira"))
    features = features_of(one)
    assert features.objects[0].tolist() == [] and reasons(features) == [(1, "夜航", "'Mira' stands nowhere in the text")]


def test_subjects_of_one_span_are_one_subject():
    """Spelt in two ways, or cut wrong by the tokens: tags can not tell them apart, so neither do the numbers."""
    one = record("NOVA是简宁和林晚的书", author("NOVA", "简宁"), author("nova", "林晚"))
    features = features_of(one)
    assert features.subjects[0].shape == (1, 3)
    assert said(features, [one], 0)[1] == [(0, AUTHOR, "简宁"), (0, AUTHOR, "林晚")]


# -- what is lost ------------------------------------------------------------------------------------------------


def test_lost_triples_are_counted_with_their_cause():
    tokens = words("写", "夜", "航", "简", "宁", "2140", "和")
    rows = [
        record("简宁写2140", author("2140", "简宁"), author("21", "简宁"), line=3),
        record("简宁写夜航", author("夜航", ""), author("白昼", "简宁"), role("简宁", "夜", "航"), role("简宁", "夜"), line=7),
        record("简宁 写夜航", author("夜航", "简宁 "), author("夜航", " "), line=9),
    ]
    features = features_of(*rows, tokens=tokens)
    assert reasons(features) == [
        (3, "21", "the tokens of '21' stand for '2140'"),
        (7, "夜航", "an empty slot"),
        (7, "白昼", "'白昼' stands nowhere in the text"),
        (7, "简宁", "its object is a part of another triple's"),
        (9, "夜航", "the tokens of '简宁 ' stand for '简宁'"),
        (9, "夜航", "' ' touches no token"),
    ]
    assert features.lost_count == 6
    assert said(features, rows, 0)[1] == [(0, AUTHOR, "简宁")]
    assert said(features, rows, 2)[1] == [(0, AUTHOR, "简宁")]


def test_an_empty_side_slot_leaves_the_others():
    one = record("高远山演陆明", role("高远山", "陆明", ""))
    features = features_of(one)
    assert said(features, [one], 0) == ({0: [(0, "高远山")]}, [(0, ROLE, "陆明")], [])
    assert reasons(features) == [(1, "高远山", "an empty slot")]


def test_exact_mentions_are_preferred_to_ones_that_tokens_widen():
    one = record("2140写21", author("21", "2140"))
    features = features_of(one, tokens=words("写", "2140", "21"))
    assert features.subjects[0].tolist() == [[0, 2, 2]] and features.lost_count == 0


# -- windows -----------------------------------------------------------------------------------------------------


def test_windows_hold_what_stands_whole_in_them():
    text = "夜航一二三四五六七八九简宁十百千万亿兆京垓夜航"
    one = record(text, author("夜航", "简宁"), author("简宁", "九简"), role("夜航", "京垓", "一二三"))
    features = features_of(one, window=12, overlap=3)
    borders = split_windows(len(text), 12, 3)
    assert features.windows[:, 1].tolist() == [begin for begin, _ in borders] and len(borders) == 3
    whole = features_of(one).ids[0].tolist()
    for number, (begin, end) in enumerate(borders):
        part = text[begin:end]
        assert features.ids[number].tolist() == whole[begin:end]
        subjects, objects, links = said(features, [one], number)
        names = [mentions[0][1] for mentions in subjects.values()]
        assert sorted(names) == sorted(name for name in ("夜航", "简宁") if name in part)
        assert all(part[first : first + 2] == name for mentions in subjects.values() for first, name in mentions)
        wanted = [("夜航", AUTHOR, "简宁"), ("简宁", AUTHOR, "九简"), ("夜航", ROLE, "京垓"), ("夜航", WORK, "一二三")]
        assert [(names[s], pair, value) for s, pair, value in objects] == [w for w in wanted if w[0] in part and w[2] in part]
        assert links == []
    assert reasons(features) == [(1, "夜航", "no window holds all of it")]


def test_windows_of_one_token():
    one = record("简", author("简", "简"))
    features = features_of(one)
    assert features.subjects[0].tolist() == [[0, 0, 0]] and features.objects[0].tolist() == [[0, AUTHOR, 0, 0]]


def test_texts_without_a_token_have_no_window():
    rows = [record(" 　", author("夜航", "简宁")), record("简宁写夜航", author("夜航", "简宁"))]
    features = features_of(*rows)
    assert len(features) == 1 and features.windows[0, 0] == 1 and len(features.starts) == 2
    assert features.lost_count == 1


def test_records_without_triples():
    features = features_of(RelationRecord("简宁写夜航"), RelationRecord("夜航", ()))
    assert len(features) == 2 and features.lost_count == 0
    for name, width in (("subjects", 3), ("objects", 4), ("links", 7)):
        assert getattr(features, name)[0].shape == getattr(features, name)[1].shape == (0, width)


def test_no_records():
    features = features_of()
    assert len(features) == 0 and features.windows.shape == (0, 3) and features.lengths.tolist() == []


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match="overlap=10, size=10"):
        features_of(record("简宁写夜航"), window=10, overlap=10)


# -- disk --------------------------------------------------------------------------------------------------------


def test_arrays_come_back_from_disk(tmp_path):
    schema = RelationSchema.read(SAMPLES / "schema.json")
    rows = read_records(SAMPLES / "dev.json", schema, labelled=True).records
    made = make_features(rows, schema, tokenizer(*(row.text for row in rows)), window=30, overlap=8)
    made.save(tmp_path / "f", {"file": "dev.json"})
    loaded = RelationFeatures.load(tmp_path / "f")
    for name in ("ids", "starts", "ends", "subjects", "objects", "links"):
        np.testing.assert_array_equal(getattr(loaded, name).values, getattr(made, name).values)
        np.testing.assert_array_equal(getattr(loaded, name).offsets, getattr(made, name).offsets)
    np.testing.assert_array_equal(loaded.windows, made.windows)
    assert loaded.lost_count == made.lost_count and len(loaded) == len(made) > len(rows)
    assert len(made.links.values) > 0
    assert json.loads((tmp_path / "f" / "manifest.json").read_text(encoding="utf-8"))["meta"]["file"] == "dev.json"


# -- any text ----------------------------------------------------------------------------------------------------

ANY = st.text(min_size=1, max_size=40) | st.text("简宁夜航 aB2İ\u0301Ⅱ🎉\u3000é", min_size=1, max_size=40)
FEW = tokenizer("简宁夜航", "ab2i")


@settings(max_examples=100, deadline=None)
@given(ANY, st.data())
def test_a_mention_cut_at_token_borders_comes_back_verbatim(text, data):
    encoding = FEW.encode(text)
    length = len(encoding.ids)
    if not length:
        return

    def draw():
        first = data.draw(st.integers(0, length - 1))
        last = data.draw(st.integers(first, length - 1))
        return text[encoding.starts[first] : encoding.ends[last]]

    subject, value, work = draw(), draw(), draw()
    one = record(text, author(subject, value), role(subject, value, work))
    features = make_features([one], SCHEMA, FEW, window=1000, overlap=10)
    subjects, objects, links = said(features, [one], 0)
    assert features.lost_count == 0
    assert {name for mentions in subjects.values() for _, name in mentions} == {subject}
    assert set(objects) == {(0, AUTHOR, value), (0, ROLE, value), (0, WORK, work)}
    assert set(links) == {(0, ROLE, value, WORK, work)}


@settings(max_examples=80, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=3), st.integers(4, 20), st.data())
def test_any_unicode_is_held_or_reported(texts, window, data):
    """Every triple stands whole and verbatim in the arrays of some window (case apart), or is among the lost ones."""
    rows = []
    for line, text in enumerate(texts, 1):
        cuts = st.integers(0, len(text) - 1).flatmap(lambda a, text=text: st.tuples(st.just(a), st.integers(a + 1, len(text))))
        spans = [data.draw(cuts) for _ in range(4)]
        parts = [text[a:b] for a, b in spans]
        rows.append(record(text, author(*parts[:2]), role(*parts[1:4]), line=line))
    features = make_features(rows, SCHEMA, FEW, window=window, overlap=2)
    lost = {(fault.line, fault.spo) for fault in features.lost}
    held = [said(features, rows, number) for number in range(len(features))]
    for row in rows:
        for spo in row.spos:
            if (row.line, spo) in lost:
                continue
            places = [held[number] for number in np.flatnonzero(features.windows[:, 0] == row.line - 1)]
            assert any(
                any(
                    all((s, SCHEMA.pair_index[spo.predicate, slot], value) in objects for slot, value in spo.object)
                    and (len(spo.object) == 1 or (s, ROLE, spo.object[0][1], WORK, spo.object[1][1]) in links)
                    for s, mentions in subjects.items()
                    if spo.subject in [name for _, name in mentions]
                )
                for subjects, objects, links in places
            )
