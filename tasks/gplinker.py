"""GPLinker: spans by one GlobalPointer, and what belongs together by two more, from head token to head token and from tail to tail.

kexue.fm articles 8888 (relations) and 8926 (events). What both tracks have in common: three pointers on an encoder, the loss over sparse
right pairs, and what training asks of a model. What the labels of the pointers mean is the track's.

Notation: b windows, l content tokens, h hidden, s labels of spans, k labels of links, n right pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import paddle
from paddle import nn
from pydantic import Field, model_validator

from shared.backbone import Backbone
from shared.dropout import dropout
from shared.errors import Problem
from shared.features.rows import framed_segments
from shared.heads.global_pointer import EfficientGlobalPointer, GlobalPointer
from shared.heads.pair_scores import PairParts, Scores, pair_cross_entropy, pair_divergence
from shared.inference import Graph, Input, Network
from shared.losses import full_precision, share

from .recipe import Settings, SettingsError

MOST_FULL_LABELS = 1024

Batch = Mapping[str, np.ndarray]


class GplinkerSettings(Settings):
    """What the ``[model]`` tables of both tracks' ``gplinker`` have."""

    name: Literal["gplinker"] = "gplinker"
    head: Literal["efficient", "full"] = Field(
        "efficient", description="efficient: labels share a query and a key; full: each has its own, for few labels and much memory"
    )
    head_size: int = Field(64, ge=2, description="width of a query and a key; even")
    logit_bias: float = Field(-8.0, description="initial score of every pair: almost none is right")
    head_dropout: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="e: a label is taught 1 - e of its pairs and e of having none; as pairs are rare, take 0.01 or less"
    )

    @model_validator(mode="after")
    def _pairs_of_numbers(self) -> GplinkerSettings:
        if self.head_size % 2:
            raise ValueError(f"head_size {self.head_size} is not even: rotary positions turn numbers in pairs")
        return self


class GplinkerScores(NamedTuple):
    """What the loss is made of: scores of ``spans`` (s labels), of links from head to head and from tail to tail (k labels each)."""

    spans: Scores
    heads: Scores
    tails: Scores


class Gplinker(nn.Layer):
    """``spans`` and ``links``: numbers of labels. ``directed``: whether a link may lead to a token before its own.

    Raises SettingsError for full heads with more than :data:`MOST_FULL_LABELS` labels.
    """

    def __init__(self, backbone: Backbone, *, spans: int, links: int, directed: bool, settings: GplinkerSettings):
        super().__init__()
        if settings.head == "full" and spans + 2 * links > MOST_FULL_LABELS:
            found = f"model.head = 'full' with {spans + 2 * links} labels"
            problem = Problem("LIC-R006", found, f"at most {MOST_FULL_LABELS}", "Take model.head = 'efficient', whose labels cost next to nothing.")
            raise SettingsError([problem], ["model.head"])
        self.backbone, self.settings = backbone, settings
        self.num_spans, self.num_links = spans, links
        h, d, bias = backbone.config.hidden_size, settings.head_size, settings.logit_bias
        pointer = EfficientGlobalPointer if settings.head == "efficient" else GlobalPointer
        self.spans = pointer(h, spans, d, bias=bias)
        self.heads = pointer(h, links, d, rotary=False, upper_triangle=not directed, bias=bias)
        self.tails = pointer(h, links, d, rotary=False, upper_triangle=not directed, bias=bias)

    def forward(self, batch: Batch) -> GplinkerScores:
        """Scores of all pairs of content tokens."""
        return self.scores(paddle.to_tensor(batch["ids"]), paddle.to_tensor(batch["mask"]))

    def scores(self, ids: paddle.Tensor, mask: paddle.Tensor) -> GplinkerScores:
        """Of texts between [CLS] and [SEP], ``ids`` [b, l + 2], whose content tokens ``mask`` [b, l] says."""
        encoded = self.backbone(ids).hidden  # [b, l + 2, h]
        hidden = dropout(encoded, self.settings.head_dropout, self.training)[:, 1:-1]  # [b, l, h]
        pointers = (self.spans, self.heads, self.tails)
        return GplinkerScores(*(pointer.parts(hidden, mask) if self.settings.head == "efficient" else pointer(hidden, mask) for pointer in pointers))

    # -- training --------------------------------------------------------------------------------------------------
    def divisors(self, batch: Batch) -> dict[str, float]:
        """``texts``: the windows of the batch."""
        return {"texts": float(len(batch["ids"]))}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Multilabel cross entropies of all labels of the three pointers, summed over them and averaged over the texts, []."""
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, GplinkerScores]:
        """The loss [] and the scores that it is made of."""
        texts = (self.divisors(batch) if divisors is None else divisors)["texts"]
        scores = self(batch)
        return self._loss(scores, batch, texts), scores  # []

    @full_precision
    def _loss(self, scores: GplinkerScores, batch: Batch, texts: float) -> paddle.Tensor:
        losses = [pair_cross_entropy(part, batch[name], smoothing=self.settings.label_smoothing) for name, part in scores._asdict().items()]
        return share(losses[0] + losses[1] + losses[2], texts)  # []

    @full_precision
    def divergence(
        self, first: GplinkerScores, second: GplinkerScores, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the scores of two passes are apart (:func:`shared.heads.pair_scores.pair_divergence`), summed and averaged as the loss is, []."""
        texts = (self.divisors(batch) if divisors is None else divisors)["texts"]
        apart = [pair_divergence(one, other, batch[name]) for name, one, other in zip(GplinkerScores._fields, first, second, strict=True)]
        return share(apart[0] + apart[1] + apart[2], texts)  # []

    def replaceable(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """1 at the text and its closing [SEP] [b, l + 2], and the rows' lengths [b]: what :class:`RandomReplacement` takes."""
        return framed_segments(batch["mask"].sum(axis=1).astype(np.int64))  # [b, l + 2], [b]

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    # -- prediction ------------------------------------------------------------------------------------------------
    def network(self, **facts: Any) -> Network:
        """For decoding: ``scores`` of the three pointers, in parts or in full. ``facts``: what the track's decode needs beside them."""
        efficient = self.settings.head == "efficient"
        names = GplinkerScores._fields
        outputs = tuple(f"{name}_{part}" for name in names for part in PairParts._fields) if efficient else names

        def scores(ids: paddle.Tensor, mask: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            found = self.scores(ids, mask)
            return tuple(part for pointer in found for part in pointer) if efficient else tuple(found)

        inputs = {"ids": Input(("b", "t"), "int64"), "mask": Input(("b", "l"))}
        known = {"head": self.settings.head, "spans": self.num_spans, "links": self.num_links, **facts}
        return Network(self, {"scores": Graph(scores, inputs, outputs)}, facts=known)
