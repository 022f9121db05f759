"""One battery for every layer: a :class:`Case` is a line of the table in test_layers.py, a check is what each line has to pass.

Shapes are words: ``b`` rows, ``l`` tokens of a row (padded to the longest), ``l-1``, or a number. Real places are those before a row's length;
what stands behind them is drawn anew whenever it must not matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

from shared.training.checkpoint import load_weights, save_weights

LENGTHS = (5, 2, 4, 3)
"""Real tokens of the rows that most checks run."""


class Input(NamedTuple):
    """One argument. ``draw(generator, shape, length)`` gives the real places of a row, ``behind(generator, shape)`` the padded ones.

    Without ``b`` all rows share one.
    """

    shape: str
    dtype: str
    draw: Callable[[np.random.Generator, list[int], int], np.ndarray]
    behind: Callable[[np.random.Generator, list[int]], np.ndarray]


def numbers(shape: str) -> Input:
    """Normal numbers; far larger ones behind the row."""
    return Input(shape, "float32", lambda rng, size, length: rng.normal(0, 1, size), lambda rng, size: rng.normal(0, 30, size))


def shares(shape: str) -> Input:
    """Numbers from 0 to 1, as of a picture."""
    return Input(shape, "float32", lambda rng, size, length: rng.uniform(0, 1, size), lambda rng, size: rng.uniform(0, 1, size))


def whole(shape: str, below: int) -> Input:
    """Whole numbers; others behind the row."""
    return Input(shape, "int64", lambda rng, size, length: rng.integers(0, below, size), lambda rng, size: rng.integers(0, below, size))


def padded(shape: str, below: int) -> Input:
    """Token ids from 1, and 0, the padding, behind the row: for layers that know padding by its id."""
    return Input(shape, "int64", lambda rng, size, length: rng.integers(1, below, size), lambda rng, size: np.zeros(size))


def segments(shape: str) -> Input:
    """0 in the first half of a row, 1 in the second; anything behind it."""
    return Input(shape, "int64", lambda rng, size, length: np.arange(length) * 2 >= length, lambda rng, size: rng.integers(0, 2, size))


def places(shape: str) -> Input:
    """0, 1, 2 ... along the row."""
    return Input(shape, "int64", lambda rng, size, length: np.arange(length), lambda rng, size: np.zeros(size))


def real() -> Input:
    """True at real tokens."""
    return Input("b l", "bool", lambda rng, size, length: np.ones(size), lambda rng, size: np.zeros(size))


def lengths() -> Input:
    """How many tokens of each row are real."""
    return Input("b", "int64", lambda rng, size, length: np.full(size, length), lambda rng, size: np.zeros(size))


def plain(layer: nn.Layer, *tensors: paddle.Tensor) -> paddle.Tensor:
    return layer(*tensors)


@dataclass(frozen=True)
class Case:
    """A layer and what it promises.

    ``make`` gives a new one, ``inputs`` are what ``call(layer, *inputs)`` takes, ``outputs`` the shapes of the float32
    numbers that come out. Exceptions carry their reason: ``fixed`` an axis that an exported program cannot leave open, ``idle`` parameters that no
    gradient can reach, ``undrawn`` why the seed changes neither weights nor output.
    """

    name: str
    make: Callable[[], nn.Layer]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    call: Callable[..., object] = plain
    fixed: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, str] = field(default_factory=dict)
    undrawn: str = ""

    def __str__(self) -> str:
        return self.name

    def new(self, seed: int = 0, *, spread: bool = True) -> nn.Layer:
        """A layer whose numbers are wide enough for every part to matter; ``spread=False``: as it is made."""
        paddle.seed(seed)
        layer = self.make()
        rng = np.random.default_rng([seed, 17])
        for name, value in layer.state_dict().items() if spread else ():
            wide = value.numpy() + rng.normal(0, 0.3, value.shape)
            value.set_value(paddle.to_tensor((np.abs(wide) if "variance" in name else wide).astype("float32")))
        layer.eval()
        return layer

    def batch(self, real_lengths: tuple[int, ...] = LENGTHS, width: int = 0, *, rows: tuple[int, ...] = (), behind: int = 0) -> list[paddle.Tensor]:
        """Inputs whose row r is always the same at its real places, for the given number of them, and depends on ``behind`` after it."""
        width = width or max(real_lengths)
        made = []
        for index, given in enumerate(self.inputs):
            axes = [axis for axis in given.shape.split() if axis != "b"]
            shared = axes == given.shape.split()
            values = []
            for row, length in [(0, width)] if shared else zip(rows or range(len(real_lengths)), real_lengths, strict=True):
                value = given.behind(np.random.default_rng([index, row, behind]), sizes(axes, 1, width)).astype("float64")
                kept = given.draw(np.random.default_rng([index, row]), sizes(axes, 1, length), length)
                value[tuple(slice(size) for size in kept.shape)] = kept
                values.append(value)
            made.append(paddle.to_tensor((values[0] if shared else np.stack(values)).astype(given.dtype)))
        return made

    def run(self, layer: nn.Layer, batch: list[paddle.Tensor]) -> list[paddle.Tensor]:
        return flat(self.call(layer, *batch))

    def rows(self, outputs: list[paddle.Tensor], real_lengths: tuple[int, ...]) -> list[list[np.ndarray]]:
        """Of every row, its real places in every output."""
        found = []
        for row, length in enumerate(real_lengths):
            parts = []
            for shape, output in zip(self.outputs, outputs, strict=True):
                axes = shape.split()
                cut = [row if axis == "b" else slice(size) for axis, size in zip(axes, sizes(axes, 0, length), strict=True)]
                parts.append(output.numpy()[tuple(cut)])
            found.append(parts)
        return found


def sizes(axes: list[str], b: int, l: int) -> list[int]:
    return [{"b": b, "l": l, "l-1": l - 1}[axis] if axis in ("b", "l", "l-1") else int(axis) for axis in axes]


def flat(output: object) -> list[paddle.Tensor]:
    """Tensors of an output or of nested tuples of them."""
    if isinstance(output, list | tuple):
        return [tensor for part in output for tensor in flat(part)]
    return [] if output is None else [output]


def close(one: np.ndarray, two: np.ndarray) -> None:
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


# -- the checks ----------------------------------------------------------------------------------------------------


def check_shapes_and_types(case: Case, folder: Path) -> None:
    layer = case.new()
    for real_lengths in ((5, 2, 4, 3), (3, 6)):
        found = case.run(layer, case.batch(real_lengths))
        for shape, output in zip(case.outputs, found, strict=True):
            np.testing.assert_array_equal(output.shape, sizes(shape.split(), len(real_lengths), max(real_lengths)))
            assert output.dtype == paddle.float32, output.dtype


def check_saved_weights_give_the_same_layer(case: Case, folder: Path) -> None:
    layer, other = case.new(1), case.new(2)
    if not layer.state_dict():
        return
    batch = case.batch()
    before, unlike = ([output.numpy() for output in case.run(one, batch)] for one in (layer, other))
    assert any((one != two).any() for one, two in zip(before, unlike, strict=True))
    save_weights(layer, folder / "weights.safetensors")
    load_weights(other, folder / "weights.safetensors")
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other.state_dict()[name].numpy(), err_msg=name)
    for one, two in zip(before, case.run(other, batch), strict=True):
        np.testing.assert_array_equal(one, two.numpy())


def check_a_gradient_reaches_every_parameter(case: Case, folder: Path) -> None:
    layer = case.new()
    layer.train()
    total, rng = 0.0, np.random.default_rng(5)
    for output in case.run(layer, case.batch()):
        total = total + (output * paddle.to_tensor(rng.normal(0, 1, output.shape).astype("float32"))).sum()
    learned = {name: parameter for name, parameter in layer.named_parameters() if not parameter.stop_gradient}
    if not learned:
        return
    total.backward()
    largest = {name: 0.0 if value.grad is None else float(value.grad.abs().max()) for name, value in learned.items()}
    assert all(np.isfinite(size) for size in largest.values())
    # a gradient that is nothing but rounding counts as none
    idle = {name for name, size in largest.items() if size <= 1e-6 * max(largest.values())}
    assert idle == set(case.idle), f"without a gradient: {sorted(idle)}; expected: {sorted(case.idle)}"


def check_padding_changes_nothing(case: Case, folder: Path) -> None:
    layer = case.new()
    expected = case.rows(case.run(layer, case.batch()), LENGTHS)
    for width, behind in ((max(LENGTHS), 1), (max(LENGTHS) + 3, 2)):
        found = case.rows(case.run(layer, case.batch(LENGTHS, width, behind=behind)), LENGTHS)
        for one, two in zip(flat_rows(expected), flat_rows(found), strict=True):
            close(one, two)


def check_a_seed_fixes_weights_and_draws(case: Case, folder: Path) -> None:
    def made(seed: int) -> list[np.ndarray]:
        layer = case.new(seed, spread=False)
        weights = [value.numpy() for value in layer.state_dict().values()]
        layer.train()
        return weights + [output.numpy() for output in case.run(layer, case.batch())]

    first, again, other = made(1), made(1), made(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    same = all((one == two).all() for one, two in zip(first, other, strict=True))
    assert same == bool(case.undrawn), case.undrawn


class Exported(nn.Layer):
    """What is recorded: ``call`` of a case. One list of inputs, because Paddle records no ``*tensors``."""

    def __init__(self, case: Case, layer: nn.Layer):
        super().__init__()
        self.layer, self.call = layer, case.call

    def forward(self, tensors: list[paddle.Tensor]) -> object:
        return self.call(self.layer, *tensors)


def check_an_exported_program_gives_the_same(case: Case, folder: Path) -> None:
    layer, program = case.new(), Exported(case, case.new())
    program.eval()
    width = max(LENGTHS)
    specs = []
    for given in case.inputs:
        shape = [None if axis in ("b", "l") and axis not in case.fixed else sizes([axis], len(LENGTHS), width)[0] for axis in given.shape.split()]
        specs.append(paddle.static.InputSpec(shape, given.dtype))
    paddle.jit.save(paddle.jit.to_static(program, input_spec=[specs], full_graph=True), str(folder / "program"))
    loaded = paddle.jit.load(str(folder / "program"))
    for real_lengths, other_width in (((3, 7, 1, 4, 6), 8), ((2,), 2)):
        real_lengths = LENGTHS if "b" in case.fixed else real_lengths
        if "l" in case.fixed:
            real_lengths, other_width = tuple(min(length, width) for length in real_lengths), width
        batch = case.batch(real_lengths, other_width, behind=3)
        for one, two in zip(case.run(layer, batch), flat(loaded(*batch)), strict=True):
            close(one.numpy(), two.numpy())


def check_evaluation_is_the_same_in_any_company(case: Case, folder: Path) -> None:
    layer = case.new()
    layer.train()
    layer.eval()
    together = case.run(layer, case.batch())
    for one, two in zip(together, case.run(layer, case.batch()), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    expected = case.rows(together, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = case.rows(case.run(layer, case.batch((length,), max(LENGTHS), rows=(row,))), (length,))
        for one, two in zip(expected[row], alone[0], strict=True):
            close(one, two)


def flat_rows(rows: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [part for parts in rows for part in parts]


CHECKS = (
    check_shapes_and_types,
    check_saved_weights_give_the_same_layer,
    check_a_gradient_reaches_every_parameter,
    check_padding_changes_nothing,
    check_a_seed_fixes_weights_and_draws,
    check_an_exported_program_gives_the_same,
    check_evaluation_is_the_same_in_any_company,
)
