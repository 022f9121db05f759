"""Argument tagging by conditional random fields (after the LIC2020 event baseline, kexue.fm article 7321).

``per_role``: a three-tag (O, B, I) chain for each (event type, role), so that one span may carry several roles.
``flat``: the article's single chain over O and a B and I tag for each (event type, role): 435 tags with the official schema.

Notation: b batch, l content tokens, h hidden, r chains, k tags a chain, p (type, role) pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import paddle
from paddle import nn
from pydantic import Field

from shared.backbone import Backbone
from shared.dropout import dropout
from shared.features.rows import framed_rows, framed_segments, take_rows
from shared.heads.crf import LinearChainCRF
from shared.heads.crf_decode import bio_constraints
from shared.inference import Graph, Input, Network
from shared.linear import Linear
from shared.losses import full_precision, share, softmax_divergence
from shared.text import Vocabulary

from ...recipe import Settings
from ..features import EventFeatures
from .crf_decode import tag

Batch = Mapping[str, np.ndarray]


class CrfSettings(Settings):
    """The ``[model]`` table of a recipe whose model is ``crf``."""

    name: Literal["crf"] = "crf"
    tagging: Literal["per_role", "flat"] = "per_role"
    transition_rate: float = Field(100.0, gt=0, description="learning rate of the transitions over the encoder's")
    outside_bias: float = Field(4.0, description="initial score of tag O over the others: almost every token is outside")
    text_gate: bool = Field(True, description="per_role: a score of the whole text for each chain, added to its B and I")
    triggers: bool = Field(True, description="per_role: also learn where triggers are, one chain a type; they are not predicted")
    head_dropout: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the gold taggings' weight that goes to random ones; as almost every tag is O, take 0.01 or less"
    )


class EventCrf(nn.Layer):
    """Encoder, one linear layer, CRF chains. ``num_pairs``: (type, role) pairs of the schema; ``num_types``: its types;
    ``head_ratio``: the head's learning rate over the encoder's, for which the transitions' multiplier makes up."""

    def __init__(self, backbone: Backbone, *, num_pairs: int, num_types: int, settings: CrfSettings, head_ratio: float = 1.0):
        super().__init__()
        self.backbone = backbone
        self.settings = settings
        per_role = settings.tagging == "per_role"
        chain_labels, chains = (1, num_pairs + num_types * settings.triggers) if per_role else (num_pairs, 1)
        self.predicted_chains = num_pairs if per_role else 1
        self.num_labels = chains if per_role else num_pairs
        self.allowed, self.allowed_start = bio_constraints(chain_labels)  # [k, k], [k]
        self.num_tags = 2 * chain_labels + 1
        bias = np.zeros((chains, self.num_tags), dtype=np.float32)  # [r, k]
        bias[:, 0] = settings.outside_bias
        self.emit = Linear(
            backbone.config.hidden_size,
            chains * self.num_tags,
            weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02)),
            bias_attr=paddle.ParamAttr(initializer=nn.initializer.Assign(bias.reshape(-1))),
        )  # [h, r * k]
        self.gate = Linear(backbone.config.hidden_size, chains) if per_role and settings.text_gate else None  # [h, r]
        self._outside = paddle.to_tensor(np.eye(1, self.num_tags, dtype=np.float32)[0])  # [k]
        self.crf = LinearChainCRF(
            self.num_tags,
            num_chains=chains,
            allowed=self.allowed,
            allowed_start=self.allowed_start,
            learning_rate_multiplier=settings.transition_rate / head_ratio,
        )

    def forward(self, batch: Batch) -> paddle.Tensor:
        """Emission scores of the content tokens, [b, l, r, k] float32; rows end at ``batch["lengths"]``."""
        return self.emissions(paddle.to_tensor(batch["ids"]))  # [b, l, r, k]

    def emissions(self, ids: paddle.Tensor) -> paddle.Tensor:
        """Of texts between [CLS] and [SEP], ``ids`` [b, l + 2], the emission scores [b, l, r, k] float32."""
        encoded = dropout(self.backbone(ids).hidden, self.settings.head_dropout, self.training)  # [b, l + 2, h]
        hidden = encoded[:, 1:-1]  # [b, l, h]
        emissions = self.emit(hidden).reshape([0, 0, self.crf.num_chains, self.num_tags])  # [b, l, r, k]
        if self.gate is None:
            return emissions.astype("float32")  # [b, l, r, k]
        gate = self.gate(encoded[:, 0]).reshape([0, 1, self.crf.num_chains, 1])  # [b, 1, r, 1]
        return self._gated(emissions, gate)  # [b, l, r, k]

    @full_precision
    def _gated(self, emissions: paddle.Tensor, gate: paddle.Tensor) -> paddle.Tensor:
        return emissions.astype("float32") - gate.astype("float32") * self._outside  # [b, l, r, k]

    def divisors(self, batch: Batch) -> dict[str, float]:
        """``texts``: the windows of the batch."""
        return {"texts": float(len(batch["ids"]))}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Negative log-likelihood of all chains, summed over them and averaged over the texts, [].

        With label smoothing e: the cross entropy against 1 - e of the gold tagging and e of taggings drawn at random, each tag evenly among
        those that may follow the one before.
        """
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The loss [] and the emission scores [b, l, r, k] that it is made of."""
        texts = (self.divisors(batch) if divisors is None else divisors)["texts"]
        emissions = self(batch)  # [b, l, r, k]
        return self._loss(emissions, batch, texts), emissions  # [], [b, l, r, k]

    @full_precision
    def _loss(self, emissions: paddle.Tensor, batch: Batch, texts: float) -> paddle.Tensor:
        tags, lengths = paddle.to_tensor(batch["tags"]), paddle.to_tensor(batch["lengths"])  # [b, l, r], [b]
        losses, smoothing = self.crf(emissions, tags, lengths), self.settings.label_smoothing  # [b, r]
        if smoothing:
            away = self.crf.path_score(emissions, tags, lengths) - self.crf.random_score(emissions, lengths)  # [b, r]
            losses = losses + away * smoothing  # [b, r]
        return share(losses.sum(), texts)  # []

    @full_precision
    def divergence(
        self, first: paddle.Tensor, second: paddle.Tensor, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the emissions [b, l, r, k] of two passes are apart: the symmetric divergence of their softmaxes over the tags, [].

        Summed over tokens and chains and averaged over the texts, as the loss is. Transitions are left out: dropout does not touch them.
        """
        texts = (self.divisors(batch) if divisors is None else divisors)["texts"]
        real = np.arange(first.shape[1]) < batch["lengths"][:, None]  # [b, l]
        apart = softmax_divergence(first, second).sum(axis=2) * paddle.to_tensor(real.astype(np.float32))  # [b, l]
        return share(apart.sum(), texts)  # []

    def replaceable(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """1 at the text and its closing [SEP] [b, l + 2], and the rows' lengths [b]: what :class:`RandomReplacement` takes."""
        return framed_segments(batch["lengths"])  # [b, l + 2], [b]

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    def network(self) -> Network:
        """For decoding: ``emissions`` of the chains that are predicted, and their ``transitions``."""
        predicted = self.predicted_chains

        def emissions(ids: paddle.Tensor) -> tuple[paddle.Tensor]:
            return (self.emissions(ids)[:, :, :predicted],)  # [b, l, r, k]

        with paddle.no_grad():
            transitions = self.crf.masked_transitions()[:predicted].numpy()  # [r, k, k]
        return Network(
            self,
            {"emissions": Graph(emissions, {"ids": Input(("b", "t"), "int64")}, ("emissions",))},
            constants={"transitions": transitions},
            facts={"tagging": self.settings.tagging},
        )

    def training_lengths(self, features: EventFeatures) -> np.ndarray:
        """Tokens of each window, [w]."""
        return features.lengths

    def collate(
        self, features: EventFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch: ``ids`` [b, l + 2], ``lengths`` [b] (content tokens) and, when labelled, ``tags`` [b, l, r]. Nothing is drawn."""
        ids, lengths = framed_rows(
            features.ids, rows, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id
        )  # [b, l + 2], [b]
        batch = {"ids": ids, "lengths": lengths}
        if labelled:
            tags = np.zeros((len(ids), ids.shape[1] - 2, self.crf.num_chains), dtype=np.int64)  # [b, l, r]
            spans, counts = take_rows(features.spans, rows)  # [n, 3], [b]
            for own, part in zip(tags, np.split(spans, np.cumsum(counts)[:-1]), strict=True):
                tag(own, part, self.num_labels, self.settings.tagging)
            batch["tags"] = tags
        return batch
