"""The losses of sentences in pairs against their formulas and published values."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.losses import cosines_of, in_batch_similarity, ranked_cosines

PAIRS = np.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]])  # [4, 2]


@pytest.mark.parametrize("double_backward", [False, True])
def test_check_values_of_the_similarity(double_backward):
    vectors = paddle.to_tensor(PAIRS)  # [4, 2] float64
    rows = in_batch_similarity(vectors, 30, reduction="none", double_backward=double_backward).numpy()  # [4]
    assert rows[0] == pytest.approx(3.775e-11, abs=5e-15) and rows[3] == pytest.approx(3.775e-11, abs=5e-15)
    assert rows[1] == pytest.approx(0.002475685175, abs=5e-13) and rows[2] == pytest.approx(0.002475685175, abs=5e-13)
    assert float(in_batch_similarity(vectors, double_backward=double_backward)) == pytest.approx(0.00123784260657, abs=5e-15)
    assert float(in_batch_similarity(vectors, scale=1, double_backward=double_backward)) == pytest.approx(0.673576788887, abs=5e-13)


@pytest.mark.parametrize("double_backward", [False, True])
def test_pairs_of_one_group_are_no_negatives_of_each_other(double_backward):
    rng = np.random.default_rng(3)
    vectors, groups = rng.normal(size=(10, 4)).astype("float32"), np.asarray([7, 2, 7, 9, 2])  # [10, 4], [5]
    units = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores, own = 30 * units @ units.T, np.repeat(groups, 2)  # [10, 10], [10]
    expected = []
    for row in range(10):
        others = [other for other in range(10) if other == row ^ 1 or own[other] != own[row]]
        expected.append(np.logaddexp.reduce(scores[row, others]) - scores[row, row ^ 1])
    found = in_batch_similarity(paddle.to_tensor(vectors), groups=groups, reduction="none", double_backward=double_backward)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)
    alone = in_batch_similarity(paddle.to_tensor(vectors), groups=np.zeros(5), double_backward=double_backward)
    assert float(alone) == pytest.approx(0, abs=1e-6)  # nothing is left to be told apart
    with pytest.raises(ValueError, match=r"groups are \[4\] for 5 pairs"):
        in_batch_similarity(paddle.to_tensor(vectors), groups=groups[:4])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_ranked_cosines_are_the_formula(seed, double_backward):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 7))
    cosines, alike = rng.uniform(-1, 1, m).astype(np.float32), rng.random(m) < 0.5  # [m], [m]
    apart = [20 * (float(no) - float(yes)) for yes in cosines[alike] for no in cosines[~alike]]
    expected = np.logaddexp.reduce([0.0, *apart])
    given = paddle.to_tensor(cosines, stop_gradient=False)
    found = ranked_cosines(given, alike, double_backward=double_backward)
    assert float(found) == pytest.approx(expected, abs=1e-5, rel=1e-5)
    found.backward()
    gradient = given.grad.numpy()  # [m]
    assert np.isfinite(gradient).all() and (gradient[alike] <= 0).all() and (gradient[~alike] >= 0).all()
    assert gradient.sum() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: ranked_cosines(paddle.zeros([2]), np.ones(3, dtype=bool)), r"cosines \[2\] and alike \[3\]"),
        (lambda: ranked_cosines(paddle.zeros([0]), np.ones(0, dtype=bool)), "one pair at least"),
        (lambda: ranked_cosines(paddle.zeros([1]), np.ones(1, dtype=bool), 0.0), "scale must be a positive number"),
    ],
)
def test_wrong_cosines_are_named(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_cosines_of_rows_of_any_length():
    first, second = np.asarray([[3.0, 0], [1e-20, 0], [0, 0]], "float32"), np.asarray([[1e20, 1e20], [-1, 0], [1, 1]], "float32")  # [3, 2] each
    np.testing.assert_allclose(cosines_of(paddle.to_tensor(first), paddle.to_tensor(second)).numpy(), [0.5**0.5, -1, 0], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-30, 1.0, 1e30]), st.booleans(), st.booleans())
def test_similarity_equals_the_formula_at_any_length(seed, size, zero, double_backward):
    rng = np.random.default_rng(seed)
    rows = 2 * int(rng.integers(1, 4))
    vectors = rng.normal(0, 1, (rows, 3)).astype(np.float32) * np.float32(size)
    if zero:
        vectors[rng.integers(rows)] = 0.0
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    units = exact / np.where(norms == 0, 1, norms)
    scores = 30 * units @ units.T
    np.fill_diagonal(scores, -np.inf)
    expected = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(rows), np.arange(rows) ^ 1]
    x = paddle.to_tensor(vectors, stop_gradient=False)
    found = in_batch_similarity(x, reduction="none", double_backward=double_backward)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)
    found.mean().backward()
    gradient = x.grad.numpy()
    assert np.isfinite(gradient).all()
    # the loss does not depend on the vectors' lengths
    np.testing.assert_allclose((gradient * vectors).sum(axis=1), 0.0, atol=2e-5)


def test_similarity_gradient_equals_finite_differences():
    rng = np.random.default_rng(2)
    vectors = rng.normal(0, 1, (4, 3))
    vectors[0] = [2.0, 0.0, 0.0]
    x = paddle.to_tensor(vectors, stop_gradient=False)
    in_batch_similarity(x, 5.0).backward()
    for place in np.ndindex(vectors.shape):
        shifted = [vectors.copy(), vectors.copy()]
        for copy, shift in zip(shifted, (1e-5, -1e-5), strict=True):
            copy[place] += shift
        up, down = (float(in_batch_similarity(paddle.to_tensor(copy), 5.0)) for copy in shifted)
        assert float(x.grad.numpy()[place]) == pytest.approx((up - down) / 2e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("vectors", "settings", "message"),
    [
        ([3, 2], {}, r"found shape \[3, 2\]"),
        ([0, 2], {}, r"found shape \[0, 2\]"),
        ([2, 0], {}, r"found shape \[2, 0\]"),
        ([4], {}, r"found shape \[4\]"),
        ([2, 2], {"scale": 0.0}, "found 0.0"),
        ([2, 2], {"reduction": "sum"}, "found 'sum'"),
    ],
)
def test_wrong_pairs_are_named(vectors, settings, message):
    with pytest.raises(ValueError, match=message):
        in_batch_similarity(paddle.ones(vectors), **settings)
