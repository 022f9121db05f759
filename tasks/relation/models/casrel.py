"""Subjects first, then every subject's objects: CasRel as the LIC2020 relation baseline has it (kexue.fm articles 7161 and 7321), mended.

A half pointer marks subjects; the encoder's last normalisation, made anew and conditional on a subject, feeds a half pointer with a label for
each (predicate, slot). What the baseline loses is kept: all subjects of a text are trained on in every step, wrong ones are sampled on
purpose, every mention is labelled, and a small head links the slots that belong to one object.

Notation: b windows, l content tokens, h hidden, n subjects, p (predicate, slot) pairs, m pairs of spans.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from pydantic import Field

from shared.backbone import Backbone
from shared.dropout import dropout
from shared.features.ragged import Ragged
from shared.features.rows import framed_rows, framed_segments, row_draws, take_rows
from shared.heads.half_pointer import HalfPointer
from shared.inference import Graph, Input, Network
from shared.linear import Linear
from shared.losses import full_precision, powered_bce, powered_divergence, share
from shared.norms import ConditionalLayerNorm
from shared.text import Vocabulary

from ...recipe import Settings
from ..features import RelationFeatures
from .casrel_decode import link_types

DISTANCES = 64
WRONG_DRAWS = 3

Batch = Mapping[str, np.ndarray]


class CasrelSettings(Settings):
    """The ``[model]`` table of a recipe whose model is ``casrel``."""

    name: Literal["casrel"] = "casrel"
    subject_power: int = Field(2, ge=1, description="a subject tag's probability is the sigmoid to this power")
    object_power: int = Field(4, ge=1)
    tag_bias: float = Field(-2.0, description="initial logit of every tag: almost no token bears one")
    negatives: int = Field(1, ge=0, description="wrong subjects a window and step, from spans that look like subjects")
    link_size: int = Field(64, ge=1, description="width of the layer that links slots")
    head_dropout: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="e: a tag is taught as 1 - e/2 or e/2, not 1 or 0 (links as they are); as tags are rare, take 0.01 or less"
    )


class CasrelLogits(NamedTuple):
    """What the loss is made of: ``subjects`` [b, l, 1, 2]; ``objects`` [n, l, p, 2] and ``links`` [m], None where nothing is asked."""

    subjects: paddle.Tensor
    objects: paddle.Tensor | None
    links: paddle.Tensor | None


class RelationCasrel(nn.Layer):
    """``pairs``: the schema's (predicate, slot) pairs."""

    def __init__(self, backbone: Backbone, *, pairs: Sequence[tuple[str, str]], settings: CasrelSettings, seed: int = 0):
        super().__init__()
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.num_pairs = len(pairs)
        self.link_types = link_types(pairs)
        h = backbone.config.hidden_size
        self.subject = HalfPointer(h, 1, power=settings.subject_power, bias=settings.tag_bias)
        self.norm = ConditionalLayerNorm(h, 2 * h, eps=backbone.config.layer_norm_eps)
        self.object = HalfPointer(h, self.num_pairs, power=settings.object_power, bias=settings.tag_bias)
        small = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02))
        self.link_left = Linear(2 * h, settings.link_size, weight_attr=small)
        self.link_right = Linear(2 * h, settings.link_size, weight_attr=small)
        self.link_distance = nn.Embedding(2 * DISTANCES + 1, settings.link_size, weight_attr=small)
        self.link = Linear(settings.link_size, max(1, len(self.link_types)), weight_attr=small)

    # -- training --------------------------------------------------------------------------------------------------
    def divisors(self, batch: Batch) -> dict[str, float]:
        """``tokens``: real tokens of the windows (subjects and links); ``subject_tokens``: those that the asked subjects see (objects)."""
        lengths = batch["mask"].sum(axis=1, dtype=np.float64)  # [b]
        return {"tokens": float(lengths.sum()), "subject_tokens": float(lengths[batch["rows"]].sum())}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Subject, object and link losses, summed, []. With label smoothing e the tags t are ``(1 - e) t + e / 2``."""
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, CasrelLogits]:
        """The loss [] and the logits that it is made of."""
        hidden, features = self._encode(paddle.to_tensor(batch["ids"]))  # [b, l, h], [b, l, h]
        subjects, objects, links = self.subject(hidden), None, None  # [b, l, 1, 2]
        if len(batch["rows"]):
            seen = self._condition(features, paddle.to_tensor(batch["rows"]), paddle.to_tensor(batch["spans"]))  # [n, l, h]
            objects = self.object(seen)  # [n, l, p, 2]
            links = self._link(seen, paddle.to_tensor(batch["links"])) if len(batch["links"]) else None  # [m]
        logits = CasrelLogits(subjects, objects, links)
        return self._loss(logits, batch, self.divisors(batch) if divisors is None else divisors), logits

    @full_precision
    def _loss(self, logits: CasrelLogits, batch: Batch, divisors: Mapping[str, float]) -> paddle.Tensor:
        tokens = paddle.to_tensor(batch["mask"])  # [b, l]
        total = self.subject.loss(logits.subjects, self._targets(batch["subjects"]), tokens, divisor=divisors["tokens"])  # []
        if logits.objects is not None:
            mask = paddle.index_select(tokens, paddle.to_tensor(batch["rows"]))  # [n, l]
            total = total + self.object.loss(logits.objects, self._targets(batch["objects"]), mask, divisor=divisors["subject_tokens"])  # []
        if logits.links is not None:
            wrong = powered_bce(logits.links, paddle.to_tensor(batch["linked"]), 1).sum()  # []
            total = total + share(wrong, divisors["tokens"])  # []: on the scale of the tags, or the few links would drown them
        return total

    @full_precision
    def divergence(
        self, first: CasrelLogits, second: CasrelLogits, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the probabilities of tags and links in two passes are apart, each part summed and averaged as its loss, []."""
        divisors = self.divisors(batch) if divisors is None else divisors
        tokens = paddle.to_tensor(batch["mask"])  # [b, l]
        total = self.subject.divergence(first.subjects, second.subjects, tokens, divisor=divisors["tokens"])  # []
        if first.objects is not None:
            mask = paddle.index_select(tokens, paddle.to_tensor(batch["rows"]))  # [n, l]
            total = total + self.object.divergence(first.objects, second.objects, mask, divisor=divisors["subject_tokens"])  # []
        if first.links is not None:
            total = total + share(powered_divergence(first.links, second.links, 1).sum(), divisors["tokens"])  # []
        return total

    def replaceable(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """1 at the text and its closing [SEP] [b, l + 2], and the rows' lengths [b]: what :class:`RandomReplacement` takes."""
        return framed_segments(batch["mask"].sum(axis=1).astype(np.int64))  # [b, l + 2], [b]

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    def _targets(self, tags: np.ndarray) -> paddle.Tensor:
        targets, smoothing = paddle.to_tensor(tags), self.settings.label_smoothing  # [b, l, k, 2]
        return targets * (1.0 - smoothing) + smoothing * 0.5 if smoothing else targets  # [b, l, k, 2]

    def _encode(self, ids: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        encoded = self.backbone(ids)
        rate = self.settings.head_dropout
        hidden = dropout(encoded.hidden, rate, self.training)[:, 1:-1]  # [b, l, h]
        return hidden, dropout(encoded.pre_norm, rate, self.training)[:, 1:-1]  # [b, l, h]

    def _condition(self, features: paddle.Tensor, rows: paddle.Tensor, spans: paddle.Tensor) -> paddle.Tensor:
        """``features`` [b, l, h] normalised anew for the subjects ``spans`` [n, 2] of the windows ``rows`` [n]: [n, l, h]."""
        first = paddle.gather_nd(features, paddle.stack([rows, spans[:, 0]], axis=1))  # [n, h]
        last = paddle.gather_nd(features, paddle.stack([rows, spans[:, 1]], axis=1))  # [n, h]
        return self.norm(paddle.index_select(features, rows), paddle.concat([first, last], axis=1))  # [n, l, h]

    def _link(self, seen: paddle.Tensor, links: paddle.Tensor) -> paddle.Tensor:
        """Logits [m] that two spans are slots of one object. ``links`` [m, 6]: subject, type, first, last, first, last."""
        subject, kind = links[:, 0], links[:, 1]  # [m], [m]

        def ends(first: int) -> paddle.Tensor:
            vectors = [paddle.gather_nd(seen, paddle.stack([subject, links[:, first + end]], axis=1)) for end in (0, 1)]  # [m, h], [m, h]
            return paddle.concat(vectors, axis=1)  # [m, 2h]

        # not clip: paddle.inference leaves whole numbers as they are there
        furthest = paddle.full([1], DISTANCES, links.dtype)  # [1]
        gap = paddle.minimum(paddle.maximum(links[:, 4] - links[:, 2], -furthest), furthest) + DISTANCES  # [m]
        distance = self.link_distance(gap)  # [m, k]
        hidden = F.tanh(self.link_left(ends(2)) + self.link_right(ends(4)) + distance)  # [m, k]
        scores = self.link(hidden)  # [m, t]
        of_type = F.one_hot(kind, scores.shape[1]).astype(scores.dtype)  # [m, t]
        return (scores * of_type).sum(axis=1).astype("float32")  # [m]

    def training_lengths(self, features: RelationFeatures) -> np.ndarray:
        """Tokens of each window, [w]."""
        return features.lengths

    def collate(
        self, features: RelationFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch: ``ids`` [b, l + 2], ``mask`` [b, l] and, when labelled, ``subjects`` [b, l, 1, 2]; of each distinct gold subject one
        mention, and wrong subjects: ``rows`` [n], ``spans`` [n, 2], ``objects`` [n, l, p, 2]; ``links`` [m, 6] with ``linked`` [m].

        What is drawn for a window depends on the model's seed, the epoch and the window alone.
        """
        ids, lengths = framed_rows(
            features.ids, rows, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id
        )  # [b, l + 2], [b]
        longest = ids.shape[1] - 2
        mask = (np.arange(longest) < lengths[:, None]).astype(np.float32)  # [b, l]
        batch: dict[str, np.ndarray] = {"ids": ids, "mask": mask}
        if not labelled:
            return batch
        gold, found, linked = (_by_row(part, rows) for part in (features.subjects, features.objects, features.links))
        numbers = max(max((number for number, _, _ in own), default=-1) for own in gold) + 1
        wrongs = WRONG_DRAWS * self.settings.negatives  # the first draws: how many others there are depends on the batch
        draws = row_draws(self.seed, epoch, rows, wrongs + numbers)  # [b, d]
        where: list[int] = []
        asked: list[Sequence[int]] = []
        objects: list[tuple[int, ...]] = []
        links: list[tuple[int, ...]] = []
        for position, (subjects, own, pairs, drawn, length) in enumerate(zip(gold, found, linked, draws.tolist(), lengths.tolist(), strict=True)):
            before = len(where)
            objects += [(before + number, *slot) for number, *slot in own]
            for number in range(max((number for number, _, _ in subjects), default=-1) + 1):
                mentions = [mention for other, *mention in subjects if other == number]
                asked.append(mentions[int(drawn[wrongs + number] * len(mentions))])
                slots = sorted(tuple(slot) for other, *slot in own if other == number)
                links += self._link_rows(len(where), slots, {tuple(link) for other, *link in pairs if other == number})
                where.append(position)
            spans = ([(first, last) for _, first, last in subjects], [(first, last) for _, _, first, last in own])
            wrong = wrong_subjects(*spans, length, [drawn[at : at + WRONG_DRAWS] for at in range(0, wrongs, WRONG_DRAWS)])
            asked += wrong
            where += [position] * len(wrong)
        owners = [(position, 0, first, last) for position, subjects in enumerate(gold) for _, first, last in subjects]
        batch["subjects"] = _tags(owners, len(ids), longest, 1)  # [b, l, 1, 2]
        batch["rows"] = np.asarray(where, dtype=np.int64)  # [n]
        batch["spans"] = np.asarray(asked, dtype=np.int64).reshape(-1, 2)  # [n, 2]
        batch["objects"] = _tags(objects, len(where), longest, self.num_pairs)  # [n, l, p, 2]
        table = np.asarray(links, dtype=np.int64).reshape(-1, 7)  # [m, 7]
        batch["links"], batch["linked"] = table[:, :6], table[:, 6].astype(np.float32)  # [m, 6], [m]
        return batch

    def _link_rows(self, subject: int, spans: Sequence[tuple[int, ...]], gold: Collection[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Every two ``spans`` of different slots of one predicate: (subject, type, first, last, first, last, linked)."""
        return [
            (subject, self.link_types[left[0], right[0]], *left[1:], *right[1:], int((*left, *right) in gold))
            for left, right in combinations(spans, 2)
            if (left[0], right[0]) in self.link_types
        ]

    # -- prediction ------------------------------------------------------------------------------------------------
    def network(self) -> Network:
        """For decoding: ``read`` a batch of windows, then ask for ``objects`` of subjects in it, then for ``links`` of their slots."""

        def read(ids: paddle.Tensor, mask: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            hidden, features = self._encode(ids)  # [b, l, h], [b, l, h]
            found = self.subject.probabilities(self.subject(hidden))[:, :, 0]  # [b, l, 2]
            return found * mask.unsqueeze(-1), features  # [b, l, 2], [b, l, h]

        def objects(features: paddle.Tensor, mask: paddle.Tensor, rows: paddle.Tensor, spans: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            seen = self._condition(features, rows, spans)  # [n, l, h]
            real = paddle.index_select(mask, rows).unsqueeze([2, 3])  # [n, l, 1, 1]
            return self.object.probabilities(self.object(seen)) * real, seen  # [n, l, p, 2], [n, l, h]

        def links(seen: paddle.Tensor, links: paddle.Tensor) -> tuple[paddle.Tensor]:
            return (F.sigmoid(self._link(seen, links)),)  # [m]

        h = self.backbone.config.hidden_size
        mask, features, seen = Input(("b", "l")), Input(("b", "l", h)), Input(("n", "l", h))
        rows, spans = Input(("n",), "int64"), Input(("n", 2), "int64")
        return Network(
            self,
            {
                "read": Graph(read, {"ids": Input(("b", "t"), "int64"), "mask": mask}, ("subjects", "features")),
                "objects": Graph(objects, {"features": features, "mask": mask, "rows": rows, "spans": spans}, ("objects", "seen")),
                "links": Graph(links, {"seen": seen, "links": Input(("m", 6), "int64")}, ("linked",)),
            },
        )


def wrong_subjects(
    subjects: Sequence[tuple[int, int]], objects: Sequence[tuple[int, int]], length: int, draws: Sequence[Sequence[float]]
) -> list[tuple[int, int]]:
    """Spans that are no subject, as decoding may come upon them: from a subject's start to another's end, objects, any short span.

    ``subjects`` and ``objects`` are inclusive token spans of a window of ``length`` tokens; ``draws``: for each wrong subject wanted three
    numbers in [0, 1): which kind, which one or where, how long. Fewer come back where a short span hits a subject.
    """
    gold = set(subjects)
    crossed = {(start, end) for start, _ in gold for _, end in gold if start <= end} - gold
    near = sorted(crossed | (set(objects) - gold))
    found: list[tuple[int, int]] = []
    for kind, which, extra in draws:
        if near and kind < 0.8:
            found.append(near[int(which * len(near))])
            continue
        start = int(which * length)
        span = (start, min(length - 1, start + int(extra * 6)))
        if span not in gold:
            found.append(span)
    return found


def _by_row(ragged: Ragged, rows: np.ndarray) -> list[list[tuple[int, ...]]]:
    """The values of each of ``rows``, as tuples."""
    values, counts = take_rows(ragged, rows)  # [n, w], [b]
    every = list(map(tuple, values.tolist()))
    ends = np.cumsum(counts).tolist()
    return [every[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]


def _tags(spans: Sequence[tuple[int, ...]], rows: int, length: int, labels: int) -> np.ndarray:
    """Spans of (row, label, first, last) as taggings, [rows, length, labels, 2] float32."""
    places = np.asarray(spans, dtype=np.int64).reshape(-1, 4)  # [n, 4]
    tags = np.zeros((rows, length, labels, 2), dtype=np.float32)  # [rows, l, k, 2]
    for end in (0, 1):
        tags[places[:, 0], places[:, 2 + end], places[:, 1], end] = 1.0
    return tags
