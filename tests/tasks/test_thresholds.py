"""Thresholds against brute force and the official metric; cross-fitting; weights of ensembles; calibration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.calibration import KINDS, Calibration, cross_fitted, fit_calibration, reliability
from tasks.decision import Decision, decide, fit_decision
from tasks.ensemble import pool, search_weights, spread
from tasks.event.predictions import Prediction as Argument
from tasks.event.records import Argument as Gold
from tasks.event.records import Event, EventRecord
from tasks.reading.predictions import Prediction as Answer
from tasks.reading.records import Answer as Reference
from tasks.reading.records import ReadingRecord
from tasks.registry import get_task
from tasks.relation.predictions import Mention, Prediction
from tasks.relation.records import RelationRecord, Spo
from tasks.thresholds import Thresholds, best_shrink, f1_of, fit_thresholds, sums_of, sweep

CHANCES = [0.1, 0.2, 0.4, 0.7, 0.9, 1.0]
RELATION, EVENT, READING = (get_task(track) for track in ("relation", "event", "reading"))


def triple(predicate, subject, value, chance):
    return Prediction(predicate, Mention(subject, 0, 1), (("@value", Mention(value, 1, 2)),), chance)


@st.composite
def relations(draw, records=4):
    names = st.tuples(st.sampled_from("pqr"), st.sampled_from("ab"), st.sampled_from("xy"))
    made, candidates = [], []
    for number in range(draw(st.integers(1, records))):
        gold = draw(st.sets(names, max_size=3))
        made.append(RelationRecord(f"text {number}", tuple(Spo(p, s, (("@value", o),)) for p, s, o in sorted(gold)), number + 1))
        found = draw(st.dictionaries(names, st.sampled_from(CHANCES), max_size=4))
        candidates.append([triple(*name, chance) for name, chance in sorted(found.items())])
    return made, candidates


@st.composite
def events(draw, records=4):
    made, candidates = [], []
    for number in range(draw(st.integers(1, records))):
        texts = st.sampled_from(["甲乙", "甲", "丙丁", "AB"])
        gold = draw(st.lists(st.tuples(st.sampled_from("rs"), texts), max_size=3, unique=True))
        arguments = tuple(Gold(role, text, None) for role, text in gold)
        made.append(EventRecord(f"id {number}", "甲乙丙丁AB", (Event("t", None, None, arguments),), number + 1))
        found = draw(st.dictionaries(st.tuples(st.sampled_from("rs"), texts), st.sampled_from(CHANCES), max_size=4))
        candidates.append(
            [
                Argument("t", role, text, "甲乙丙丁AB".index(text), "甲乙丙丁AB".index(text) + len(text), chance)
                for (role, text), chance in sorted(found.items())
            ]
        )
    return made, candidates


def swept_of(task, records, candidates):
    return sweep(task.candidates, records, candidates, [task.identity_of(record) for record in records])


def official(task, records, candidates, thresholds):
    return task.score(records, [task.candidates.choose(row, thresholds) for row in candidates])["f1"]


def f1(swept, thresholds, inside=None):
    return float(f1_of(*sums_of(swept, thresholds, inside)))


@pytest.mark.parametrize(("task", "data"), [(RELATION, relations()), (EVENT, events())], ids=["relation", "event"])
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_sums_are_the_official_score_and_no_threshold_is_better(task, data, given_):
    records, candidates = given_.draw(data)
    swept = swept_of(task, records, candidates)
    single = fit_thresholds(swept)
    own = fit_thresholds(swept, shrink=0, min_gold=0)
    for thresholds in (single, own, Thresholds(0.5), Thresholds(0.3, dict.fromkeys(swept.labels[:1], 0.8))):
        assert f1(swept, thresholds) == pytest.approx(official(task, records, candidates, thresholds), abs=1e-9)
    cuts = [*(chance - 1e-6 for chance in CHANCES), 1.5]
    best_single = max(f1(swept, Thresholds(cut)) for cut in cuts)
    assert f1(swept, single) == pytest.approx(best_single, abs=1e-9)
    assert f1(swept, own) >= f1(swept, single) - 1e-9
    if task is RELATION:  # where both sums are the same, going through the labels reaches the best there is
        brute = max(f1(swept, Thresholds(0.5, dict(zip(swept.labels, some, strict=True)))) for some in product(cuts, repeat=len(swept.labels)))
        assert f1(swept, own) == pytest.approx(brute, abs=1e-9)


def test_of_a_repeated_text_the_last_record_counts():
    records = [RelationRecord("one", (Spo("p", "a", (("@value", "x"),)),), 1), RelationRecord("one", (), 2)]
    candidates = [[triple("p", "a", "x", 0.9)], [triple("p", "a", "x", 0.8)]]
    swept = swept_of(RELATION, records, candidates)
    assert swept.probability.tolist() == [0.8] and len(swept.gold) == 0


def labelled(counts):
    """One text for each candidate: (predicate, probability, right)."""
    records, candidates = [], []
    for number, (predicate, chance, right) in enumerate(counts):
        spos = (Spo(predicate, "a", (("@value", "x"),)),) if right else ()
        records.append(RelationRecord(f"text {number}", spos, number + 1))
        candidates.append([triple(predicate, "a", "x", chance)])
    return records, candidates


def test_rare_labels_keep_the_threshold_of_all_and_frequent_ones_are_pulled_to_it():
    rows = [("p", 0.8, True)] * 60 + [("p", 0.6, False)] * 60 + [("q", 0.3, True)] * 60 + [("q", 0.2, False)] * 60 + [("r", 0.3, True)] * 3
    swept = swept_of(RELATION, *labelled(rows))
    default = fit_thresholds(swept)
    own = fit_thresholds(swept, shrink=0)
    pulled = fit_thresholds(swept, shrink=60)
    assert 0.6 < own(("p",)) < 0.8 and 0.2 < own(("q",)) < 0.3 and f1(swept, own) > f1(swept, default)
    assert ("r",) not in own.by_label and own(("r",)) == own.default == default.default
    for label in own.by_label:
        low, high = sorted((own(label), default.default))
        assert low < pulled(label) < high
    assert Thresholds.from_dict(own.as_dict()) == own


def test_one_threshold_is_preferred_where_labels_gain_nothing():
    generator = np.random.default_rng(0)
    rows = [(str(number % 40), chance, generator.random() < chance) for number, chance in enumerate(generator.random(400))]
    swept = swept_of(RELATION, *labelled(rows))
    groups = np.arange(swept.records) % 4
    assert best_shrink(swept, groups) is None


def test_nothing_found_or_nothing_right():
    records, _ = labelled([("p", 0.5, True)])
    for candidates in ([[]], [[triple("q", "a", "x", 0.9)]]):
        swept = swept_of(RELATION, records, candidates)
        assert fit_thresholds(swept, shrink=0, min_gold=0) == Thresholds(0.5) and f1(swept, Thresholds(0.5)) == 0


# -- decisions -----------------------------------------------------------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(relations(records=6), st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_no_record_is_decided_by_what_was_fitted_on_it(data, groups):
    records, candidates = data
    parts = np.asarray(groups[: len(records)])
    identities = [record.text for record in records]
    fitted = fit_decision(RELATION.candidates, records, [candidates], identities, parts, weights=[1.0])
    for part in set(parts.tolist()):
        other = [RelationRecord(record.text, (), record.line) if own == part else record for record, own in zip(records, parts, strict=True)]
        foreign = [[triple("p", "z", "z", 0.9)] if own == part else row for row, own in zip(candidates, parts, strict=True)]
        again = fit_decision(RELATION.candidates, other, [foreign], identities, parts, weights=[1.0])
        assert again.parts[part] == fitted.parts[part]
        assert Decision.from_dict(fitted.parts[part].as_dict()) == fitted.parts[part]
    chosen = decide(RELATION.candidates, records, [candidates], fitted.parts, parts)
    assert chosen == [RELATION.candidates.choose(row, fitted.parts[part].thresholds) for row, part in zip(candidates, parts, strict=True)]


def noisy(seed, sharp, count=200):
    """Records with one right and one wrong triple, as a member sees them that is right the more often the higher ``sharp``."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        good, bad = (1 / (1 + np.exp(-(sign * sharp + generator.normal()))) for sign in (1, -1))
        rows.append([triple("p", "a", "x", float(good)), triple("p", "a", "y", float(bad))])
    return rows


def test_weights_are_searched_and_the_better_member_counts_more():
    records = [RelationRecord(f"text {number}", (Spo("p", "a", (("@value", "x"),)),), number + 1) for number in range(200)]
    members = [noisy(1, 0.8), noisy(2, 0.0), noisy(3, 0.8)]
    pooled = pool(RELATION.candidates, records, members, [0, 1, 2])
    weights = search_weights(pooled)
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0 and weights.argmin() == 1
    equal = np.full(3, 1 / 3)
    assert pooled.score(weights) > max(pooled.score(equal), *(pooled.score(row) for row in np.eye(3)))
    parts = np.arange(200) % 3
    fitted = fit_decision(RELATION.candidates, records, members, [record.text for record in records], parts, shrinks=(None,))
    assert fitted.decision.weights == pytest.approx(weights)
    only = search_weights(pooled, parts != 0)
    assert fitted.parts[0].weights == pytest.approx(only)
    assert spread([0.6, 0.4], [0, 0, 1]) == pytest.approx((0.3, 0.3, 0.4))
    shared = pool(RELATION.candidates, records, members, [0, 0, 1])
    assert shared.probability[:, 0] == pytest.approx(pooled.probability[:, :2].mean(axis=1))


def test_of_reading_the_first_answer_counts():
    records = [ReadingRecord(str(number), "?", "甲乙丙", (Reference("甲", None),), "", number + 1) for number in range(20)]
    sure = [[Answer("甲", 0, 1, 0.6), Answer("乙", 1, 2, 0.2)]] * 20
    wrong = [[Answer("丙", 2, 3, 0.9), Answer("甲", 0, 1, 0.1)]] * 20
    pooled = pool(READING.candidates, records, [sure, wrong], [0, 1])
    assert pooled.score(np.asarray([1.0, 0.0])) == 1 and pooled.score(np.asarray([0.0, 1.0])) == 0
    assert pooled.score(search_weights(pooled)) == 1
    fitted = fit_decision(READING.candidates, records, [sure, wrong], [record.id for record in records], np.arange(20) % 2)
    assert READING.score(records, decide(READING.candidates, records, [sure, wrong], fitted.parts, np.arange(20) % 2))["em"] == 1


# -- calibration ---------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_reliability_is_its_formula(pairs):
    probability, right = (np.asarray(values, dtype=float) for values in zip(*pairs, strict=True))
    table = reliability(probability, right, bins=4)
    assert sum(row["count"] for row in table["bins"]) == len(pairs) == table["count"]
    place = np.minimum(np.floor(probability * 4), 3)
    wanted = sum(abs(probability[place == number].sum() - right[place == number].sum()) for number in range(4)) / len(pairs)
    assert table["ece"] == pytest.approx(wanted, abs=1e-9)
    assert table["brier"] == pytest.approx(((probability - right) ** 2).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapping_mends_probabilities_that_are_too_sure_and_keeps_their_order(kind):
    generator = np.random.default_rng(0)
    truth = generator.random(3000)
    given_ = truth**3 / (truth**3 + (1 - truth) ** 3)  # logits three times too large
    right = (generator.random(3000) < truth).astype(float)
    parts = np.arange(3000) % 5
    mapped = cross_fitted(given_, right, parts, kind)
    assert reliability(mapped, right)["ece"] < reliability(given_, right)["ece"] / 3
    fitted = fit_calibration(given_, right, kind)
    assert Calibration.from_dict(fitted.as_dict()) == fitted
    ranked = fitted(np.sort(given_))
    assert (np.diff(ranked) >= 0).all() and ranked.min() >= 0 and ranked.max() <= 1
    changed = np.where(parts == 0, 1 - right, right)  # what a part says of itself does not matter
    assert (cross_fitted(given_, changed, parts, kind)[parts == 0] == mapped[parts == 0]).all()
    assert fit_calibration([0.2, 0.9], [1, 1], kind) is None and fit_calibration([], [], kind) is None
