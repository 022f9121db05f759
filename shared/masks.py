"""Attention masks as values: padding, causal, UniLM and packed, composed with ``&``.

The additive form holds 0 and the most negative finite number of its type, chosen by ``where``: a product such as
``(1 - mask) * -1e12`` is infinite or NaN in half precision. A row that may attend nowhere attends evenly everywhere,
because softmax of equal numbers is even: it never gives NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle


class Mask:
    """Who may attend to whom. ``bool`` is a boolean tensor that broadcasts to [b, 1, q, k], True where q may attend to k.

    Raises ValueError for a tensor that is not boolean or has not four axes.
    """

    def __init__(self, allowed: paddle.Tensor):
        if allowed.dtype != paddle.bool or allowed.ndim != 4:
            raise ValueError(
                f"a mask is a boolean tensor [b, 1, q, k] (any of the sizes may be 1), found {allowed.dtype} {list(allowed.shape)}: "
                "cast it with .astype('bool') and add the missing axes with unsqueeze"
            )
        self.bool = allowed  # [b or 1, 1 or heads, q or 1, k]
        self._additive: dict[tuple, paddle.Tensor] = {}
        self._checked = False

    def additive(self, dtype: str | paddle.dtype = "float32", *, shape: Sequence[int] | None = None) -> paddle.Tensor:
        """0 where attention is allowed, the most negative finite number of ``dtype`` where not; the shape of ``bool``.

        ``shape`` [b, heads, q, k] asks for that shape instead: a sum of equal shapes costs an eighth of a broadcast one
        on CPU. Made once and kept: every layer of a forward pass adds the same tensor.
        """
        key = (str(dtype), None if shape is None else tuple(shape))
        if key not in self._additive:
            self._additive[key] = self._fill(dtype) if shape is None else _spread(self.additive(dtype), list(shape))
        return self._additive[key]  # [b or 1, 1 or heads, q or 1, k]

    def _fill(self, dtype: str | paddle.dtype) -> paddle.Tensor:
        target = _dtype(dtype)
        chosen_in = target if target == paddle.float64 else paddle.float32  # `where` has no half-precision kernel on CPU
        free = paddle.zeros_like(self.bool, dtype=chosen_in)  # [b or 1, 1 or heads, q or 1, k]
        barred = paddle.full_like(self.bool, float(paddle.finfo(target).min), dtype=chosen_in)  # [b or 1, 1 or heads, q or 1, k]
        filled = paddle.where(self.bool, free, barred)  # [b or 1, 1 or heads, q or 1, k]
        return filled if target == chosen_in else filled.astype(target)  # [b or 1, 1 or heads, q or 1, k]

    def check(self) -> Mask:
        """This mask itself. Raises ValueError when it hides everything from a text: its output would be the average of what it must not see.

        A single query that sees nothing, such as left padding under a causal mask, is no fault.
        """
        if not self._checked:
            on_cpu = self.bool.place.is_cpu_place()  # where NumPy is ten times faster
            seen = self.bool.numpy().any(axis=(1, 2, 3)) if on_cpu else self.bool.any(axis=[1, 2, 3]).numpy()  # [b or 1]
            if not seen.all():
                rows = [row for row, any_seen in enumerate(seen) if not any_seen]
                raise ValueError(
                    f"the mask {list(self.bool.shape)} hides every token of text {', '.join(map(str, rows[:5]))} of {len(seen)}: "
                    "drop empty texts, and give every text at least one real token"
                )
            self._checked = True
        return self

    def __and__(self, other: Mask) -> Mask:
        """Attention only where both masks allow it."""
        if not isinstance(other, Mask):
            return NotImplemented
        return Mask(paddle.logical_and(self.bool, other.bool))  # [b or 1, 1 or heads, q or 1, k]

    def __repr__(self) -> str:
        return f"Mask({list(self.bool.shape)})"


def padding_mask(lengths_or_valid: paddle.Tensor | Sequence, max_length: int | None = None) -> Mask:
    """Every query sees the real keys and no padding: a mask [b, 1, 1, k].

    ``lengths_or_valid``: lengths [b] (tokens from the left that are real), or a boolean or 0/1 tensor [b, k] that is
    true at real tokens. ``max_length`` is k for lengths (default: the longest) and must be left out otherwise.
    Raises ValueError for another number of axes, or a length above ``max_length``.
    """
    given: paddle.Tensor = lengths_or_valid if paddle.is_tensor(lengths_or_valid) else paddle.to_tensor(lengths_or_valid)  # [b] or [b, k]
    if given.ndim == 2:
        if max_length is not None and max_length != given.shape[1]:
            raise ValueError(f"valid has {given.shape[1]} columns but max_length is {max_length}: leave max_length out")
        return Mask(given.astype("bool").unsqueeze([1, 2]))  # [b, 1, 1, k]
    if given.ndim != 1:
        raise ValueError(f"expected lengths [b] or valid [b, k], found shape {list(given.shape)}: drop the other axes")
    longest = int(given.max())
    if max_length is None:
        max_length = longest
    if longest > max_length:
        raise ValueError(
            f"a length of {longest} does not fit max_length {max_length}: give max_length={longest} or cut the text into windows"
        )
    valid = paddle.arange(max_length, dtype=given.dtype).unsqueeze(0) < given.unsqueeze(1)  # [b, k]
    return Mask(valid.unsqueeze([1, 2]))  # [b, 1, 1, k]


def causal_mask(length: int) -> Mask:
    """Every query sees itself and the keys before it: a mask [1, 1, length, length]."""
    if paddle.in_dynamic_mode() and length < 1:
        raise ValueError(f"length must be at least 1, found {length}: give the number of tokens")
    places = paddle.arange(length)  # [l]
    return Mask((places.unsqueeze(0) <= places.unsqueeze(1)).unsqueeze([0, 1]))  # [1, 1, l, l]


def unilm_mask(segment_ids: paddle.Tensor, valid: paddle.Tensor | None = None) -> Mask:
    """Source (segment 0) sees the source, target (segment 1) sees the source and the target up to itself (kexue.fm article 7427).

    With c the running sum of the segment ids, query q sees key k where c[k] <= c[q]: a mask [b, 1, l, l].

    ``segment_ids`` [b, l]. ``valid`` [b, l], true at real tokens, removes padding keys. Without it, segment 0 after
    the first target token counts as right padding; a row with padding but no target needs ``valid``.
    Raises ValueError for shapes that are not [b, l] or differ.
    """
    if segment_ids.ndim != 2:
        raise ValueError(f"segment_ids must be [b, l], found shape {list(segment_ids.shape)}: use unsqueeze(0) for one text")
    if paddle.in_dynamic_mode() and valid is not None and list(valid.shape) != list(segment_ids.shape):
        raise ValueError(f"valid {list(valid.shape)} and segment_ids {list(segment_ids.shape)} differ: give both as [b, l]")
    segments = segment_ids.astype("int64")  # [b, l]
    reached = paddle.cumsum(segments, axis=1)  # [b, l]
    allowed = reached.unsqueeze([1, 2]) <= reached.unsqueeze([1, 3])  # [b, 1, l, l]
    real = paddle.logical_or(segments > 0, reached == 0) if valid is None else valid.astype("bool")  # [b, l]
    return Mask(paddle.logical_and(allowed, real.unsqueeze([1, 2])))  # [b, 1, l, l]


def packed_mask(document_ids: paddle.Tensor) -> Mask:
    """Several texts in one row: a query sees the keys of its own text only: a mask [b, 1, l, l].

    ``document_ids`` [b, l]: any whole number per text; padding takes a number of its own (0 by custom), so that no real
    token sees it. Raises ValueError for a shape that is not [b, l].
    """
    if document_ids.ndim != 2:
        raise ValueError(f"document_ids must be [b, l], found shape {list(document_ids.shape)}: use unsqueeze(0) for one row")
    return Mask(document_ids.unsqueeze([1, 2]) == document_ids.unsqueeze([1, 3]))  # [b, 1, l, l]


def _spread(additive: paddle.Tensor, shape: list[int]) -> paddle.Tensor:
    if additive.shape[1] == 1 and shape[1] > 1:
        # copies of whole [q, k] planes: several times cheaper than broadcasting over the heads
        return paddle.concat([additive.expand([shape[0], 1, *shape[2:]])] * shape[1], axis=1)  # [b, heads, q, k]
    return additive.expand(shape)  # [b, heads, q, k]


def like(mask: paddle.Tensor, values: paddle.Tensor) -> paddle.Tensor:
    """A boolean mask in the shape of ``values``, for ``paddle.where``: on CPU it takes several times as long when it has to broadcast.

    In a graph that is being recorded the mask itself: its sizes are not known yet, and what reads the graph broadcasts.
    """
    mask.stop_gradient = True  # paddle 2.6 refuses to record the expansion of a boolean that may have one
    return mask.expand_as(values) if paddle.in_dynamic_mode() else mask  # [...]


def _dtype(dtype: str | paddle.dtype) -> paddle.dtype:
    return getattr(paddle, dtype) if isinstance(dtype, str) else dtype
