"""An optimizer's state by the parameters' own names survives the process, whatever numbers Paddle gives them there."""

import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.base.layer_helper import LayerHelper

from shared.optim import AdaX, AdaXL2, AdaXW, parameter_groups
from shared.optim.state import optimizer_state, set_optimizer_state
from shared.training.checkpoint import arrays_of, load_arrays, save_arrays, set_weights

INPUTS = np.random.default_rng(0).normal(size=(8, 16, 4)).astype(np.float32)  # [steps, b, 4]


class Model(nn.Layer):
    """``seldom`` has a gradient in every third step alone, ``never`` in none."""

    def __init__(self):
        super().__init__()
        paddle.seed(1)
        self.backbone = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)
        self.seldom = nn.Linear(8, 2, bias_attr=False)
        self.never = nn.Linear(8, 2)
        self.frozen = nn.Linear(3, 3)
        for parameter in self.frozen.parameters():
            parameter.stop_gradient = True

    def forward(self, inputs, number):
        hidden = paddle.tanh(self.backbone(inputs))  # [b, 8]
        scores = self.head(hidden)  # [b, 2]
        return scores + self.seldom(hidden) if number % 3 == 0 else scores  # [b, 2]


def made(kind, **options):
    layer = Model()
    groups = parameter_groups(layer, head_ratio=5.0, weight_decay=0.0 if kind is AdaX else 0.1)
    return layer, kind(1e-2, parameters=groups, **options)


def adamw(rate, parameters, **options):
    return paddle.optimizer.AdamW(learning_rate=rate, parameters=parameters, weight_decay=0.0, **options)


KINDS = {"adamw": adamw, "adax": AdaX, "adax_l2": AdaXL2, "adax_w": AdaXW}


def steps(layer, optimizer, numbers):
    for number in numbers:
        optimizer.set_lr(1e-2 / (1 + number))
        inputs = paddle.to_tensor(INPUTS[number])  # [b, 4]
        ((layer(inputs, number) - inputs[:, :2]) ** 2).mean().backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)


def weights(layer):
    return {name: value.numpy().copy() for name, value in layer.state_dict().items()}


def copies(optimizer, layer):
    return {name: value.copy() for name, value in arrays_of(optimizer_state(optimizer, layer)).items()}


def equal(left, right):
    assert sorted(left) == sorted(right)
    for name, value in left.items():
        assert value.dtype == right[name].dtype and value.tobytes() == right[name].tobytes(), name


PROGRAM = """
import sys, types
test = types.ModuleType("test")
exec(compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec"), test.__dict__)
test.BEGIN_OR_GO_ON[sys.argv[3]](sys.argv[2])
"""


def keep(folder, kind, name, layer, optimizer):
    save_arrays(f"{folder}/{kind}-{name}-weights", weights(layer))
    save_arrays(f"{folder}/{kind}-{name}-state", copies(optimizer, layer))


def begin(folder):
    for kind in KINDS:
        layer, optimizer = made(KINDS[kind])
        steps(layer, optimizer, range(4))
        keep(folder, kind, "half", layer, optimizer)
        steps(layer, optimizer, range(4, 8))
        keep(folder, kind, "straight", layer, optimizer)


def go_on(folder):
    paddle.optimizer.AdamW(parameters=[*nn.Linear(2, 2).parameters(), *nn.Linear(3, 1).parameters()])  # what shifts Paddle's own numbers
    for kind in KINDS:
        layer, optimizer = made(KINDS[kind])
        set_weights(layer, load_arrays(f"{folder}/{kind}-half-weights")[0], folder)
        set_optimizer_state(optimizer, layer, load_arrays(f"{folder}/{kind}-half-state")[0])
        steps(layer, optimizer, range(4, 8))
        keep(folder, kind, "resumed", layer, optimizer)


BEGIN_OR_GO_ON = {"begin": begin, "go_on": go_on}


def test_another_process_goes_on_bit_for_bit(tmp_path):
    """Both in processes of their own: in one that imported Paddle before an earlier test set up its environment, MKL takes another path."""
    for half in BEGIN_OR_GO_ON:
        subprocess.run([sys.executable, "-c", PROGRAM, __file__, str(tmp_path), half], check=True, capture_output=True)
    for kind in KINDS:
        for part in ("weights", "state"):
            equal(*(load_arrays(tmp_path / f"{kind}-{name}-{part}")[0] for name in ("resumed", "straight")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", range(6))
def test_a_new_optimizer_goes_on_bit_for_bit(kind, stop):
    """Also before the first step, and before ``seldom`` had a gradient again; ``never`` and ``frozen`` have no state."""
    layer, optimizer = made(KINDS[kind])
    steps(layer, optimizer, range(stop))
    state, other = copies(optimizer, layer), made(KINDS[kind])
    other[0].set_state_dict(weights(layer))
    steps(layer, optimizer, range(stop, 7))
    set_optimizer_state(other[1], other[0], state)
    equal(copies(other[1], other[0]), state)
    steps(*other, range(stop, 7))
    equal(weights(other[0]), weights(layer))
    equal(copies(other[1], other[0]), copies(optimizer, layer))


def test_the_names_are_the_layers_own():
    layer, optimizer = made(adamw)
    assert optimizer_state(optimizer, layer) == {}
    steps(layer, optimizer, range(1, 3))
    reached = ("backbone.weight", "backbone.bias", "head.weight", "head.bias")
    kinds = {key.rpartition("/")[2] for key in optimizer_state(optimizer, layer)}
    assert {"moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc"} <= kinds
    assert {key.rpartition("/")[0] for key in optimizer_state(optimizer, layer)} == set(reached)
    steps(layer, optimizer, range(3, 4))
    assert {key.rpartition("/")[0] for key in optimizer_state(optimizer, layer)} == {*reached, "seldom.weight"}
    moments = {name: np.zeros(value.shape) for name, value in weights(layer).items()}
    other, plain = made(adamw)
    for number in range(2):  # the first moment is the mean of gradients that Adam says
        inputs = paddle.to_tensor(INPUTS[number + 1])  # [b, 4]
        ((other(inputs, number + 1) - inputs[:, :2]) ** 2).mean().backward()
        for name, parameter in other.named_parameters():
            if parameter.grad is not None:
                moments[name] = 0.9 * moments[name] + 0.1 * parameter.grad.numpy()
        plain.set_lr(1e-2 / (2 + number))
        plain.step()
        plain.clear_grad(set_to_zero=False)
    state = copies(plain, other)
    for name in reached:
        np.testing.assert_allclose(state[f"{name}/moment1"], moments[name], rtol=1e-4, atol=1e-7)
        assert state[f"{name}/beta1_pow_acc"].item() == pytest.approx(0.9**3, rel=1e-5)


def test_a_state_is_copied_and_tensors_will_do():
    layer, optimizer = made(adamw)
    steps(layer, optimizer, range(3))
    other, resumed = made(adamw)
    other.set_state_dict(weights(layer))
    set_optimizer_state(resumed, other, optimizer_state(optimizer, layer))
    before = copies(optimizer, layer)
    steps(other, resumed, range(3, 5))
    equal(copies(optimizer, layer), before)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_master_weights_of_half_precision_are_in_it(dtype):
    """A CPU takes no such step, so the state is made up; its names and values come back all the same."""
    layers = [Model().to(dtype=dtype) for _ in range(2)]
    one, two = (adamw(1e-2, parameter_groups(layer), multi_precision=True) for layer in layers)
    named = [name for name, parameter in layers[0].named_parameters() if not parameter.stop_gradient]
    one.helper = LayerHelper("AdamW")
    one._create_accumulators(paddle.static.default_main_program().global_block(), [dict(layers[0].named_parameters())[name] for name in named])
    rng = np.random.default_rng(0)
    for tensor in optimizer_state(one, layers[0]).values():
        tensor.set_value(rng.normal(size=tensor.shape).astype(np.float32))
    state = copies(one, layers[0])
    assert {key.rpartition("/")[0] for key in state if key.endswith("/master")} == set(named)
    assert all(value.dtype == np.float32 for value in state.values())
    set_optimizer_state(two, layers[1], state)
    equal(copies(two, layers[1]), state)


# -- what does not fit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update({"neck.weight/moment1": np.zeros((4, 8), np.float32)}), r"found also neck\.weight"),
        (lambda state: state.update({"moment1": np.zeros((4, 8), np.float32)}), "must fit this layer"),
        (lambda state: state.update({"head.weight/moment3": np.zeros((8, 2), np.float32)}), r"head\.weight/moment3 on one side only"),
        (lambda state: state.pop("head.weight/moment2"), r"head\.weight/moment2 on one side only"),
        (lambda state: state.update({"head.weight/moment1": np.zeros((2, 8), np.float32)}), r"head\.weight/moment1 must be \[8, 2\], found \[2, 8\]"),
        (lambda state: state.update({"iterations": np.array(3)}), "must fit this layer"),
    ],
)
def test_states_that_do_not_fit_adamw(change, message):
    layer, optimizer = made(adamw)
    steps(layer, optimizer, range(2))
    state = copies(optimizer, layer)
    change(state)
    other, resumed = made(adamw)
    with pytest.raises(ValueError, match=message):
        set_optimizer_state(resumed, other, state)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "adamw"])
def test_states_of_another_kind(kind):
    layer, optimizer = made(adamw)
    steps(layer, optimizer, range(2))
    other, slots = made(KINDS[kind])
    steps(other, slots, range(2))
    with pytest.raises(ValueError, match="entry iterations"):
        set_optimizer_state(slots, other, copies(optimizer, layer))
    with pytest.raises(ValueError, match="must fit this layer"):
        set_optimizer_state(optimizer, layer, copies(slots, other))
