import paddle
import pytest

from shared.optim.gradients import joint_norm, scale_gradients


def test_norm_and_scale_of_all_gradients():
    gradients = [paddle.full([3], 2.0), paddle.full([2, 2], 1.0), paddle.full([1], 3.0, dtype="float64")]
    assert joint_norm(gradients) == pytest.approx(5.0)
    scale_gradients(gradients, 0.5)
    assert joint_norm(gradients) == pytest.approx(2.5)
    assert joint_norm([]) == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_norm_that_is_not_finite(value):
    assert joint_norm([paddle.ones([2]), paddle.full([2], value)]) != joint_norm([paddle.ones([2])])
    assert not joint_norm([paddle.ones([2]), paddle.full([2], value)]) < float("inf")
