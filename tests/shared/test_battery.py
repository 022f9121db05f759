"""The battery of test_layers.py finds what it is there to find: one faulty layer for every check."""

import numpy as np
import paddle
import pytest
from paddle import nn

from .battery import CHECKS, Case, numbers, plain, real

STATES, STATE = numbers("b l 4"), "b l 4"


class Sound(nn.Layer):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x)


class HalfPrecision(Sound):
    def forward(self, x):
        return super().forward(x).astype("float16")


class Narrow(Sound):
    def forward(self, x):
        return super().forward(x)[:, :, :3]


class Unsaved(Sound):
    """A number of its own that its state does not hold."""

    def __init__(self):
        super().__init__()
        self.offset = float(paddle.randn([1]))

    def forward(self, x):
        return self.linear(x) + self.offset


class Unused(Sound):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 4)


class Cancelled(Sound):
    """The bias falls out of the difference, but for rounding."""

    def forward(self, x):
        return self.linear(x) - self.linear(x * 0.5)


class Leaking(Sound):
    """The mean of a row, padding among it."""

    def forward(self, x):
        return self.linear(x + x.mean(axis=1, keepdim=True))


class Unseeded(Sound):
    def forward(self, x):
        out = self.linear(x)
        return out * float(np.random.default_rng().uniform(1, 2)) if self.training else out


class Even(Sound):
    """Drawn by no seed."""

    def __init__(self):
        super().__init__()
        self.linear.weight.set_value(paddle.ones([4, 4]))


class OtherwiseRecorded(Sound):
    def forward(self, x):
        return self.linear(x) * (1.0 if paddle.in_dynamic_mode() else 1.001)


class Sociable(Sound):
    """The mean of the batch in evaluation too."""

    def forward(self, x):
        return self.linear(x) - x.mean(axis=0, keepdim=True)


class Restless(Sound):
    def forward(self, x):
        return nn.functional.dropout(self.linear(x), 0.5, training=True)


FAULTS = {
    "shapes_and_types": (HalfPrecision, Narrow),
    "saved_weights_give_the_same_layer": (Unsaved,),
    "a_gradient_reaches_every_parameter": (Unused, Cancelled),
    "padding_changes_nothing": (Leaking,),
    "a_seed_fixes_weights_and_draws": (Unseeded, Even),
    "an_exported_program_gives_the_same": (OtherwiseRecorded,),
    "evaluation_is_the_same_in_any_company": (Sociable, Restless),
}


def checks():
    return {check.__name__.removeprefix("check_"): check for check in CHECKS}


def case(kind):
    return Case(kind.__name__, kind, (STATES,), (STATE,), plain)


def test_every_check_has_a_fault():
    assert set(FAULTS) == set(checks())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_layer_passes(check, tmp_path):
    check(case(Sound), tmp_path)


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in FAULTS.items() for kind in kinds])
def test_a_faulty_layer_is_found(name, kind, tmp_path):
    with pytest.raises(AssertionError):
        checks()[name](case(kind), tmp_path)


def test_rows_are_the_same_whatever_stands_behind_them():
    given = Case("rows", Sound, (STATES, real()), ())
    (short, valid), (long, _) = given.batch((3, 1)), given.batch((3, 1), 6, behind=1)
    np.testing.assert_array_equal(short[0].numpy(), long[0, :3].numpy())
    np.testing.assert_array_equal(short[1, :1].numpy(), long[1, :1].numpy())
    assert np.abs(long[1, 1:3].numpy() - short[1, 1:].numpy()).max() > 1
    assert valid.numpy().tolist() == [[True, True, True], [True, False, False]]
