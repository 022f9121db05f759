"""Evidence by hand and by brute force; rerankers learn from it, never from what they then decide."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.decision import decide, fit_decision
from tasks.event.predictions import Prediction as Argument
from tasks.evidence import RIVALS, overlapping, rival_names, rivals
from tasks.reading.predictions import Prediction as Answer
from tasks.reading.records import Answer as Reference
from tasks.reading.records import ReadingRecord
from tasks.registry import get_task
from tasks.relation.predictions import Mention, Prediction
from tasks.relation.records import RelationRecord, Spo
from tasks.reranking import MIN_CANDIDATES, CrossFitted, Reranker, feature_names

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
RELATION, EVENT, READING = (get_task(track) for track in ("relation", "event", "reading"))


def triple(predicate, subject, value, chance, start=0):
    first, second = Mention(subject, start, start + len(subject)), Mention(value, start + 5, start + 5 + len(value))
    return Prediction(predicate, first, (("@value", second),), chance)


def said(*triples):
    return RelationRecord("甲乙丙丁戊己", tuple(Spo(p, s, (("@value", o),)) for p, s, o in triples), 1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.integers(0, 8), st.integers(1, 4)), max_size=7))
def test_rivals_by_definition(rows):
    probability = np.asarray([row[0] for row in rows])
    groups = [row[1] for row in rows]
    spans = np.asarray([(row[2], row[2] + row[3]) for row in rows]).reshape(-1, 2)
    found, beside, both = rivals(probability, groups), overlapping(probability, spans), overlapping(probability, spans, groups)
    assert found.shape == beside.shape == both.shape == (len(rows), len(RIVALS))
    for place, own in enumerate(rows):
        same = {other for other in range(len(rows)) if other != place and groups[other] == groups[place]}
        over = {other for other in range(len(rows)) if other != place and max(spans[[place, other], 0]) < min(spans[[place, other], 1])}
        for made, wanted in ((found, same), (beside, over), (both, same & over)):
            some = [probability[other] for other in wanted]
            assert made[place] == pytest.approx([len(some), max(some, default=0), sum(some), sum(value > own[0] for value in some)])


def test_what_is_known_of_a_triple():
    evidence = RELATION.candidates.evidence.gather(
        [said(("作者", "《甲》", "乙")), said(("作者", "甲", "乙"), ("主演", "甲", "乙")), said(("作者", "丙", "乙"), ("作者", "甲", "丁"))]
    )
    row = dict(zip(evidence.names, evidence.features(said(), [triple("作者", "甲", "乙", 0.5)])[0], strict=True))
    assert {name: row[name] for name in row if name.startswith(("times the triple", "times the pair", "times the subject", "times the pred"))} == {
        "times the triple is known": 2,
        "times the pair has any predicate": 3,
        "times the pair has another predicate": 1,
        "times the subject has the predicate": 3,
        "times the subject is one": 4,
        "times the subject has other predicates": 1,
        "times the subject is the predicate's object": 0,
        "times the subject stands in the text": 1,
        "times the predicate has the object": 3,
        "times the predicate is known": 4,
    }
    (unknown,) = evidence.features(said(), [triple("导演", "没有", "见过", 0.5)])
    assert unknown[evidence.names.index("times the triple is known")] == 0


def candidates_of(track, record):
    text = record.text
    if track == "relation":
        return [triple("作者", text[:2], text[2:4], 0.4), triple("导演", text[:2], text[1:3], 0.9)]
    if track == "event":
        return [Argument("组织关系-裁员", "裁员方", text[1:3], 1, 3, 0.7), Argument("组织关系-裁员", "裁员方", text[2:5], 2, 5, 0.2)]
    return [Answer(text[:3], 0, 3, 0.5), Answer(text[1:3], 1, 3, 0.3), Answer("", 0, 0, 0.1)]


@pytest.mark.parametrize("track", ["relation", "event", "reading"])
def test_evidence_of_a_sample_survives_json(track):
    task = get_task(track)
    folder = SAMPLES / track
    schema = None if track == "reading" else task.read_schema(folder / "schema.json")
    records = task.read_records(folder / "train.json", schema, labelled=True).records[:60]
    kind = task.candidates
    evidence = kind.evidence.gather(records)
    again = kind.evidence.from_dict(json.loads(json.dumps(evidence.as_dict())))
    for record in records[:10]:
        some = candidates_of(track, record)
        numbers = evidence.features(record, some)
        assert numbers.shape == (len(some), len(evidence.names)) and np.isfinite(numbers).all()
        np.testing.assert_array_equal(again.features(record, some), numbers)
    assert evidence.features(records[0], []).shape == (0, len(evidence.names))
    assert len(set(evidence.names)) == len(evidence.names)


def known_or_not(count, seed=0):
    """Records of which half the candidates are right, and whether a candidate is known says which; its probability says little."""
    generator = np.random.default_rng(seed)
    records, rows, known = [], [], {}
    for number in range(count):
        right, wrong = f"甲{number}", f"乙{number}"
        records.append(RelationRecord(f"{right}和{wrong}", (Spo("p", "s", (("@value", right),)),), number + 1))
        rows.append([triple("p", "s", right, float(generator.uniform(0.3, 0.7))), triple("p", "s", wrong, float(generator.uniform(0.3, 0.7)))])
        known["p", "s", (("@value", right),)] = 1
    return records, rows, RELATION.candidates.evidence(known)


def test_a_reranker_learns_what_evidence_is_worth():
    records, rows, evidence = known_or_not(200)
    parts, identities = np.arange(200) % 4, [record.text for record in records]
    without = fit_decision(RELATION.candidates, records, [rows], identities, parts, weights=[1.0], shrinks=(None,))
    with_trees = fit_decision(RELATION.candidates, records, [rows], identities, parts, evidence=evidence, shrinks=(None,))
    scores = [RELATION.score(records, decide(RELATION.candidates, records, [rows], one.parts, parts))["f1"] for one in (without, with_trees)]
    assert scores[0] < 0.75 and scores[1] == 1
    (name, share), *_ = with_trees.decision.reranker.importance()
    assert "is known" in name or "the object" in name
    assert 0 < share <= 1
    again = Reranker.from_dict(json.loads(json.dumps(with_trees.decision.reranker.as_dict())), evidence)
    first, second = ([one(RELATION.candidates, records[0], [row], (1.0,)) for row in rows[:5]] for one in (with_trees.decision.reranker, again))
    assert first == second


def test_no_record_is_reranked_by_what_was_fitted_on_it():
    records, rows, evidence = known_or_not(60)
    parts = np.arange(60) % 3
    turned = [
        RelationRecord(record.text, (Spo("p", "s", (("@value", row[1].object[0][1].text),)),), record.line) if part == 0 else record
        for record, row, part in zip(records, rows, parts, strict=True)
    ]

    def crossed(some):
        return CrossFitted(RELATION.candidates, some, [rows], parts, evidence, weights=[1.0], groups=[0])

    before, after = crossed(records), crossed(turned)
    assert before.without(0).trees == after.without(0).trees and before.without(1).trees != after.without(1).trees
    own = [number for number in range(60) if parts[number] == 0]
    assert [before.scored()[number] for number in own] == [after.scored()[number] for number in own]
    assert before.scored(0) == after.scored(0)


def test_members_of_a_run_of_folds_are_one_number():
    records, rows, evidence = known_or_not(60)
    other = [[one._replace(probability=1 - one.probability) for one in row] for row in rows]
    members, groups, weights = [rows, other, rows], [0, 0, 1], [0.25, 0.25, 0.5]
    made = CrossFitted(RELATION.candidates, records, members, np.arange(60) % 3, evidence, weights=weights, groups=groups)
    names = feature_names(evidence, groups)
    assert names[:3] == ("probability", "probability of run 1", "probability of run 2")
    assert made.without().groups == (0, 0, 1)
    np.testing.assert_allclose(made._numbers[:, 1], 0, atol=1e-9)


def test_the_best_answer_comes_first():
    record = READING.record_of_text("甲乙丙丁" * 10, question="谁?")
    made = []
    for number in range(60):
        chance = 0.3 + 0.005 * number
        made.append([Answer("甲", 0, 1, chance), Answer("乙丙", 1, 3, 1 - chance)])
    records = [ReadingRecord(str(number), "谁?", record.text, (Reference("乙丙", 1),), "", 1) for number in range(60)]
    parts = np.arange(60) % 3
    evidence = READING.candidates.evidence.gather([])
    fitted = fit_decision(READING.candidates, records, [made], [one.id for one in records], parts, evidence=evidence)
    chosen = decide(READING.candidates, records, [made], fitted.parts, parts)
    assert all(row[0].text == "乙丙" and row[0].probability > row[1].probability for row in chosen)


def test_too_few_candidates_teach_nothing():
    records, rows, evidence = known_or_not(MIN_CANDIDATES // 2 - 1)
    made = CrossFitted(RELATION.candidates, records, [rows], np.arange(len(records)) % 3, evidence, weights=[1.0], groups=[0])
    assert made.without() is None and made.scored() == rows
    empty = CrossFitted(RELATION.candidates, [], [[]], np.zeros(0, dtype=np.int64), evidence, weights=[1.0], groups=[0])
    assert empty.without() is None and empty.scored() == []


def test_what_is_no_reranker():
    records, rows, evidence = known_or_not(60)
    values = CrossFitted(RELATION.candidates, records, [rows], np.arange(60) % 3, evidence, weights=[1.0], groups=[0]).without().as_dict()
    for spoilt, message in (
        ({**values, "trees": {}}, "no trees"),
        ({**values, "groups": [0, 1]}, rf"trees over {2 + len(evidence.names)} numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            Reranker.from_dict(spoilt, evidence)
    assert rival_names("role")[0] == "others with the same role: count"
