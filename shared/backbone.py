"""One encoder of the BERT family: post-norm blocks (Devlin and others, arXiv 1810.04805), ERNIE's task embeddings, any mask."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import nn

from .activations import get_activation
from .attention import MultiHeadAttention
from .convolution import LocalConvolution
from .dropout import dropout
from .linear import Linear
from .masks import Mask, padding_mask
from .norms import LayerNorm


@dataclass(frozen=True)
class BackboneConfig:
    """Sizes and rates of a :class:`Backbone`. Raises ValueError for values that cannot make one.

    ``num_task_types``: rows of ERNIE 3.0's task embedding, 0 for none; ``task_type`` is the row that is used.
    ``position_start``: ``zero`` counts 0, 1, 2 ...; ``after_padding`` counts real tokens from ``pad_id + 1`` and puts
    every padding token at ``pad_id`` (what PaddleNLP's RobertaModel does, for roberta-wwm-ext too).
    ``dropout`` follows embeddings and both halves of a block, ``attention_dropout`` the attention weights.
    ``convolution_width``: tokens that a :class:`LocalConvolution` after the embeddings sees, 0 for none (every published encoder).
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
        get_activation(self.activation)

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


class BackboneOutput(NamedTuple):
    """``hidden`` [b, l, h]: the last block's output. ``pre_norm`` [b, l, h]: the sum that the last block's last
    normalisation takes (what conditional-norm heads start from). ``layers``: the output [b, l, h] of every block, first
    block first, if asked for. ``pooled`` [b, h]: tanh projection of the first token, if the encoder has a pooler."""

    hidden: paddle.Tensor
    pre_norm: paddle.Tensor
    layers: list[paddle.Tensor] | None = None
    pooled: paddle.Tensor | None = None


class Embeddings(nn.Layer):
    """Token, position, segment and task embeddings, summed and normalised: ids [b, l] give [b, l, h]."""

    def __init__(self, config: BackboneConfig, weight_attr: paddle.ParamAttr):
        super().__init__()
        self.config = config
        self.token = nn.Embedding(config.vocab_size, config.hidden_size, weight_attr=weight_attr)
        self.position = nn.Embedding(config.max_positions, config.hidden_size, weight_attr=weight_attr)
        self.segment = nn.Embedding(config.num_segments, config.hidden_size, weight_attr=weight_attr)
        self.task = nn.Embedding(config.num_task_types, config.hidden_size, weight_attr=weight_attr) if config.num_task_types else None
        self.norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, ids: paddle.Tensor, segment_ids: paddle.Tensor | None, positions: paddle.Tensor | None, added: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        # every table is looked up in full shape: on CPU the gradient of a row shared by the batch costs five lookups
        if positions is None:
            positions = self._count(ids)  # [b, l]
        elif positions.ndim == 1:
            positions = positions.unsqueeze(0).expand(ids.shape)  # [b, l]
        segments = paddle.zeros_like(ids) if segment_ids is None else segment_ids  # [b, l]
        summed = self.token(ids) + self.position(positions) + self.segment(segments)  # [b, l, h]
        if self.task is not None:
            summed = summed + self.task(paddle.full_like(ids, self.config.task_type))  # [b, l, h]
        if added is not None:
            summed = summed + added  # [b, l, h]
        return dropout(self.norm(summed), self.config.dropout, self.training)  # [b, l, h]

    def _count(self, ids: paddle.Tensor) -> paddle.Tensor:
        if self.config.position_start == "zero":
            return paddle.cumsum(paddle.ones_like(ids), axis=1) - 1  # [b, l]
        real = (ids != self.config.pad_id).astype("int64")  # [b, l]
        return paddle.cumsum(real, axis=1) * real + self.config.pad_id  # [b, l]


class Block(nn.Layer):
    """Attention and feed-forward, each followed by residual sum and normalisation: [b, l, h] gives [b, l, h]."""

    def __init__(self, config: BackboneConfig, weight_attr: paddle.ParamAttr):
        super().__init__()
        self.dropout = config.dropout
        self.activation = get_activation(config.activation)
        self.attention = MultiHeadAttention(
            hidden_size=config.hidden_size, num_heads=config.num_heads, dropout=config.attention_dropout, weight_attr=weight_attr
        )
        self.attention_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.expand = Linear(config.hidden_size, config.intermediate_size, weight_attr=weight_attr)
        self.contract = Linear(config.intermediate_size, config.hidden_size, weight_attr=weight_attr)
        self.output_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: paddle.Tensor, mask: Mask | None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The block's output [b, l, h], and the sum [b, l, h] that its last normalisation took."""
        attended = dropout(self.attention(hidden, mask), self.dropout, self.training)  # [b, l, h]
        hidden = self.attention_norm(hidden + attended)  # [b, l, h]
        inner = self.activation(self.expand(hidden))  # [b, l, intermediate]
        pre_norm = hidden + dropout(self.contract(inner), self.dropout, self.training)  # [b, l, h]
        return self.output_norm(pre_norm), pre_norm  # [b, l, h], [b, l, h]


class Backbone(nn.Layer):
    """The encoder. New weights are normal(0, initializer_range), cut off at two deviations; ``paddle.seed`` fixes them."""

    def __init__(self, config: BackboneConfig):
        super().__init__()
        self.config = config
        weight_attr = paddle.ParamAttr(initializer=_two_deviations(config.initializer_range))
        self.embeddings = Embeddings(config, weight_attr)
        width, eps = config.convolution_width, config.layer_norm_eps
        self.convolution = LocalConvolution(config.hidden_size, width, eps=eps, weight_attr=weight_attr) if width else None
        self.blocks = nn.LayerList([Block(config, weight_attr) for _ in range(config.num_layers)])
        self.pooler = Linear(config.hidden_size, config.hidden_size, weight_attr=weight_attr) if config.has_pooler else None

    def forward(
        self,
        ids: paddle.Tensor,
        *,
        segment_ids: paddle.Tensor | None = None,
        mask: Mask | None = None,
        positions: paddle.Tensor | None = None,
        added: paddle.Tensor | None = None,
        all_layers: bool = False,
    ) -> BackboneOutput:
        """``ids`` [b, l], ``segment_ids`` [b, l] (default: all 0), ``positions`` [b, l] or [l] (default: counted from the left).

        ``added`` [b, l, h]: what a task knows of its tokens, summed with their embeddings.

        ``mask`` None hides padding (``ids == pad_id``) from every query; a mask that is given is used as it is, so
        compose it with :func:`padding_mask` where rows are padded.
        Raises ValueError for ids longer than the positions the encoder has, and for a mask where a convolution would look past it.
        """
        if paddle.in_dynamic_mode():  # a recorded graph has no lengths yet
            self._check_length(ids, positions)
        if mask is not None and self.convolution is not None:
            raise ValueError("a convolution sees tokens that the mask hides: make the encoder with convolution_width=0")
        real = ids != self.config.pad_id  # [b, l]
        if mask is None:
            mask = padding_mask(real)
        hidden = self.embeddings(ids, segment_ids, positions, added)  # [b, l, h]
        if self.convolution is not None:
            hidden = self.convolution(hidden, real)  # [b, l, h]
        layers: list[paddle.Tensor] | None = [] if all_layers else None
        pre_norm = hidden  # [b, l, h]
        for block in self.blocks:
            hidden, pre_norm = block(hidden, mask)  # [b, l, h], [b, l, h]
            if layers is not None:
                layers.append(hidden)
        pooled = None if self.pooler is None else F.tanh(self.pooler(hidden[:, 0]))  # [b, h]
        return BackboneOutput(hidden, pre_norm, layers, pooled)

    def _check_length(self, ids: paddle.Tensor, positions: paddle.Tensor | None) -> None:
        if ids.ndim != 2:
            raise ValueError(f"ids must be [b, l], found shape {list(ids.shape)}: use unsqueeze(0) for one text")
        longest = self.config.max_length
        if positions is None and ids.shape[1] > longest:
            raise ValueError(
                f"{ids.shape[1]} tokens do not fit the {longest} positions of this encoder: "
                f"cut the text into windows of at most {longest} tokens"
            )


def _two_deviations(deviation: float) -> nn.initializer.Initializer:
    """Normal(0, deviation) cut off at two deviations. Paddle 3 takes the bounds as they are (and has ±2), paddle 2 always cuts there."""
    kind = nn.initializer.TruncatedNormal
    if "a" in inspect.signature(kind.__init__).parameters:
        return kind(0.0, deviation, a=-2 * deviation, b=2 * deviation)
    return kind(0.0, deviation)
