"""The answer as one span of the passage: a softmax for its first and one for its last token (kexue.fm article 7321), over the passage alone.

The windows of one question share their softmaxes, in training and in prediction (shared normalisation, arXiv 1710.10723), so that a window
without the answer learns to say so. A token's probability is that of all windows that see it: which of two windows finds an answer that both
hold is left to them. Every place of every reference is right: the loss is that of all of them together.

Notation: b windows, l tokens, h hidden, u questions, s answer places, one for every two windows of which one sees its first, one its last token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal

import numpy as np
import paddle
from paddle import nn
from pydantic import Field

from shared.backbone import Backbone
from shared.dropout import dropout
from shared.features.batches import pad
from shared.linear import Linear
from shared.text import Vocabulary

from ...recipe import Settings
from ..features import ReadingFeatures

NOWHERE = -1e9

Window = tuple[int, int, int]
"""(window, begin, end), see :meth:`ReadingFeatures.windows_of`"""
Place = tuple[tuple[int, int, int], tuple[int, int, int]]
"""(row, position, 0) of an answer's first and (row, position, 1) of its last token: where they are in the logits"""


class SpanSettings(Settings):
    """The ``[model]`` table of a recipe whose model is ``span``."""

    name: Literal["span"] = "span"
    train_windows: int = Field(4, ge=1, description="windows of one question in a training step: one with the answer, others at random")
    head_dropout: float = Field(0.1, ge=0, lt=1)
    word_in_question: bool = Field(False, description="tell the encoder which passage tokens the question has, alone or in a pair")


class ReadingSpan(nn.Layer):
    """Encoder of ``[CLS] question [SEP] passage [SEP]`` and one linear layer."""

    def __init__(self, backbone: Backbone, *, settings: SpanSettings, seed: int = 0):
        super().__init__()
        self.backbone, self.settings, self.seed = backbone, settings, seed
        normal = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02))
        self.project = Linear(backbone.config.hidden_size, 2, weight_attr=normal)  # [h, 2]
        zero = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))  # a pretrained encoder starts undisturbed
        self.asked = nn.Embedding(3, backbone.config.hidden_size, weight_attr=zero) if settings.word_in_question else None  # [3, h]

    def forward(self, batch: Mapping[str, np.ndarray]) -> paddle.Tensor:
        """Logits of first and last answer token, [b, l, 2]; outside the passage ``NOWHERE``."""
        segments = paddle.to_tensor(batch["segments"]) if self.backbone.config.num_segments > 1 else None  # [b, l]
        added = None if self.asked is None else self.asked(paddle.to_tensor(batch["asked"]))  # [b, l, h]
        encoded = self.backbone(paddle.to_tensor(batch["ids"]), segment_ids=segments, added=added)
        hidden = dropout(encoded.hidden, self.settings.head_dropout, self.training)  # [b, l, h]
        passage = paddle.to_tensor(batch["passage"]).unsqueeze(-1).expand([-1, -1, 2])  # [b, l, 2]
        logits = self.project(hidden)  # [b, l, 2]
        return paddle.where(passage, logits, paddle.full_like(logits, NOWHERE))  # [b, l, 2]

    def loss(self, batch: Mapping[str, np.ndarray]) -> paddle.Tensor:
        """Negative log-likelihood of all answer places together, halved (the mean of the two ends for a single place), [].

        Averaged over the questions of the batch that have a place; 0 where none has.
        """
        logits = self(batch)  # [b, l, 2]
        if not len(batch["places"]):
            return logits[:, 0, 0].sum() * 0.0  # []
        of_window = paddle.logsumexp(logits, axis=1)  # [b, 2]
        windows, present = paddle.to_tensor(batch["windows_of"]), paddle.to_tensor(batch["windows_there"])  # [u, w], [u, w]
        together = paddle.gather(of_window, windows.reshape([-1])).reshape([*windows.shape, 2])  # [u, w, 2]
        there = present.unsqueeze(-1).expand(together.shape)  # [u, w, 2]
        total = paddle.logsumexp(paddle.where(there, together, paddle.full_like(together, NOWHERE)), axis=1).sum(axis=1)  # [u]
        starts, ends = (paddle.gather_nd(logits, paddle.to_tensor(batch["places"][:, end])) for end in (0, 1))  # [s], [s]
        places, known = paddle.to_tensor(batch["places_of"]), paddle.to_tensor(batch["places_there"])  # [u, s'], [u, s']
        scores = paddle.gather(starts + ends, places.reshape([-1])).reshape(places.shape)  # [u, s']
        gold = paddle.logsumexp(paddle.where(known, scores, paddle.full_like(scores, NOWHERE)), axis=1)  # [u]
        return (total - gold).mean() * 0.5  # []

    def outputs(self, batch: Mapping[str, np.ndarray], *, padded_tokens: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Logits of first and last token over the passage tokens of every window, ([c], [c]) each; ``padded_tokens`` go in at once."""
        found = []
        b, l = batch["ids"].shape
        at_once = max(1, padded_tokens // l)
        for begin in range(0, b, at_once):
            part = {name: batch[name][begin : begin + at_once] for name in ("ids", "segments", "passage", "asked")}
            with paddle.no_grad():
                logits = self(part).numpy()  # [b', l, 2]
            found += [(row[inside, 0], row[inside, 1]) for row, inside in zip(logits, part["passage"], strict=True)]
        return found

    def training_lengths(self, features: ReadingFeatures) -> np.ndarray:
        """Tokens of each question with the windows that a training step takes of it, [n]."""
        counts = np.minimum(np.diff(features.first), self.settings.train_windows)  # [n]
        sizes = features.ids.lengths[features.first[:-1]]  # [n]: windows of one passage are equally long
        lengths: np.ndarray = counts * (sizes + features.questions.lengths + 3)  # [n]
        return lengths

    def collate(self, features: ReadingFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool) -> dict[str, np.ndarray]:
        """One batch of the questions ``rows``: ``ids``, ``segments``, ``passage``, ``asked`` [b, l], ``numbers`` [b] (windows).

        Labelled, for the questions that have a place (u of them, in ``rows``' order): ``places`` [s, 2, 3], where the logits of an answer's
        first and last token are, and as indices with their masks ``windows_of``, ``windows_there`` [u, w], ``places_of``,
        ``places_there`` [u, s']. Which windows of a long passage are taken depends on the model's seed and ``rows`` alone.
        """
        generator = np.random.default_rng([self.seed, *np.asarray(rows).tolist()])
        numbers: list[int] = []
        places: list[Place] = []
        windows_of: list[list[int]] = []
        places_of: list[list[int]] = []
        for row in rows:
            own = features.windows_of(row)
            spans = sorted({(first, last) for _, first, last in features.answers[row].tolist()}) if labelled else []
            if labelled and len(own) > self.settings.train_windows:
                own = _sampled(own, spans, self.settings.train_windows, generator)
            at = len(numbers)
            numbers += [number for number, _, _ in own]
            found = _places(own, spans, at, before=len(features.questions[row]) + 2)
            if found:
                windows_of.append(list(range(at, len(numbers))))
                places_of.append(list(range(len(places), len(places) + len(found))))
                places += found
        batch = self._inputs(features, numbers, vocabulary)
        if labelled:
            batch["places"] = np.asarray(places, dtype=np.int64).reshape(-1, 2, 3)  # [s, 2, 3]
            batch["windows_of"], batch["windows_there"] = _index(windows_of)  # [u, w], [u, w]
            batch["places_of"], batch["places_there"] = _index(places_of)  # [u, s'], [u, s']
        return batch

    def _inputs(self, features: ReadingFeatures, numbers: Sequence[int], vocabulary: Vocabulary) -> dict[str, np.ndarray]:
        ids, segments, passage, asked = [], [], [], []
        for number in numbers:
            question, words = features.questions[int(features.windows[number, 0])], features.ids[number]
            ids.append(np.concatenate(([vocabulary.cls_id], question, [vocabulary.sep_id], words, [vocabulary.sep_id])))
            segments.append(np.repeat([0, 1], [len(question) + 2, len(words) + 1]))
            passage.append(np.repeat([0, 1, 0], [len(question) + 2, len(words), 1]))
            asked.append(np.pad(mark_asked(question, words), (len(question) + 2, 1)))
        return {
            "ids": pad(ids, value=vocabulary.pad_id),  # [b, l]
            "segments": pad(segments),  # [b, l]
            "passage": pad(passage, dtype=np.bool_),  # [b, l]
            "asked": pad(asked),  # [b, l]
            "numbers": np.asarray(numbers, dtype=np.int64),  # [b]
        }


def mark_asked(question: np.ndarray, words: np.ndarray) -> np.ndarray:
    """1 where the question has the token too, 2 where it has it together with a neighbour, else 0; [c].

    The word-in-question feature of FastQA (arXiv 1703.04816), with pairs, since a Chinese token is a character and most words have two.
    """
    found = np.isin(words, question).astype(np.int64)  # [c]
    ours, theirs = (tokens[:-1].astype(np.int64) << 32 | tokens[1:] for tokens in (words, question))  # [c - 1], [q - 1]
    at = np.flatnonzero(np.isin(ours, theirs))
    found[at] = found[at + 1] = 2
    return found


def _holds(window: Window, span: tuple[int, int]) -> bool:
    return window[1] <= span[0] and span[1] < window[2]


def _places(own: Sequence[Window], spans: Sequence[tuple[int, int]], at: int, *, before: int) -> list[Place]:
    """Where the logits of the first and of the last token of ``spans`` are, for spans that one of the windows holds whole.

    ``at``: the first window's row in the batch; ``before``: tokens of an input before those of the passage. Of two windows that see a token,
    each gives a place: the product of two sums is the sum of all products.
    """
    found: list[Place] = []
    for span in spans:
        if any(_holds(window, span) for window in own):
            firsts, lasts = (
                [(at + k, before + token - begin, side) for k, (_, begin, end) in enumerate(own) if begin <= token < end]
                for side, token in enumerate(span)
            )
            found += product(firsts, lasts)
    return found


def _sampled(own: Sequence[Window], spans: Sequence[tuple[int, int]], count: int, generator: np.random.Generator) -> list[Window]:
    """``count`` of the windows ``own``, in order, one that holds one of ``spans`` whole (if any does) among them."""
    answering = [k for k, window in enumerate(own) if any(_holds(window, span) for span in spans)]
    chosen = [int(generator.choice(answering))] if answering else []
    rest = [k for k in range(len(own)) if k not in chosen]
    chosen += generator.choice(rest, count - len(chosen), replace=False).tolist()
    return [own[k] for k in sorted(chosen)]


def _index(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of indices padded with 0, and where they are real: [u, longest] int64 and bool."""
    index = pad([np.asarray(row) for row in rows])  # [u, longest]
    return index, np.arange(index.shape[1]) < np.asarray([len(row) for row in rows])[:, None]  # [u, longest], [u, longest]
