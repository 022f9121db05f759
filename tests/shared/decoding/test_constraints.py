import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.decoding import EVERY_TOKEN, Constraint, Forbidden, MinLength, NGramBlock, SubstringAutomaton, TokenSet, Trie, beam_search, greedy, sample

FIXTURE = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SETS = st.builds(TokenSet, st.frozensets(st.integers(0, 7)), st.booleans())


def decode_all(model, *, end, max_length, constraints, seed=0, **options):
    """Every output of every source by all three decoders."""
    common = {"end_id": end, "max_length": max_length, "constraints": constraints}
    beam = min(4, model.vocabulary)
    runs = [[[one] for one in greedy(model.step, **common, **options)]]
    runs.append(beam_search(model.step, beam=beam, n_best=beam, **common, **options))
    for cut in ({}, {"top_k": 3}, {"top_p": 0.8, "temperature": 1.5}):
        runs.append(sample(model.step, n=3, seed=seed, **common, **cut, **options))
    return [[one for run in runs for one in run[source]] for source in range(len(runs[0]))]


def flat(model, **options):
    return [hypothesis for own in decode_all(model, **options) for hypothesis in own]


@given(SETS, SETS)
def test_token_sets_are_sets(left, right):
    for token in range(10):
        assert (token in (left & right)) == (token in left and token in right)
        assert (token in (left | right)) == (token in left or token in right)
        assert (token in ~left) == (token not in left) and token in EVERY_TOKEN
    assert left.is_empty(8) == (not any(token in left for token in range(8)))
    assert left.array.tolist() == sorted(left.ids)


@FIXTURE
@given(seed=st.integers(0, 999), n=st.integers(1, 3), vocabulary=st.integers(6, 12))
def test_no_ngram_twice_where_there_is_a_choice(model, seed, n, vocabulary):
    outputs = flat(model(2, vocabulary, seed=seed), end=0, max_length=5, constraints=[NGramBlock(n)])
    for hypothesis in outputs:
        grams = [hypothesis.tokens[at : at + n] for at in range(len(hypothesis.tokens) - n + 1)]
        assert len(set(grams)) == len(grams)


def test_ngram_block_by_hand():
    block, state = NGramBlock(3, ignore=[9]), ()
    for token in (1, 2, 3, 9, 1, 2):
        state = block.advance(state, token)
    assert block.allowed(state, 5) == TokenSet(frozenset([3]), complement=True)
    assert block.allowed((1, 2, 9, 4, 1, 2), 5) == EVERY_TOKEN  # the n-gram 1 2 9 holds an ignored token
    assert block.allowed((9, 2, 3, 9, 2), 5) == EVERY_TOKEN
    assert NGramBlock(1).allowed((4, 5), 5) == TokenSet(frozenset([4, 5]), complement=True)
    assert NGramBlock(2).allowed((4,), 5) == EVERY_TOKEN


def test_a_soft_constraint_gives_way_to_hard_ones_and_to_the_model(model):
    trie = Trie([[2, 2, 2, 2]], end_id=0)
    for order in ([trie, NGramBlock(1)], [NGramBlock(1), trie], [NGramBlock(2), trie, NGramBlock(1)]):
        for hypothesis in flat(model(2, 5), end=0, max_length=5, constraints=order):
            assert hypothesis.tokens == (2, 2, 2, 2) and hypothesis.finished
    # one word and no end token: the block would leave only tokens at -inf
    for hypothesis in flat(model(2, 5, dead=(0, 1, 2, 4)), end=0, max_length=4, constraints=[NGramBlock(1)]):
        assert hypothesis.tokens == (3, 3, 3, 3) and not hypothesis.finished


@FIXTURE
@given(seed=st.integers(0, 999), n=st.integers(0, 5), barred=st.frozensets(st.integers(1, 8), max_size=7))
def test_min_length_and_forbidden(model, seed, n, barred):
    constraints = [MinLength(n, 0), Forbidden(barred)]
    for hypothesis in flat(model(2, 9, seed=seed), end=0, max_length=6, constraints=constraints):
        assert len(hypothesis.tokens) >= n and barred.isdisjoint(hypothesis.tokens)


def test_many_forbidden_tokens(model):
    for outputs in decode_all(model(1, 600), end=0, max_length=3, constraints=[Forbidden(range(1, 595))]):
        assert all(token >= 595 for hypothesis in outputs for token in hypothesis.tokens)


def test_constraints_do_not_change_what_is_reported(model):
    untrained = model(1, 8)
    for hypothesis in decode_all(untrained, end=0, max_length=4, constraints=[Trie([[5, 6], [5, 7, 1]], end_id=0)])[0]:
        assert hypothesis.log_probability == pytest.approx(untrained.log_probability(0, [*hypothesis.tokens, 0]), abs=1e-9)


def test_all_sequences_of_a_trie_come_out_of_a_beam(model):
    sequences = {(5, 6), (5,), (5, 7, 1), (3, 3)}
    (found,) = beam_search(model(1, 9).step, end_id=0, max_length=6, beam=9, n_best=9, constraints=[Trie(sequences, end_id=0)])
    assert {hypothesis.tokens for hypothesis in found} == sequences


def test_a_dead_end_is_an_error_that_names_source_and_prefix(model):
    constraints = [Trie([[2, 3]], end_id=0), Forbidden([3])]
    for decode in (lambda step: greedy(step, end_id=0, max_length=4, constraints=constraints),
                   lambda step: beam_search(step, end_id=0, max_length=4, beam=3, constraints=constraints),
                   lambda step: sample(step, end_id=0, max_length=4, top_k=2, constraints=constraints),
                   lambda step: sample(step, end_id=0, max_length=4, top_p=0.5, constraints=constraints),
                   lambda step: sample(step, end_id=0, max_length=4, constraints=constraints)):  # fmt: skip
        with pytest.raises(ValueError, match=r"source 0: no token is allowed after \[2\], with room for 3 more"):
            decode(model(2, 5).step)


def test_a_beam_drops_a_hypothesis_in_a_dead_end_as_long_as_others_live(model):
    constraints = [Trie([[2, 3], [4, 4]], end_id=0), Forbidden([3])]
    (found,) = beam_search(model(1, 5).step, end_id=0, max_length=4, beam=5, n_best=5, constraints=constraints)
    assert [hypothesis.tokens for hypothesis in found] == [(4, 4)]


def test_an_output_that_cannot_fit_max_length_is_an_error(model):
    with pytest.raises(ValueError, match=r"source 0: no token is allowed after \[\], with room for 2 more.*raise max_length"):
        greedy(model(1, 5).step, end_id=0, max_length=2, constraints=[Trie([[2, 3, 4]], end_id=0)])


def test_a_constraint_of_ones_own_knows_its_source(model):
    class Only(Constraint):
        def begin(self, source):
            return source

        def advance(self, state, token):
            return state

        def allowed(self, state, budget):
            return TokenSet(frozenset([state + 1, 0]))

    for source, outputs in enumerate(decode_all(model(3, 6), end=0, max_length=4, constraints=[Only()])):
        assert {token for hypothesis in outputs for token in hypothesis.tokens} <= {source + 1}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NGramBlock(0), "at least 1 token, found n=0"),
        (lambda: MinLength(-1, 0), "at least 0, found -1"),
        (lambda: Trie([], 0), "at least 1 sequence, found 0"),
        (lambda: Trie([[1], [2, 0]], 0), r"sequence 1, \[2, 0\], holds the end token 0"),
        (lambda: SubstringAutomaton([[1]], 0, min_length=3, max_length=2), "min_length 3 and max_length 2"),
        (lambda: SubstringAutomaton([[1]], 0, ends=[[0], [0]]), "ends for 2 sources but 1"),
        (lambda: SubstringAutomaton([[1]], 0, ends=[[1]]).begin(0), "in a source of 1 tokens"),
        (lambda: SubstringAutomaton([[1]], 0).begin(1), "source 1 of the batch, but tokens of 1 sources"),
    ],
)
def test_bad_constraints_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (MinLength(1, 3), "MinLength has end_id 3 and the decoder 0"),
        (Trie([[1]], 3), "Trie has end_id 3 and the decoder 0"),
        (Trie([[1]]), "Trie has no end_id and the decoder 0"),
        (Trie([[9]], 0), "allows token 9, outside the vocabulary of 5"),
    ],
)
def test_constraints_that_do_not_fit_the_decoder_are_refused(model, constraint, message):
    with pytest.raises(ValueError, match=message):
        greedy(model(1, 5).step, end_id=0, max_length=4, constraints=[constraint])
