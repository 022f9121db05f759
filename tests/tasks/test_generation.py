"""What the designs ``generate`` share: codes that can be told apart, outputs that read in one way only, weights and choices of structures."""

import itertools
import math

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.decoding import Hypothesis, beam_search, from_prefixes, sample
from shared.errors import InputError
from shared.text import Vocabulary
from tasks.generation import GenerateDecodeSettings
from tasks.generation_groups import Group, GroupForm, GroupGrammar, Item, Tries, length, read, write
from tasks.generation_search import Stated, choose, gold_hypotheses, place_of, set_f1
from tasks.generation_words import Codes, Words, spelled

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KNOWN = Vocabulary([*SPECIAL, *"人物得失船旧伞白露abc"])
NAMED = GroupForm(("得", "失", "人", "物"), (0, 1), (), {0: (2, 3), 1: (2,)}, once=False)
"""Heads 得 (with 人 and 物) and 失 (with 人)."""
SPANNED = GroupForm(("演", "写", "在", "于"), None, (0, 1), {0: (2, 3), 1: ()}, once=True)
"""Any span first; 演 may have 在 and 于 behind it, 写 nothing."""


# -- codes -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=30, unique=True), st.sampled_from([KNOWN, Vocabulary(SPECIAL)]))
def test_any_names_in_any_vocabulary_can_be_told_apart(names, vocabulary):
    codes = Codes.of_vocabulary(names, vocabulary)
    assert len(set(codes.names)) == len(names) and all(codes.names)
    separators = {codes.end, codes.field, codes.group}
    assert len(separators) == 3 and vocabulary.pad_id not in separators
    assert not any(separators & set(name) for name in codes.names)
    assert [codes.number_of[name] for name in codes.names] == list(range(len(names)))
    for name, local in zip(codes.names, codes.local_names, strict=True):
        assert codes.words[list(local)].tolist() == list(name)
    assert codes.words[:3].tolist() == [codes.end, codes.field, codes.group] and len(set(codes.words.tolist())) == len(codes.words)


def test_known_names_are_spelled_in_their_characters():
    codes = Codes.of_vocabulary(["人物", "得 失"], KNOWN)
    assert [[KNOWN.token(token) for token in name] for name in codes.names] == [["人", "物"], ["得", "失"]]
    assert spelled("得 失") == "得失"


def test_separators_are_reserved_tokens_where_there_are_some():
    reserved = Vocabulary([*SPECIAL, "[unused1]", "[unused2]", "人"])
    codes = Codes.of_vocabulary(["人"], reserved)
    assert [reserved.token(token) for token in (codes.end, codes.field, codes.group)] == ["[SEP]", "[unused1]", "[unused2]"]
    plain = Codes.of_vocabulary(["人"], KNOWN)
    assert [KNOWN.token(token) for token in (plain.field, plain.group)] == ["[MASK]", "[CLS]"]
    with pytest.raises(InputError, match="without \\[MASK\\]"):
        Codes.of_vocabulary(["人"], Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "人"]))


def test_a_vocabulary_that_knows_no_name_still_has_short_codes_for_5000():
    codes = Codes.of_vocabulary([f"{number}号" for number in range(5000)], Vocabulary([*SPECIAL, *"白露船伞"]))
    assert len(set(codes.names)) == 5000 and max(map(len, codes.names)) < 14


def test_words_number_what_a_row_may_write():
    codes = Codes.of_vocabulary(["人"], KNOWN)
    texts = [np.array(tokens, dtype=np.uint16) for tokens in ([9, 10, 9], [], [10, KNOWN.id("人")])]
    words = Words(codes, texts)
    assert set(words.ids.tolist()) == {*codes.words.tolist(), 9, 10} and len(words.ids) == len(codes.words) + 2
    for row, text in zip(words.writable, texts, strict=True):
        assert set(words.ids[row].tolist()) == {*codes.words.tolist(), *text.tolist()}
    assert [words.tokens(text) for text in words.texts] == [tuple(text.tolist()) for text in texts]
    assert words.numbers(words.ids).tolist() == list(range(len(words.ids)))


# -- groups ------------------------------------------------------------------------------------------------------


@st.composite
def outputs(draw, form):
    """A text of tokens 20 to 24 and groups over it that the form allows."""
    text = draw(st.lists(st.integers(20, 24), min_size=1, max_size=8))

    def span():
        begin = draw(st.integers(0, len(text) - 1))
        return tuple(text[begin : draw(st.integers(begin + 1, len(text)))])

    groups = []
    for _ in range(draw(st.integers(0, 3))):
        head = span() if form.heads is None else draw(st.sampled_from(form.heads))
        context, items = form.start(head if form.heads is not None else None), []
        for _ in range(draw(st.integers(1, 4))):
            name = draw(st.sampled_from([*form.free, *form.own_names(context)]))
            context = form.follow(context, name)
            items.append(Item(name, span()))
        groups.append(Group(head, tuple(items)))
    return text, groups


def stripped(groups):
    return [Group(group.head, tuple(Item(item.name, item.span) for item in group.items)) for group in groups]


@pytest.mark.parametrize("form", [NAMED, SPANNED])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_written_is_allowed_and_read_back(form, data):
    text, groups = data.draw(outputs(form))
    codes = Codes.beside(form.names, 30)
    tokens, whole = write(groups, codes, room=1000)
    assert whole and len(tokens) == length(groups, [len(name) for name in codes.names])
    found = read(tokens, form, codes)
    assert stripped(found) == groups
    for group in found:
        head = tokens[group.begin : group.end]
        assert head == (list(codes.names[group.head]) if form.heads is not None else list(group.head))
        for item in group.items:
            assert tokens[item.begin : item.end] == [codes.field, *codes.names[item.name], codes.field, *item.span]
    words = Words(codes, [np.array(text)])
    grammar = GroupGrammar(Tries(form, codes), [words.texts[0].tolist()])
    forced = gold_hypotheses(grammar, words, [tokens], max_target=max(8, len(tokens) + 1))
    assert forced[0][0].tokens == tuple(tokens) and forced[0][0].finished


@pytest.mark.parametrize("form", [NAMED, SPANNED])
@settings(max_examples=40, deadline=None)
@given(data=st.data(), room=st.integers(0, 40))
def test_what_does_not_fit_is_left_out_in_whole_items(form, data, room):
    _, groups = data.draw(outputs(form))
    codes = Codes.beside(form.names, 30)
    tokens, whole = write(groups, codes, room=room)
    flat = [(number, item) for number, group in enumerate(groups) for item in group.items]
    got = stripped(read(tokens, form, codes))
    kept = [(number, item) for number, group in enumerate(got) for item in group.items]
    assert kept == flat[: len(kept)] and whole == (len(kept) == len(flat)) and len(tokens) <= room
    if not whole:
        assert len(write(groups, codes, room=1000)[0]) > room


def random_step(seed, rows, vocabulary):
    def logits(prefixes, sources):
        made = [
            np.random.default_rng([seed, source, len(prefix), *prefix]).normal(size=vocabulary) * 3
            for source, prefix in zip(sources.tolist(), prefixes.tolist(), strict=True)
        ]
        return paddle.to_tensor(np.stack(made))  # [r, v]

    return from_prefixes(logits, rows)


@pytest.mark.parametrize("form", [NAMED, SPANNED])
def test_a_random_model_writes_valid_outputs_only(form):
    """All that a grammar lets through reads back to itself, within any length, whole, with spans of the text."""
    codes = Codes.beside(form.names, 30)
    texts = [np.array(text) for text in ([20, 21, 20, 22], [23], [24, 24, 24], [20, 23, 21, 22, 24])]
    words = Words(codes, texts)
    tries, stated = Tries(form, codes), 0
    for seed, most in itertools.product(range(2), (8, 11, 40)):
        grammar = GroupGrammar(tries, [text.tolist() for text in words.texts])
        step = random_step(seed, len(texts), len(words.ids))
        found = sample(step, end_id=0, max_length=most, n=3, seed=seed, constraints=[grammar])
        found = [a + b for a, b in zip(found, beam_search(step, end_id=0, max_length=most, beam=3, n_best=3, constraints=[grammar]), strict=True)]
        for text, own in zip(texts, found, strict=True):
            for one in own:
                tokens = words.tokens(one.tokens)
                groups = read(tokens, form, codes)
                assert one.finished and len(one) <= most and write(stripped(groups), codes, room=most) == (list(tokens), True)
                stated += len(groups)
                for group in groups:
                    spans = [item.span for item in group.items] + ([group.head] if form.heads is None else [])
                    assert group.items and all(place_of(text.tolist(), span) >= 0 for span in spans)
                    context = form.start(group.head if form.heads is not None else None)
                    for item in group.items:
                        assert item.name in (*form.free, *form.own_names(context))
                        context = form.follow(context, item.name)
    assert stated > 50


def test_nothing_is_written_of_no_text_or_without_roles():
    codes = Codes.beside(NAMED.names, 30)
    words = Words(codes, [np.zeros(0, dtype=np.int64)])
    grammar = GroupGrammar(Tries(NAMED, codes), [[]])
    assert gold_hypotheses(grammar, words, [[]], max_target=8)[0][0].tokens == ()
    assert grammar.follow(grammar.start(0)) == frozenset() and grammar.accepts(grammar.start(0))
    bare = GroupForm(("得",), (0,), (), {0: ()}, once=False)
    grammar = GroupGrammar(Tries(bare, Codes.beside(bare.names, 30)), [[3, 4]])
    assert grammar.follow(grammar.start(0)) == frozenset()


def test_a_name_that_begins_another_and_one_of_two_owners():
    form = GroupForm(("演", "演唱", "在"), None, (0, 1), {0: (2,), 1: ()}, once=True)
    codes = Codes.beside(form.names, 30)
    words = Words(codes, [np.array([20, 21])])
    tries = Tries(form, codes)
    for groups in ([Group((20,), (Item(0, (21,)), Item(2, (20,)), Item(1, (20, 21))))], [Group((20,), (Item(1, (21,)), Item(0, (21,))))]):
        tokens, _ = write(groups, codes, room=100)
        grammar = GroupGrammar(tries, [words.texts[0].tolist()])
        assert gold_hypotheses(grammar, words, [tokens], max_target=100)[0][0].tokens == tuple(tokens)
    wrong, _ = write([Group((20,), (Item(1, (21,)), Item(2, (20,))))], codes, room=100)  # 在 does not belong to 演唱
    assert gold_hypotheses(GroupGrammar(tries, [words.texts[0].tolist()]), words, [wrong], max_target=100)[0][0].tokens != tuple(wrong)
    twice, _ = write([Group((20,), (Item(0, (21,)), Item(2, (20,)), Item(2, (21,))))], codes, room=100)
    assert gold_hypotheses(GroupGrammar(tries, [words.texts[0].tolist()]), words, [twice], max_target=100)[0][0].tokens != tuple(twice)


# -- what hypotheses come to -------------------------------------------------------------------------------------


def hypothesis(log_probability, *steps):
    return Hypothesis(tuple(range(len(steps))), log_probability, log_probability, True, tuple(steps))


def reading(*keys):
    return {key: Stated(key, ()) for key in keys}


def chosen(found, readings, floor=None, **settings_):
    return {one.key: one.probability for one in choose(found, readings, GenerateDecodeSettings(**settings_), floor=floor)}


FOUND = [hypothesis(math.log(mass)) for mass in (0.2, 0.12, 0.08)]
READINGS = [reading("a", "b"), reading("b", "c"), reading("b")]


def test_posteriors_are_the_mass_of_the_hypotheses_that_state_a_structure():
    assert chosen(FOUND, READINGS, beam=3) == pytest.approx({"a": 0.5, "b": 1.0})
    assert chosen(FOUND, READINGS, beam=3, floor=0.0) == pytest.approx({"a": 0.5, "b": 1.0, "c": 0.3})
    assert chosen(FOUND, READINGS, beam=3, floor=0.4) == pytest.approx({"a": 0.5, "b": 1.0})
    assert chosen(FOUND, READINGS, rescore="spans") == pytest.approx({"a": 0.5, "b": 1.0})
    assert chosen(FOUND, READINGS, rescore="spans", threshold=0.6) == pytest.approx({"b": 1.0})
    assert chosen(FOUND, READINGS, rescore="spans", threshold=0.2) == pytest.approx({"a": 0.5, "b": 1.0, "c": 0.3})


def test_minimum_bayes_risk_takes_the_sample_that_agrees_best():
    samples = [hypothesis(-9.0)] * 4
    readings = [reading("x", "y"), reading("a"), reading("a", "b"), reading("a", "b", "c")]
    scores = [np.mean([set_f1(frozenset(left), frozenset(right)) for right in readings]) for left in readings]
    best = readings[int(np.argmax(scores))]
    found = chosen(samples, readings, search="mbr", samples=4)
    assert set(found) == set(best) == {"a", "b"} and found == pytest.approx({"a": 0.75, "b": 0.5})
    assert set(chosen(samples, [reading(), reading(), reading("a"), reading("b")], search="mbr")) == set()
    same = [reading("a", "b"), reading("b", "a"), reading("c"), reading("d")]  # equal sets are one candidate, counted twice
    assert set(chosen(samples, same, search="mbr")) == {"a", "b"}


def test_one_hypothesis_gives_a_structure_the_probability_of_its_own_tokens():
    one = hypothesis(math.log(0.5 * 0.9 * 0.8 * 0.7), *map(math.log, (0.5, 0.9, 0.8, 0.7)))
    readings = [{"a": Stated("a", ((0, 1), (2, 3))), "b": Stated("b", ((1, 3),))}]
    assert chosen([one], readings) == pytest.approx({"a": 0.4, "b": 0.72})
    assert chosen([one], readings, floor=0.5) == pytest.approx({"b": 0.72})


def test_hypotheses_that_say_nothing_give_nothing():
    for kind in ({}, {"search": "mbr"}, {"rescore": "spans"}):
        assert chosen(FOUND, [reading()] * 3, **kind) == {}


def test_place_of():
    assert place_of([1, 2, 1, 2, 3], [1, 2, 3]) == 2 and place_of([1, 2], [2, 1]) == -1 and place_of([4, 4], (4,)) == 0
