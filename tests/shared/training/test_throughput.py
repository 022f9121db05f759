"""Operations of a step are those of the products that a backbone really does; rates follow an invented clock, whatever it does."""

import math

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.attention import kind_names
from shared.backbone import Backbone, BackboneConfig
from shared.training.throughput import Rates, Throughput, matmul_peak, step_flops

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_layers": 3, "num_heads": 2, "intermediate_size": 40, "max_positions": 24}


def products_of(backbone, ids, monkeypatch):
    """Operations of every linear map and matrix product of a forward pass, from the shapes that Paddle is handed."""
    done = []
    linear, matmul = paddle.nn.functional.linear, paddle.matmul

    def counted_linear(x, weight, bias=None, name=None):
        done.append(("linear", 2 * math.prod(x.shape) * weight.shape[1]))
        return linear(x, weight, bias)

    def counted_matmul(x, y, transpose_x=False, transpose_y=False, name=None):
        product = matmul(x, y, transpose_x, transpose_y)
        done.append(("matmul", 2 * math.prod(product.shape) * x.shape[-2 if transpose_x else -1]))
        return product

    monkeypatch.setattr(paddle.nn.functional, "linear", counted_linear)
    monkeypatch.setattr(paddle, "matmul", counted_matmul)
    backbone.eval()  # in training the bias is a product as well
    backbone(paddle.to_tensor(ids))
    monkeypatch.undo()
    return done


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (4, 7), (3, 24)])
@pytest.mark.parametrize("width", [0, 5])
def test_operations_are_those_of_a_real_forward_pass_three_times(rows, length, width, monkeypatch):
    config = BackboneConfig(**SIZES, convolution_width=width)
    done = products_of(Backbone(config), np.ones((rows, length), dtype="int64"), monkeypatch)
    forward = sum(operations for _, operations in done)
    assert step_flops(config, padded_tokens=rows * length, sum_of_squared_lengths=rows * length**2) == 3 * forward
    assert len(done) == 6 * config.num_layers + bool(width)


@pytest.mark.parametrize("kind", [*kind_names(), "random+dot_product", "dense+dot_product"])
def test_every_attention_kind_is_counted(kind, monkeypatch):
    config = BackboneConfig(**SIZES, attention=kind)
    rows, length = 4, 24
    done = products_of(Backbone(config), np.ones((rows, length), dtype="int64"), monkeypatch)
    counted = step_flops(config, padded_tokens=rows * length, sum_of_squared_lengths=rows * length**2) / 3
    linear = sum(operations for name, operations in done if name == "linear")
    small = sum(operations for name, operations in done) - counted
    squares = 2 * config.num_layers * config.hidden_size * rows * length**2
    assert counted - linear == squares * (1 + sum(part in ("dot_product", "dense") for part in kind.split("+")))
    if "dense" in kind or "factorized" in kind:  # bias columns and short rows, which the docstring leaves out
        assert 0 < small < 0.5 * counted
    else:
        assert small == 0


def test_the_backward_pass_takes_two_products_for_one():
    """A linear map's two gradients, by their shapes: [in, t] by [t, out] and [t, out] by [out, in]."""
    t, wide, out = 6, 5, 4
    x, weight = paddle.rand([t, wide]), paddle.rand([wide, out])
    x.stop_gradient = weight.stop_gradient = False
    paddle.matmul(x, weight).sum().backward()
    ones = np.ones((t, out), dtype="float32")
    np.testing.assert_allclose(weight.grad.numpy(), x.numpy().T @ ones, rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), ones @ weight.numpy().T, rtol=1e-6)


def test_a_head_adds_its_weights_and_palm_agrees():
    config = BackboneConfig(**SIZES)
    plain = step_flops(config, padded_tokens=100, sum_of_squared_lengths=1000)
    assert step_flops(config, padded_tokens=100, sum_of_squared_lengths=1000, head_weights=77) - plain == 6 * 100 * 77
    blocks = Backbone(config).blocks
    matrices = sum(int(p.size) for name, p in blocks.named_parameters() if p.ndim == 2)
    length = 10
    palm = 6 * matrices + 12 * config.num_layers * config.num_heads * (config.hidden_size // config.num_heads) * length
    assert plain == palm * 100


def test_the_peak_is_a_rate_and_leaves_the_random_state_alone():
    paddle.seed(5)
    expected = paddle.rand([4]).numpy()
    paddle.seed(5)
    peak = matmul_peak(0.01, sizes=(64, 128))
    assert np.array_equal(paddle.rand([4]).numpy(), expected)
    assert math.isfinite(peak) and peak > 1e6
    for wrong in ({"seconds": 0.0}, {"sizes": ()}):
        with pytest.raises(ValueError, match="give at least one size and some time"):
            matmul_peak(**wrong)


# -- rates by an invented clock ----------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def after(clock, seconds, meter, **event):
    clock.now += seconds
    return meter.step(**{"tokens": 80, "padded_tokens": 100, **event})


def test_even_steps_give_plain_rates(clock):
    meter = Throughput(peak=1e6, clock=clock)
    for left in range(9, -1, -1):
        rates = after(clock, 0.5, meter, flops=2e5, steps_left=left)
        assert rates.tokens == pytest.approx(160) and rates.padded_tokens == pytest.approx(200)
        assert rates.share == pytest.approx(0.4) and rates.seconds_left == pytest.approx(left * 0.5)


def test_uneven_steps_weigh_by_their_time(clock):
    meter = Throughput(memory=1_000_000, clock=clock)
    after(clock, 1.0, meter, tokens=100)
    assert after(clock, 3.0, meter, tokens=100).tokens == pytest.approx(50)  # 200 in 4 s, not the mean of 100 and 33


def test_old_steps_fade(clock):
    meter = Throughput(memory=5, clock=clock)
    for _ in range(50):
        after(clock, 1.0, meter)
    rates = [after(clock, 0.5, meter).tokens for _ in range(50)]
    assert rates == sorted(rates) and 80 < rates[0] < 100 and rates[-1] == pytest.approx(160, rel=1e-3)


def test_nothing_is_known_before_a_step_and_no_share_without_peak_or_operations(clock):
    meter = Throughput(clock=clock)
    assert meter.step(tokens=1, padded_tokens=1, steps_left=3) == Rates()
    assert after(clock, 1.0, meter, flops=5.0).share is None
    assert after(clock, 1.0, Throughput(peak=1.0, clock=clock)).share is None


def test_what_is_no_training_is_not_counted_but_evaluations_to_come_are(clock):
    meter = Throughput(clock=clock)
    after(clock, 1.0, meter)
    for seconds in (20.0, 40.0, 30.0):
        clock.now += seconds
        meter.evaluated()
        clock.now += 7.0
        meter.restart()
        rates = after(clock, 1.0, meter, steps_left=10, evaluations_left=2)
        assert rates.tokens == pytest.approx(80)
    assert rates.seconds_left == pytest.approx(10 + 2 * 30)


@pytest.mark.parametrize("jump", [-5000.0, -1.0, 0.0, 3600.0, 1e9, math.inf, -math.inf, math.nan])
def test_a_clock_that_jumps_changes_no_rate(clock, jump):
    meter, steady = Throughput(clock=clock), None
    for _ in range(10):
        steady = after(clock, 0.5, meter, steps_left=4)
    clock.now += jump
    assert meter.step(tokens=80, padded_tokens=100, steps_left=4) == steady
    if math.isfinite(jump):
        meter.restart()
    else:
        clock.now = 0.0
        meter.restart()
    for _ in range(10):
        rates = after(clock, 0.5, meter, steps_left=4)
    assert rates.tokens == pytest.approx(steady.tokens) and rates.seconds_left == pytest.approx(2.0)


def test_a_training_that_has_become_slow_is_believed_at_last(clock):
    meter = Throughput(clock=clock)
    for _ in range(5):
        after(clock, 0.01, meter)
    odd = [after(clock, 100.0, meter).tokens for _ in range(3)]
    assert odd[:2] == [pytest.approx(8000)] * 2 and odd[2] == pytest.approx(0.8)


@given(st.lists(st.floats(-1e12, 1e12, allow_nan=False), min_size=1, max_size=60))
def test_any_clock_gives_sane_figures(readings):
    ticks = iter([0.0, *readings])
    meter = Throughput(peak=1e9, clock=lambda: next(ticks))
    for _ in readings:
        rates = meter.step(tokens=7, padded_tokens=9, flops=10.0, steps_left=3)
        if rates != Rates():
            assert all(math.isfinite(figure) and figure > 0 for figure in (rates.tokens, rates.padded_tokens, rates.share, rates.seconds_left))
            assert rates.padded_tokens / rates.tokens == pytest.approx(9 / 7)


def test_impossible_settings_are_refused(clock):
    for wrong in ({"memory": 0}, {"peak": 0.0}, {"peak": math.nan}):
        with pytest.raises(ValueError, match="give at least one step"):
            Throughput(**wrong, clock=clock)
