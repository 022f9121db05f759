"""The answer as one span of the passage: a softmax for its first and one for its last token (kexue.fm article 7321), over the passage alone.

The windows of one question share their softmaxes, in training and in prediction (shared normalisation, arXiv 1710.10723), so that a window
without the answer learns to say so. A token's probability is that of all windows that see it: which of two windows finds an answer that both
hold is left to them. Every place of every reference is right: the loss is that of all of them together. Where a model reads questions without
an answer, [CLS] of every window is one token more, and the answer's place when there is none.

Notation: b windows, l tokens, h hidden, u questions, s answer places, one for every two windows of which one sees its first, one its last token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import paddle
from paddle import nn
from pydantic import Field

from shared.backbone import Backbone
from shared.dropout import dropout
from shared.features.rows import row_draws
from shared.inference import Graph, Input, Network
from shared.linear import Linear
from shared.losses import full_precision, share
from shared.masks import like
from shared.text import Vocabulary

from ...recipe import Settings
from ..features import ReadingFeatures
from .span_batch import (
    Piece,
    Place,
    aligned,
    croppable,
    cropped,
    index_rows,
    inputs_of,
    no_answer_places,
    open_places,
    places_of,
    sampled,
)

NOWHERE = -1e9

Batch = Mapping[str, np.ndarray]

_CROPS, _WORDS = 101, 102
"""Streams of draws beside that of the windows: added to the model's seed."""


class SpanSettings(Settings):
    """The ``[model]`` table of a recipe whose model is ``span``."""

    name: Literal["span"] = "span"
    train_windows: int = Field(4, ge=1, description="windows of one question in a training step: one with the answer, others at random")
    head_dropout: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of an answer's weight that goes to all tokens of its passage, evenly")
    word_in_question: bool = Field(False, description="tell the encoder which passage tokens the question has, alone or in a pair")
    train_tokens: int | None = Field(None, ge=8, description="in training a window is cut to so many passage tokens, around an answer if it has one")
    no_answer: bool = Field(False, description="learn from questions without an answer; see decode.no_answer_threshold")
    paraphrase_share: float = Field(0.0, ge=0, le=1, description="of the questions that training.paraphrases knows, asked in other words in a step")
    consistency: float = Field(0.0, ge=0, description="weight of the divergence between the answers to such a question and to its paraphrase")


class ReadingSpan(nn.Layer):
    """Encoder of ``[CLS] question [SEP] passage [SEP]`` and one linear layer."""

    def __init__(self, backbone: Backbone, *, settings: SpanSettings, seed: int = 0, window: int | None = None):
        """``window``: tokens of the longest input without [CLS] and the last [SEP], which a longer paraphrase must not stretch."""
        super().__init__()
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.window = backbone.config.max_length - 2 if window is None else window
        normal = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02))
        self.project = Linear(backbone.config.hidden_size, 2, weight_attr=normal)  # [h, 2]
        zero = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))  # a pretrained encoder starts undisturbed
        self.asked = nn.Embedding(3, backbone.config.hidden_size, weight_attr=zero) if settings.word_in_question else None  # [3, h]

    def forward(self, batch: Batch) -> paddle.Tensor:
        """Logits of first and last answer token, [b, l, 2] float32; ``NOWHERE`` where no answer may be, :meth:`open`."""
        asked = None if self.asked is None else paddle.to_tensor(batch["asked"])  # [b, l]
        open_ = paddle.to_tensor(self.open(batch))  # [b, l]
        return self.logits(paddle.to_tensor(batch["ids"]), paddle.to_tensor(batch["segments"]), open_, asked)  # [b, l, 2]

    def logits(
        self, ids: paddle.Tensor, segments: paddle.Tensor, open_: paddle.Tensor, asked: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """The same from tensors [b, l]; ``asked``: for a model that reads it."""
        added = None if self.asked is None else self.asked(asked)  # [b, l, h]
        encoded = self.backbone(ids, segment_ids=segments if self.backbone.config.num_segments > 1 else None, added=added)
        hidden = dropout(encoded.hidden, self.settings.head_dropout, self.training)  # [b, l, h]
        return _within(self.project(hidden), open_)  # [b, l, 2]

    def open(self, batch: Batch) -> np.ndarray:
        """Where an answer may begin and end, [b, l]: :func:`open_places`."""
        return open_places(batch["passage"], no_answer=self.settings.no_answer)  # [b, l]

    def divisors(self, batch: Batch) -> dict[str, float]:
        """``questions``: those of the batch that have a place; ``twins``: those of them that are asked in two ways."""
        found = {"questions": float(len(batch["windows_of"]))}
        return {**found, "twins": float(len(batch["twin_windows_of"]))} if self.settings.consistency else found

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Negative log-likelihood of all answer places together, halved (the mean of the two ends for a single place), [].

        Averaged over the questions that have a place; 0 where none has. With label smoothing e: 1 - e of it and e of the cross entropy
        against first and last tokens drawn evenly from the question's windows. With consistency: that weight times the divergence of the
        answers to paraphrase and question, averaged over the questions that are asked in two ways, comes on top.
        """
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The loss [] and the logits [b, l, 2] that it is made of."""
        logits, divisors = self(batch), self.divisors(batch) if divisors is None else divisors  # [b, l, 2]
        loss = self._loss(logits, batch, divisors)  # []
        if self.settings.consistency and len(batch["twin_rows"]):
            loss = loss + self.settings.consistency * self._consistency(logits, batch, divisors)  # []
        return loss, logits  # [], [b, l, 2]

    def _consistency(self, logits: paddle.Tensor, batch: Batch, divisors: Mapping[str, float]) -> paddle.Tensor:
        """:meth:`divergence` of the answers to paraphrases, part of ``logits`` [b, l, 2], and to the questions as they stand, []."""
        twin = {name: batch[f"twin_{name}"] for name in ("ids", "segments", "passage", "asked") if f"twin_{name}" in batch}
        asked = self(twin)  # [t, l', 2]
        at = batch["twin_at"]  # [t, l]
        where = np.stack([np.broadcast_to(np.arange(len(at))[:, None], at.shape), at], axis=-1)  # [t, l, 2]
        own = {name: batch[f"twin_{name}"] for name in ("windows_of", "windows_there")}
        rows = {name: batch[name][batch["twin_rows"]] for name in ("ids", "passage")}
        first = paddle.gather(logits, paddle.to_tensor(batch["twin_rows"]))  # [t, l, 2]
        second = _within(paddle.gather_nd(asked, paddle.to_tensor(where)), paddle.to_tensor(self.open(rows)))  # [t, l, 2]
        return self._apart(first, second, {**rows, **own}, divisors["twins"])  # []

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
            gold = gold * (1.0 - smoothing) + _means(logits, batch, self.open(batch)) * smoothing  # [u]
        return share((total - gold).sum() * 0.5, divisors["questions"])  # []

    def divergence(
        self, first: paddle.Tensor, second: paddle.Tensor, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the shared softmaxes of two passes, logits [b, l, 2] each, are apart: both directions averaged, and both ends, [].

        Averaged over the questions that have a place, as the loss is.
        """
        if not len(batch["windows_of"]):
            return first[:, 0, 0].sum() * 0.0  # []
        return self._apart(first, second, batch, (self.divisors(batch) if divisors is None else divisors)["questions"])  # []

    @full_precision
    def _apart(self, first: paddle.Tensor, second: paddle.Tensor, batch: Batch, questions: float) -> paddle.Tensor:
        owners = np.full(len(batch["ids"]), -1)  # [b]
        owners[batch["windows_of"][batch["windows_there"]]] = np.nonzero(batch["windows_there"])[0]
        inside = paddle.to_tensor(self.open(batch) & (owners >= 0)[:, None]).unsqueeze(-1).expand(first.shape)  # [b, l, 2]
        of_row = paddle.to_tensor(np.maximum(owners, 0))  # [b]
        logs = []
        for logits in (first, second):
            log = logits - paddle.gather(_totals(logits, batch), of_row).unsqueeze(1)  # [b, l, 2]
            logs.append(paddle.where(inside, log, paddle.zeros_like(log)))  # [b, l, 2]
        left, right = logs
        apart = ((paddle.exp(left) - paddle.exp(right)) * (left - right)).sum()  # []
        return share(apart * 0.25, questions)  # []

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

    def network(self) -> Network:
        """For decoding: ``logits`` of first and last token."""
        whole, mark = ("b", "l"), Input(("b", "l"), "int64")
        inputs = {"ids": mark, "segments": mark, "open": Input(whole, "bool"), **({} if self.asked is None else {"asked": mark})}

        def logits(*given: paddle.Tensor) -> tuple[paddle.Tensor]:
            return (self.logits(*given),)  # [b, l, 2]

        facts = {"word_in_question": self.settings.word_in_question, "no_answer": self.settings.no_answer}
        return Network(self, {"logits": Graph(logits, inputs, ("logits",))}, facts=facts)

    def training_lengths(self, features: ReadingFeatures) -> np.ndarray:
        """Tokens of each question with the windows that a training step takes of it, twins not counted, [n]."""
        counts = np.minimum(np.diff(features.first), self.settings.train_windows)  # [n]
        sizes = features.ids.lengths[features.first[:-1]]  # [n]: windows of one passage are equally long
        if self.settings.train_tokens is not None:
            sizes = np.where(croppable(features, self.settings.train_tokens), np.minimum(sizes, self.settings.train_tokens), sizes)  # [n]
        asked = features.questions.lengths  # [n]
        if features.paraphrases is not None and self.settings.paraphrase_share:
            asked = np.maximum(asked, features.paraphrases.longest)  # [n]
        lengths: np.ndarray = counts * np.minimum(sizes + asked + 3, self.window + 2)  # [n]
        return lengths

    def collate(
        self, features: ReadingFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """One batch of the questions ``rows``: ``ids``, ``segments``, ``passage`` [b, l], ``numbers`` [b] (windows); ``asked`` [b, l] where
        the model reads it.

        Labelled, for the questions that have a place (u of them, in ``rows``' order): ``places`` [s, 2, 3], where the logits of an answer's
        first and last token are, and as indices with their masks ``windows_of``, ``windows_there`` [u, w], ``places_of``,
        ``places_there`` [u, s']. Which windows of a long passage are taken, how they are cut and in which words the question is asked depends
        on the model's seed, the epoch and the question alone.

        With consistency, for the v questions asked in other words: ``twin_rows`` [t], their rows; ``twin_ids`` and the like [t, l'], the same
        with the question as it stands; ``twin_at`` [t, l], where a token of the row is in its twin; ``twin_windows_of``,
        ``twin_windows_there`` [v, w], indices into ``twin_rows``.
        """
        most, taken = max(int(features.first[row + 1] - features.first[row]) for row in rows), self.settings.train_windows
        draws = row_draws(self.seed, epoch, rows, 1 + most if labelled and most > taken else 0)  # [q, d]
        others = self._other_words(features, rows, epoch) if labelled else [None] * len(rows)
        cuts = self._cuts(features, rows, epoch) if labelled else [None] * len(rows)
        size = self.settings.train_tokens
        pieces: list[Piece] = []
        asked: list[np.ndarray] = []
        places: list[Place] = []
        windows: list[list[int]] = []
        answers: list[list[int]] = []
        twins: list[tuple[list[int], np.ndarray]] = []
        for row, drawn, words, cut in zip(map(int, rows), draws.tolist(), others, cuts, strict=True):
            own, question = features.windows_of(row), features.questions[row]
            spans = sorted({(first, last) for _, first, last in features.answers[row].tolist()}) if labelled else []
            if size is not None and cut is not None:
                spans = [span for span in spans if span[1] - span[0] < size]
            if labelled and len(own) > taken:
                own = sampled(own, spans, taken, drawn)
            if size is not None and cut is not None:
                own = [cropped(piece, spans, size, cut) for piece in own]
            if words is not None:
                room = self.window - 1 - len(words)  # for the passage
                shorter = [(number, begin, min(end, begin + room)) for number, begin, end in own]
                if not spans or any(places_of(shorter, spans, 0, before=0)):
                    own, question, words = shorter, words, question
                else:
                    words = None  # the answer would be cut off
            at = len(pieces)
            pieces += own
            asked += [question] * len(own)
            found = places_of(own, spans, at, before=len(question) + 2)
            if labelled and self.settings.no_answer and features.impossible[row]:
                found = no_answer_places(len(own), at)
            if found:
                windows.append(list(range(at, len(pieces))))
                answers.append(list(range(len(places), len(places) + len(found))))
                places += found
                if words is not None and self.settings.consistency:
                    twins.append((windows[-1], words))
        batch = inputs_of(features, pieces, asked, vocabulary, mark=self.asked is not None)
        if labelled:
            batch["places"] = np.asarray(places, dtype=np.int64).reshape(-1, 2, 3)  # [s, 2, 3]
            batch["windows_of"], batch["windows_there"] = index_rows(windows)  # [u, w], [u, w]
            batch["places_of"], batch["places_there"] = index_rows(answers)  # [u, s'], [u, s']
            if self.settings.consistency:
                batch |= self._twins(features, pieces, batch["passage"], twins, vocabulary)
        return batch

    def _other_words(self, features: ReadingFeatures, rows: np.ndarray, epoch: int) -> list[np.ndarray | None]:
        """For each of ``rows`` the paraphrase that is asked in this epoch, if one is."""
        share, known = self.settings.paraphrase_share, features.paraphrases
        if not share or known is None:
            return [None] * len(rows)
        draws = row_draws(self.seed + _WORDS, epoch, rows, 2).tolist()  # [q, 2]
        return [known.drawn(int(row), which) if draw < share else None for row, (draw, which) in zip(rows, draws, strict=True)]

    def _cuts(self, features: ReadingFeatures, rows: np.ndarray, epoch: int) -> list[list[float] | None]:
        """For each of ``rows`` what decides where its windows are cut, if they are."""
        size = self.settings.train_tokens
        if size is None:
            return [None] * len(rows)
        draws = row_draws(self.seed + _CROPS, epoch, rows, 2).tolist()  # [q, 2]
        return [drawn if _fits(features.answers[int(row)], size) else None for row, drawn in zip(rows, draws, strict=True)]

    def _twins(
        self,
        features: ReadingFeatures,
        pieces: Sequence[Piece],
        passage: np.ndarray,
        twins: Sequence[tuple[list[int], np.ndarray]],
        vocabulary: Vocabulary,
    ) -> dict[str, np.ndarray]:
        rows = [row for own, _ in twins for row in own]  # [t]
        made = inputs_of(
            features, [pieces[row] for row in rows], [words for own, words in twins for _ in own], vocabulary, mark=self.asked is not None
        )  # [t, l'] each
        counts = np.cumsum([0, *(len(own) for own, _ in twins)]).tolist()
        of, there = index_rows([list(range(begin, end)) for begin, end in pairwise(counts)])  # [v, w], [v, w]
        found = {f"twin_{name}": values for name, values in made.items() if name != "numbers"}
        index = np.asarray(rows, dtype=np.int64)  # [t]
        return {
            **found,
            "twin_rows": index,
            "twin_at": aligned(passage[index], made["passage"]),  # [t, l]
            "twin_windows_of": of,
            "twin_windows_there": there,
        }

def _fits(answers: np.ndarray, size: int) -> bool:
    return not len(answers) or bool((answers[:, 2] - answers[:, 1] < size).any())


@full_precision
def _within(logits: paddle.Tensor, passage: paddle.Tensor) -> paddle.Tensor:
    wide = logits.astype("float32")  # [b, l, 2]: NOWHERE is beyond half precision
    return paddle.where(like(passage.unsqueeze(-1), wide), wide, paddle.full_like(wide, NOWHERE))  # [b, l, 2]


def _of_questions(values: paddle.Tensor, batch: Batch, missing: float) -> paddle.Tensor:
    """``values`` [b, 2] of windows, by the question that they belong to: [u, w, 2], ``missing`` where it has no more."""
    windows, present = paddle.to_tensor(batch["windows_of"]), paddle.to_tensor(batch["windows_there"])  # [u, w], [u, w]
    together = paddle.gather(values, windows.reshape([-1])).reshape([*windows.shape, 2])  # [u, w, 2]
    return paddle.where(present.unsqueeze(-1).expand(together.shape), together, paddle.full_like(together, missing))  # [u, w, 2]


def _totals(logits: paddle.Tensor, batch: Batch) -> paddle.Tensor:
    """The logarithm of both softmaxes' denominators, which a question's windows share, [u, 2]."""
    return paddle.logsumexp(_of_questions(paddle.logsumexp(logits, axis=1), batch, NOWHERE), axis=1)  # [u, 2]


def _means(logits: paddle.Tensor, batch: Batch, inside: np.ndarray) -> paddle.Tensor:
    """The mean logit over the tokens ``inside`` [b, l] of a question's windows, of first and last summed, [u]."""
    taken = paddle.to_tensor(inside.astype(np.float32)).unsqueeze(-1)  # [b, l, 1]
    summed = _of_questions((logits * taken).sum(axis=1), batch, 0.0).sum(axis=[1, 2])  # [u]
    counts = (inside.sum(axis=1)[batch["windows_of"]] * batch["windows_there"]).sum(axis=1)  # [u]
    return summed / paddle.to_tensor(counts.astype(np.float32))  # [u]
