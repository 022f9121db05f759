import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.attention import MultiHeadAttention
from shared.masks import Mask, causal_mask, packed_mask, padding_mask, unilm_mask


def rows(mask: Mask) -> list[str]:
    return ["".join("1" if cell else "0" for cell in row) for row in mask.bool.numpy()[0, 0]]


def test_unilm_check_values():
    assert rows(unilm_mask(paddle.to_tensor([[0, 0, 0, 1, 1]]))) == ["11100", "11100", "11100", "11110", "11111"]


@pytest.mark.parametrize("valid", [None, paddle.to_tensor([[1, 1, 1, 1, 0, 0]])])
def test_unilm_hides_right_padding(valid):
    # with a plain running sum the last target row would see both padding columns
    found = rows(unilm_mask(paddle.to_tensor([[0, 0, 1, 1, 0, 0]]), valid))
    assert found[:4] == ["110000", "110000", "111000", "111100"]


def test_unilm_without_target_needs_valid_to_know_the_padding():
    segments = paddle.zeros([1, 4], dtype="int64")  # [1, 4]
    assert rows(unilm_mask(segments)) == ["1111"] * 4
    assert rows(unilm_mask(segments, paddle.to_tensor([[True, True, False, False]]))) == ["1100"] * 4


@settings(max_examples=30, deadline=None)
@given(source=st.integers(1, 6), target=st.integers(0, 6), padding=st.integers(0, 4))
def test_unilm_equals_its_definition_and_the_older_form(source, target, padding):
    segments = np.array([0] * source + [1] * target + [0] * padding)
    real = np.arange(len(segments)) < source + target
    found = unilm_mask(paddle.to_tensor(segments[None]), paddle.to_tensor(real[None])).bool.numpy()[0, 0]
    older = (1 - segments[:, None]) * (1 - segments[None]) + segments[:, None] * np.tri(len(segments), dtype=int)
    expected = (older > 0) & real[None]
    np.testing.assert_array_equal(found[real], expected[real])


def test_padding_from_lengths_and_from_valid():
    from_lengths = padding_mask(paddle.to_tensor([2, 0, 3]), 4)
    assert list(from_lengths.bool.shape) == [3, 1, 1, 4]
    expected = [[True, True, False, False], [False] * 4, [True, True, True, False]]
    assert from_lengths.bool.numpy()[:, 0, 0].tolist() == expected
    assert padding_mask(paddle.to_tensor(expected)).bool.numpy()[:, 0, 0].tolist() == expected
    assert padding_mask(paddle.to_tensor(np.array(expected, dtype="int64"))).bool.numpy()[:, 0, 0].tolist() == expected
    assert list(padding_mask([2, 3]).bool.shape) == [2, 1, 1, 3]


def test_causal_and_packed():
    assert rows(causal_mask(3)) == ["100", "110", "111"]
    assert rows(packed_mask(paddle.to_tensor([[1, 1, 2, 0]]))) == ["1100", "1100", "0010", "0001"]


def test_masks_compose():
    both = causal_mask(3) & padding_mask([2, 3])
    assert list(both.bool.shape) == [2, 1, 3, 3]
    assert both.bool.numpy()[:, 0].astype(int).tolist() == [[[1, 0, 0], [1, 1, 0], [1, 1, 0]], [[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    with pytest.raises(TypeError):
        causal_mask(3) & True


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_additive_is_finite_in_every_type(dtype):
    additive = causal_mask(3).additive(dtype)  # [1, 1, 3, 3]
    values = additive.numpy()
    assert values.dtype == np.dtype(dtype)
    assert set(values.ravel().tolist()) == {0.0, float(np.finfo(dtype).min)}


def test_additive_in_full_shape_equals_broadcasting():
    for mask in (causal_mask(3), padding_mask([2, 3]), causal_mask(3) & padding_mask([2, 3])):
        full = mask.additive("float32", shape=[2, 5, 3, 3])  # [2, 5, 3, 3]
        np.testing.assert_array_equal(full.numpy(), np.broadcast_to(mask.additive("float32").numpy(), (2, 5, 3, 3)))
        assert mask.additive("float32", shape=[2, 5, 3, 3]) is full


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_that_may_attend_nowhere_attends_evenly(dtype):
    nowhere = padding_mask([0], 4)
    scores = paddle.to_tensor([[[[-7.0, 3.0, 0.0, 9.0]]]], dtype=dtype)  # [1, 1, 1, 4]
    weights = F.softmax(scores + nowhere.additive(dtype), axis=-1)  # [1, 1, 1, 4]
    np.testing.assert_allclose(weights.numpy().ravel(), [0.25] * 4, atol=1e-6)


def test_a_query_that_sees_nothing_has_finite_values_and_gradients():
    paddle.seed(0)
    attention = MultiHeadAttention(hidden_size=8, num_heads=2)
    hidden = paddle.randn([2, 3, 8])  # [2, 3, 8]
    hidden.stop_gradient = False
    left_padded = padding_mask(paddle.to_tensor([[0, 1, 1], [1, 1, 1]]))
    out = attention(hidden, causal_mask(3) & left_padded)  # [2, 3, 8]
    out.sum().backward()
    assert np.isfinite(out.numpy()).all()
    assert np.isfinite(hidden.grad.numpy()).all()


def test_a_mask_that_hides_a_whole_text_is_refused():
    attention = MultiHeadAttention(hidden_size=8, num_heads=2)
    with pytest.raises(ValueError, match=r"mask \[2, 1, 1, 3\] hides every token of text 0 of 2: drop empty texts"):
        attention(paddle.randn([2, 3, 8]), padding_mask([0, 2], 3))  # [2, 3, 8]


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Mask(paddle.ones([2, 3], dtype="bool"))  # [2, 3]
    with pytest.raises(ValueError, match="float32"):
        Mask(paddle.ones([1, 1, 2, 2]))  # [1, 1, 2, 2]
    with pytest.raises(ValueError, match="a length of 5 does not fit max_length 4"):
        padding_mask([5, 2], 4)
    with pytest.raises(ValueError, match="3 columns but max_length is 4"):
        padding_mask(paddle.ones([2, 3]), 4)
    with pytest.raises(ValueError, match=r"\[1, 2\] and segment_ids \[1, 3\]"):
        unilm_mask(paddle.zeros([1, 3]), paddle.zeros([1, 2]))
    with pytest.raises(ValueError, match=r"\[3\]"):
        packed_mask(paddle.zeros([3]))
    with pytest.raises(ValueError, match="found 0"):
        causal_mask(0)
