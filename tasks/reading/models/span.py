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
from shared.features.rows import row_draws
from shared.linear import Linear
from shared.losses import full_precision, share
from shared.text import Vocabulary

from ...recipe import Settings
from ..features import ReadingFeatures

NOWHERE = -1e9

Batch = Mapping[str, np.ndarray]
Window = tuple[int, int, int]
"""(window, begin, end), see :meth:`ReadingFeatures.windows_of`"""
Place = tuple[tuple[int, int, int], tuple[int, int, int]]
"""(row, position, 0) of an answer's first and (row, position, 1) of its last token: where they are in the logits"""


class SpanSettings(Settings):
    """The ``[model]`` table of a recipe whose model is ``span``."""

    name: Literal["span"] = "span"
    train_windows: int = Field(4, ge=1, description="windows of one question in a training step: one with the answer, others at random")
    head_dropout: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of an answer's weight that goes to all tokens of its passage, evenly")
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

    def forward(self, batch: Batch) -> paddle.Tensor:
        """Logits of first and last answer token, [b, l, 2] float32; outside the passage ``NOWHERE``."""
        segments = paddle.to_tensor(batch["segments"]) if self.backbone.config.num_segments > 1 else None  # [b, l]
        added = None if self.asked is None else self.asked(paddle.to_tensor(batch["asked"]))  # [b, l, h]
        encoded = self.backbone(paddle.to_tensor(batch["ids"]), segment_ids=segments, added=added)
        hidden = dropout(encoded.hidden, self.settings.head_dropout, self.training)  # [b, l, h]
        return _within(self.project(hidden), paddle.to_tensor(batch["passage"]))  # [b, l, 2]

    def divisors(self, batch: Batch) -> dict[str, float]:
        """``questions``: those of the batch that have a place."""
        return {"questions": float(len(batch["windows_of"]))}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Negative log-likelihood of all answer places together, halved (the mean of the two ends for a single place), [].

        Averaged over the questions that have a place; 0 where none has. With label smoothing e: 1 - e of it and e of the cross entropy
        against first and last tokens drawn evenly from the question's windows.
        """
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The loss [] and the logits [b, l, 2] that it is made of."""
        logits = self(batch)  # [b, l, 2]
        return self._loss(logits, batch, self.divisors(batch) if divisors is None else divisors), logits  # [], [b, l, 2]

    @full_precision
    def _loss(self, logits: paddle.Tensor, batch: Batch, divisors: Mapping[str, float]) -> paddle.Tensor:
        if not len(batch["places"]):
            return logits[:, 0, 0].sum() * 0.0  # []
        total = _totals(logits, batch).sum(axis=1)  # [u]
        starts, ends = (paddle.gather_nd(logits, paddle.to_tensor(batch["places"][:, end])) for end in (0, 1))  # [s], [s]
        places, known = paddle.to_tensor(batch["places_of"]), paddle.to_tensor(batch["places_there"])  # [u, s'], [u, s']
        scores = paddle.gather(starts + ends, places.reshape([-1])).reshape(places.shape)  # [u, s']
        gold = paddle.logsumexp(paddle.where(known, scores, paddle.full_like(scores, NOWHERE)), axis=1)  # [u]
        smoothing = self.settings.label_smoothing
        if smoothing:
            gold = gold * (1.0 - smoothing) + _means(logits, batch) * smoothing  # [u]
        return share((total - gold).sum() * 0.5, divisors["questions"])  # []

    @full_precision
    def divergence(
        self, first: paddle.Tensor, second: paddle.Tensor, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the shared softmaxes of two passes, logits [b, l, 2] each, are apart: both directions averaged, and both ends, [].

        Averaged over the questions that have a place, as the loss is.
        """
        if not len(batch["places"]):
            return first[:, 0, 0].sum() * 0.0  # []
        owners = np.full(len(batch["ids"]), -1)  # [b]
        owners[batch["windows_of"][batch["windows_there"]]] = np.nonzero(batch["windows_there"])[0]
        inside = paddle.to_tensor(batch["passage"] & (owners >= 0)[:, None]).unsqueeze(-1).expand(first.shape)  # [b, l, 2]
        of_row = paddle.to_tensor(np.maximum(owners, 0))  # [b]
        logs = []
        for logits in (first, second):
            log = logits - paddle.gather(_totals(logits, batch), of_row).unsqueeze(1)  # [b, l, 2]
            logs.append(paddle.where(inside, log, paddle.zeros_like(log)))  # [b, l, 2]
        left, right = logs
        apart = ((paddle.exp(left) - paddle.exp(right)) * (left - right)).sum()  # []
        return share(apart * 0.25, (self.divisors(batch) if divisors is None else divisors)["questions"])  # []

    def replaceable(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """1 at the passage and its closing [SEP] [b, l], and the rows' lengths [b]: what :class:`RandomReplacement` takes.

        ``asked`` stays what it was: it tells of the passage as it stands, and so do the answers' places.
        """
        segments = batch["segments"]  # [b, l]
        return segments, segments.shape[1] - segments[:, ::-1].argmax(axis=1)  # [b, l], [b]

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    def outputs(self, batch: Batch, *, padded_tokens: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Logits of first and last token over the passage tokens of every window, ([c], [c]) each; ``padded_tokens`` go in at once."""
        found = []
        b, l = batch["ids"].shape
        at_once = max(1, padded_tokens // l)
        for begin in range(0, b, at_once):
            part = {name: batch[name][begin : begin + at_once] for name in ("ids", "segments", "passage", "asked") if name in batch}
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

    def collate(
        self, features: ReadingFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch of the questions ``rows``: ``ids``, ``segments``, ``passage`` [b, l], ``numbers`` [b] (windows); ``asked`` [b, l] where
        the model reads it.

        Labelled, for the questions that have a place (u of them, in ``rows``' order): ``places`` [s, 2, 3], where the logits of an answer's
        first and last token are, and as indices with their masks ``windows_of``, ``windows_there`` [u, w], ``places_of``,
        ``places_there`` [u, s']. Which windows of a long passage are taken depends on the model's seed, the epoch and the question alone.
        """
        most, taken = max(int(features.first[row + 1] - features.first[row]) for row in rows), self.settings.train_windows
        draws = row_draws(self.seed, epoch, rows, 1 + most if labelled and most > taken else 0)  # [q, d]
        numbers: list[int] = []
        places: list[Place] = []
        windows_of: list[list[int]] = []
        places_of: list[list[int]] = []
        for row, drawn in zip(rows, draws.tolist(), strict=True):
            own = features.windows_of(row)
            spans = sorted({(first, last) for _, first, last in features.answers[row].tolist()}) if labelled else []
            if labelled and len(own) > taken:
                own = _sampled(own, spans, taken, drawn)
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
        asked = [features.questions[int(row)] for row in features.windows[numbers, 0]]
        passages = [features.ids[number] for number in numbers]
        longest = max(len(question) + len(words) + 3 for question, words in zip(asked, passages, strict=True))
        ids = np.full((len(numbers), longest), vocabulary.pad_id, dtype=np.int64)  # [b, l]
        segments, marks, passage = np.zeros_like(ids), np.zeros_like(ids), np.zeros(ids.shape, dtype=np.bool_)  # [b, l] each
        for row, (question, words) in enumerate(zip(asked, passages, strict=True)):
            begin, end = len(question) + 2, len(question) + 2 + len(words)
            ids[row, 0] = vocabulary.cls_id
            ids[row, 1 : begin - 1], ids[row, begin:end] = question, words
            ids[row, [begin - 1, end]] = vocabulary.sep_id
            segments[row, begin : end + 1] = 1
            passage[row, begin:end] = True
            if self.asked is not None:
                marks[row, begin:end] = mark_asked(question, words)
        batch = {"ids": ids, "segments": segments, "passage": passage, "numbers": np.asarray(numbers, dtype=np.int64)}  # [b, l] each, [b]
        return batch if self.asked is None else {**batch, "asked": marks}  # [b, l]


@full_precision
def _within(logits: paddle.Tensor, passage: paddle.Tensor) -> paddle.Tensor:
    wide = logits.astype("float32")  # [b, l, 2]: NOWHERE is beyond half precision
    return paddle.where(passage.unsqueeze(-1).expand(wide.shape), wide, paddle.full_like(wide, NOWHERE))  # [b, l, 2]


def _of_questions(values: paddle.Tensor, batch: Batch, missing: float) -> paddle.Tensor:
    """``values`` [b, 2] of windows, by the question that they belong to: [u, w, 2], ``missing`` where it has no more."""
    windows, present = paddle.to_tensor(batch["windows_of"]), paddle.to_tensor(batch["windows_there"])  # [u, w], [u, w]
    together = paddle.gather(values, windows.reshape([-1])).reshape([*windows.shape, 2])  # [u, w, 2]
    return paddle.where(present.unsqueeze(-1).expand(together.shape), together, paddle.full_like(together, missing))  # [u, w, 2]


def _totals(logits: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """The logarithm of both softmaxes' denominators, which a question's windows share, [u, 2]."""
    return paddle.logsumexp(_of_questions(paddle.logsumexp(logits, axis=1), batch, NOWHERE), axis=1)  # [u, 2]


def _means(logits: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """The mean logit over the tokens of a question's windows, of first and last summed, [u]."""
    passage = paddle.to_tensor(batch["passage"].astype(np.float32)).unsqueeze(-1)  # [b, l, 1]
    summed = _of_questions((logits * passage).sum(axis=1), batch, 0.0).sum(axis=[1, 2])  # [u]
    counts = (batch["passage"].sum(axis=1)[batch["windows_of"]] * batch["windows_there"]).sum(axis=1)  # [u]
    return summed / paddle.to_tensor(counts.astype(np.float32))  # [u]


def mark_asked(question: np.ndarray, words: np.ndarray) -> np.ndarray:
    """1 where the question has the token too, 2 where it has it together with a neighbour, else 0; [c].

    The word-in-question feature of FastQA (arXiv 1703.04816), with pairs, since a Chinese token is a character and most words have two.
    """
    same = question[:, None] == words[None, :]  # [q, c]
    found: np.ndarray = same.any(axis=0).astype(np.int64)  # [c]
    at = np.flatnonzero((same[:-1, :-1] & same[1:, 1:]).any(axis=0))
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


def _sampled(own: Sequence[Window], spans: Sequence[tuple[int, int]], count: int, draws: Sequence[float]) -> list[Window]:
    """``count`` of the windows ``own``, in order, one that holds one of ``spans`` whole (if any does) among them.

    ``draws``: numbers in [0, 1), one and one more for each window.
    """
    answering = [k for k, window in enumerate(own) if any(_holds(window, span) for span in spans)]
    chosen = [answering[int(draws[0] * len(answering))]] if answering else []
    rest = sorted((k for k in range(len(own)) if k not in chosen), key=lambda k: draws[1 + k])
    return [own[k] for k in sorted(chosen + rest[: count - len(chosen)])]


def _index(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of indices padded with 0, and where they are real: [u, longest] int64 and bool."""
    index = pad([np.asarray(row) for row in rows])  # [u, longest]
    return index, np.arange(index.shape[1]) < np.asarray([len(row) for row in rows])[:, None]  # [u, longest], [u, longest]
