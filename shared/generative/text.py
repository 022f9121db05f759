"""Texts as data of an autoencoder: the encoder's vector as features, a causal language model that is given the latent at every position."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from ..attention import Beams
from ..backbone import Backbone, Cache
from ..decoding import Step, greedy
from ..inference import EagerEngine, Input, Network
from ..linear import Linear
from ..masks import causal_mask, padding_mask
from ..seq2seq import Steps
from ..seq2seq_graphs import Found, Given, network_of
from .autoencoder import evaluating

POOLINGS = ("cls", "mean")


class TextEncoder(nn.Layer):
    """Token ids [b, l] to features [b, h] through a backbone: the first token's vector (``cls``) or the mean of the real tokens' (``mean``).

    Raises ValueError for another pooling and for a text without a real token.
    """

    def __init__(self, backbone: Backbone, *, pooling: str = "cls"):
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be 'cls' or 'mean', found {pooling!r}: take one of these")
        self.backbone, self.pooling = backbone, pooling
        self.output_size = backbone.config.hidden_size

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        pad_id = self.backbone.config.pad_id
        _check_ids(ids, pad_id)
        hidden = self.backbone(ids).hidden  # [b, l, h]
        if self.pooling == "cls":
            return hidden[:, 0]  # [b, h]
        real = (ids != pad_id).astype(hidden.dtype).unsqueeze(-1)  # [b, l, 1]
        return (hidden * real).sum(axis=1) / real.sum(axis=1)  # [b, h]


class TextDecoder(nn.Layer):
    """A causal language model p(x_t | x_<t, z) over a backbone of its own; logits by the transposed token embedding and a bias.

    The code z [b, d], projected to [b, h], is summed with the embedding of every position. Give the backbone a causal use only:
    no convolution, and not the encoder's own one.

    ``start_id`` begins and ``end_id`` ends a text (a BERT vocabulary's [CLS] and [SEP]); ``max_length`` tokens are written at most, both
    of them among these. ``word_dropout``: share of the inputs that is replaced by ``unknown_id`` in training, against a decoder that
    ignores its code (Bowman and others, arXiv 1511.06349); ``paddle.seed`` fixes the choice.

    Raises ValueError for rates outside [0, 1), ids outside the vocabulary, and a max_length that the backbone has no positions for.
    """

    autoregressive = True

    def __init__(
        self,
        backbone: Backbone,
        latent_size: int,
        *,
        start_id: int,
        end_id: int,
        max_length: int | None = None,
        word_dropout: float = 0.0,
        unknown_id: int | None = None,
    ):
        super().__init__()
        config = backbone.config
        max_length = config.max_length if max_length is None else max_length
        if latent_size < 1:
            raise ValueError(f"latent_size must be at least 1, found {latent_size}: give the size of the codes")
        if not 2 <= max_length <= config.max_length:
            raise ValueError(f"max_length must lie in 2..{config.max_length}, the positions of the backbone, found {max_length}")
        if not 0.0 <= word_dropout < 1.0:
            raise ValueError(f"word_dropout must lie in [0, 1), found {word_dropout}: give e.g. 0.3")
        if word_dropout and unknown_id is None:
            raise ValueError(f"word_dropout {word_dropout} replaces words by unknown_id, found None: give the id of [UNK]")
        for name, token in (("start_id", start_id), ("end_id", end_id), ("unknown_id", 0 if unknown_id is None else unknown_id)):
            if not 0 <= token < config.vocab_size:
                raise ValueError(f"{name} must lie in 0..{config.vocab_size - 1}, found {token}: give an id of the vocabulary")
        if config.convolution_width:
            raise ValueError(f"a convolution of {config.convolution_width} tokens sees the token to predict: give convolution_width=0")
        self.backbone, self.latent_size, self.max_length = backbone, latent_size, max_length
        self.start_id, self.end_id, self.unknown_id, self.word_dropout = start_id, end_id, unknown_id, word_dropout
        # as wide as the embeddings that it is summed with, so that it does not drown the words at the start
        narrow = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, config.initializer_range))
        self.project = Linear(latent_size, config.hidden_size, weight_attr=narrow)
        self.bias = self.create_parameter([config.vocab_size], is_bias=True)  # [v]

    def forward(self, z: paddle.Tensor, ids: paddle.Tensor) -> paddle.Tensor:
        """Logits [b, l - 1, v] of ids[:, 1:] for codes ``z`` [b, d] and texts ``ids`` [b, l] that begin with the start token."""
        if paddle.in_dynamic_mode() and (ids.ndim != 2 or ids.shape[1] < 2 or z.shape[0] != ids.shape[0]):
            raise ValueError(f"ids must be [b, l] with l from 2 and a code each, found {list(ids.shape)} for codes {list(z.shape)}")
        inputs = ids[:, :-1]  # [b, l-1]
        real = inputs != self.backbone.config.pad_id  # [b, l-1]
        mask = causal_mask(inputs.shape[1]) & padding_mask(real)
        added = self.project(z).unsqueeze(1).expand([-1, inputs.shape[1], -1])  # [b, l-1, h]
        return self._logits(self.backbone(self._dropped(inputs, real), real=real, mask=mask, added=added).hidden)  # [b, l-1, v]

    def step_function(self, z: paddle.Tensor) -> Step:
        """What :mod:`shared.decoding` runs, for one text a code ``z`` [b, d]: ``logits, state = step(tokens, state)``.

        Both None first, which stands for the start token; then ``tokens`` int64 [r]. Logits [r, v]; with keys and values kept.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise ValueError(f"codes must be [b, {self.latent_size}], found {list(z.shape)}: use unsqueeze(0) for one code")
        starts = np.full([z.shape[0], 1], self.start_id, dtype=np.int64)  # [b, 1]: the start token is the source
        return Steps(EagerEngine(self.network()), starts, given={"z": z.detach().numpy()})

    def network(self) -> Network:
        """What :class:`shared.seq2seq.Steps` asks of an engine."""

        def read(given: Given) -> Found:
            out = self.backbone(given["ids"], added=self.project(given["z"]).unsqueeze(1), keep=True)
            return (self._logits(out.hidden)[:, 0],), out.cache  # [b, v]

        def write(given: Given, beams: Beams, kept: Cache) -> Found:
            hidden, new = self.backbone.step(given["ids"], given["positions"], beams, kept, added=self.project(given["z"]))  # [r, h]
            return (self._logits(hidden),), new  # [r, v]

        code = Input(("r", self.latent_size))
        return network_of(self, self.backbone, read, write, reads={"z": code}, writes={"z": code})

    def generate(self, z: paddle.Tensor) -> paddle.Tensor:
        """The greedily written texts of codes ``z`` [b, d]: ids [b, max_length], start token first, padding after the end token.

        In evaluation mode and without gradients. For a beam, for sampling and for constraints give :meth:`step_function` to its decoder.
        """
        with evaluating(self):
            found = greedy(self.step_function(z), end_id=self.end_id, max_length=self.max_length - 1)
        texts = [[self.start_id, *text.tokens, *([self.end_id] if text.finished else [])] for text in found]
        pad_id = self.backbone.config.pad_id
        return paddle.to_tensor([text + [pad_id] * (self.max_length - len(text)) for text in texts], dtype="int64")  # [b, max_length]

    def _logits(self, hidden: paddle.Tensor) -> paddle.Tensor:
        return paddle.matmul(hidden, self.backbone.embeddings.token.weight, transpose_y=True) + self.bias  # [b, l, v]

    def _dropped(self, inputs: paddle.Tensor, real: paddle.Tensor) -> paddle.Tensor:
        if not (self.training and self.word_dropout and self.unknown_id is not None):
            return inputs  # [b, l]
        spared = paddle.logical_or(paddle.logical_not(real), inputs == self.start_id)  # [b, l]
        return drop_words(inputs, self.word_dropout, unknown_id=self.unknown_id, spared=spared)  # [b, l]


def drop_words(ids: paddle.Tensor, rate: float, *, unknown_id: int, spared: paddle.Tensor) -> paddle.Tensor:
    """Replaces each token of ``ids`` [b, l] by ``unknown_id`` with probability ``rate``, but where ``spared`` [b, l] is true: [b, l].

    ``paddle.seed`` fixes the choice. Raises ValueError for a rate outside [0, 1).
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"word_dropout must lie in [0, 1), found {rate}: give e.g. 0.3")
    chosen = paddle.logical_and(paddle.rand(ids.shape) < rate, paddle.logical_not(spared))  # [b, l]
    return paddle.where(chosen, paddle.full_like(ids, unknown_id), ids)  # [b, l]


def _check_ids(ids: paddle.Tensor, pad_id: int) -> None:
    if paddle.in_dynamic_mode():  # a recorded graph has no lengths yet
        if ids.ndim != 2 or 0 in ids.shape:
            raise ValueError(f"ids must be [b, l] and not empty, found shape {list(ids.shape)}: use unsqueeze(0) for one text")
        empty = paddle.logical_not((ids != pad_id).any(axis=1))  # [b]
        if bool(empty.any()):
            count = int(empty.astype("int64").sum())
            raise ValueError(f"{count} of {ids.shape[0]} texts hold no token but padding (id {pad_id}): drop empty texts")
