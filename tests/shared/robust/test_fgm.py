import numpy as np
import paddle
import pytest
from paddle import nn

from shared.robust import FGM


def quadratic() -> tuple[nn.Embedding, callable]:
    """L = x' A x / 2 of techniques.md, section 9, at x = (1, -2)."""
    table = nn.Embedding(1, 2)
    table.weight.set_value(np.array([[1.0, -2.0]], dtype="float32"))
    matrix = paddle.to_tensor([[2.0, 1.0], [1.0, 3.0]])  # [2, 2]

    def loss() -> paddle.Tensor:
        x = table(paddle.zeros([1], dtype="int64"))  # [1, 2]
        return 0.5 * (paddle.matmul(x, matrix) * x).sum()  # []

    return table, loss


def test_section_9_the_perturbation_of_the_quadratic():
    table, loss = quadratic()
    loss().backward()
    np.testing.assert_array_equal(table.weight.grad.numpy(), [[0.0, -5.0]])
    with FGM(table.weight, epsilon=0.5):
        np.testing.assert_allclose(table.weight.numpy() - [[1.0, -2.0]], [[0.0, -0.5]], atol=1e-7)
        loss().backward()
    # A (1, -2) + A (1, -2.5)
    np.testing.assert_allclose(table.weight.grad.numpy(), [[-0.5, -11.5]], atol=1e-5)
    np.testing.assert_array_equal(table.weight.numpy(), [[1.0, -2.0]])


def trained_table(rows: int = 50, size: int = 8) -> nn.Embedding:
    paddle.seed(4)
    table = nn.Embedding(rows, size)
    (table(paddle.arange(rows)) ** 3).sum().backward()
    return table


def test_one_norm_over_the_whole_matrix():
    table = trained_table()
    gradient, before = table.weight.grad.numpy().astype("float64"), table.weight.numpy()
    with FGM(table.weight, epsilon=0.7):
        moved = table.weight.numpy() - before
    np.testing.assert_allclose(moved, 0.7 * gradient / (np.sqrt((gradient**2).sum()) + 1e-8), atol=1e-6)
    assert np.linalg.norm(moved) == pytest.approx(0.7, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_come_back_bit_for_bit(dtype):
    table = nn.Embedding(200, 16)
    table.to(dtype=dtype)
    values = np.random.default_rng(0).normal(size=(200, 16)) * 10.0 ** np.random.default_rng(1).integers(-12, 6, (200, 16))
    table.weight.set_value(values.astype(dtype))
    (table(paddle.arange(200)) * 1e-3).sum().backward()
    before = table.weight.numpy().copy()
    with FGM(table.weight):
        assert not np.array_equal(table.weight.numpy(), before)
    assert table.weight.numpy().tobytes() == before.tobytes()


def test_they_come_back_when_the_body_raises():
    table = trained_table()
    before, gradient = table.weight.numpy().copy(), table.weight.grad.numpy().copy()
    with pytest.raises(RuntimeError, match="out of memory"), FGM(table.weight):
        raise RuntimeError("out of memory")
    assert table.weight.numpy().tobytes() == before.tobytes()
    np.testing.assert_array_equal(table.weight.grad.numpy(), gradient)
    with pytest.raises(RuntimeError, match="out of memory"), FGM(table.weight):
        table.weight.set_value(np.zeros_like(before))
        raise RuntimeError("out of memory")
    assert table.weight.numpy().tobytes() == before.tobytes()
    with FGM(table.weight) as context:
        pass
    with context:
        pass
    assert table.weight.numpy().tobytes() == before.tobytes()


def test_several_matrices_each_have_their_own_norm():
    one, two = trained_table(), trained_table(rows=3)
    before = [table.weight.numpy().copy() for table in (one, two)]
    with FGM([one.weight, two.weight], epsilon=0.2):
        for table, kept in zip((one, two), before, strict=True):
            assert np.linalg.norm(table.weight.numpy() - kept) == pytest.approx(0.2, rel=1e-4)
    for table, kept in zip((one, two), before, strict=True):
        assert table.weight.numpy().tobytes() == kept.tobytes()


def test_the_article_s_step_trains_by_the_adversarial_gradient():
    table, loss = quadratic()
    optimizer = paddle.optimizer.SGD(0.1, parameters=table.parameters())
    loss().backward()
    with FGM(table.weight, epsilon=0.5):
        optimizer.clear_grad()
        loss().backward()
    optimizer.step()
    # (1, -2) - 0.1 A (1, -2.5)
    np.testing.assert_allclose(table.weight.numpy(), [[1.05, -1.35]], atol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (None, r"\[1, 2\] has no gradient: run loss.backward\(\) before FGM"),
        ([[0.0, 0.0]], "norm 0, expected one above 0: enter FGM before the gradients are cleared"),
        ([[float("nan"), 1.0]], "norm nan, expected a finite number: clear the gradients"),
        ([[float("inf"), 1.0]], "norm inf"),
    ],
)
def test_gradients_that_give_no_direction_are_refused(gradient, message):
    table, _ = quadratic()
    sound = trained_table()
    before = sound.weight.numpy().copy()
    if gradient is not None:
        (table(paddle.zeros([1], dtype="int64")) * paddle.to_tensor(gradient)).sum().backward()
    with pytest.raises(ValueError, match=message), FGM([sound.weight, table.weight]):
        pass
    np.testing.assert_array_equal(table.weight.numpy(), [[1.0, -2.0]])
    assert sound.weight.numpy().tobytes() == before.tobytes()


def test_sparse_gradients_are_refused():
    table = nn.Embedding(5, 3, sparse=True)
    table(paddle.to_tensor([0, 1])).sum().backward()
    with pytest.raises(ValueError, match="is sparse, expected a dense one: make the embedding with sparse=False"), FGM(table.weight):
        pass


def test_a_step_inside_the_block_is_refused_and_undone():
    table = trained_table()
    before = table.weight.numpy().copy()
    optimizer = paddle.optimizer.SGD(0.1, parameters=table.parameters())
    with pytest.raises(ValueError, match="step the optimizer after it"), FGM(table.weight):
        optimizer.step()
    assert table.weight.numpy().tobytes() == before.tobytes()


def test_wrong_settings_are_named():
    table = trained_table()
    assert FGM(table.weight).epsilon == 0.5
    with pytest.raises(ValueError, match=r"found 0\.0: the article takes 0.5"):
        FGM(table.weight, epsilon=0.0)
    with pytest.raises(ValueError, match="found 0 weights"):
        FGM([])
    with FGM(table.weight) as context, pytest.raises(ValueError, match="perturbed already"), context:
        pass
