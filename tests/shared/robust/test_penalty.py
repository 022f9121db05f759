import dataclasses
import math
import os
import zlib  # noqa: F401  (before paddle: see shared/environment.py)
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from shared.backbone import Backbone, BackboneConfig
from shared.pretrained import load_backbone
from shared.robust import embedding_outputs, gradient_penalty, penalised_backward
from shared.unilm import UniLM

FORMS = ("exact", "central", "one_sided")


class Point(nn.Layer):
    """The quadratic of techniques.md, section 9: L = x' A x / 2 at x = (1, -2), x the one row of an embedding."""

    def __init__(self, dtype: str = "float64"):
        super().__init__()
        self.embedding = nn.Embedding(1, 2)
        self.embedding.to(dtype=dtype)
        self.embedding.weight.set_value(np.array([[1.0, -2.0]], dtype=dtype))
        self.matrix = paddle.to_tensor(np.array([[2.0, 1.0], [1.0, 3.0]], dtype=dtype))  # [2, 2]

    def forward(self) -> paddle.Tensor:
        x = self.embedding(paddle.zeros([1, 1], dtype="int64")).reshape([1, 2])  # [1, 2]
        return 0.5 * (paddle.matmul(x, self.matrix) * x).sum()  # []


def test_section_9_gradient_and_penalty_of_the_quadratic():
    point = Point()
    with embedding_outputs(point.embedding) as outputs:
        loss = point()  # []
    (plain,) = paddle.grad(loss, outputs, retain_graph=True)  # [1, 1, 2]
    np.testing.assert_array_equal(plain.numpy(), [[[0.0, -5.0]]])
    penalty = gradient_penalty(loss, outputs, 0.1)  # []
    assert float(penalty) == pytest.approx(1.25, rel=1e-15)
    (loss + penalty).backward()
    np.testing.assert_allclose(point.embedding.weight.grad.numpy(), [[-0.5, -6.5]], rtol=1e-14)


def test_section_9_the_penalised_gradient_is_the_gradient_at_the_perturbed_point():
    point = Point()
    point.embedding.weight.set_value(np.array([[1.0, -2.0]]) + 0.1 * np.array([[0.0, -5.0]]))
    point().backward()
    np.testing.assert_allclose(point.embedding.weight.grad.numpy(), [[-0.5, -6.5]], rtol=1e-14)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-7), ("float32", 2e-3)])
def test_section_9_holds_for_every_form(form, dtype, tolerance):
    point = Point(dtype)
    loss, penalty = penalised_backward(point, point.embedding, epsilon=0.1, form=form, parameters=point.parameters())
    assert float(loss) == pytest.approx(5.0)
    assert float(penalty) == pytest.approx(1.25)
    np.testing.assert_allclose(point.embedding.weight.grad.numpy(), [[-0.5, -6.5]], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_the_normalised_penalty_is_epsilon_times_the_length(form):
    point = Point()
    _, penalty = penalised_backward(point, point.embedding, epsilon=0.1, form=form, normalised=True, parameters=point.parameters())
    assert float(penalty) == pytest.approx(0.5)
    # A (x + epsilon g / |g|) for a quadratic
    np.testing.assert_allclose(point.embedding.weight.grad.numpy(), [[-0.1, -5.3]], rtol=1e-6, atol=1e-7)


def test_the_same_word_at_two_places_counts_twice():
    """Squares of the gradients at the outputs, not of their sum at the matrix's row."""
    table = nn.Embedding(3, 2)
    upper = paddle.to_tensor([[[1.0, 2.0], [3.0, -1.0]]])  # [1, 2, 2]
    for form in FORMS:
        _, penalty = penalised_backward(
            lambda: (table(paddle.to_tensor([[1, 1]])) * upper).sum(), table, epsilon=1.0, form=form, parameters=table.parameters()
        )
        assert float(penalty) == pytest.approx(0.5 * (1 + 4 + 9 + 1))


# -- a small network of the real kind ----------------------------------------------------------------------------


def network(*, dropout: float = 0.1, double_backward: bool = True, **options) -> UniLM:
    paddle.seed(3)
    sizes = {"vocab_size": 60, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 64, "max_positions": 32}
    config = BackboneConfig(**sizes, dropout=dropout, attention_dropout=dropout, double_backward=double_backward, **options)
    model = UniLM(Backbone(config))
    model.train()
    return model


def batch() -> tuple[paddle.Tensor, paddle.Tensor]:
    ids = np.random.default_rng(0).integers(1, 60, (3, 12))
    segments = np.repeat([[0] * 7 + [1] * 5], 3, axis=0)
    ids[2, 10:], segments[2, 10:] = 0, 0
    return paddle.to_tensor(ids), paddle.to_tensor(segments)  # [3, 12], [3, 12]


def gradients(model: UniLM, form: str, *, epsilon: float = 1.0, seed: int = 11, **options) -> dict[str, np.ndarray]:
    ids, segments = batch()
    model.clear_gradients()
    paddle.seed(seed)
    penalised_backward(
        lambda: model.loss(ids, segments),
        model.backbone.embeddings.token,
        epsilon=epsilon,
        form=form,
        parameters=model.parameters(),
        **options,
    )
    return {name: parameter.grad.numpy().astype("float64") for name, parameter in model.named_parameters() if parameter.grad is not None}


def distance(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], without: dict[str, np.ndarray]) -> float:
    """Between two gradients of the penalty alone, relative to its length."""
    assert set(found) == set(expected) == set(without)
    apart = sum(float(((found[name] - expected[name]) ** 2).sum()) for name in expected)
    length = sum(float(((expected[name] - without[name]) ** 2).sum()) for name in expected)
    return math.sqrt(apart / length)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_first_order_forms_agree_with_second_derivatives_in_float32(activation, normalised):
    model = network(activation=activation)
    without = gradients(model, "exact", epsilon=0.0)
    exact = gradients(model, "exact", normalised=normalised)
    assert distance(gradients(model, "central", normalised=normalised), exact, without) < 1e-3
    assert distance(gradients(model, "one_sided", normalised=normalised), exact, without) < 1e-2


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="LIC_REAL_DATA does not name the folder of real data")
def test_they_agree_on_a_pretrained_encoder_in_float32():
    folder = Path(os.environ["LIC_REAL_DATA"]) / "weights" / "e5-small-bertvocab-zh"
    if not folder.is_dir():
        pytest.skip("LIC_REAL_DATA holds no weights/e5-small-bertvocab-zh")
    source = load_backbone(folder, num_layers=4, dropout=0.1, attention_dropout=0.1).backbone
    model = UniLM(Backbone(dataclasses.replace(source.config, double_backward=True)))
    model.backbone.set_state_dict(source.state_dict())
    model.train()
    without, exact = gradients(model, "exact", epsilon=0.0), gradients(model, "exact")
    assert distance(gradients(model, "central"), exact, without) < 1e-3
    assert distance(gradients(model, "one_sided"), exact, without) < 1e-2


def test_in_float64_they_agree_to_many_more_digits():
    model = network(dropout=0.0)
    model.to(dtype="float64")
    without, exact = gradients(model, "exact", epsilon=0.0), gradients(model, "exact")
    assert distance(gradients(model, "central"), exact, without) < 1e-6
    assert distance(gradients(model, "one_sided"), exact, without) < 1e-5


def test_the_exact_gradient_equals_finite_differences_of_the_penalty():
    model = network(dropout=0.0)
    model.to(dtype="float64")
    ids, segments = batch()
    weight = model.backbone.blocks[0].expand.weight
    direction = np.random.default_rng(1).normal(size=weight.shape)
    with_penalty, without = gradients(model, "exact"), gradients(model, "exact", epsilon=0.0)
    name = next(name for name, parameter in model.named_parameters() if parameter is weight)
    along = float(((with_penalty[name] - without[name]) * direction).sum())

    def penalty(shift: float) -> float:
        kept = weight.numpy()
        weight.set_value(kept + shift * direction)
        with embedding_outputs(model.backbone.embeddings.token) as outputs:
            loss = model.loss(ids, segments)  # []
        found = float(gradient_penalty(loss, outputs))
        weight.set_value(kept)
        return found

    assert along == pytest.approx((penalty(1e-5) - penalty(-1e-5)) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("form", ["central", "one_sided"])
def test_models_without_second_derivatives_take_the_first_order_forms(form):
    exact, without = gradients(network(), "exact"), gradients(network(), "exact", epsilon=0.0)
    found = gradients(network(double_backward=False), form)
    assert distance(found, exact, without) < (1e-3 if form == "central" else 1e-2)


def test_models_without_second_derivatives_are_refused_the_exact_form():
    with pytest.raises(ValueError, match="double_backward=True, or use the form 'central'"):
        gradients(network(double_backward=False), "exact")


@pytest.mark.parametrize("form", FORMS)
def test_the_random_state_moves_as_one_forward_pass_does(form):
    model = network()
    ids, segments = batch()
    paddle.seed(5)
    loss = float(model.loss(ids, segments))
    expected = paddle.rand([4]).numpy()  # [4]
    paddle.seed(5)
    found, _ = penalised_backward(
        lambda: model.loss(ids, segments), model.backbone.embeddings.token, form=form, parameters=model.parameters()
    )
    assert float(found) == loss
    np.testing.assert_array_equal(paddle.rand([4]).numpy(), expected)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_accumulate_under_a_weight(form):
    model = network()
    once = gradients(model, form)
    ids, segments = batch()
    paddle.seed(11)
    penalised_backward(
        lambda: model.loss(ids, segments), model.backbone.embeddings.token, form=form, weight=0.5, parameters=model.parameters()
    )
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            np.testing.assert_allclose(parameter.grad.numpy(), 1.5 * once[name], rtol=5e-3, atol=2e-3 * np.abs(once[name]).max())


@pytest.mark.parametrize("form", FORMS)
def test_frozen_and_unused_parameters_get_no_gradient(form):
    model = network()
    model.backbone.embeddings.token.weight.stop_gradient = True
    model.unused = nn.Linear(2, 2)
    found = gradients(model, form)
    assert "backbone.embeddings.token.weight" not in found and "unused.weight" not in found
    with_token = gradients(network(), form)
    name = "backbone.blocks.0.expand.weight"
    np.testing.assert_allclose(found[name], with_token[name], rtol=5e-3, atol=2e-3 * np.abs(with_token[name]).max())


@pytest.mark.parametrize("form", FORMS)
def test_the_embedding_may_be_called_twice_and_there_may_be_two(form):
    paddle.seed(0)
    left, right = nn.Embedding(5, 4), nn.Embedding(5, 4)
    ids = paddle.to_tensor([[0, 1], [2, 2]])  # [2, 2]

    def loss_of() -> paddle.Tensor:
        return (paddle.tanh(left(ids)) * left(ids + 1) * paddle.tanh(right(ids))).sum()  # []

    def outputs_of() -> tuple[paddle.Tensor, list[paddle.Tensor]]:
        one, two, three = left(ids), left(ids + 1), right(ids)  # [2, 2, 4] each
        return (paddle.tanh(one) * two * paddle.tanh(three)).sum(), [one, two, three]

    loss, tensors = outputs_of()
    expected = gradient_penalty(loss, tensors)  # []
    (loss + expected).backward()
    wanted = [layer.weight.grad.numpy() for layer in (left, right)]
    for layer in (left, right):
        layer.clear_gradients()
    _, penalty = penalised_backward(loss_of, [left, right], form=form, parameters=[left.weight, right.weight, left.weight])
    assert float(penalty) == pytest.approx(float(expected), rel=1e-5)
    for layer, gradient in zip((left, right), wanted, strict=True):
        np.testing.assert_allclose(layer.weight.grad.numpy(), gradient, rtol=1e-2, atol=5e-3 * np.abs(gradient).max())


@pytest.mark.parametrize("form", FORMS)
def test_training_lowers_loss_and_penalty(form):
    model = network(dropout=0.0)
    ids, segments = batch()
    optimizer = paddle.optimizer.Adam(3e-3, parameters=model.parameters())
    seen = []
    for _ in range(15):
        found = penalised_backward(
            lambda: model.loss(ids, segments), model.backbone.embeddings.token, form=form, parameters=model.parameters()
        )
        seen.append([float(value) for value in found])
        optimizer.step()
        optimizer.clear_grad()
    assert sum(seen[-1]) < 0.8 * sum(seen[0])


def test_the_penalty_pulls_the_gradient_down():
    model, free = network(dropout=0.0), network(dropout=0.0)
    ids, segments = batch()
    for trained, epsilon in ((model, 1.0), (free, 0.0)):
        optimizer = paddle.optimizer.Adam(3e-3, parameters=trained.parameters())
        for _ in range(15):
            with embedding_outputs(trained.backbone.embeddings.token) as outputs:
                loss = trained.loss(ids, segments)  # []
            penalty = gradient_penalty(loss, outputs)  # []
            (loss + epsilon * penalty).backward()
            optimizer.step()
            optimizer.clear_grad()
        trained.last = float(penalty)
    assert model.last < 0.5 * free.last


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_losses_and_gradients_that_are_not_finite_are_refused(form):
    point = Point("float32")
    call = {"form": form, "parameters": point.parameters()}
    with pytest.raises(ValueError, match="the loss is nan"):
        penalised_backward(lambda: point() * float("nan"), point.embedding, **call)
    assert point.embedding.weight.grad is None
    with pytest.raises(ValueError, match=r"squared gradient at the embedding is (inf|nan) for a loss of"):
        penalised_backward(lambda: paddle.sqrt(point.embedding(paddle.zeros([1, 1], dtype="int64")) * 0.0).sum(), point.embedding, **call)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("normalised", [False, True])
def test_a_zero_gradient_has_no_penalty_and_no_nan(form, normalised):
    point = Point("float32")
    point.embedding.weight.set_value(np.zeros((1, 2), dtype="float32"))
    _, penalty = penalised_backward(point, point.embedding, form=form, normalised=normalised, parameters=point.parameters())
    assert float(penalty) == 0.0
    np.testing.assert_array_equal(point.embedding.weight.grad.numpy(), [[0.0, 0.0]])


def test_wrong_calls_are_named():
    point, other = Point("float32"), nn.Embedding(3, 2)
    calls = [
        ({"form": "forward"}, "unknown form 'forward': use one of exact, central, one_sided"),
        ({"form": "one_sided"}, "found no parameters"),
        ({"epsilon": -1.0}, "found -1.0"),
        ({"weight": 0.0}, "weight must be a finite number above 0, found 0.0"),
        ({"relative_step": 2.0}, "found 2.0"),
    ]
    for options, message in calls:
        with pytest.raises(ValueError, match=message):
            penalised_backward(point, point.embedding, **options)
    for form in FORMS:
        with pytest.raises(ValueError, match="not called, found 0 outputs"):
            penalised_backward(point, other, form=form, parameters=point.parameters())
        with pytest.raises(ValueError, match=r"one number, found shape \[2\]"):
            penalised_backward(lambda: point() * paddle.ones([2]), point.embedding, form=form, parameters=point.parameters())
        with pytest.raises(ValueError, match="none of the 1 embedding outputs reaches the loss"):
            penalised_backward(
                lambda: (other(paddle.zeros([1], dtype="int64")), point())[1], other, form=form, parameters=point.parameters()
            )


def test_sparse_embeddings_take_every_form_but_one_sided():
    table = nn.Embedding(5, 3, sparse=True)

    def loss_of() -> paddle.Tensor:
        return (table(paddle.to_tensor([[0, 1, 1]])) ** 3).sum()  # []

    exact, central = (penalised_backward(loss_of, table, form=form)[1] for form in ("exact", "central"))
    assert float(central) == pytest.approx(float(exact)) and float(exact) > 0
    table.clear_gradients()
    with pytest.raises(ValueError, match="sparse=False, or use the form 'central'"):
        penalised_backward(loss_of, table, form="one_sided", parameters=[table.weight])


def test_a_loss_that_reads_another_batch_at_every_call_is_refused():
    table, lengths = nn.Embedding(4, 3), iter([2, 3, 4])
    with pytest.raises(ValueError, match=r"gave \[3, 3\], the first pass \[2, 3\]"):
        penalised_backward(lambda: F.tanh(table(paddle.zeros([next(lengths)], dtype="int64"))).sum(), table)
    calls = iter([2, 1, 1])
    with pytest.raises(ValueError, match="called 2 times, then 1"):
        penalised_backward(lambda: sum(F.tanh(table(paddle.zeros([1], dtype="int64"))).sum() for _ in range(next(calls))), table)
    assert not table._forward_post_hooks
