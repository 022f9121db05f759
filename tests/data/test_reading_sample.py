"""What the bundled sample of the reading track alone has: candidates, kinds of question, names, frames and traps. test_samples.py has the rest."""

import json
import re
from collections import Counter

import pytest

from tasks.reading.baseline import type_only
from tasks.reading.records import describe

LABELLED = ("train", "dev", "test_a", "test_b")
SCORED = LABELLED[1:]


@pytest.fixture(scope="module")
def track():
    return "reading"


@pytest.fixture(scope="module")
def candidates(folder):
    return json.loads((folder / "candidates.json").read_text(encoding="utf-8"))


# -- files -------------------------------------------------------------------------------------------------------


def test_only_train_says_where_answers_stand(splits):
    for split in LABELLED:
        answers = [answer for row in splits[split] for answer in row.answers]
        assert {answer.start is not None for answer in answers} == {split == "train"}
        assert all(answer.text in row.text for row in splits[split] for answer in row.answers)
    assert all(row.answers is None for row in splits["test1"])


# -- candidates --------------------------------------------------------------------------------------------------


def test_every_question_has_three_distractors_of_its_answers_type(splits, candidates):
    assert set(candidates) == {row.id for split in SCORED for row in splits[split]}
    for row in (row for split in SCORED for row in splits[split]):
        texts = candidates[row.id]
        assert row.answers[0].text in texts and len(set(texts) - {row.answers[0].text}) >= 3, row.text
        at = 0
        for text in texts:
            at = row.text.index(text, at) + len(text)  # verbatim, in order, apart


@pytest.mark.parametrize("split", SCORED)
def test_the_type_alone_finds_little(splits, candidates, split):
    told = type_only(candidates, {row.id: [answer.text for answer in row.answers] for row in splits[split]})
    assert 0.15 < told["em"] <= 0.25 and told["em"] < told["f1"] < 0.4


# -- kinds of question -------------------------------------------------------------------------------------------


def expression(pattern):
    """A sentence or question as a regular expression: an alternative of each ``[a|b]``, anything for an answer or ``{slot}``."""
    parts = re.split(r"(\[[^]]*\]|<[^>]*>(?:\[[^]]*\])?|\{e\})", pattern)
    inside = {"[": lambda part: "(?:" + "|".join(map(re.escape, part[1:-1].split("|"))) + ")", "<": lambda part: ".+?", "{": lambda part: ".+?"}
    return "".join(inside[part[0]](part) if part[:1] in inside and part else re.escape(part) for part in parts)


def forms(generator, *, held_out, questions):
    """(topic, kind) to the expressions of its questions or sentences."""
    found = {}
    for kind in generator.kinds(held_out=held_out):
        name = (kind.topic.openings, kind.topic.sort, kind.name)
        patterns = [expression(pattern) for pattern in (kind.questions if questions else kind.sentences)]
        if questions:  # the thing's name may be left out
            patterns += [expression(re.sub("^(《{e}》|{e})的?", "", pattern)) for pattern in kind.questions]
        found[name] = re.compile("|".join(patterns))
    return found


def test_there_are_forty_two_kinds_in_seven_topics(generator):
    for held_out in (False, True):
        known = generator.kinds(held_out=held_out)
        assert len(known) == 42 and set(Counter(kind.topic.openings for kind in known).values()) == {6}
        assert all(len(kind.sentences) >= (2 if held_out else 3) and len(kind.questions) >= (2 if held_out else 4) for kind in known)


@pytest.mark.parametrize(("split", "least"), [("train", 10), ("dev", 1), ("test_a", 1), ("test_b", 1)])
def test_every_kind_is_asked(generator, splits, split, least):
    for pattern in forms(generator, held_out=split == "test_b", questions=True).values():
        assert sum(bool(pattern.fullmatch(row.question)) for row in splits[split]) >= least, pattern


# -- splits ------------------------------------------------------------------------------------------------------


def test_no_name_of_the_tests_is_one_that_training_says(generator, splits, monkeypatch, tmp_path):
    drawn = {True: set(), False: set()}
    name = generator.Inventor.name

    def noted(self, kind):
        found = name(self, kind)
        drawn[self.unseen].add(found)
        return found

    monkeypatch.setattr(generator.Inventor, "name", noted)
    generator.make(tmp_path)
    assert len(drawn[True]) > 200 and not drawn[True] & drawn[False]
    for split in SCORED:
        asked = [row.answers[0].text for row in splits[split] if row.question.endswith("是谁")]
        assert all(answer in drawn[True] for answer in asked)


def test_test_a_has_the_frames_of_train_and_test_b_has_others(generator, splits):
    known, held_out = (list(forms(generator, held_out=flag, questions=True).values()) for flag in (False, True))
    for split in LABELLED:
        mine, other = (held_out, known) if split == "test_b" else (known, held_out)
        assert all(any(pattern.fullmatch(row.question) for pattern in mine) for row in splits[split])
        assert not any(pattern.fullmatch(row.question) for pattern in other for row in splits[split])
    known, held_out = (list(forms(generator, held_out=flag, questions=False).values()) for flag in (False, True))
    for split in LABELLED:
        mine = held_out if split == "test_b" else known
        assert all(any(pattern.search(row.text) for pattern in mine) for row in splits[split])
    for one, two in zip(generator.kinds(held_out=False), generator.kinds(held_out=True), strict=True):
        assert not set(one.sentences) & set(two.sentences) and not set(one.questions) & set(two.questions)


# -- traps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test_a"])
def test_the_traps_are_there(splits, split):
    rows = splits[split]
    told = describe(rows)
    assert told["share_answer_occurring_more_than_once"] > 0.01
    assert 0.002 < told["share_longer_than_509"] < 0.05
    assert 50 <= told["question_and_context_length_p50"] <= 120
    assert split == "train" or told["several_references"] > 0.02 * len(rows)
