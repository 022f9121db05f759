import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import paddle
import pytest
from scipy.integrate import quad
from scipy.special import erf, expit, ndtr

from shared.activations import (
    SigmoidFit,
    TanhFit,
    activation_names,
    approximation_report,
    fit_local,
    fit_minimax_sigmoid,
    fit_minimax_tanh,
    fit_weighted,
    gelu,
    gelu_sigmoid,
    gelu_tanh,
    get_activation,
)

POINTS = [-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]
EXACT = [-0.00404969409489031, -0.04550026389635842, -0.15865525393145707, -0.15426876936299347]
EXACT += [0.3457312306370065, 0.8413447460685429, 1.9544997361036416, 2.99595030590511]
TANH = [-0.0036373920817729943, -0.04540230591222494, -0.1588080093917233, -0.15428599017485606]
TANH += [0.34571400982514394, 0.8411919906082768, 1.954597694087775, 2.996362607918227]
SIGMOID = [-0.01807130970778597, -0.06434137685579186, -0.1542042340671787, -0.1496115633936199]
SIGMOID += [0.35038843660638014, 0.8457957659328212, 1.9356586231442083, 2.981928690292214]


@pytest.mark.parametrize(("function", "expected"), [(gelu, EXACT), (gelu_tanh, TANH), (gelu_sigmoid, SIGMOID)])
def test_check_values_in_double_precision(function, expected):
    values = function(paddle.to_tensor(POINTS, dtype="float64"))  # [8]
    np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=1e-12)


def grid():
    return paddle.to_tensor(np.arange(-10, 10, 1e-4))  # [200000]


@pytest.mark.parametrize("function", [gelu, gelu_tanh, gelu_sigmoid])
def test_every_form_satisfies_the_identity(function):
    x = grid()  # [200000]
    np.testing.assert_allclose((function(x) - function(-x)).numpy(), x.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("function", "distance"), [(gelu_tanh, 4.732355e-4), (gelu_sigmoid, 2.033487e-2)])
def test_largest_distance_from_the_exact_form(function, distance):
    x = grid()  # [200000]
    assert float((function(x) - gelu(x)).abs().max()) == pytest.approx(distance, rel=1e-5)


def test_minimum_of_the_exact_form():
    x = grid()  # [200000]
    y = gelu(x)  # [200000]
    assert float(y.min()) == pytest.approx(-0.1699712075, abs=5e-10)
    assert float(x[int(y.argmin())]) == pytest.approx(-0.7517915, abs=1e-4)
    around = paddle.to_tensor([-0.7517915 - 5e-8, -0.7517915 + 5e-8], dtype="float64", stop_gradient=False)  # [2]
    gelu(around).sum().backward()
    left, right = around.grad.tolist()
    assert left < 0 < right


# -- the fits ----------------------------------------------------------------------------------------------------


def test_local_fit():
    fit = fit_local()
    assert fit.a == pytest.approx(0.7978845608028654, rel=1e-15) and fit.a == pytest.approx(math.sqrt(2 / math.pi), rel=1e-15)
    assert fit.b == pytest.approx(0.03633560235749836, rel=1e-14)
    assert fit.ratio == pytest.approx(0.04553992412252711, rel=1e-14) and fit.ratio == pytest.approx((4 - math.pi) / (6 * math.pi), rel=1e-14)


def test_minimax_tanh():
    fit = fit_minimax_tanh()
    assert fit.a == fit_local().a
    assert fit.b == pytest.approx(0.035677337314877385, rel=1e-9)
    assert fit.ratio == pytest.approx(0.04471491123850965, rel=1e-9)
    assert round(fit.ratio, 6) == 0.044715


def test_minimax_sigmoid():
    fit = fit_minimax_sigmoid()
    assert fit.rate == pytest.approx(1.7017449256323682, rel=1e-9)
    assert round(fit.rate, 5) == 1.70174


def erf_distance(x, fit):
    return erf(np.asarray(x) / math.sqrt(2)) - np.tanh(fit.a * np.asarray(x) + fit.b * np.asarray(x) ** 3)


def cdf_distance(x, fit):
    return ndtr(x) - expit(fit.rate * np.asarray(x))


def test_the_local_fit_is_more_exact_near_zero_only():
    published = TanhFit(fit_local().a, fit_local().a * 0.044715)
    assert float(erf_distance(0.1, fit_local())) == pytest.approx(-3.73e-10, abs=5e-13)
    assert float(erf_distance(0.1, published)) == pytest.approx(6.54e-7, abs=5e-10)
    assert abs(erf_distance(2.3, fit_local())) > abs(erf_distance(2.3, published))


def test_a_free_slope_comes_nearer_still():
    x = np.arange(0, 4, 0.001)  # [n]
    free, held = fit_minimax_tanh(free_slope=True), fit_minimax_tanh()
    assert np.abs(erf_distance(x, free)).max() < 0.8 * np.abs(erf_distance(x, held)).max()


def weighted(fit, distance, power, weight, upper):
    def inside(x):
        density = 1.0 if weight == "uniform" else math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return density * abs(float(distance(x, fit))) ** power

    # in pieces, for the absolute value has corners
    return sum(quad(inside, lower, lower + 0.05, epsabs=1e-14)[0] for lower in np.arange(0, upper, 0.05))


@pytest.mark.parametrize("weight", ["uniform", "normal"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("form", ["tanh", "sigmoid"])
def test_weighted_fits_are_minima_of_their_integral(form, power, weight):
    fit = fit_weighted(form, power=power, weight=weight, upper=3.0)
    if form == "tanh":
        assert fit.a == fit_local().a
        others = [TanhFit(fit.a, fit.b * 0.995), TanhFit(fit.a, fit.b * 1.005), fit_local(), fit_minimax_tanh()]
        distance = erf_distance
    else:
        others = [SigmoidFit(fit.rate * 0.995), SigmoidFit(fit.rate * 1.005), fit_minimax_sigmoid()]
        distance = cdf_distance
    best = weighted(fit, distance, power, weight, 3.0)
    assert all(best < weighted(other, distance, power, weight, 3.0) for other in others)


def test_the_weight_decides_a_weighted_fit_and_minimax_has_the_smallest_largest_distance():
    x = np.arange(0, 4, 0.001)  # [n]
    fits = [fit_weighted(power=power, weight=weight) for power in (1, 2) for weight in ("uniform", "normal")]
    assert len({round(fit.ratio, 5) for fit in fits}) == 4
    least = np.abs(erf_distance(x, fit_minimax_tanh())).max()
    assert all(np.abs(erf_distance(x, fit)).max() > least for fit in fits)
    free = fit_weighted(free_slope=True)
    assert weighted(free, erf_distance, 2, "uniform", 4.0) < weighted(fit_weighted(), erf_distance, 2, "uniform", 4.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "relu"}, "found 'relu'"),
        ({"power": 3}, "found 3"),
        ({"weight": "cauchy"}, "found 'cauchy'"),
        ({"upper": 0.0}, "found 0.0"),
        ({"upper": math.nan}, "found nan"),
        ({"form": "sigmoid", "free_slope": True}, "leave it out"),
    ],
)
def test_wrong_settings_of_a_weighted_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        fit_weighted(**settings)


# -- the report --------------------------------------------------------------------------------------------------


@cache
def report():
    return {(line.target, line.form, line.origin): line for line in approximation_report()}


@pytest.mark.parametrize(
    ("target", "form", "origin", "coefficient", "error", "digits", "at"),
    [
        ("gelu", "tanh", "published", 0.044715, 4.732355e-4, 5e-11, 2.699),
        ("gelu", "tanh", "local", 0.04553992412252711, 7.461693e-4, 5e-11, 2.467),
        ("gelu", "tanh", "minimax", 0.04471491123850965, 4.732108e-4, 5e-11, None),
        ("gelu", "sigmoid", "published", 1.702, 2.033487e-2, 5e-9, 2.2704),
        ("gelu", "sigmoid", "minimax", 1.7017449256, 2.036135e-2, 5e-9, None),
        ("gelu", "sigmoid", "silu", 1.0, 1.930020e-1, 5e-8, 1.9655),
        ("erf", "tanh", "minimax", 0.04471491123850965, 3.5784e-4, 5e-9, None),
        ("erf", "tanh", "local", 0.04553992412252711, 6.2693e-4, 5e-9, None),
        ("erf", "tanh", "published", 0.044715, 3.57865e-4, 5e-10, None),
        ("cdf", "sigmoid", "minimax", 1.7017449256, 9.457309e-3, 5e-10, None),
        ("cdf", "sigmoid", "published", 1.702, 9.486324e-3, 5e-10, None),
    ],
)
def test_report(target, form, origin, coefficient, error, digits, at):
    line = report()[target, form, origin]
    assert line.coefficient == pytest.approx(coefficient, rel=1e-9)
    assert line.error == pytest.approx(error, abs=digits)
    assert at is None or line.at == pytest.approx(at, abs=5e-4)


def test_the_report_speaks_of_our_functions():
    x = grid()  # [200000]
    for origin, function in (("tanh", gelu_tanh), ("sigmoid", gelu_sigmoid)):
        line = report()["gelu", origin, "published"]
        distance = (function(x) - gelu(x)).abs()  # [200000]
        assert float(distance.max()) == pytest.approx(line.error, rel=1e-6)
        assert abs(float(x[int(distance.argmax())])) == pytest.approx(line.at, abs=2e-4)


def test_a_report_without_grid_is_refused():
    with pytest.raises(ValueError, match="step=0"):
        approximation_report(step=0)
    with pytest.raises(ValueError, match="upper=1"):
        approximation_report(step=2, upper=1)


def test_importing_the_module_imports_no_scipy():
    program = "import sys, shared.activations; sys.exit('scipy' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False, capture_output=True).returncode == 0


# -- names -------------------------------------------------------------------------------------------------------


def test_names():
    assert get_activation("gelu") is gelu
    assert get_activation("gelu_new") is gelu_tanh
    x = paddle.to_tensor([-1.0, 2.0])  # [2]
    assert get_activation("relu")(x).tolist() == [0.0, 2.0]
    assert all(list(get_activation(name)(x).shape) == [2] for name in activation_names())
    with pytest.raises(ValueError, match=r"'mish'.*gelu_tanh"):
        get_activation("mish")
