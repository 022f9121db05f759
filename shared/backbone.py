"""One encoder of the BERT family: post-norm blocks (Devlin and others, arXiv 1810.04805), ERNIE's task embeddings, any mask."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import nn

from . import double_backward as twice
from .activations import get_activation
from .attention import Beams, MultiHeadAttention, check_kind
from .attention.scores import Heads
from .convolution import LocalConvolution
from .dropout import dropout
from .linear import Linear
from .masks import Mask, padding_mask
from .norms import ConditionalLayerNorm, LayerNorm


@dataclass(frozen=True)
class BackboneConfig:
    """Sizes and rates of a :class:`Backbone`. Raises ValueError for values that cannot make one.

    ``num_task_types``: rows of ERNIE 3.0's task embedding, 0 for none; ``task_type`` is the row that is used.
    ``position_start``: ``zero`` counts 0, 1, 2 ...; ``after_padding`` counts real tokens from ``pad_id + 1`` and puts
    every padding token at ``pad_id`` (what PaddleNLP's RobertaModel does, for roberta-wwm-ext too).
    ``dropout`` follows embeddings and both halves of a block, ``attention_dropout`` the attention weights.
    ``convolution_width``: tokens that a :class:`LocalConvolution` after the embeddings sees, 0 for none (every published encoder).
    ``attention`` and its settings: see :class:`MultiHeadAttention`; kinds with a weight for every place have ``max_length`` of them.
    ``condition_size``: width of a condition that every normalisation of the blocks takes (:class:`ConditionalLayerNorm`), 0 for none.
    ``double_backward``: the encoder can be differentiated twice, as an exact gradient penalty needs, and is somewhat slower.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    activation: str = "gelu"
    max_positions: int = 512
    num_segments: int = 2
    num_task_types: int = 0
    layer_norm_eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    initializer_range: float = 0.02
    pad_id: int = 0
    has_pooler: bool = False
    task_type: int = 0
    position_start: str = "zero"
    convolution_width: int = 0
    attention: str = "dot_product"
    attention_rank: int = 8
    attention_tiling: str = "repeat"
    attention_combine: str = "mix"
    condition_size: int = 0
    double_backward: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size", "max_positions", "num_segments"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}: give the size that the encoder should have")
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}: choose heads that divide it")
        for name in ("dropout", "attention_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), found {getattr(self, name)}: give e.g. 0.1")
        if not 0.0 < self.layer_norm_eps <= 1e-3:
            raise ValueError(
                f"layer_norm_eps must lie in (0, 0.001], which is what Paddle takes, found {self.layer_norm_eps}: give e.g. 1e-12"
            )
        if self.num_task_types and not 0 <= self.task_type < self.num_task_types:
            raise ValueError(f"task_type {self.task_type} is not one of the {self.num_task_types} task types: count from 0")
        if self.position_start not in ("zero", "after_padding"):
            raise ValueError(f"position_start must be 'zero' or 'after_padding', found {self.position_start!r}: take one of these")
        if self.convolution_width and self.convolution_width % 2 == 0:
            raise ValueError(f"convolution_width must be odd, or 0 for none, found {self.convolution_width}: give e.g. 5")
        if self.condition_size < 0:
            raise ValueError(f"condition_size must be at least 0, found {self.condition_size}: 0 is for no condition")
        get_activation(self.activation)
        check_kind(self.attention)

    @property
    def max_length(self) -> int:
        """Tokens of the longest input."""
        return self.max_positions if self.position_start == "zero" else self.max_positions - self.pad_id - 1

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; :meth:`from_dict` takes them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackboneConfig:
        """Raises ValueError for keys that are unknown or missing."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown keys {', '.join(unknown)}: BackboneConfig has {', '.join(sorted(known))}")
        missing = [name for name in ("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size") if name not in values]
        if missing:
            raise ValueError(f"missing keys {', '.join(missing)}: BackboneConfig needs them")
        return cls(**values)


Cache = Sequence[Sequence["paddle.Tensor"]]
"""Of every block the key parts and values of the tokens it has seen, each [b, n, k, d]."""


class BackboneOutput(NamedTuple):
    """``hidden`` [b, l, h]: the last block's output. ``pre_norm`` [b, l, h]: the sum that the last block's last
    normalisation takes (what conditional-norm heads start from). ``layers``: the output [b, l, h] of every block, first
    block first, if asked for. ``pooled`` [b, h]: tanh projection of the first token, if the encoder has a pooler.
    ``cache``: what :meth:`Backbone.step` needs of these tokens, if asked for."""

    hidden: paddle.Tensor
    pre_norm: paddle.Tensor
    layers: list[paddle.Tensor] | None = None
    pooled: paddle.Tensor | None = None
    cache: Cache | None = None


class Embeddings(nn.Layer):
    """Token, position, segment and task embeddings, summed and normalised: ids [b, l] give [b, l, h]."""

    def __init__(self, config: BackboneConfig, weight_attr: paddle.ParamAttr):
        super().__init__()
        self.config = config
        self.token = nn.Embedding(config.vocab_size, config.hidden_size, weight_attr=weight_attr)
        self.position = nn.Embedding(config.max_positions, config.hidden_size, weight_attr=weight_attr)
        self.segment = nn.Embedding(config.num_segments, config.hidden_size, weight_attr=weight_attr)
        self.task = nn.Embedding(config.num_task_types, config.hidden_size, weight_attr=weight_attr) if config.num_task_types else None
        self.norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps, double_backward=config.double_backward)

    def forward(
        self, ids: paddle.Tensor, segment_ids: paddle.Tensor | None, positions: paddle.Tensor, added: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        # every table is looked up in full shape: on CPU the gradient of a row shared by the batch costs five lookups
        segments = paddle.zeros_like(ids) if segment_ids is None else segment_ids  # [b, l]
        summed = self.token(ids) + self.position(positions) + self.segment(segments)  # [b, l, h]
        if self.task is not None:
            summed = summed + self.task(paddle.full_like(ids, self.config.task_type))  # [b, l, h]
        if added is not None:
            summed = summed + added  # [b, l, h]
        return dropout(self.norm(summed), self.config.dropout, self.training)  # [b, l, h]


class Block(nn.Layer):
    """Attention and feed-forward, each followed by residual sum and normalisation: [b, l, h] gives [b, l, h]."""

    def __init__(self, config: BackboneConfig, weight_attr: paddle.ParamAttr):
        super().__init__()
        self.dropout = config.dropout
        self.activation = (twice.activation if config.double_backward else get_activation)(config.activation)
        self.attention = MultiHeadAttention(
            hidden_size=config.hidden_size,
            num_heads=config.num_heads,
            kind=config.attention,
            max_length=config.max_length,
            rank=config.attention_rank,
            tiling=config.attention_tiling,
            combine=config.attention_combine,
            dropout=config.attention_dropout,
            weight_attr=weight_attr,
            double_backward=config.double_backward,
        )
        self.attention_norm = _norm(config)
        self.expand = Linear(config.hidden_size, config.intermediate_size, weight_attr=weight_attr, double_backward=config.double_backward)
        self.contract = Linear(config.intermediate_size, config.hidden_size, weight_attr=weight_attr, double_backward=config.double_backward)
        self.output_norm = _norm(config)

    def forward(
        self,
        hidden: paddle.Tensor,
        mask: Mask | None,
        places: paddle.Tensor | None,
        condition: tuple[paddle.Tensor, ...],
        keep: bool = False,
    ) -> tuple[paddle.Tensor, paddle.Tensor, tuple[paddle.Tensor, ...]]:
        """The block's output [b, l, h], the sum [b, l, h] that its last normalisation took, and what is kept of the tokens."""
        attended, kept = self.attention.attend(hidden, mask, places, places, keep=keep)  # [b, l, h]
        return (*self._fed(hidden, attended, condition), kept)  # [b, l, h], [b, l, h]

    def step(
        self, hidden: paddle.Tensor, beams: Beams, condition: tuple[paddle.Tensor, ...], kept: Heads
    ) -> tuple[paddle.Tensor, tuple[paddle.Tensor, ...]]:
        """One new token a row, [r, h]; see :meth:`MultiHeadAttention.step`."""
        attended, new = self.attention.step(hidden, beams, kept)  # [r, h]
        return self._fed(hidden, attended, condition)[0], new  # [r, h]

    def _fed(
        self, hidden: paddle.Tensor, attended: paddle.Tensor, condition: tuple[paddle.Tensor, ...]
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        hidden = self.attention_norm(hidden + dropout(attended, self.dropout, self.training), *condition)  # [.., h]
        inner = self.activation(self.expand(hidden))  # [.., intermediate]
        pre_norm = hidden + dropout(self.contract(inner), self.dropout, self.training)  # [.., h]
        return self.output_norm(pre_norm, *condition), pre_norm  # [.., h], [.., h]


def _norm(config: BackboneConfig) -> LayerNorm | ConditionalLayerNorm:
    eps, double_backward = config.layer_norm_eps, config.double_backward
    if config.condition_size:
        return ConditionalLayerNorm(config.hidden_size, config.condition_size, eps=eps, double_backward=double_backward)
    return LayerNorm(config.hidden_size, eps=eps, double_backward=double_backward)


class Backbone(nn.Layer):
    """The encoder. New weights are normal(0, initializer_range), cut off at two deviations; ``paddle.seed`` fixes them.

    ``recompute``: set it to True to keep only the blocks' outputs in training and make the rest again in the backward pass (arXiv 1604.06174).
    """

    def __init__(self, config: BackboneConfig):
        super().__init__()
        self.config = config
        self.recompute = False
        weight_attr = paddle.ParamAttr(initializer=_two_deviations(config.initializer_range))
        self.embeddings = Embeddings(config, weight_attr)
        width, eps = config.convolution_width, config.layer_norm_eps
        self.convolution = (
            LocalConvolution(config.hidden_size, width, eps=eps, weight_attr=weight_attr, double_backward=config.double_backward)
            if width
            else None
        )
        self.blocks = nn.LayerList([Block(config, weight_attr) for _ in range(config.num_layers)])
        self.pooler = Linear(config.hidden_size, config.hidden_size, weight_attr=weight_attr) if config.has_pooler else None

    def forward(
        self,
        ids: paddle.Tensor,
        *,
        segment_ids: paddle.Tensor | None = None,
        mask: Mask | None = None,
        positions: paddle.Tensor | None = None,
        real: paddle.Tensor | None = None,
        added: paddle.Tensor | None = None,
        condition: paddle.Tensor | None = None,
        keep: bool = False,
        all_layers: bool = False,
    ) -> BackboneOutput:
        """``ids`` [b, l], ``segment_ids`` [b, l] (default: all 0), ``positions`` [b, l] or [l] (default: counted from the left).

        ``real`` [b, l]: true for tokens that are no padding (default: ``ids != pad_id``). ``mask`` None hides padding from every query; a
        mask that is given is used as it is, so compose it with :func:`padding_mask` where rows are padded.

        ``added`` [b, l, h]: what a task knows of its tokens, summed with their embeddings. ``condition`` [b, c]: for an encoder with
        conditional normalisation.

        ``keep``: for :meth:`step`, which goes on behind these tokens.

        Raises ValueError for ids longer than the positions the encoder has, for an empty or wholly padded text, for a condition
        where none is taken or the other way round, and for a mask that a convolution would look past.
        """
        eager = paddle.in_dynamic_mode()  # a recorded graph has no lengths yet
        if eager:
            self._check(ids, positions)
        if self.convolution is not None and (mask is not None or keep):
            raise ValueError("a convolution sees tokens that a mask hides: make the encoder with convolution_width=0")
        if (condition is None) == bool(self.config.condition_size):
            asked = f"takes a condition of {self.config.condition_size}" if self.config.condition_size else "takes no condition"
            raise ValueError(f"this encoder {asked}, found {'none' if condition is None else list(condition.shape)}: see condition_size")
        real = ids != self.config.pad_id if real is None else real.astype("bool")  # [b, l]
        given = positions is not None
        positions = self._positions(ids, real, positions)  # [b, l]
        hidden = self.embeddings(ids, segment_ids, positions, added)  # [b, l, h]
        if self.convolution is not None:
            hidden = self.convolution(hidden, real)  # [b, l, h]
        mask = padding_mask(real) if mask is None else mask
        places = self._places(positions) if self.is_placed and given else None  # [b, l]
        taken = () if condition is None else (condition,)
        layers: list[paddle.Tensor] | None = [] if all_layers else None
        pre_norm, kept = hidden, []  # [b, l, h]
        again = self.recompute and self.training and eager and not keep
        for block in self.blocks:
            if again and not hidden.stop_gradient:  # what is frozen keeps nothing for a backward pass
                hidden, pre_norm = _recomputed(block, hidden, mask, places, taken)  # [b, l, h], [b, l, h]
                new = ()
            else:
                hidden, pre_norm, new = block(hidden, mask, places, taken, keep)  # [b, l, h], [b, l, h]
            if keep:
                kept.append(new)
            if layers is not None:
                layers.append(hidden)
        pooled = None if self.pooler is None else F.tanh(self.pooler(hidden[:, 0]))  # [b, h]
        return BackboneOutput(hidden, pre_norm, layers, pooled, kept if keep else None)

    def step(
        self,
        ids: paddle.Tensor,
        positions: paddle.Tensor,
        beams: Beams,
        cache: Cache,
        *,
        segment_ids: paddle.Tensor | None = None,
        added: paddle.Tensor | None = None,
        condition: paddle.Tensor | None = None,
    ) -> tuple[paddle.Tensor, Cache]:
        """The output [r, h] for one new token a row: ``ids``, ``positions``, ``segment_ids`` [r], ``added`` [r, h], ``condition`` [r, c].

        ``cache``: of every block what it keeps of the tokens before; the same of
        the new ones is given back, [b, n, g, d] each, for the caller to add.
        """
        hidden = self.embeddings(ids, segment_ids, positions, added)  # [r, h]
        # equal sums cost an eighth of broadcast ones, and every block makes one
        beams = beams._replace(bias=paddle.concat([beams.bias.unsqueeze(1)] * self.config.num_heads, axis=1))  # [b, n, g, k + g]
        taken, made = () if condition is None else (condition,), []
        for index, block in enumerate(self.blocks):  # a graph cannot be recorded through zip(strict=True)
            hidden, new = block.step(hidden, beams, taken, cache[index])  # [r, h]
            made.append(new)
        return hidden, made  # [r, h]

    @property
    def is_placed(self) -> bool:
        """Whether attention has weights for every place of a text."""
        return self.config.attention != "dot_product"

    @property
    def first_position(self) -> int:
        """The position of a text's first token."""
        return 0 if self.config.position_start == "zero" else self.config.pad_id + 1

    def _positions(self, ids: paddle.Tensor, real: paddle.Tensor, positions: paddle.Tensor | None) -> paddle.Tensor:
        if positions is not None:
            return positions.unsqueeze(0).expand(ids.shape) if positions.ndim == 1 else positions  # [b, l]
        if self.config.position_start == "zero":
            return paddle.cumsum(paddle.ones_like(ids), axis=1) - 1  # [b, l]
        whole = real.astype("int64")  # [b, l]
        return paddle.cumsum(whole, axis=1) * whole + self.config.pad_id  # [b, l]

    def _places(self, positions: paddle.Tensor) -> paddle.Tensor:
        return paddle.maximum(positions - self.first_position, paddle.zeros([1], positions.dtype))  # [b, l]: not clip, see the decisions

    def _check(self, ids: paddle.Tensor, positions: paddle.Tensor | None) -> None:
        if ids.ndim != 2:
            raise ValueError(f"ids must be [b, l], found shape {list(ids.shape)}: use unsqueeze(0) for one text")
        if 0 in ids.shape:
            raise ValueError(f"ids must hold at least one text of at least one token, found shape {list(ids.shape)}: drop empty texts")
        longest, needed = self.config.max_length, ids.shape[1]
        if positions is not None:
            needed = int(positions.max()) + 1 - (self.config.max_positions - longest)
        if needed > longest:
            raise ValueError(
                f"{needed} tokens do not fit the {longest} positions of this encoder: cut the text into windows of at most {longest} tokens"
            )


def _recomputed(
    block: Block,
    hidden: paddle.Tensor,
    mask: Mask | None,
    places: paddle.Tensor | None,
    condition: tuple[paddle.Tensor, ...],
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """The block's output and pre-norm, [b, l, h] each, with the same dropout when they are made again."""
    from paddle.distributed.fleet.utils import recompute

    def run(hidden: paddle.Tensor, *condition: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        output, pre_norm, _ = block(hidden, mask, places, condition)  # [b, l, h], [b, l, h]
        return output, pre_norm  # [b, l, h], [b, l, h]

    found: tuple[paddle.Tensor, paddle.Tensor] = recompute(run, hidden, *condition)
    return found


def _two_deviations(deviation: float) -> nn.initializer.Initializer:
    """Normal(0, deviation) cut off at two deviations. Paddle 3 takes the bounds as they are (and has ±2), paddle 2 always cuts there."""
    kind = nn.initializer.TruncatedNormal
    if "a" in inspect.signature(kind.__init__).parameters:
        return kind(0.0, deviation, a=-2 * deviation, b=2 * deviation)
    return kind(0.0, deviation)
