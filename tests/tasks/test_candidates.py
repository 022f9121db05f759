"""Candidates of every track: written and read back, merged by votes, chosen by thresholds."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.candidates import merged
from tasks.event.predictions import Prediction as Argument
from tasks.reading.predictions import Prediction as Answer
from tasks.registry import get_task
from tasks.relation.predictions import Mention, Prediction
from tasks.title.predictions import Prediction as Title

chances = st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.75, 1.0])
words = st.text(min_size=1, max_size=4)
spans = st.integers(0, 6).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, start + 3)))
mentions = st.builds(lambda text, span: Mention(text, *span), st.sampled_from("甲乙丙Aa"), spans)
objects = st.tuples(mentions, st.none() | mentions).map(
    lambda pair: (("@value", pair[0]), *([] if pair[1] is None else [("inWork", pair[1])]))
)
MADE = {
    "relation": st.builds(Prediction, st.sampled_from(["p", "q"]), mentions, objects, chances),
    "event": st.builds(
        lambda kind, role, text, span, chance: Argument(kind, role, text, *span, chance),
        st.sampled_from(["t", "u"]),
        st.sampled_from(["r", "s"]),
        st.sampled_from("甲乙丙Aa"),
        spans,
        chances,
    ),
    "reading": st.builds(
        lambda text, span, chance: Answer(text, *span, chance), st.sampled_from(["甲", "乙", "《甲》", "a", "A", ""]), spans, chances
    ),
    "title": st.builds(Title, st.sampled_from(["甲", "乙", "甲的乙", "a", "A", ""]), chances),
}
KINDS = {track: get_task(track).candidates for track in MADE}
TRACKED = pytest.mark.parametrize("track", MADE)


def rows_of(track, **size):
    """Candidates of a text as one member gives them: each key once."""
    return st.lists(MADE[track], max_size=6, unique_by=KINDS[track].key, **size)


@TRACKED
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_candidates_come_back_from_json(track, data):
    kind = KINDS[track]
    text = data.draw(words)
    for one in data.draw(rows_of(track)):
        one = one._replace(probability=data.draw(st.floats(0, 1)), **({} if track == "relation" else {"text": text}))
        back = kind.from_row(json.loads(json.dumps(kind.as_row(one), ensure_ascii=False)))
        assert back == one and type(back) is type(one) and kind.key(back) == kind.key(one)


@TRACKED
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_one_member_is_itself_and_weights_of_0_drop_a_member(track, data):
    kind = KINDS[track]
    row, other = data.draw(rows_of(track)), data.draw(rows_of(track))
    assert kind.merge([row], [3.0]) == row
    assert kind.merge([other, row, other], [0, 0.2, 0]) == row


@TRACKED
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_votes_are_weighted_means_in_whatever_order(track, data):
    kind = KINDS[track]
    members = data.draw(st.lists(rows_of(track), min_size=2, max_size=4))
    weights = data.draw(st.lists(st.sampled_from([0.1, 0.3, 0.5, 1.0]), min_size=len(members), max_size=len(members)))
    found = kind.merge(members, weights)
    shares = [kind.shares(row) for row in members]
    assert sorted(map(repr, map(kind.key, found))) == sorted(map(repr, set().union(*shares)))
    for one in found:
        mean = sum(weight * own.get(kind.key(one), 0.0) for weight, own in zip(weights, shares, strict=True)) / sum(weights)
        assert one.probability == pytest.approx(mean, abs=1e-12) and 0 <= one.probability <= 1
        assert any(one._replace(probability=0.0) == other._replace(probability=0.0) for row in members for other in row)
    order = data.draw(st.permutations(range(len(members))))
    again = kind.merge([members[number] for number in order], [weights[number] for number in order])
    assert sorted(map(repr, again)) == sorted(map(repr, found))
    if KINDS[track].ranked:
        assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
        if all(members):
            assert math.fsum(one.probability for one in found) == pytest.approx(1)


@pytest.mark.parametrize("weights", [[0, 0], [-1, 2], [math.nan, 1], [math.inf, 1]])
def test_weights_that_are_none(weights):
    with pytest.raises(ValueError, match="weight"):
        merged([[], []], weights, KINDS["event"])


@pytest.mark.parametrize("track", ["relation", "event"])
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_threshold_lets_in_what_reaches_it_and_nothing_twice(track, data):
    kind = KINDS[track]
    row = data.draw(rows_of(track))
    limits = {kind.label(one): data.draw(chances) for one in row}
    chosen = kind.choose(row, lambda label: limits[label])
    assert all(one in row and one.probability >= limits[kind.label(one)] for one in chosen)
    if track == "event":
        for label in limits:
            taken = [one for one in chosen if kind.label(one) == label]
            assert all(a.end <= b.start or b.end <= a.start for i, a in enumerate(taken) for b in taken[:i])
            above = [one.probability for one in row if kind.label(one) == label and one.probability >= limits[label]]
            assert not above or max(above) in [one.probability for one in taken]
    else:
        left = [one for one in row if one.probability >= limits[kind.label(one)] and one not in chosen]
        for one in left:  # only what is part of another goes
            assert any(
                (one.predicate, one.subject.text) == (other.predicate, other.subject.text) and set(one.key()[2]) <= set(other.key()[2])
                for other in row
                if other is not one and other.probability >= limits[kind.label(other)]
            )
