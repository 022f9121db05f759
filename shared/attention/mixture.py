"""Several attention kinds summed before the softmax (Synthesizer, arXiv 2005.00743v1, equation 9; kexue.fm article 7430)."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from .. import double_backward as twice
from .scores import Heads, Places, Scores, copied, shared_out


class Mixture(Scores):
    """``sum_i a_i B_i`` over the parts' scores B_i, [b or 1, n, q, k].

    ``combine="mix"``: a is a softmax over the parts, learned a head (of two parts a sigmoid, as in the authors' ``alpha`` variants), even at
    the start. ``combine="sum"``: every a_i is 1, as in the paper's equation. Parts keep their own query and key projections.
    """

    def __init__(self, parts: Sequence[Scores], num_heads: int, *, combine: str = "mix", double_backward: bool = False):
        super().__init__()
        if len(parts) < 2:
            raise ValueError(f"a mixture has at least two parts, found {len(parts)}: use the part itself")
        if combine not in ("mix", "sum"):
            raise ValueError(f"combine must be 'mix' or 'sum', found {combine!r}: take one of these")
        self.parts = nn.LayerList(parts)
        self.first_query = [sum(part.query_parts for part in parts[:index]) for index in range(len(parts))]
        self.first_key = [sum(part.key_parts for part in parts[:index]) for index in range(len(parts))]
        self.query_parts = sum(part.query_parts for part in parts)
        self.key_parts = sum(part.key_parts for part in parts)
        limits = [part.max_length for part in parts if part.max_length is not None]
        self.max_length = min(limits) if limits else None
        self.combine, self.double_backward = combine, double_backward
        # called bias because it is no weight of a projection: it neither decays nor counts among the replaced parameters
        self.bias_parts = self.create_parameter([len(parts), num_heads], is_bias=True) if combine == "mix" else None  # [p, n]

    def shares(self) -> paddle.Tensor:
        """The parts' weights a, [p, n]; a column sums to 1."""
        if self.bias_parts is None:
            raise ValueError("combine='sum' has no shares: make the mixture with combine='mix'")
        return twice.softmax(self.bias_parts, axis=0) if self.double_backward else F.softmax(self.bias_parts, axis=0)  # [p, n]

    def forward(self, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None = None) -> paddle.Tensor:
        shares = self._shares(share)
        # a comprehension, because a loop that appends cannot be recorded as a graph
        found = [self._scores(index, queries, keys, places, shares[index]) for index in range(len(self.parts))]  # [b or 1, n, q, k] each
        if paddle.in_dynamic_mode():
            rows = max(scores.shape[0] for scores in found)
            found = [copied(scores, rows) for scores in found]  # [b or 1, n, q, k] each
        total = found[0]  # [b or 1, n, q, k]
        for index in range(1, len(self.parts)):
            total = total + found[index]  # [b or 1, n, q, k]
        return total  # [b or 1, n, q, k]

    def _shares(self, share: paddle.Tensor | None) -> Sequence[paddle.Tensor | None]:
        if self.bias_parts is None:
            return [share] * len(self.parts)
        return [shared_out(own, share) for own in paddle.unbind(self.shares().unsqueeze([2, 3]), axis=0)]  # p of [n, 1, 1]

    def _scores(self, index: int, queries: Heads, keys: Heads, places: Places, share: paddle.Tensor | None) -> paddle.Tensor:
        part, query, key = self.parts[index], self.first_query[index], self.first_key[index]
        return part(queries[query : query + part.query_parts], keys[key : key + part.key_parts], places, share)  # [b or 1, n, q, k]
