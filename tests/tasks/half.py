"""Half precision where there is none: on a CPU ``paddle.amp.auto_cast`` makes no effect, and most operations have no half kernel.

Inside :func:`rounded` every operation of a list rounds its result to half precision and keeps it in float32, so that what would overflow to
an infinity or drown in rounding on a device does so here. Where the code under test switches ``auto_cast`` off, nothing is rounded.
"""

import contextlib
import functools

import paddle
import paddle.nn.functional as F
from paddle import Tensor

O1 = [(F, "linear"), (paddle, "matmul")]
"""What O1 computes in half precision; the rest it leaves in the type that it comes in."""
O2 = [
    *O1,
    *((F, name) for name in ("embedding", "gelu", "layer_norm", "sigmoid", "softmax", "softplus", "tanh")),
    *((paddle, name) for name in ("concat", "exp", "full_like", "gather", "gather_nd", "index_select", "log", "logsumexp", "stack", "where")),
    *((Tensor, name) for name in ("__add__", "__mul__", "__pow__", "__rmul__", "__sub__", "__truediv__", "mean", "sum", "unsqueeze")),
]


@contextlib.contextmanager
def rounded(level, dtype):
    """``auto_cast(level, dtype)`` as a device would have it."""
    on = [True]

    @contextlib.contextmanager
    def auto_cast(enable=True, **_):
        before, on[0] = on[0], on[0] and enable
        yield
        on[0] = before

    with contextlib.ExitStack() as stack:
        for place, name in O2 if level == "O2" else O1:
            stack.enter_context(_patched(place, name, _rounding(getattr(place, name), on, dtype)))
        stack.enter_context(_patched(paddle.amp, "auto_cast", auto_cast))
        yield


def halve_weights(layer, dtype):
    """Every weight as half precision holds it."""
    for parameter in layer.parameters():
        parameter.set_value(parameter.astype(dtype).astype("float32"))


def _rounding(function, on, dtype):
    @functools.wraps(function)
    def run(*args, **kwargs):
        result = function(*args, **kwargs)
        if not on[0] or not isinstance(result, Tensor) or result.dtype != paddle.float32:
            return result
        on[0] = False
        try:
            return result.astype(dtype).astype("float32")
        finally:
            on[0] = True

    return run


@contextlib.contextmanager
def _patched(place, name, value):
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)
