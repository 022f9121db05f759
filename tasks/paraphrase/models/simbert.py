"""SimBERT (kexue.fm article 7427) on labelled pairs: pairs of one meaning give its joint step, and with ``pair_weight`` all pairs an order.

A batch is made of whole records. Each pair of one meaning is two rows, (a, b) and (b, a), and every other text of the batch another meaning,
but for those that labels of the training file join to its own, directly or through other pairs. Pairs of two meanings teach nothing to the
article's model; with ``pair_weight`` CoSENT (article 8847) ranks every pair of one meaning above every one of two.

Notation: n pairs of one meaning, m of two, l tokens, h hidden; the rows of the n come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import paddle
from pydantic import Field, model_validator

from shared.backbone import Backbone
from shared.features.batches import pad
from shared.inference import Graph, Input, Network
from shared.losses import cosines_of, ranked_cosines
from shared.pretrained import Pretrained
from shared.similarity import SimilarityNetwork
from shared.similarity.batcher import group_pairs
from shared.text import Vocabulary

from ...recipe import Settings
from ...similarity_layer import Batch, SimilarityLayer
from ..features import ParaphraseFeatures


class SimbertSettings(Settings):
    """The ``[model]`` table of a recipe whose model is ``simbert``."""

    name: Literal["simbert"] = "simbert"
    pooling: Literal["first", "mean"] = Field("first", description="a text's vector is its [CLS] state, or the mean of its states")
    scale: float = Field(30.0, gt=0, description="factor of the similarities before the softmax over a batch")
    similarity_weight: float = Field(1.0, ge=0, description="of the softmax over a batch")
    sequence_weight: float = Field(1.0, ge=0, description="of writing one text of a pair from the other; 0 spares targets and head, most of the time")
    pair_weight: float = Field(0.0, ge=0, description="of ranking pairs of one meaning above pairs of two (CoSENT), which then train too")
    pair_scale: float = Field(20.0, gt=0, description="factor of the cosines there")

    @model_validator(mode="after")
    def _something_trains(self) -> SimbertSettings:
        if not self.similarity_weight and not self.sequence_weight and not self.pair_weight:
            raise ValueError("similarity_weight, sequence_weight and pair_weight are all 0: nothing would be learned")
        return self


class ParaphraseSimbert(SimilarityLayer):
    """A :class:`SimilarityNetwork` with the losses of ``settings``. ``fresh``: the encoder was not trained before.

    Raises ValueError as :class:`SimilarityNetwork` does, and for texts of ``window`` tokens that do not fit the encoder's positions twice.
    """

    def __init__(self, backbone: Backbone, *, settings: SimbertSettings, window: int, fresh: bool):
        if 2 * window + 3 > backbone.config.max_length:
            raise ValueError(f"two texts of {window} tokens do not fit the {backbone.config.max_length} positions of this encoder")
        super().__init__(SimilarityNetwork(backbone, scale=settings.scale, pooling=settings.pooling))
        self.settings = settings
        if not fresh:
            self.language_model_head.start_as_identity()
        self._groups: tuple[ParaphraseFeatures, np.ndarray] | None = None

    def adopt(self, found: Pretrained) -> tuple[str, ...]:
        """Starts from the language-model head and the pooler of the source where it has them; the names of those taken, the head first."""
        new = self.simbert.load_parts(found)
        return tuple(name for name in ("language_model_head", "pooler") if name not in new)

    # -- training --------------------------------------------------------------------------------------------------

    def training_lengths(self, features: ParaphraseFeatures) -> np.ndarray:
        """Tokens of both rows of a record, [n]: 0 for those that teach nothing, which are unlabelled records, texts of the same tokens that are
        alike, and without ``pair_weight`` pairs of two meanings."""
        lengths = 2 * (features.lengths - 1)  # [n]
        if not self.settings.sequence_weight:
            lengths = 2 * (features.ids.lengths.reshape(-1, 2).max(axis=1) + 2)  # [n]
        alike, unlike = features.labels == 1, features.labels == 0  # [n], [n]
        teaches = alike & ~features.same  # [n]
        if self.settings.pair_weight:
            teaches = teaches | unlike  # [n]
        return np.asarray(np.where(teaches, lengths, 0))  # [n]

    def groups_of(self, features: ParaphraseFeatures) -> np.ndarray:
        """The number of what each record's texts belong to by the labels of all records, [n]; -1 for those that are not alike."""
        if self._groups is None or self._groups[0] is not features:
            units = np.flatnonzero(features.labels == 1)  # [k]
            keys = [(first.tobytes(), second.tobytes()) for first, second in map(features.texts_of, units.tolist())]
            number = {text: place for place, group in enumerate(group_pairs(keys)) for text in group}
            found = np.full(len(features), -1, dtype=np.int64)  # [n]
            found[units] = [number[first] for first, _ in keys]
            self._groups = features, found
        return self._groups[1]

    def collate(
        self, features: ParaphraseFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """``ids``, ``texts`` and ``segments`` [2n + 2m, l], ``groups`` [n], ``alike`` [n + m].

        Only pairs of one meaning have targets, and without ``sequence_weight`` none has: a source's vector does not know of them.
        """
        units = np.asarray(rows)  # [n + m]
        alike = features.labels[units] == 1  # [n + m]
        order = np.argsort(~alike, kind="stable")  # [n + m]: pairs of one meaning first
        units, alike = units[order], alike[order]  # [n + m], [n + m]
        cls, sep = [vocabulary.cls_id], [vocabulary.sep_id]
        texts: list[np.ndarray] = []
        segments: list[np.ndarray] = []
        for unit, same in zip(units.tolist(), alike.tolist(), strict=True):
            first, second = features.texts_of(unit)
            written = same and self.settings.sequence_weight > 0
            for source, target in ((first, second), (second, first)):
                texts.append(np.concatenate([cls, source, sep, target, sep] if written else [cls, source, sep]))  # [l]
                segments.append(np.repeat([0, 1], [len(source) + 2, len(target) + 1 if written else 0]))  # [l]
        ids = pad(texts, value=vocabulary.pad_id)  # [2n + 2m, l]
        groups = self.groups_of(features)[units[alike]]  # [n]
        return {"ids": ids, "texts": ids, "segments": pad(segments), "groups": groups, "alike": alike}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """The weighted sum of the losses that the batch has something for, []."""
        settings, simbert, n = self.settings, self.simbert, len(batch["groups"])
        ids, segments, read = (paddle.to_tensor(batch[name]) for name in ("texts", "segments", "ids"))  # [2n + 2m, l] each
        hidden = simbert.unilm.hidden(read, segments)  # [2n + 2m, l, h]
        vectors = simbert.vectors(hidden, ids, segments)  # [2n + 2m, h]
        total = vectors.sum() * 0.0  # []
        if settings.sequence_weight and n:
            total = total + settings.sequence_weight * simbert.unilm.loss(ids, segments, hidden=hidden)  # []
        if settings.similarity_weight and n:
            total = total + settings.similarity_weight * simbert.similarity(vectors[: 2 * n], batch["groups"])  # []
        if settings.pair_weight:
            cosines = cosines_of(vectors[::2], vectors[1::2])  # [n + m]
            twice = self.backbone.config.double_backward
            total = total + settings.pair_weight * ranked_cosines(cosines, batch["alike"], settings.pair_scale, double_backward=twice)  # []
        return total

    # -- prediction ------------------------------------------------------------------------------------------------

    def network(self) -> Network:
        """For decoding: the ``vectors`` of rows that are one text each."""

        def vectors(ids: paddle.Tensor) -> tuple[paddle.Tensor]:
            return (self.simbert.vectors(self.backbone(ids).hidden, ids, paddle.zeros_like(ids)),)  # [b, h]

        return Network(self, {"vectors": Graph(vectors, {"ids": Input(("b", "l"), "int64")}, ("vectors",))})
