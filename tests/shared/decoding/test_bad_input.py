import numpy as np
import paddle
import pytest

from shared.decoding import beam_search, filter_probabilities, from_prefixes, greedy, length_penalty, sample, select_rows

OPTIONS = {"end_id": 1, "max_length": 4}


def logits_step(logits):
    return from_prefixes(lambda prefixes, rows: paddle.to_tensor(np.asarray(logits, dtype="float32")), len(logits))


def decoders(step, **options):
    options = OPTIONS | options
    return [lambda: greedy(step, **options), lambda: beam_search(step, beam=2, **options), lambda: sample(step, **options)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "max_length must be at least 1.*found 0"),
        ({"min_length": -1}, "min_length must be at least 0, found -1"),
        ({"min_length": 4}, "min_length 4 and the end token do not fit max_length 4: give max_length=5"),
        ({"end_id": 3}, "end_id 3 is outside the vocabulary of 3 tokens"),
        ({"end_id": -1}, "end_id -1 is outside the vocabulary of 3 tokens"),
    ],
)
def test_lengths_and_end_token(options, message):
    for decode in decoders(logits_step(np.zeros([2, 3])), **options):
        with pytest.raises(ValueError, match=message):
            decode()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("width", [5, 5000])
def test_logits_that_are_no_numbers(value, width):
    logits = np.zeros([2, width])
    logits[1, 4] = value
    for decode in decoders(logits_step(logits)):
        with pytest.raises(ValueError, match=f"row 1 of the logits has 1 NaN or inf of {width} numbers, the first at token 4"):
            decode()


@pytest.mark.parametrize("width", [5, 5000])
def test_logits_that_are_all_barred(width):
    for decode in decoders(logits_step(np.full([1, width], -np.inf))):
        with pytest.raises(ValueError, match=r"source 0: no token is allowed after \[\], with room for 4 more"):
            decode()
    for cut in ({"top_k": 2}, {"top_p": 0.5}):
        with pytest.raises(ValueError, match=r"source 0: no token is allowed after \[\]"):
            sample(logits_step(np.full([1, width], -np.inf)), **OPTIONS, **cut)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam must be at least 1, found 0"),
        ({"beam": 4}, "a beam of 4 is wider than the vocabulary of 3 tokens: give beam=3"),
        ({"beam": 2, "n_best": 3}, "found n_best 3 and beam 2: give beam=3"),
        ({"beam": 2, "n_best": 0}, "found n_best 0 and beam 2"),
        ({"beam": 2, "penalty": "wu"}, "length penalty 'wu' is not one of none, gnmt, mean"),
        ({"beam": 2, "penalty": "gnmt", "alpha": -1.0}, "alpha must be at least 0, found -1.0"),
    ],
)
def test_beams(options, message):
    with pytest.raises(ValueError, match=message):
        beam_search(logits_step(np.zeros([2, 3])), **OPTIONS, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1, found 0"),
        ({"temperature": 0.0}, "temperature must be above 0, found 0.0"),
        ({"temperature": -1.0}, "temperature must be above 0, found -1.0"),
        ({"temperature": float("nan")}, "temperature must be above 0, found nan"),
        ({"top_k": 0}, "top_k must be at least 1, found 0"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\], found 0.0"),
        ({"top_p": 1.1}, r"top_p must lie in \(0, 1\], found 1.1"),
        ({"keys": [1]}, "1 keys for 2 sources"),
        ({"seed": -1}, "found seed -1"),
    ],
)
def test_sampling(options, message):
    with pytest.raises(ValueError, match=message):
        sample(logits_step(np.zeros([2, 3])), **OPTIONS, **options)


def test_filters_and_penalties():
    with pytest.raises(ValueError, match="top_k must be at least 1, found 0"):
        filter_probabilities(np.ones(2) / 2, top_k=0)
    with pytest.raises(ValueError, match="is not one of"):
        length_penalty("log")


def test_empty_batches():
    with pytest.raises(ValueError, match="at least 1 source, found 0"):
        from_prefixes(lambda prefixes, rows: prefixes, 0)
    for decode in decoders(lambda tokens, state: (paddle.zeros([0, 3]), None)):
        with pytest.raises(ValueError, match="at least 1 source, found logits of 0 rows"):
            decode()


def test_logits_of_a_wrong_shape():
    for decode in decoders(lambda tokens, state: (paddle.zeros([2, 4, 3]), None)):
        with pytest.raises(ValueError, match=r"logits \[rows, vocabulary\], found shape \[2, 4, 3\]"):
            decode()
    for decode in decoders(lambda tokens, state: (paddle.to_tensor([[1.0, -99.0, 0.0]] * (1 if tokens is None else 7)), None)):
        with pytest.raises(ValueError, match=r"was given (\d) tokens and returned logits \[7, 3\]: return \[\1, 3\]"):
            decode()


def test_states_that_have_no_rows():
    with pytest.raises(TypeError, match="cannot choose rows of a set"):
        select_rows({1}, np.array([0]))
    assert select_rows(None, np.array([0])) is None
