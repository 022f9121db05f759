"""From what is written behind an abstract to its title, for predict, extract, evaluate and roundtrip alike. Needs numpy only.

Any word may come anywhere. The hypotheses of a beam are ranked by its score, samples by what they share with the others (minimum Bayes risk, by
BLEU); a title's probability is the model's own, and of tokens that spell the same the likeliest count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from shared.decoding import Hypothesis, NGramBlock, rerank_mbr
from shared.text import Tokenizer, Vocabulary
from shared.text.detokenize import detokenize
from shared.text.overlap import text_scores

from ...decoding import Decoder
from ...generation_decode import at_once, steps_of
from ...generation_rows import make_rows
from ...generation_search import gold_hypotheses, hypotheses, width
from ...generation_words import AnyWords
from ..features import TitleFeatures
from ..predictions import Prediction

if TYPE_CHECKING:
    from shared.inference import Engine

    from .generate_design import TitleDecodeSettings

Spell = Callable[[tuple[int, ...]], str]


def titles_of(
    found: Sequence[Hypothesis], spell: Spell, settings: TitleDecodeSettings, *, floor: float | None = None
) -> list[Prediction]:
    """The titles that the hypotheses of one abstract spell, the best first, each once; ``n_best`` of them, or with ``floor`` the first and all
    others of at least that probability."""
    best: dict[str, float] = {}
    for one in found:
        text = spell(one.tokens)
        best[text] = max(best.get(text, 0.0), math.exp(one.log_probability))
    texts = list(best)
    if settings.search == "mbr":
        samples = [spell(one.tokens) for one in found]
        texts = list(dict.fromkeys(str(one.candidate) for one in rerank_mbr(samples, _likeness)))
    made = [Prediction(text, min(1.0, best[text])) for text in texts]
    return made[: settings.n_best] if floor is None else [made[0], *(one for one in made[1:] if one.probability >= floor)]


def _likeness(title: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    return text_scores(str(title), str(other)).bleu


def constraint_of(settings: TitleDecodeSettings) -> NGramBlock | None:
    return NGramBlock(settings.no_repeat_ngram) if settings.no_repeat_ngram else None


def engine_decoder(
    engine: Engine,
    features: TitleFeatures,
    vocabulary: Vocabulary,
    settings: TitleDecodeSettings,
    *,
    floor: float | None = None,
) -> Decoder:
    """What the engine of a :class:`TitleGenerator` writes. ``floor``: see :func:`titles_of`."""
    count = width(settings, candidates=floor is not None, least=settings.n_best)
    words, tokenizer = AnyWords.of_vocabulary(vocabulary), Tokenizer(vocabulary)

    def search(batch: np.ndarray) -> list[list[Hypothesis]]:
        texts = [features.ids[int(row)] for row in batch]
        made, numbered = make_rows(texts, texts, words, vocabulary)
        return hypotheses(
            steps_of(engine, made),
            constraint_of(settings),
            numbered,
            settings,
            max_target=settings.max_target or engine.facts["max_target"],
            seed=engine.facts["seed"],
            keys=[int(row) for row in batch],
            count=count,
        )

    def spell(tokens: tuple[int, ...]) -> str:
        return detokenize(tokens, tokenizer)

    def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
        part = at_once(settings, len(batch), count)
        found = [own for begin in range(0, len(batch), part) for own in search(batch[begin : begin + part])]
        return [(int(row), titles_of(own, spell, settings, floor=floor)) for row, own in zip(batch, found, strict=True)]

    return decode


def gold_decoder(features: TitleFeatures, settings: TitleDecodeSettings, *, longest: int) -> Decoder:
    """The same with gold's own tokens, ``longest`` with the end."""
    words = AnyWords(int(features.targets.values.max(initial=0)) + 1, np.unique(features.targets.values).tolist())

    def decode(batch: np.ndarray) -> list[tuple[int, list[Prediction]]]:
        targets = [features.targets[int(row)] for row in batch]
        found = gold_hypotheses(constraint_of(settings), words.words_of(targets), [target.tolist() for target in targets], max_target=longest)
        made = []
        for row, target, own in zip(batch, targets, found, strict=True):

            def spell(tokens: tuple[int, ...], row: int = int(row), target: np.ndarray = target) -> str:
                same = takewhile(lambda pair: pair[0] == pair[1], zip(tokens, target.tolist(), strict=False))
                return features.spelled(row, sum(1 for _ in same))

            made.append((int(row), titles_of(own, spell, settings)))
        return made

    return decode
