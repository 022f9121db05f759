"""Writing a token by pointing at one of the source (CopyNet: Gu and others 2016, arXiv 1603.06393).

A tied head has to say which of thousands of tokens comes next; where outputs repeat their source, a pointer only has to say which of its places.
Both share one softmax: a token has the head's ``e^score`` and, for each place of the source where it stands, that of the place.

Notation: b rows, s source tokens, t target tokens of the batch, m of them in the row that has most, d size of a pointer, u words, c of them up to
the last that some place may be copied as.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from .. import double_backward as twice
from ..linear import Linear
from ..losses import HIDDEN, full_precision

_LEAST = 1e-37
"""Added to a mass, so that its logarithm and the gradient of that stay finite."""


class CopyHead(nn.Layer):
    """Scores of places: ``(target W + b) . (source V) / sqrt(d) + c``. ``c`` starts at -2, so that copies begin as the smaller part."""

    def __init__(self, hidden_size: int, size: int, *, double_backward: bool = False):
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, found {size}: give e.g. 64")
        self.size, self.double_backward = size, double_backward
        normal = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02))
        self.query = Linear(hidden_size, size, weight_attr=normal, double_backward=double_backward)  # [h, d]
        self.key = Linear(hidden_size, size, weight_attr=normal, bias_attr=False)  # [h, d]
        self.bias = self.create_parameter([1], default_initializer=nn.initializer.Constant(-2.0))  # [1]

    def keys(self, hidden: paddle.Tensor) -> paddle.Tensor:
        """[..., h] of a source to [..., d]."""
        return self.key(hidden)  # [..., d]

    def scores(self, target: paddle.Tensor, keys: paddle.Tensor) -> paddle.Tensor:
        """States [b, m, h] and keys [b, s, d] give [b, m, s]."""
        return paddle.matmul(self.query(target) * self.size**-0.5, keys, transpose_y=True) + self.bias  # [b, m, s]

    def forward(self, target: paddle.Tensor, source: paddle.Tensor) -> paddle.Tensor:
        """Hidden states [b, m, h] of a target and [b, s, h] of its source give the scores of the places, [b, m, s]."""
        return self.scores(target, self.keys(source))  # [b, m, s]

    def with_copies(
        self, logits: paddle.Tensor, target: paddle.Tensor, source: paddle.Tensor, copied: np.ndarray, owners: np.ndarray
    ) -> paddle.Tensor:
        """The head's ``logits`` [t, u] with those of copies, [t, u] float32.

        ``target`` [t, h] and ``source`` [b, s, h] are hidden states; ``copied`` [b, s] int64: the word that a place is, -1 where it may not be
        copied; ``owners`` [t] int64, ascending: the row of each target token. Words that no row copies cost least where they come last.
        """
        b, s = copied.shape
        counts = np.bincount(owners, minlength=b)  # [b]
        place = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)  # [t]
        m = int(counts.max(initial=1))
        padded = np.zeros((b, m), dtype=np.int64)  # [b, m]
        padded[owners, place] = np.arange(len(owners))
        rows = twice.gather_rows if self.double_backward else paddle.index_select
        states = rows(target, paddle.to_tensor(padded.reshape(-1))).reshape([b, m, target.shape[1]])  # [b, m, h]
        c = int(copied.max(initial=0)) + 1  # no row copies a word from here on
        which = np.zeros((b, s, c), dtype=np.float32)  # [b, s, c]
        row, column = np.nonzero(copied >= 0)  # [n], [n]
        which[row, column, copied[row, column]] = 1
        mass, top = self._masses(self(states, source), copied, paddle.to_tensor(which))  # [b, m, c], [b, m, 1]
        back = paddle.to_tensor(owners * m + place)  # [t]
        mass, top = (rows(part.reshape([b * m, part.shape[2]]), back) for part in (mass, top))  # [t, c], [t, 1]
        if c == logits.shape[1]:
            return joined(logits, mass, top, double_backward=self.double_backward)  # [t, u]
        copies = joined(logits[:, :c], mass, top, double_backward=self.double_backward)  # [t, c]
        return paddle.concat([copies, logits[:, c:].astype("float32")], axis=1)  # [t, u]

    @full_precision
    def _masses(self, scores: paddle.Tensor, copied: np.ndarray, which: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        free = paddle.to_tensor(np.where(copied >= 0, 0.0, HIDDEN).astype(np.float32)).unsqueeze(1)  # [b, 1, s]
        wide = scores.astype("float32") + free  # [b, m, s]
        top = wide.detach().max(axis=2, keepdim=True).clip(min=-1e4)  # [b, m, 1]
        exponential = twice.exp if self.double_backward else paddle.exp
        return paddle.matmul(exponential(wide - top), which), top  # [b, m, c], [b, m, 1]


@full_precision
def joined(logits: paddle.Tensor, mass: paddle.Tensor, top: paddle.Tensor, *, double_backward: bool = False) -> paddle.Tensor:
    """``log(e^logits + mass e^top)``: [t, u], [t, u] and [t, 1] give [t, u] float32."""
    exponential = twice.exp if double_backward else paddle.exp
    there = (mass > 0).astype("float32")  # [t, u]
    # a mass of 0 has no second derivative behind a logarithm, and paddle 2.6 none of where
    wide, copies = logits.astype("float32"), paddle.log(mass + (1.0 - there) + _LEAST) + top  # [t, u] each
    copies = copies * there + HIDDEN * (1.0 - there)  # [t, u]
    high = paddle.maximum(wide, copies).detach()  # [t, u]
    return high + paddle.log(exponential(wide - high) + exponential(copies - high))  # [t, u]
