import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.decoding import Choice, Literal, NGramBlock, Pattern, Repeat, Sequence, SubstringAutomaton, Trie, beam_search, greedy, sample
from shared.decoding.patterns import SuffixAutomaton

FIXTURE = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.lists(st.integers(1, 4), max_size=9)


def language(pattern: Pattern, source: int, longest: int) -> set[tuple[int, ...]]:
    """Every sequence of at most ``longest`` tokens that the pattern accepts; checks what it says on the way."""
    found, waiting = set(), [((), pattern.start(source))]
    while waiting:
        tokens, state = waiting.pop()
        if pattern.accepts(state):
            found.add(tokens)
        if len(tokens) < longest:
            waiting += [((*tokens, token), pattern.move(state, token)) for token in pattern.follow(state)]
    return found


def check_distances(pattern: Pattern, source: int, longest: int) -> None:
    """``shortest`` against the language itself, ``wait`` as its bound, and no token that leads nowhere."""
    complete = language(pattern, source, longest + 6)
    waiting = [((), pattern.start(source))]
    while waiting:
        tokens, state = waiting.pop()
        lengths = [len(whole) - len(tokens) for whole in complete if whole[: len(tokens)] == tokens]
        assert pattern.shortest(state) == min(lengths, default=float("inf"))
        assert not tokens or pattern.shortest(state) <= pattern.wait(source)
        if len(tokens) < longest:
            waiting += [((*tokens, token), pattern.move(state, token)) for token in pattern.follow(state)]


def runs(text, *, low=1, high=99, ends=None, without=()):
    found = {() for _ in range(1) if low == 0}
    for start, stop in itertools.combinations(range(len(text) + 1), 2):
        run = tuple(text[start:stop])
        if low <= len(run) <= high and set(without).isdisjoint(run) and (ends is None or stop - 1 in ends):
            found.add(run)
    return found


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=6))
def test_a_trie_accepts_its_sequences_and_nothing_else(sequences):
    trie = Trie(sequences)
    assert language(trie, 0, 12) == {tuple(sequence) for sequence in sequences}
    check_distances(trie, 0, 4)


@settings(deadline=None, max_examples=80)
@given(
    text=TEXT, low=st.integers(0, 4), extra=st.none() | st.integers(0, 3), ends=st.none() | st.sets(st.integers(0, 8)),
    without=st.sets(st.integers(1, 4), max_size=2),
)  # fmt: skip
def test_a_substring_automaton_accepts_the_substrings_and_nothing_else(text, low, extra, ends, without):
    ends = None if ends is None else {place for place in ends if place < len(text)}
    high = None if extra is None else max(low + extra, 1)
    automaton = SubstringAutomaton([[1], text], min_length=low, max_length=high, ends=None if ends is None else [[0], ends], without=without)
    expected = runs(text, low=low, high=99 if high is None else high, ends=ends, without=without)
    if automaton.shortest(automaton.start(1)) < float("inf"):
        assert language(automaton, 1, 12) == expected
        check_distances(automaton, 1, 5)
    else:
        assert not expected


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), max_size=60), st.sets(st.integers(1, 3), max_size=1))
def test_the_suffix_automaton_is_of_linear_size(text, without):
    automaton = SuffixAutomaton(text, without=frozenset(without))
    assert len(automaton.children) <= max(2 * len(text), 1) and sum(map(len, automaton.children)) <= 3 * max(len(text), 1)


@FIXTURE
@given(texts=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=12), min_size=2, max_size=3), seed=st.integers(0, 999), low=st.integers(1, 3))
def test_outputs_are_substrings_of_their_source(model, texts, seed, low):
    texts = [[token for token in text if token != 3] + [5, 6, 7] for text in texts]
    options = {"end_id": 3, "max_length": 6, "constraints": [NGramBlock(2), SubstringAutomaton(texts, 3, min_length=low)]}
    untrained = model(len(texts), 10, seed=seed)
    decoded = [beam_search(untrained.step, beam=4, n_best=4, **options), sample(untrained.step, n=4, top_p=0.9, **options)]
    decoded += [sample(untrained.step, n=4, top_k=2, **options), [[one] for one in greedy(untrained.step, **options)]]
    for text, hypotheses in zip(texts, zip(*decoded, strict=True), strict=True):
        for hypothesis in itertools.chain(*hypotheses):
            assert hypothesis.finished and hypothesis.tokens in runs(text, low=low, high=5)


def test_an_end_token_in_the_source_is_never_part_of_a_run(model):
    (found,) = beam_search(model(1, 6).step, end_id=0, max_length=9, beam=6, n_best=6, constraints=[SubstringAutomaton([[1, 2, 0, 3, 4, 5]], 0)])
    assert {hypothesis.tokens for hypothesis in found} <= runs([1, 2, 0, 3, 4, 5], without=[0])


END, COLON, COMMA, STOP = 0, 1, 2, 3
SEPARATORS = [END, COLON, COMMA, STOP]


def triples_grammar(texts, names, *, minimum=0, maximum=None):
    """name : span , span . as often as the model likes; two kinds of names, the second with one span only."""
    span = SubstringAutomaton(texts, without=SEPARATORS)
    long = Sequence(Trie(names[0]), Literal([COLON]), span, Literal([COMMA]), span, Literal([STOP]))
    short = Sequence(Trie(names[1]), Literal([COLON]), span, Literal([STOP]))
    return Repeat(Choice(long, short), minimum, maximum, end_id=END)


def parses(tokens, text, names, minimum=0):
    if not tokens:
        return minimum == 0
    *items, last = "".join(map(chr, tokens)).split(chr(STOP))
    spans = {"".join(map(chr, run)) for run in runs(text, without=SEPARATORS)}
    for item in items:
        name, _, rest = item.partition(chr(COLON))
        kinds = [["".join(map(chr, one)) for one in kind] for kind in names]
        parts = rest.split(chr(COMMA))
        if not set(parts) <= spans or not ((name in kinds[0] and len(parts) == 2) or (name in kinds[1] and len(parts) == 1)):
            return False
    return last == "" and len(items) >= minimum


@FIXTURE
@given(
    texts=st.lists(st.lists(st.integers(1, 11), min_size=1, max_size=10), min_size=2, max_size=2), seed=st.integers(0, 999),
    max_length=st.integers(8, 30), minimum=st.integers(0, 1),
)  # fmt: skip
def test_untrained_models_write_valid_records_under_a_grammar(model, texts, seed, max_length, minimum):
    texts = [[*text, 11] for text in texts]
    names = [[[12], [12, 13], [4, 5]], [[13], [4]]]
    untrained = model(2, 14, seed=seed)
    options = {"end_id": END, "max_length": max_length, "constraints": [triples_grammar(texts, names, minimum=minimum), NGramBlock(3)]}
    decoded = [sample(untrained.step, n=4, **options), sample(untrained.step, n=2, top_k=2, **options)]
    decoded += [beam_search(untrained.step, beam=3, n_best=3, **options), [[one] for one in greedy(untrained.step, **options)]]
    for text, hypotheses in zip(texts, zip(*decoded, strict=True), strict=True):
        for hypothesis in itertools.chain(*hypotheses):
            assert hypothesis.finished and len(hypothesis) <= max_length
            assert parses(hypothesis.tokens, text, names, minimum)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (Literal([5, 6]), {(5, 6)}),
        (Literal([]), {()}),
        (Choice(Literal([5]), Literal([5, 6]), Literal([7])), {(5,), (5, 6), (7,)}),
        (Sequence(Choice(Literal([5]), Literal([5, 5])), Literal([5])), {(5, 5), (5, 5, 5)}),
        (Repeat(Literal([5]), 1, 3), {(5,), (5, 5), (5, 5, 5)}),
        (Repeat(Literal([5]), 0, 2, separator=Literal([2])), {(), (5,), (5, 2, 5)}),
        (Repeat(Choice(Literal([5]), Literal([5, 2])), 2, 2, separator=Literal([2])), {(5, 2, 5), (5, 2, 2, 5), (5, 2, 5, 2), (5, 2, 2, 5, 2)}),
        (Repeat(Literal([]), 0), {()}),
        (Sequence(SubstringAutomaton([[5, 6, 5]]), Literal([6])), {(5, 6), (6, 6), (5, 6, 6), (6, 5, 6), (5, 6, 5, 6)}),
        (Choice(SubstringAutomaton([[]]), Literal([9])), {(9,)}),
        (Sequence(Repeat(SubstringAutomaton([[]]), 0), Literal([9])), {(9,)}),
    ],
)  # fmt: skip
def test_combined_patterns_have_the_language_of_their_parts(pattern, expected):
    assert language(pattern, 0, 9) == expected
    check_distances(pattern, 0, 3)


def test_repeat_without_limit():
    pattern = Repeat(Literal([5]), 2, separator=Literal([2]))
    assert language(pattern, 0, 7) == {(5, 2, 5), (5, 2, 5, 2, 5), (5, 2, 5, 2, 5, 2, 5)}
    assert pattern.shortest(pattern.move(pattern.start(0), 5)) == 2


def test_a_schema_of_thousands_of_names(model):
    names = [[4 + number // 100, 60 + number % 100] for number in range(5000)]
    grammar = Repeat(Sequence(Trie(names), Literal([COLON]), SubstringAutomaton([[200, 201]]), Literal([STOP])), 1, end_id=END)
    for hypothesis in sample(model(1, 202).step, end_id=END, max_length=30, n=5, constraints=[grammar])[0]:
        assert hypothesis.finished and list(hypothesis.tokens[:2]) in names


def test_bad_combinations_are_refused():
    with pytest.raises(ValueError, match="minimum 3 and maximum 2"):
        Repeat(Literal([1]), 3, 2)
    with pytest.raises(ValueError, match="Choice of 0 patterns"):
        Choice()
    with pytest.raises(ValueError, match="Sequence of 0 patterns"):
        Sequence()


def test_a_long_source_with_repeats():
    text = np.random.default_rng(0).integers(1, 4, size=3000).tolist()
    automaton = SubstringAutomaton([text], min_length=40)
    state, tokens = automaton.start(0), []
    for _ in range(40):
        token = min(automaton.follow(state))
        state, tokens = automaton.move(state, token), [*tokens, token]
    assert automaton.accepts(state)
    assert any(text[at : at + 40] == tokens for at in range(len(text)))


def test_a_trie_says_which_sequence_ends_where():
    trie = Trie([(4, 5), (4,), (6,), (4,)])
    node = trie.move(trie.start(0), 4)
    assert [trie.number(trie.start(0)), trie.number(node), trie.number(trie.move(node, 5))] == [None, 1, 0]
