"""The UniLM lab's measures, and the power law its figures fit."""

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.labs.figures import exponent
from pipelines.labs.mask_measures import NEW, PLAIN, compare_forms, product_form, source_shift
from shared.masks import unilm_mask


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=4))
def test_the_older_form_equals_the_mask_on_rows_without_padding(pairs):
    for source, target in pairs:
        segments = np.array([[0] * source + [1] * target])
        assert (product_form(segments) == unilm_mask(paddle.to_tensor(segments)).bool.numpy()[:, 0]).all()


def test_the_forms_differ_at_padding_alone():
    found = compare_forms(20, seed=1)
    assert found["agree"] == found["cells"] > 0 and found["only_padding"] and 0 < found["raw"] < found["all"]


@pytest.mark.parametrize("kind", ["dot_product", "factorized_dense+random"])
def test_a_target_moves_source_states_only_where_they_see_it(kind):
    found = source_shift(kind, 1, seed=3)
    assert found[NEW]["largest"] < 1e-4 and found[NEW]["cosine"] == pytest.approx(1, abs=1e-6)
    assert found[PLAIN]["largest"] > 100 * found[NEW]["largest"] and found[PLAIN]["cosine"] < 1 - 1e-5


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 100))
def test_the_exponent_of_a_power_law_is_found(power, factor):
    sizes = np.array([8.0, 16.0, 64.0])
    assert exponent(sizes, factor * sizes**power) == pytest.approx(power, abs=1e-6)
