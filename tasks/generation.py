"""The model of the designs ``generate``: an encoder under the UniLM mask that reads a text and writes what it says (kexue.fm article 7427).

A row is `[CLS] source [SEP] target [SEP]`, segment 0 and segment 1. The loss is on the target alone, and only its places pass through the tied
head, over the tokens that the row may write (:mod:`tasks.generation_words`), and a pointer at the source's tokens adds to them
(:mod:`shared.heads.copying`). Random replacement (kexue.fm article 7259) changes the target's
inputs, never the source or the labels; the gradient penalty is that of the token embeddings.

Notation: b rows, l tokens, h hidden, t target tokens of the batch, u tokens that some row may write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import paddle
from paddle import nn
from pydantic import Field

from shared import double_backward as twice
from shared.backbone import Backbone
from shared.dropout import dropout
from shared.errors import input_error
from shared.heads import CopyHead, TiedLanguageModelHead
from shared.inference import Network
from shared.losses import HIDDEN, full_precision, share, softmax_divergence, token_cross_entropy
from shared.masks import unilm_mask
from shared.pretrained import Pretrained
from shared.text import Vocabulary
from shared.unilm import UniLM

from .generation_rows import Target, make_rows
from .generation_words import AnyWords, Codes
from .recipe import Recipe, Settings

Batch = Mapping[str, np.ndarray]
_log = logging.getLogger(__name__)


class GenerateSettings(Settings):
    """What the ``[model]`` tables of the models ``generate`` share."""

    max_target: int = Field(200, ge=8, description="tokens of the longest output, its end included")
    head_dropout: float = Field(0.0, ge=0, lt=1)
    copy_size: int = Field(64, ge=0, description="of the pointer that copies tokens of the source; 0: none, the head alone writes")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of a target token's weight that goes to all that its row may write, evenly")


class GenerateDecodeSettings(Settings):
    """The ``[decode]`` table of the models ``generate``."""

    search: Literal["beam", "mbr"] = Field("beam", description="mbr: of `samples` the one that agrees best with the others")
    beam: int = Field(1, ge=1, description="hypotheses of a beam; 1 is greedy search")
    samples: int = Field(8, ge=1, description="mbr only")
    temperature: float = Field(1.0, gt=0, description="mbr only: below 1 samples keep to what is likely")
    top_p: float = Field(1.0, gt=0, le=1, description="mbr only: mass of the likeliest tokens that are drawn from")
    length_penalty: Literal["none", "gnmt", "mean"] = "none"
    length_alpha: float = Field(1.0, ge=0, description="gnmt only: above 0 it favours longer outputs")
    rescore: Literal["none", "spans"] = Field("none", description="spans: what `threshold` of the hypotheses' mass states, from any of them")
    threshold: float = Field(0.5, ge=0, le=1, description="rescore = spans only")
    max_target: int | None = Field(None, ge=8, description="tokens of the longest output, its end included; default that of [model]")


class Generator(nn.Layer):
    """Encoder and tied language-model head, and what the tracks' models share. ``names``: what of the schema stands in outputs.

    The head starts as the identity on an encoder that was trained before (:meth:`TiedLanguageModelHead.start_as_identity`), at random on a new
    one, where the identity would say every token again. Where ``starts_as_identity`` is false it starts at random on any.

    Raises InputError for an encoder that cannot read and write: one segment, a convolution, or fewer positions than a window and the longest
    output take.
    """

    starts_as_identity = True

    def __init__(self, backbone: Backbone, *, names: Sequence[str], settings: GenerateSettings, recipe: Recipe):
        super().__init__()
        config, source_tokens = backbone.config, recipe.features.window + 2
        self.backbone, self.settings, self.names = backbone, settings, tuple(names)
        self.seed = recipe.training.seed
        self.language_model_head = TiedLanguageModelHead(
            config.hidden_size,
            config.vocab_size,
            activation=config.activation,
            eps=config.layer_norm_eps,
            double_backward=config.double_backward,
        )
        if self.starts_as_identity and recipe.encoder.source != "scratch":
            self.language_model_head.start_as_identity()
        size = settings.copy_size
        self.copy_head = CopyHead(config.hidden_size, size, double_backward=config.double_backward) if size else None
        self._codes: tuple[Vocabulary, Any] | None = None
        try:
            self.writer()
            if source_tokens + settings.max_target > config.max_length:
                found = f"model.max_target {settings.max_target} behind texts of {source_tokens} tokens"
                raise ValueError(f"{found} does not fit the {config.max_length} positions of this encoder")
        except ValueError as error:
            remedy = "Lower features.window or model.max_target, or take another encoder or model."
            raise input_error("LIC-E003", found=str(error), expected="an encoder that can read a text and write behind it", remedy=remedy) from error

    def writer(self) -> UniLM:
        """Encoder and head as one network that reads and writes."""
        return UniLM(self.backbone, head=self.language_model_head, copy_head=self.copy_head)

    def adopt(self, found: Pretrained) -> tuple[str, ...]:
        """Starts from the language-model head that came with the encoder, where one did; the names of its tensors."""
        return self.writer().load_head(found)

    def codes(self, vocabulary: Vocabulary) -> Any:
        """How the schema's names are spelled in a vocabulary."""
        if self._codes is None or self._codes[0] is not vocabulary:
            self._codes = vocabulary, self.spelling(vocabulary)
        return self._codes[1]

    def spelling(self, vocabulary: Vocabulary) -> Codes | AnyWords:
        """What outputs are written in, made anew; :meth:`codes` keeps it."""
        return Codes.of_vocabulary(self.names, vocabulary)

    # -- training --------------------------------------------------------------------------------------------------
    def forward(self, batch: Batch) -> paddle.Tensor:
        """Scores of the next token at every place that a target token follows, [t, u] float32; ``HIDDEN`` at what its row may not write."""
        ids, segments = paddle.to_tensor(batch["ids"]), paddle.to_tensor(batch["segments"])  # [b, l], [b, l]
        mask = unilm_mask(segments, ids != self.backbone.config.pad_id)
        hidden = self.backbone(ids, segment_ids=segments, mask=mask).hidden  # [b, l, h]
        rows = twice.gather_rows if self.backbone.config.double_backward else paddle.index_select
        chosen = rows(hidden.reshape([-1, hidden.shape[-1]]), paddle.to_tensor(batch["places"]))  # [t, h]
        chosen = dropout(chosen, self.settings.head_dropout, self.training)  # [t, h]
        words = paddle.to_tensor(batch["words"])  # [u]
        logits = self.language_model_head(chosen, self.backbone.embeddings.token.weight, words)  # [t, u]
        if self.copy_head is not None:
            source = hidden[:, : batch["copied"].shape[1]]  # [b, s, h]
            logits = self.copy_head.with_copies(logits, chosen, source, batch["copied"], batch["owners"])  # [t, u]
        if "writable" not in batch:
            return logits.astype("float32")  # [t, u]
        return _barred(logits, paddle.to_tensor(batch["writable"][batch["owners"]]))  # [t, u]

    def divisors(self, batch: Batch) -> dict[str, float]:
        """``tokens``: target tokens of the batch, ends included."""
        return {"tokens": float(len(batch["labels"]))}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Cross entropy of the target tokens, averaged over them, []; 0 where there is none.

        With label smoothing e: 1 - e of it and e of the mean cross entropy of all tokens that the row may write.
        """
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The loss [] and the logits [t, u] that it is made of."""
        count = (self.divisors(batch) if divisors is None else divisors)["tokens"]
        if not len(batch["labels"]):
            return self._nothing(batch), paddle.zeros([0, len(batch["words"])])  # [], [0, u]
        logits = self(batch)  # [t, u]
        return self._loss(logits, batch, count), logits  # [], [t, u]

    def _nothing(self, batch: Batch) -> paddle.Tensor:
        """0 with a gradient of 0."""
        return self.embedding(paddle.to_tensor(batch["ids"])).sum() * 0.0  # []

    @full_precision
    def _loss(self, logits: paddle.Tensor, batch: Batch, count: float) -> paddle.Tensor:
        labels, smoothing = paddle.to_tensor(batch["labels"]), self.settings.label_smoothing  # [t]
        total = token_cross_entropy(logits, labels, double_backward=self.backbone.config.double_backward) * float(len(batch["labels"]))  # []
        if smoothing:
            u = logits.shape[1]
            allowed = batch["writable"][batch["owners"]] if "writable" in batch else np.ones((1, u))  # [t, u] or [1, u]
            allowed = paddle.to_tensor(allowed.astype(np.float32))  # [t, u] or [1, u]
            flat = paddle.to_tensor(np.arange(len(batch["labels"])) * u + batch["labels"])  # [t]
            picked = paddle.gather(logits.reshape([-1]), flat)  # [t]
            total = total + (picked - (logits * allowed).sum(axis=1) / allowed.sum(axis=1)).sum() * smoothing  # []
        return share(total, count)  # []

    @full_precision
    def divergence(
        self, first: paddle.Tensor, second: paddle.Tensor, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the softmaxes of two passes, logits [t, u] each, are apart, averaged over the target tokens, []."""
        count = (self.divisors(batch) if divisors is None else divisors)["tokens"]
        if not len(batch["labels"]):
            return self._nothing(batch)  # []
        return share(softmax_divergence(first, second).sum(), count)  # []

    def replaceable(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """1 at the target [b, l], its last token behind the ones that may change, and the rows' lengths [b]: what
        :class:`RandomReplacement` takes. Of inputs only ``ids`` change; what is to be written stays what it was."""
        return batch["segments"], batch["lengths"]  # [b, l], [b]

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    # -- batches ---------------------------------------------------------------------------------------------------
    def rows(
        self, sources: Sequence[np.ndarray], texts: Sequence[np.ndarray], vocabulary: Vocabulary, targets: Sequence[Target] | None
    ) -> dict[str, np.ndarray]:
        """One batch of rows, see :func:`make_rows`."""
        return make_rows(sources, texts, self.codes(vocabulary), vocabulary, targets)[0]

    def network(self) -> Network:
        """What decoding steps through, see :class:`shared.seq2seq.Steps`."""
        made = self.writer().network(words=True, layer=self)
        own = {"copies": self.copy_head is not None, "max_target": self.settings.max_target, "seed": self.seed}
        return replace(made, facts={**made.facts, **own})

    def say_cut(self, lengths: np.ndarray) -> None:
        """Says how many targets of ``lengths`` [n], ends included, are longer than ``max_target``: of these the first part alone is taught."""
        over = int((lengths > self.settings.max_target).sum())
        if over:
            _log.warning(
                "%d of %d targets are longer than model.max_target = %d tokens (the longest: %d): whole items beyond it are not taught",
                over, len(lengths), self.settings.max_target, int(lengths.max()),
            )  # fmt: skip


@full_precision
def _barred(logits: paddle.Tensor, writable: paddle.Tensor) -> paddle.Tensor:
    wide = logits.astype("float32")  # [t, u]: HIDDEN is beyond half precision
    return paddle.where(writable, wide, paddle.full_like(wide, HIDDEN))  # [t, u]
