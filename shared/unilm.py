"""One network that reads and writes: an encoder under the UniLM mask with a tied language-model head (kexue.fm article 7427).

A row is `[CLS] source [SEP] target [SEP]`, segment 0 and segment 1. The source sees itself, the target sees the source and what stands before it;
so the source's hidden states do not change with the target, and the state at one token gives the next token of the target.

Notation: b rows, s source tokens, l all tokens, r live rows of a search, h hidden, v vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from . import double_backward as twice
from .attention import Beams
from .backbone import Backbone, Cache
from .decoding import Step
from .heads.copying import CopyHead
from .heads.copying_decode import with_copies
from .heads.language_model import TiedLanguageModelHead
from .inference import EagerEngine, Input, Network
from .losses import token_cross_entropy
from .masks import unilm_mask
from .pretrained import Pretrained, load_backbone
from .seq2seq import Steps
from .seq2seq_graphs import Found, Given, network_of
from .tensors import language_model_tensors


@dataclass(frozen=True)
class _Prefixes:
    """All that a row is made of: its ``source`` [r, s], its number [r] in the batch, and what it has written, ``prefix`` [r, t]."""

    source: np.ndarray
    number: np.ndarray
    prefix: np.ndarray

    def select(self, rows: np.ndarray) -> _Prefixes:
        return _Prefixes(self.source[rows], self.number[rows], self.prefix[rows])


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

    def network(self, *, words: bool, layer: nn.Layer | None = None) -> Network:
        """What :class:`.seq2seq.Steps` asks of an engine. ``words``: both graphs take the tokens that may be written and score these alone.
        ``layer``: one that this network is part of, and that is to be recorded."""

        def scored(hidden: paddle.Tensor, given: Given) -> paddle.Tensor:
            return self.logits(hidden, given.get("words")).astype("float32")  # [r, v] or [r, u]

        def read(given: Given) -> Found:
            out = self.backbone(given["ids"], keep=True)
            hidden = paddle.index_select(out.hidden.flatten(0, 1), given["last"])  # [b, h]
            if self.copy_head is None:
                return (scored(hidden, given),), out.cache
            pointed = self.copy_head(hidden.unsqueeze(1), out.hidden).astype("float32")  # [b, 1, s]
            # made a second time, as paddle 2.6 loses what is a part and a result of one graph
            return (scored(hidden, given), pointed, self.copy_head.keys(out.hidden)), out.cache

        def write(given: Given, beams: Beams, kept: Cache) -> Found:
            ids = given["ids"]  # [r]
            hidden, new = self.backbone.step(ids, given["positions"], beams, kept, segment_ids=paddle.ones_like(ids))  # [r, h]
            if self.copy_head is None:
                return (scored(hidden, given),), new
            return (scored(hidden, given), self.copy_head.scores(beams.spread(hidden), given["keys"]).astype("float32")), new  # [r, u], [b, g, s]

        chosen = {"words": Input(("u",), "int64")} if words else {}
        copies = self.copy_head is not None
        return network_of(
            self if layer is None else layer,
            self.backbone,
            read,
            write,
            reads=chosen,
            writes=chosen,
            scores=("logits", "pointed") if copies else ("logits",),
            by_source={"keys": Input(("b", "s", self.copy_head.size))} if self.copy_head is not None else None,
        )

    def step(
        self,
        source_ids: paddle.Tensor | np.ndarray,
        *,
        cached: bool = True,
        words: np.ndarray | None = None,
        writable: np.ndarray | None = None,
        copied: np.ndarray | None = None,
    ) -> Step:
        """The step function of :mod:`.decoding` for sources `[CLS] ... [SEP]`, padded on the right to [b, s].

        ``cached=False`` runs source and prefix anew at every token: the same logits, for comparison.
        ``words``, ``writable``, ``copied``: see :class:`.seq2seq.Steps`.
        Raises ValueError for wrong shapes and, while decoding, for more tokens than the encoder has positions.
        """
        ids = np.asarray(source_ids)  # [b, s]
        words, writable, copied = (None if given is None else np.asarray(given) for given in (words, writable, copied))  # [u], [b, u], [b, s]
        if ids.ndim != 2 or 0 in ids.shape:
            raise ValueError(f"source_ids must be [b, s] with at least one token, found shape {list(ids.shape)}: pad the sources")
        if (copied is None) is not (self.copy_head is None) or (copied is not None and copied.shape != ids.shape):
            shape = None if copied is None else list(copied.shape)
            raise ValueError(f"copied must be {list(ids.shape)} with a copy head, and is for one alone: found {shape}")
        if writable is not None:
            expected = (ids.shape[0], self.backbone.config.vocab_size if words is None else words.shape[0])
            if writable.shape != expected:
                found = list(writable.shape)
                raise ValueError(f"writable must be {list(expected)}, a column for every word, found {found}: give it for every source")
        if cached:
            return Steps(EagerEngine(self.network(words=words is not None)), ids, words=words, writable=writable, copied=copied)

        def step(tokens: np.ndarray | None, state: _Prefixes | None) -> tuple[np.ndarray, _Prefixes]:
            if tokens is None or state is None:
                state = _Prefixes(ids, np.arange(len(ids)), np.zeros([len(ids), 0], dtype=np.int64))
            else:
                new = np.asarray(tokens) if words is None else words[np.asarray(tokens)]  # [r]
                state = _Prefixes(state.source, state.number, np.concatenate([state.prefix, new[:, None]], axis=1))
            logits, pointed = self._whole(state, words)  # [r, u], [r, s]
            if copied is not None:
                logits = with_copies(logits, pointed, copied[state.number, : pointed.shape[1]])  # [r, u]
            return (logits if writable is None else np.where(writable[state.number], logits, np.float32(-np.inf))), state  # [r, u]

        return step

    def _whole(self, state: _Prefixes, words: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Logits [r, u] after source and prefix, and a copy head's scores [r, s] of the source's places."""
        ids, real, segments, last = (paddle.to_tensor(made) for made in _joined(state.source, state.prefix, self.backbone.config.pad_id))
        with paddle.no_grad():
            hidden = self.backbone(ids, segment_ids=segments, real=real, mask=unilm_mask(segments, real)).hidden  # [r, l, h]
            chosen = hidden[paddle.arange(len(last)), last]  # [r, h]
            logits = self.logits(chosen, None if words is None else paddle.to_tensor(words)).astype("float32").numpy()  # [r, u]
            if self.copy_head is None:
                return logits, logits[:, :0]  # [r, u], [r, 0]
            sources = hidden[:, : int((state.source != self.backbone.config.pad_id).sum(axis=1).max())]  # [r, s, h]
            return logits, self.copy_head(chosen.unsqueeze(1), sources).squeeze(1).astype("float32").numpy()  # [r, u], [r, s]


def _joined(source: np.ndarray, prefix: np.ndarray, pad_id: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sources [r, s] and prefixes [r, t] as rows without a gap: ids, real, segments [r, s + t], and the last real place [r]."""
    lengths = (source != pad_id).sum(axis=1)  # [r]
    added = prefix.shape[1]
    shape = (len(source), int(lengths.max()) + added)
    ids, real, segments = np.full(shape, pad_id, dtype=np.int64), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int64)  # [r, s + t]
    for row, length in enumerate(lengths):
        ids[row, :length] = source[row, :length]
        ids[row, length : length + added] = prefix[row]
        segments[row, length : length + added] = 1
        real[row, : length + added] = True
    return ids, real, segments, lengths + added - 1
