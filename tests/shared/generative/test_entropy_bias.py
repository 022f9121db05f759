"""The estimate of entropy against distributions whose entropy an integral gives."""

import math

import numpy as np
import pytest

from shared.generative.entropy import digamma
from shared.generative.entropy_bias import ENTROPIES, entropy_bias


def test_entropies_are_those_of_the_densities():
    stats = pytest.importorskip("scipy.stats")
    root = math.sqrt(3)
    densities = {
        "normal": stats.norm(),
        "logistic": stats.logistic(scale=root / math.pi),
        "laplace": stats.laplace(scale=math.sqrt(0.5)),
        "uniform": stats.uniform(-root, 2 * root),
    }
    assert list(ENTROPIES) == list(densities)
    for name, density in densities.items():
        assert density.var() == pytest.approx(1) and density.mean() == pytest.approx(0, abs=1e-12)
        assert ENTROPIES[name] == pytest.approx(float(density.entropy()), rel=1e-6)
    values = list(ENTROPIES.values())
    assert values == sorted(values, reverse=True)  # the normal one has the largest


@pytest.mark.parametrize("name", ENTROPIES)
def test_one_dimension_is_estimated_well(name):
    found = entropy_bias(name, 1, 400, 3, repeats=6)
    assert abs(found.exact) < 3 * found.deviation / math.sqrt(6) + 0.02
    assert found[:4] == (name, 1, 400, 3)


def test_the_two_constants_are_psi_and_logarithm_apart():
    found = entropy_bias("normal", 2, 10, repeats=3, seed=1)
    assert found.exact - found.approximate == pytest.approx(digamma(10) - math.log(9))
    assert found == entropy_bias("normal", 2, 10, repeats=3, seed=1)
    assert found.exact != entropy_bias("normal", 2, 10, repeats=3, seed=2).exact


def test_the_error_grows_with_the_dimensions():
    found = [entropy_bias("uniform", d, 100, repeats=4).exact / d for d in (1, 5, 10)]
    assert np.diff(found).min() > 0


def test_others_are_refused():
    with pytest.raises(ValueError, match="found 'cauchy' and 20"):
        entropy_bias("cauchy", 1, 10)
    with pytest.raises(ValueError, match="found 'normal' and 1"):
        entropy_bias("normal", 1, 10, repeats=1)
