"""Masked language model: tokens are hidden, and the encoder guesses them (Devlin and others, arXiv 1810.04805).

``token``: each by itself. ``word``: words whole (whole-word masking, Cui and others, arXiv 1906.08101). ``span``: 1 to 4 tokens side by side,
40, 30, 20 and 10 in a hundred (n-gram masking of MacBERT, Cui and others, arXiv 2004.13922), with [MASK] as the other two.

Notation: b rows, l tokens of a window, m tokens to guess, h hidden, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import paddle
from paddle import nn

from shared.backbone import Backbone
from shared.features.batches import token_budget_batches
from shared.features.rows import framed_rows, row_draws, take_rows
from shared.heads.language_model import TiedLanguageModelHead
from shared.losses import full_precision, share, softmax_divergence, token_cross_entropy
from shared.pretrained import Pretrained
from shared.text import Vocabulary
from shared.training.parallel import Ranks
from shared.unilm import UniLM

from ..features import BEGINS, NEVER, PretrainingFeatures
from .settings import MlmSettings

Batch = Mapping[str, np.ndarray]

SPAN_SHARES = (0.4, 0.3, 0.2, 0.1)
"""How often a span has 1, 2, 3 and 4 tokens."""

_UNIT, _KIND, _OTHER, _SPAN = range(4)
"""What the four draws of a token decide: the order of its unit, what stands for it, which other token, how long its span is."""


class MaskedLanguageModel(nn.Layer):
    """Encoder and tied language-model head, which sees the tokens to guess alone. ``seed``: of what is hidden.

    The head is the source's (``pretrained``) where it has one, as ``new_head`` tells. Raises ValueError for a vocabulary without [MASK].
    """

    def __init__(self, backbone: Backbone, vocabulary: Vocabulary, settings: MlmSettings, *, seed: int = 0, pretrained: Pretrained | None = None):
        super().__init__()
        if vocabulary.mask_id is None:
            raise ValueError(f"a vocabulary of {len(vocabulary)} tokens without [MASK]")
        config = backbone.config
        self.backbone, self.settings, self.seed = backbone, settings, seed
        self.language_model_head = TiedLanguageModelHead(
            config.hidden_size, config.vocab_size, activation=config.activation, eps=config.layer_norm_eps
        )
        self.new_head = True
        if pretrained is not None and not config.convolution_width and config.num_segments > 1:
            self.new_head = not UniLM(backbone, head=self.language_model_head).load_head(pretrained)
        special = {vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id}
        unused = {index for index, token in enumerate(vocabulary.tokens) if token.startswith("[unused")}
        self._others = np.asarray(sorted(set(range(len(vocabulary))) - special - unused), dtype=np.int64)  # [tokens that may stand for another]
        self._mask_id = vocabulary.mask_id

    def forward(self, batch: Batch) -> paddle.Tensor:
        """Logits of the tokens to guess, [m, v]."""
        hidden = self.backbone(paddle.to_tensor(batch["ids"])).hidden  # [b, l + 2, h]
        flat = hidden.reshape([-1, hidden.shape[-1]])  # [b * (l + 2), h]
        chosen = paddle.index_select(flat, paddle.to_tensor(batch["places"]))  # [m, h]
        logits: paddle.Tensor = self.language_model_head(chosen, self.embedding.weight)  # [m, v]
        return logits

    def divisors(self, batch: Batch) -> dict[str, float]:
        """``masked``: the tokens to guess."""
        return {"masked": float(len(batch["labels"]))}

    def loss(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> paddle.Tensor:
        """Mean cross entropy of the tokens to guess, []."""
        return self.examine(batch, divisors)[0]  # []

    def examine(self, batch: Batch, divisors: Mapping[str, float] | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The loss [] and the logits [m, v] that it is made of."""
        logits = self(batch)  # [m, v]
        return self._loss(logits, batch, (self.divisors(batch) if divisors is None else divisors)["masked"]), logits  # [], [m, v]

    @full_precision
    def _loss(self, logits: paddle.Tensor, batch: Batch, masked: float) -> paddle.Tensor:
        mean = token_cross_entropy(logits, paddle.to_tensor(batch["labels"]))  # []
        return share(mean * float(len(batch["labels"])), masked)  # []

    @full_precision
    def divergence(
        self, first: paddle.Tensor, second: paddle.Tensor, batch: Batch, divisors: Mapping[str, float] | None = None
    ) -> paddle.Tensor:
        """How far the guesses [m, v] of two passes are apart, averaged over the tokens to guess, []."""
        masked = (self.divisors(batch) if divisors is None else divisors)["masked"]
        return share(softmax_divergence(first, second).sum(), masked)  # []

    @property
    def embedding(self) -> nn.Layer:
        """The table of token embeddings."""
        return self.backbone.embeddings.token

    def training_lengths(self, features: PretrainingFeatures) -> np.ndarray:
        """Tokens of each window, [w]."""
        return features.lengths

    def collate(
        self, features: PretrainingFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, labelled: bool = True, epoch: int = 0
    ) -> dict[str, np.ndarray]:
        """``ids`` [b, l + 2] as the encoder sees them, ``places`` [m] in the flattened batch and ``labels`` [m] of the tokens to guess.

        What is drawn of a window depends on seed, epoch and row alone, so that every epoch hides something else.
        """
        ids, lengths = framed_rows(
            features.ids, rows, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id
        )  # [b, l + 2], [b]
        units = np.split(take_rows(features.units, rows)[0], np.cumsum(lengths)[:-1])  # [n] each
        draws = row_draws(self.seed, epoch, rows, 4 * int(lengths.max(initial=0))).reshape(len(rows), -1, 4)  # [b, l, 4]
        places, labels = [], []
        for row, (own, drawn) in enumerate(zip(units, draws, strict=True)):
            chosen = self._chosen(own, drawn[: len(own)])  # [m of the row]
            at = chosen + 1  # [m of the row]
            labels.append(ids[row, at])
            ids[row, at] = self._seen(labels[-1], drawn[chosen])
            places.append(at + row * ids.shape[1])
        return {"ids": ids, "places": np.concatenate(places), "labels": np.concatenate(labels)}

    def _chosen(self, units: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Which tokens of a window are to be guessed, ascending, one at least: ``units`` [n] and ``draws`` [n, 4] give [m]."""
        free = np.flatnonzero(units != NEVER)  # [k]
        if self.settings.masking == "span":
            begins = _span_begins(free, draws[free, _SPAN])  # [k]
        else:
            begins = (units[free] == BEGINS) | (self.settings.masking == "token")  # [k]
        number = np.cumsum(begins) - 1  # [k]
        order = np.argsort(draws[free[begins], _UNIT], kind="stable")  # [units]
        sizes = np.bincount(number)[order]  # [units]
        most = max(1, round(self.settings.masked * len(free)))
        taken = order[: max(1, int((np.cumsum(sizes) <= most).sum()))]  # [units taken]
        return free[np.isin(number, taken)]  # [m]

    def _seen(self, labels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """What stands for the tokens to guess: ``labels`` [m] and ``draws`` [m, 4] give [m]."""
        hidden, other = self.settings.hidden_share, self.settings.hidden_share + self.settings.random_share
        kind, random = draws[:, _KIND], self._others[(draws[:, _OTHER] * len(self._others)).astype(np.int64)]  # [m], [m]
        return np.where(kind < hidden, self._mask_id, np.where(kind < other, random, labels))  # [m]

    # -- evaluation --------------------------------------------------------------------------------------------------

    def evaluate(
        self, features: PretrainingFeatures, rows: np.ndarray, vocabulary: Vocabulary, *, tokens: int, ranks: Ranks
    ) -> Iterator[dict[str, float]]:
        """Guesses the hidden tokens of ``rows``, always the same ones; yields what is known after every batch, the scores last.

        ``loss`` is the mean cross entropy, ``perplexity`` its exponential, ``accuracy`` the share that is guessed right.
        """
        own = np.asarray(rows)[ranks.rank :: ranks.world]  # [n]
        sums = np.zeros(3)  # [3]: loss, right ones, all
        for batch in token_budget_batches(features.lengths[own], tokens):
            made = self.collate(features, own[batch], vocabulary)
            with paddle.no_grad():
                logits = self(made)  # [m, v]
                count = float(len(made["labels"]))
                right = float((logits.argmax(axis=-1).numpy() == made["labels"]).sum())
                sums += [float(self._loss(logits, made, 1.0)), right, count]
            yield {}
        loss, right, count = ranks.sum_numbers(sums.tolist())
        mean = loss / count
        yield {"loss": mean, "perplexity": float(np.exp(min(mean, 700.0))), "accuracy": right / count}


def _span_begins(free: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Where spans of 1 to 4 neighbours begin among the tokens ``free`` [k], whose lengths ``draws`` [k] decide: [k] bool."""
    lengths = np.searchsorted(np.cumsum(SPAN_SHARES)[:-1], draws, side="right") + 1  # [k]
    begins = np.ones(len(free), dtype=bool)  # [k]
    after_separator = np.flatnonzero(np.diff(free) > 1) + 1  # [borders]: a separator ends a span
    borders = [*after_separator.tolist(), len(free)]
    place, border = 0, 0
    while place < len(free):
        while borders[border] <= place:
            border += 1
        end = min(place + int(lengths[place]), borders[border])
        begins[place + 1 : end] = False
        place = end
    return begins
