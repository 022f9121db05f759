"""GPLinker: spans by one GlobalPointer, and what belongs together by two more, from head token to head token and from tail to tail.

kexue.fm articles 8888 (relations) and 8926 (events). What both tracks have in common: three pointers on an encoder, the loss over sparse
right pairs, and what training asks of a model. What the labels of the pointers mean is the track's.

Notation: b windows, l content tokens, h hidden, s labels of spans, k labels of links, n right pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import paddle
from paddle import nn
from pydantic import Field, model_validator

from shared.backbone import Backbone
from shared.dropout import dropout
from shared.errors import Problem
from shared.features.ragged import Ragged
from shared.features.rows import framed_rows, framed_segments
from shared.heads.global_pointer import EfficientGlobalPointer, GlobalPointer
from shared.heads.pair_decode import GoldTable, PairTable, pair_table
from shared.heads.pair_scores import Scores, pair_cross_entropy, pair_divergence
from shared.losses import full_precision, share
from shared.text import Vocabulary

from .recipe import Settings, SettingsError

MOST_FULL_LABELS = 1024
SCORES_AT_ONCE = 1 << 25
"""Numbers of a pointer that decoding holds at once, and so the windows that it takes of a batch."""

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


class GplinkerTables(NamedTuple):
    """The same for decoding."""

    spans: PairTable
    heads: PairTable
    tails: PairTable


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
        encoded = self.backbone(paddle.to_tensor(batch["ids"])).hidden  # [b, l + 2, h]
        hidden = dropout(encoded, self.settings.head_dropout, self.training)[:, 1:-1]  # [b, l, h]
        mask = paddle.to_tensor(batch["mask"])  # [b, l]
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
    def tables(self, batch: Batch) -> GplinkerTables:
        """What decoding asks of one batch."""
        with paddle.no_grad():
            return GplinkerTables(*(pair_table(scores) for scores in self(batch)))

    def parts_of(self, rows: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """``rows`` [b] of a batch in parts whose scores fit :data:`SCORES_AT_ONCE`; ``lengths`` [b] in tokens."""
        longest, labels = int(lengths.max(initial=1)), max(self.num_spans, self.num_links)
        each = longest * (longest + 2 * labels) if self.settings.head == "efficient" else longest * longest * labels
        size = max(1, SCORES_AT_ONCE // each)
        for begin in range(0, len(rows), size):
            yield rows[begin : begin + size]


def unlabelled_batch(ids: Ragged, rows: np.ndarray, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """``ids`` [b, l + 2] between [CLS] and [SEP], and ``mask`` [b, l], 1 at content tokens."""
    framed, lengths = framed_rows(ids, rows, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id)  # [b, l + 2], [b]
    return {"ids": framed, "mask": (np.arange(framed.shape[1] - 2) < lengths[:, None]).astype(np.float32)}  # [b, l + 2], [b, l]


def places_of(found: Sequence[Sequence[int]]) -> np.ndarray:
    """Right pairs (row, label, first, last), any number of times each, as the loss takes them: [n, 4] int64, each once."""
    places = np.asarray(found, dtype=np.int64).reshape(-1, 4)  # [n, 4]
    return np.unique(places, axis=0) if len(places) else places  # [n, 4]


def gold_tables(places: Sequence[np.ndarray], *, spans: int, links: int, length: int) -> GplinkerTables:
    """The tables of pointers without fault: ``places`` [n, 4] of spans, heads and tails; ``length``: tokens of the longest window."""
    shapes = ((spans, length), (links, length), (links, length))
    return GplinkerTables(*(GoldTable(one, shape) for one, shape in zip(places, shapes, strict=True)))


def logit(probability: float) -> float:
    """The score that stands for a probability."""
    return float(np.log(probability) - np.log1p(-probability))


def probabilities(scores: np.ndarray) -> np.ndarray:
    """What scores stand for, elementwise, float64."""
    made: np.ndarray = np.exp(-np.logaddexp(0.0, -scores.astype(np.float64)))
    return made
