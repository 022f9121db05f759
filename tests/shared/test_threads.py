import os
import threading

import paddle
import pytest

from shared.optim.adamw import AdamW
from shared.optim.gradients import joint_norm, scale_gradients
from shared.threads import side_by_side, thread_count


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(request.param))
    return request.param


def test_values_come_in_order_and_each_task_once(threads):
    assert thread_count() == threads
    names = []

    def task(number):
        names.append(threading.current_thread().name)
        assert not paddle.is_grad_enabled()
        return number * number

    assert side_by_side([lambda number=number: task(number) for number in range(7)], [5, 1, 9, 2, 2, 8, 1]) == [n * n for n in range(7)]
    assert len(names) == 7 and len(set(names)) <= threads and threading.current_thread().name in names
    assert paddle.is_grad_enabled()
    assert side_by_side([], []) == []


def test_an_error_is_raised_when_all_have_ended(threads):
    done = []

    def fail():
        raise KeyError("a task")

    with pytest.raises(KeyError, match="a task"):
        side_by_side([fail, lambda: done.append(1)] if threads > 1 else [lambda: done.append(1), fail], [1, 1])
    assert done == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_threads_of_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert side_by_side([lambda: 1, lambda: 2], [1, 1]) == [1, 2]
    child = os.fork()
    if not child:
        os._exit(0 if side_by_side([lambda: 3, lambda: 4], [1, 1]) == [3, 4] else 1)
    assert os.waitpid(child, 0)[1] == 0


def layer_and_groups(seed):
    paddle.seed(seed)
    layer = paddle.nn.Sequential(paddle.nn.Embedding(50, 8), paddle.nn.Linear(8, 16), paddle.nn.LayerNorm(16), paddle.nn.Linear(16, 3))
    first, *others = layer.parameters()
    groups = [
        {"params": [first], "learning_rate": 0.5, "weight_decay": 0.3},
        {"params": others[::2], "learning_rate": 1.0, "weight_decay": 0.1},
        {"params": others[1::2], "learning_rate": 3.0, "weight_decay": 0.0},
    ]
    return layer, groups


def steps(kind, count, state=None):
    layer, groups = layer_and_groups(1)
    optimizer = kind(learning_rate=0.01, parameters=groups, weight_decay=0.0)
    for number in range(count):
        paddle.seed(100 + number)
        (layer(paddle.randint(0, 50, [4, 5])) ** 2).mean().backward()
        optimizer.set_lr(0.01 / (number + 1))
        optimizer.step()
        optimizer.clear_grad()
    return layer, optimizer


def test_adamw_gives_the_bits_of_paddles(threads):
    (ours, own), (theirs, paddles) = steps(AdamW, 5), steps(paddle.optimizer.AdamW, 5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (one.numpy() == other.numpy()).all()
    assert [(kind, len(table)) for kind, table in own._accumulators.items()] == [
        (kind, len(table)) for kind, table in paddles._accumulators.items()
    ]


def test_adamw_without_groups_and_with_a_parameter_unused(threads):
    found = []
    for kind in (AdamW, paddle.optimizer.AdamW):
        layer, _ = layer_and_groups(2)
        optimizer = kind(learning_rate=0.1, parameters=layer.parameters(), weight_decay=0.2)
        (layer[1](paddle.ones([2, 8])) ** 2).mean().backward()  # [] : the others have no gradient
        optimizer.step()
        found.append([parameter.numpy() for parameter in layer.parameters()])
    assert all((one == other).all() for one, other in zip(*found, strict=True))


def test_norm_and_scale_of_all_gradients(threads):
    gradients = [paddle.full([3], 2.0), paddle.full([2, 2], 1.0), paddle.full([1], 3.0, dtype="float64")]
    assert joint_norm(gradients) == pytest.approx(5.0)
    scale_gradients(gradients, 0.5)
    assert joint_norm(gradients) == pytest.approx(2.5)
    assert joint_norm([]) == 0.0
