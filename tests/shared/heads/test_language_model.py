"""The tied head against its formula, that the table stays someone else's, and its second derivative."""

import numpy as np
import paddle
import pytest
from scipy.special import erf

from shared.heads import TiedLanguageModelHead


def filled(**options):
    head = TiedLanguageModelHead(4, 7, **options)
    rng = np.random.default_rng(0)
    for parameter in head.parameters():
        parameter.set_value(rng.normal(0, 1, parameter.shape).astype(np.float32))
    return head


def given(*shape, seed=1):
    return paddle.to_tensor(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32))


@pytest.mark.parametrize("double_backward", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_equals_the_formula(shape, double_backward):
    head, hidden, table = filled(double_backward=double_backward), given(*shape), given(7, 4, seed=2)
    values = {name: parameter.numpy().astype(np.float64) for name, parameter in head.named_parameters()}
    x = hidden.numpy() @ values["transform.weight"] + values["transform.bias"]
    x = x * (1 + erf(x / np.sqrt(2))) / 2
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True)) * values["norm.weight"] + values["norm.bias"]
    expected = x @ table.numpy().T + values["bias"]
    logits = head(hidden, table)
    assert logits.shape == [*shape[:-1], 7] and logits.dtype == paddle.float32
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=2e-5)


def test_the_table_belongs_to_someone_else_and_is_trained_all_the_same():
    head, table = TiedLanguageModelHead(4, 7), paddle.nn.Embedding(7, 4)
    assert {name for name, _ in head.named_parameters()} == {"transform.weight", "transform.bias", "norm.weight", "norm.bias", "bias"}
    head(given(2, 3, 4), table.weight).square().sum().backward()
    assert all(np.abs(parameter.grad.numpy()).sum() > 0 for parameter in [*head.parameters(), table.weight])


def test_activation_by_name():
    hidden, table = given(2, 4), given(7, 4, seed=2)
    assert np.abs((filled(activation="relu")(hidden, table) - filled()(hidden, table)).numpy()).max() > 1e-3
    with pytest.raises(ValueError, match="unknown activation 'mish'"):
        TiedLanguageModelHead(4, 7, activation="mish")


def test_double_backward():
    head, table, values = filled(double_backward=True), given(7, 4, seed=2), given(2, 4).numpy()
    direction = given(2, 4, seed=3).numpy()

    def penalty(point, create_graph=False):
        hidden = paddle.to_tensor(point, stop_gradient=False)
        (slope,) = paddle.grad(paddle.tanh(head(hidden, table)).sum(), hidden, create_graph=create_graph)
        return hidden, (slope * slope).sum()

    hidden, found = penalty(values, create_graph=True)
    (second,) = paddle.grad(found, hidden)
    up, down = (float(penalty(values + np.float32(shift) * direction)[1]) for shift in (1e-3, -1e-3))
    assert float((second.numpy() * direction).sum()) == pytest.approx((up - down) / 2e-3, rel=2e-2)


def test_wrong_shapes_are_named():
    head = TiedLanguageModelHead(4, 7)
    with pytest.raises(ValueError, match=r"found \[2, 5\] and \[7, 4\]"):
        head(paddle.zeros([2, 5]), paddle.zeros([7, 4]))
    with pytest.raises(ValueError, match=r"found \[4\] and"):
        head(paddle.zeros([4]), paddle.zeros([7, 4]))
    with pytest.raises(ValueError, match=r"found \[2, 4\] and \[4, 7\]"):
        head(paddle.zeros([2, 4]), paddle.zeros([4, 7]))
    with pytest.raises(ValueError, match="vocab_size must be at least 1, found 0"):
        TiedLanguageModelHead(4, 0)


@pytest.mark.parametrize("double_backward", [False, True])
def test_some_words_alone_have_the_scores_that_they_have_among_all(double_backward):
    head, hidden, table = filled(double_backward=double_backward), given(2, 3, 4), given(7, 4, seed=2)
    table.stop_gradient = False
    words = paddle.to_tensor([5, 0, 2])
    some = head(hidden, table, words)
    np.testing.assert_allclose(some.numpy(), head(hidden, table).numpy()[..., [5, 0, 2]], rtol=1e-5, atol=1e-6)
    some.square().sum().backward()
    found = table.grad.numpy(), head.bias.grad.numpy()
    table.clear_gradient()
    head.clear_gradients()
    head(hidden, table)[..., 0:6].square().sum(axis=[0, 1])[paddle.to_tensor([5, 0, 2])].sum().backward()
    np.testing.assert_allclose(found[0], table.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], head.bias.grad.numpy(), rtol=1e-4, atol=1e-5)
    assert (np.abs(found[1]) > 0).tolist() == [True, False, True, False, False, True, False]


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
def test_as_the_identity_it_scores_the_normalised_input_itself(activation):
    head = TiedLanguageModelHead(32, 7, activation=activation)
    head.start_as_identity()
    hidden, table = given(5, 32), given(7, 32, seed=2)
    x = hidden.numpy()
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    np.testing.assert_allclose(head(hidden, table).numpy(), x @ table.numpy().T, rtol=1e-3, atol=2e-3)
