"""One network that reads and writes: an encoder under the UniLM mask with a tied language-model head (kexue.fm article 7427).

A row is `[CLS] source [SEP] target [SEP]`, segment 0 and segment 1. The source sees itself, the target sees the source and what stands before it;
so the source's hidden states do not change with the target, and the state at one token gives the next token of the target.

Notation: b rows, s source tokens, l all tokens, r live rows of a search, h hidden, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from . import double_backward as twice
from .backbone import Backbone, Cache
from .heads.copying import CopyHead
from .heads.language_model import TiedLanguageModelHead
from .losses import token_cross_entropy
from .masks import unilm_mask
from .pretrained import Pretrained, load_backbone
from .tensors import language_model_tensors

Step = Callable[["paddle.Tensor | None", "UniLMState | None"], "tuple[paddle.Tensor, UniLMState]"]


@dataclass(frozen=True)
class UniLMState:
    """What a search carries from token to token. ``cache``: keys and values of source and prefix, or None and ``prefix`` [r, t] instead.

    ``bars`` [r, u]: what is added to the scores of the words, 0 or minus infinity, or None. With a copy head ``copied`` [r, s] says which word
    every source token is (-1: none that may be copied), and ``keys`` [r, s, d] what it points at.
    """

    source: paddle.Tensor  # [r, s]
    cache: Cache | None
    prefix: paddle.Tensor | None = None
    bars: paddle.Tensor | None = None
    copied: paddle.Tensor | None = None
    keys: paddle.Tensor | None = None

    def select(self, rows: paddle.Tensor) -> UniLMState:
        """The rows [r] (int64), in that order, repeated where named twice."""
        return UniLMState(
            paddle.index_select(self.source, rows),  # [r, s]
            None if self.cache is None else self.cache.select(rows),
            None if self.prefix is None else paddle.index_select(self.prefix, rows),  # [r, t]
            None if self.bars is None else paddle.index_select(self.bars, rows),  # [r, u]
            None if self.copied is None else paddle.index_select(self.copied, rows),  # [r, s]
            None if self.keys is None else paddle.index_select(self.keys, rows),  # [r, s, d]
        )


class UniLM(nn.Layer):
    """``backbone`` with a :class:`TiedLanguageModelHead` (a new one unless given), and for :meth:`step` a :class:`CopyHead` if one is given.

    Raises ValueError for a backbone with a convolution, which looks past any mask, and for one with fewer than two segments.
    """

    def __init__(self, backbone: Backbone, *, head: TiedLanguageModelHead | None = None, copy_head: CopyHead | None = None):
        super().__init__()
        config = backbone.config
        if config.convolution_width:
            raise ValueError(f"convolution_width is {config.convolution_width}: it shows the source the target, make the encoder with 0")
        if config.num_segments < 2:
            raise ValueError(f"num_segments is {config.num_segments}: source and target need 2 segments")
        self.backbone = backbone
        self.language_model_head = head or TiedLanguageModelHead(
            config.hidden_size,
            config.vocab_size,
            activation=config.activation,
            eps=config.layer_norm_eps,
            double_backward=config.double_backward,
        )
        self.copy_head = copy_head

    @classmethod
    def from_pretrained(cls, source: str | Path, *, num_layers: int | None = None, dropout: float | None = None) -> tuple[UniLM, Pretrained]:
        """The network of ``source`` (see :func:`load_backbone`) and what came with it, vocabulary first of all.

        The head is the source's where its files have one under a known name (a model saved with its masked-language-model head, a
        folder of ours); otherwise it is new. ``Pretrained.ignored`` says which tensors were not used.
        """
        found = load_backbone(source, num_layers=num_layers, dropout=dropout, attention_dropout=dropout)
        model = cls(found.backbone)
        used = model.load_head(found)
        return model, found.without(used)

    def load_head(self, found: Pretrained) -> tuple[str, ...]:
        """Puts the source's head into ours and returns the names used: all of them or, where one is missing, none."""
        values, used = language_model_tensors(found.others)
        state = self.language_model_head.state_dict()
        if set(values) != set(state) or any(list(values[name].shape) != list(state[name].shape) for name in state):
            return ()
        for name, parameter in state.items():
            parameter.set_value(values[name])
        return used

    def hidden(self, ids: paddle.Tensor, segment_ids: paddle.Tensor) -> paddle.Tensor:
        """One forward pass under the UniLM mask: ``ids`` and ``segment_ids`` [b, l] give [b, l, h]."""
        real = ids != self.backbone.config.pad_id  # [b, l]
        return self.backbone(ids, segment_ids=segment_ids, mask=unilm_mask(segment_ids, real)).hidden  # [b, l, h]

    def logits(self, hidden: paddle.Tensor, words: paddle.Tensor | None = None) -> paddle.Tensor:
        """Of every token the scores of the next one: [..., h] gives [..., v], or [..., u] for the tokens ``words`` [u] alone."""
        return self.language_model_head(hidden, self.backbone.embeddings.token.weight, words)  # [..., v] or [..., u]

    def forward(self, ids: paddle.Tensor, segment_ids: paddle.Tensor) -> paddle.Tensor:
        """Logits [b, l, v]; for a loss or a search :meth:`loss` and :meth:`step` do less work."""
        return self.logits(self.hidden(ids, segment_ids))  # [b, l, v]

    def loss(
        self,
        ids: paddle.Tensor,
        segment_ids: paddle.Tensor,
        *,
        inputs: paddle.Tensor | None = None,
        hidden: paddle.Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> paddle.Tensor:
        """Mean cross entropy of the target tokens, []: :func:`shared.losses.seq2seq_cross_entropy`.

        ``inputs`` [b, l]: what the network reads in place of ``ids`` (random replacement, scheduled sampling); labels stay ``ids``.
        ``hidden`` [b, l, h]: of a forward pass that is there already. Only target places pass through the head.
        Raises ValueError for a batch without target.
        """
        if hidden is None:
            hidden = self.hidden(ids if inputs is None else inputs, segment_ids)  # [b, l, h]
        b, l, h = hidden.shape
        places = np.flatnonzero(segment_ids[:, 1:].numpy())
        if not len(places):
            raise ValueError(f"segment_ids {[b, l]} has no target token (segment 1 after the first place): give a source and a target")
        rows = paddle.to_tensor(places + places // (l - 1))  # [t]
        double_backward = self.backbone.config.double_backward
        choose = twice.gather_rows if double_backward else paddle.index_select
        chosen = choose(hidden.reshape([b * l, h]), rows)  # [t, h]
        labels = paddle.index_select(ids.reshape([b * l]), rows + 1)  # [t]
        return token_cross_entropy(
            self.logits(chosen), labels, label_smoothing=label_smoothing, double_backward=double_backward
        )  # []

    def step(
        self,
        source_ids: paddle.Tensor,
        *,
        cached: bool = True,
        words: paddle.Tensor | None = None,
        writable: paddle.Tensor | None = None,
        copied: paddle.Tensor | None = None,
    ) -> Step:
        """The step function of :mod:`.decoding` for sources `[CLS] ... [SEP]`, padded on the right to [b, s].

        ``cached=False`` runs source and prefix anew at every token: the same logits, for comparison.
        ``words`` [u] (int64): the only tokens that may be written, for the decoder numbered 0 to u - 1 in that order: logits are [r, u], a
        token that comes in is such a number. ``writable`` [b, u], boolean: which of them each source may write; the others get minus infinity.
        ``copied`` [b, s] (int64), for a copy head: which word every source token is, -1 for one that may not be copied.
        Raises ValueError for wrong shapes and, while decoding, for more tokens than the encoder has positions.
        """
        if source_ids.ndim != 2 or 0 in source_ids.shape:
            raise ValueError(f"source_ids must be [b, s] with at least one token, found shape {list(source_ids.shape)}: pad the sources")
        if (copied is None) is not (self.copy_head is None) or (copied is not None and list(copied.shape) != list(source_ids.shape)):
            shape = None if copied is None else list(copied.shape)
            raise ValueError(f"copied must be {list(source_ids.shape)} with a copy head, and is for one alone: found {shape}")
        bars = None
        if writable is not None:
            expected = [source_ids.shape[0], self.backbone.config.vocab_size if words is None else words.shape[0]]
            if list(writable.shape) != expected:
                raise ValueError(f"writable must be {expected}, a column for every word, found {list(writable.shape)}: give it for every source")
            free = paddle.zeros(writable.shape)  # [b, u]
            bars = paddle.where(writable, free, paddle.full_like(free, -np.inf))  # [b, u]
        start = UniLMState(source_ids, Cache() if cached else None, bars=bars, copied=copied)
        follow = self._cached_step if cached else self._whole_step

        def step(tokens: paddle.Tensor | None, state: UniLMState | None) -> tuple[paddle.Tensor, UniLMState]:
            if tokens is not None and words is not None:
                tokens = paddle.index_select(words, tokens)  # [r]
            with paddle.no_grad():
                hidden, state = follow(tokens, start if state is None else state)  # [r, h]
                logits = self.logits(hidden, words)  # [r, v] or [r, u]
                if self.copy_head is not None:
                    logits = self.copy_head.next_logits(logits, hidden, state.keys, state.copied)  # [r, v] or [r, u]
            return logits if state.bars is None else logits.astype("float32") + state.bars, state  # [r, v] or [r, u]

        return step

    def _cached_step(self, tokens: paddle.Tensor | None, state: UniLMState) -> tuple[paddle.Tensor, UniLMState]:
        with paddle.no_grad():
            if tokens is None:
                out = self.backbone(state.source, cache=Cache())
                last = (state.source != self.backbone.config.pad_id).astype("int64").sum(axis=1) - 1  # [b]
                hidden = out.hidden[paddle.arange(last.shape[0]), last]  # [b, h]
                if self.copy_head is not None:
                    state = replace(state, keys=self.copy_head.keys(out.hidden))
            else:
                new = tokens.astype("int64").unsqueeze(1)  # [r, 1]
                ones = paddle.ones_like(new)  # [r, 1]
                out = self.backbone(new, segment_ids=ones, real=ones, cache=state.cache)
                hidden = out.hidden[:, 0]  # [r, h]
            return hidden, replace(state, cache=out.cache)  # [r, h]

    def _whole_step(self, tokens: paddle.Tensor | None, state: UniLMState) -> tuple[paddle.Tensor, UniLMState]:
        prefix = state.prefix
        if tokens is not None:
            new = tokens.astype("int64").unsqueeze(1)  # [r, 1]
            prefix = new if prefix is None else paddle.concat([prefix, new], axis=1)  # [r, t]
        ids, real, segments, last = _joined(state.source.numpy(), None if prefix is None else prefix.numpy(), self.backbone.config.pad_id)
        with paddle.no_grad():
            mask = unilm_mask(paddle.to_tensor(segments), paddle.to_tensor(real))
            hidden = self.backbone(
                paddle.to_tensor(ids), segment_ids=paddle.to_tensor(segments), real=paddle.to_tensor(real), mask=mask
            ).hidden  # [r, l, h]
            chosen = hidden[paddle.arange(len(ids)), paddle.to_tensor(last)]  # [r, h]
            if self.copy_head is not None and state.copied is not None:
                s = min(state.copied.shape[1], hidden.shape[1])
                state = replace(state, copied=state.copied[:, :s], keys=self.copy_head.keys(hidden[:, :s]))
            return chosen, replace(state, prefix=prefix)  # [r, h]


def _joined(source: np.ndarray, prefix: np.ndarray | None, pad_id: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sources [r, s] and prefixes [r, t] as rows without a gap: ids, real, segments [r, s + t], and the last real place [r]."""
    lengths = (source != pad_id).sum(axis=1)  # [r]
    added = 0 if prefix is None else prefix.shape[1]
    shape = (len(source), int(lengths.max()) + added)
    ids, real, segments = np.full(shape, pad_id, dtype=np.int64), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int64)  # [r, s + t]
    for row, length in enumerate(lengths):
        ids[row, :length] = source[row, :length]
        if prefix is not None:
            ids[row, length : length + added] = prefix[row]
            segments[row, length : length + added] = 1
        real[row, : length + added] = True
    return ids, real, segments, lengths + added - 1
