"""Synthesizer: attention scores that no token pair is compared for (Tay and others, arXiv 2005.00743v1; kexue.fm article 7430).

The scores have no 1/sqrt(d); mask and softmax follow as for the dot product. The longest text is fixed beforehand, and a shorter one takes
the first rows and columns. Notation as in :mod:`.scores`; m is ``max_length``.
"""

from __future__ import annotations

import math

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from .scores import Heads, Places, Scores, shared_out, size


def _normal(deviation: float) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, deviation))


def _affine(heads: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    """[b, n, q, d] by [n, d, m] plus [n, 1, m] gives [b, n, q, m], as one product: the bias meets a column of ones.

    On a CPU that costs a third of a sum that is broadcast. A product of four axes and three has no gradient in paddle 2.6 and 3.3.
    """
    widened = paddle.concat([heads, paddle.ones_like(heads[:, :, :, :1])], axis=-1)  # [b, n, q, d + 1]
    return paddle.matmul(widened, paddle.concat([weight, bias], axis=1).unsqueeze(0))  # [b, n, q, m]


def _columns(scores: paddle.Tensor, places: Places) -> paddle.Tensor:
    """Of scores [b, n, q, m] for every place those of the keys, [b, n, q, k]."""
    if places.keys is None:
        return scores[:, :, :, : places.k]  # [b, n, q, k]
    shape = [size(scores, 0), scores.shape[1], size(scores, 2), places.k]
    index = places.keys.astype("int64").unsqueeze([1, 2]).expand(shape)  # [b, n, q, k]
    return paddle.take_along_axis(scores, index, axis=3, broadcast=False)  # [b, n, q, k]


def _rows(table: paddle.Tensor, places: paddle.Tensor | None, length: int) -> paddle.Tensor:
    """Of a table [n, m, x] the rows of the places [b, l], as [b or 1, n, l, x]."""
    if places is None:
        return table[:, :length].unsqueeze(0)  # [1, n, l, x]
    chosen = paddle.index_select(table, places.astype("int64").flatten(), axis=1)  # [n, b * l, x]
    return chosen.reshape([table.shape[0], -1, length, table.shape[2]]).transpose([1, 0, 2, 3])  # [b, n, l, x]


class DenseSynthesizer(Scores):
    """``relu(x W_1 + b_1) W_2 + b_2`` a head: the scores of token i depend on token i alone. W_1 is h to h, W_2 d to m a head."""

    query_parts = 1

    def __init__(self, num_heads: int, head_size: int, max_length: int, *, deviation: float = 0.02):
        super().__init__()
        self.max_length = _at_least_one("max_length", max_length)
        self.weight = self.create_parameter([num_heads, head_size, max_length], attr=_normal(deviation))  # [n, d, m]
        self.bias = self.create_parameter([num_heads, 1, max_length], is_bias=True)  # [n, 1, m]

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        self._check_length(places)
        weight, bias = shared_out(self.weight, share), shared_out(self.bias, share)  # [n, d, m], [n, 1, m]
        inner = F.relu(queries[0])  # [b, n, q, d]
        if places.keys is None:
            return _affine(inner, weight[:, :, : places.k], bias[:, :, : places.k])  # [b, n, q, k]
        return _columns(_affine(inner, weight, bias), places)  # [b, n, q, k]


class RandomSynthesizer(Scores):
    """One matrix R [m, m] a head for all texts, learned or (``trainable=False``) left as drawn: scores that do not look at the input.

    New numbers are normal(0, ``deviation``); with a deviation near 0 a fixed matrix would only average.
    """

    def __init__(self, num_heads: int, max_length: int, *, trainable: bool = True, deviation: float = 1.0):
        super().__init__()
        self.max_length = _at_least_one("max_length", max_length)
        self.weight = self.create_parameter([num_heads, max_length, max_length], attr=_normal(deviation))  # [n, m, m]
        self.weight.stop_gradient = not trainable

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        self._check_length(places)
        weight = shared_out(self.weight, share)  # [n, m, m]
        if places.queries is None:
            return weight[:, : places.q, : places.k].unsqueeze(0)  # [1, n, q, k]
        return _columns(_rows(weight, places.queries, places.q), places)  # [b, n, q, k]


class FactorizedRandomSynthesizer(Scores):
    """``R_1 R_2^T`` with R_i [m, ``rank``] a head: at most ``rank`` independent rows. New products have deviation 1."""

    def __init__(self, num_heads: int, max_length: int, *, rank: int = 8, trainable: bool = True):
        super().__init__()
        self.max_length = _at_least_one("max_length", max_length)
        self.rank = _at_least_one("rank", rank)
        deviation = rank**-0.25
        self.rows = self.create_parameter([num_heads, max_length, rank], attr=_normal(deviation))  # [n, m, r]
        self.columns = self.create_parameter([num_heads, max_length, rank], attr=_normal(deviation))  # [n, m, r]
        self.rows.stop_gradient = self.columns.stop_gradient = not trainable

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        self._check_length(places)
        rows = _rows(shared_out(self.rows, share), places.queries, places.q)  # [b or 1, n, q, r]
        columns = _rows(self.columns, places.keys, places.k)  # [b or 1, n, k, r]
        return paddle.matmul(rows, columns, transpose_y=True)  # [b or 1, n, q, k]


class FactorizedDenseSynthesizer(Scores):
    """A dense synthesizer whose row of m scores is the product of two short rows of a and b numbers, a b >= m.

    ``tiling="repeat"`` gives every pair: score j is A[j // b] B[j mod b]. ``tiling="tile"`` is the paper's wording read literally,
    A[j mod a] B[j mod b], which repeats itself with period lcm(a, b). ``factors`` (a, b); default: the most even ones with a b >= m.
    """

    query_parts = 1

    def __init__(
        self,
        num_heads: int,
        head_size: int,
        max_length: int,
        *,
        factors: tuple[int, int] | None = None,
        tiling: str = "repeat",
        deviation: float | None = None,
    ):
        super().__init__()
        self.max_length = _at_least_one("max_length", max_length)
        a, b = even_factors(max_length) if factors is None else (int(factors[0]), int(factors[1]))
        if a < 1 or b < 1 or a * b < max_length:
            raise ValueError(f"factors {a} x {b} = {a * b} do not reach max_length {max_length}: give e.g. {even_factors(max_length)}")
        if tiling not in ("repeat", "tile"):
            raise ValueError(f"tiling must be 'repeat' or 'tile', found {tiling!r}: take one of these")
        self.factors, self.tiling = (a, b), tiling
        # a product of two numbers of deviation .02 is next to nothing
        deviation = 1.0 / math.sqrt(head_size) if deviation is None else deviation
        self.weight_a = self.create_parameter([num_heads, head_size, a], attr=_normal(deviation))  # [n, d, a]
        self.bias_a = self.create_parameter([num_heads, 1, a], default_initializer=nn.initializer.Constant(1.0))  # [n, 1, a]
        self.weight_b = self.create_parameter([num_heads, head_size, b], attr=_normal(deviation))  # [n, d, b]
        self.bias_b = self.create_parameter([num_heads, 1, b], is_bias=True)  # [n, 1, b]

        for name, selection in zip("ab", selections(a, b, tiling), strict=True):
            self.register_buffer(f"selection_{name}", paddle.to_tensor(selection), persistable=False)  # [a or b, a b]

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        self._check_length(places)
        inner = F.relu(queries[0])  # [b, n, q, d]
        row_a = _affine(inner, shared_out(self.weight_a, share), shared_out(self.bias_a, share))  # [b, n, q, a]
        row_b = _affine(inner, self.weight_b, self.bias_b)  # [b, n, q, b]
        if places.keys is None:
            return _selected(row_a, self.selection_a[:, : places.k]) * _selected(row_b, self.selection_b[:, : places.k])  # [b, n, q, k]
        return _columns(_selected(row_a, self.selection_a) * _selected(row_b, self.selection_b), places)  # [b, n, q, k]


def selections(a: int, b: int, tiling: str) -> tuple[np.ndarray, np.ndarray]:
    """Matrices [a, a b] and [b, a b] of zeros and ones that spread two short rows over the long one; see
    :class:`FactorizedDenseSynthesizer`."""
    places = np.arange(a * b)  # [a b]
    first = places % a if tiling == "tile" else places // b  # [a b]
    return np.eye(a, dtype="float32")[:, first], np.eye(b, dtype="float32")[:, places % b]


def _selected(row: paddle.Tensor, selection: paddle.Tensor) -> paddle.Tensor:
    return paddle.matmul(row, selection if selection.dtype == row.dtype else selection.astype(row.dtype))  # [.., a b]


def even_factors(length: int) -> tuple[int, int]:
    """The smallest a and b with a b >= length that lie closest together, a <= b."""
    a = math.isqrt(length)
    while length % a and a > math.isqrt(length) // 2:
        a -= 1
    return (a, length // a) if length % a == 0 else (math.isqrt(length), -(-length // math.isqrt(length)))


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, found {value}: give the number of tokens or columns that is wanted")
    return value
